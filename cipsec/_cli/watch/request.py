"""All that is known of one request, as a person reads it before deciding; old beside new."""

from __future__ import annotations

from datetime import datetime

from cipsec._cli.watch.model import Asked
from cipsec._cli.watch.text import Field, Show, utc
from cipsec.store.requests import Approval, State
from cipsec.times import show_duration, show_time

_GROUP = 8  # digits of a fingerprint that stand together


def fields(asked: Asked, now: datetime, show: Show, note: str = "") -> list[Field]:
    """Return what is known of a request, what matters most first; `note` is not yet on record."""
    before = next(iter(_predecessors(asked)), None)
    return [
        *_standing(asked, show),
        *_compared(asked, before, show),
        *_replaced(asked, show),
        *_agreed(asked, show),
        *([Field("note", show(f"{note} (yours, not on record yet)"))] if note else []),
        Field("rule", show(f"{asked.row.rule}: {asked.row.reason}")),
        Field("from", show(f"{asked.row.address}{_label(asked)}")),
        Field("waits", _waits(asked, now)),
        *_key(asked, before, show),
        Field("id", asked.row.id),
        Field("type", show(asked.record.get("key_type", "-"))),
    ]


def _standing(asked: Asked, show: Show) -> list[Field]:
    row, found = asked.row, []
    if asked.trouble:
        found.append(Field("DAMAGED", show(asked.trouble)))
    if row.state != State.PENDING:
        when = show_time(utc(row.decided_at or 0))
        by = f" by {row.decided_by} at {when}" if row.decided_by else ""
        note = f": {row.note}" if row.note else ""
        found.append(Field("STATE", show(f"{row.state}{by}{note}")))
    return found


def _compared(asked: Asked, old: dict[str, object] | None, show: Show) -> list[Field]:
    """Return what a predecessor has too."""
    row = asked.row
    new: dict[str, object] = {
        "proved": row.proved,
        "claimed": row.claimed,
        "device": row.device,
        "mac": row.mac,
        "subject": row.subject or "(empty)",
        "names": _names(asked),
    }
    if old is None:
        known = {name: value for name, value in new.items() if value is not None}
        return [Field(name, show(value)) for name, value in known.items()]
    absent = {"claimed", "names"}  # of a certificate nothing is only claimed; its names: `ca show`
    return [
        Field(name, _or_dash(value, show), None if name in absent else _or_dash(old[name], show))
        for name, value in new.items()
        if value is not None or old.get(name) is not None
    ]


def _key(asked: Asked, old: dict[str, object] | None, show: Show) -> list[Field]:
    before = _groups(show(old["spki_sha256"])) if old else None
    return [Field("key", _groups(asked.row.spki_sha256), before)]


def _or_dash(value: object, show: Show) -> str:
    return "-" if value is None else show(value)


def _names(asked: Asked) -> str:
    names = asked.record.get("san")
    return ", ".join(map(str, names)) or "none" if isinstance(names, list) else "-"


def _groups(digits: str) -> str:
    return " ".join(digits[i : i + _GROUP] for i in range(0, len(digits), _GROUP))


def _label(asked: Asked) -> str:
    return f", label {asked.row.label}" if asked.row.label else ""


def _waits(asked: Asked, now: datetime) -> str:
    row = asked.row
    first = utc(row.first_seen)
    last = show_duration(now - utc(row.last_seen))
    times = "once" if row.polls == 1 else f"{row.polls} times"
    return f"{show_duration(now - first)}, asked {times}, last {last} ago"


def _agreed(asked: Asked, show: Show) -> list[Field]:
    if asked.row.approvals < 2:
        return []
    who = ", ".join(f"{one.by}{_wish(one)}" for one in asked.agreed) or "nobody yet"
    said = f"{len(asked.agreed)} of {asked.row.approvals} administrators: {who}"
    return [Field("agreed", show(said))]


def _wish(approval: Approval) -> str:
    match approval.revokes:
        case None:
            return ""
        case True:
            return " (revoke the old)"
        case False:
            return " (keep both)"


def _replaced(asked: Asked, show: Show) -> list[Field]:
    """Return each of the certificates that would be replaced, the newest first."""
    if asked.row.replaces is None:
        return []
    found = [
        Field(
            "replaces" if number == 0 else "  and",
            show(
                f"certificate {old['serial']}, {old['status']},"
                f" {old['not_before']} to {old['not_after']}, {old['subject']}: {old['reason']}"
            ),
        )
        for number, old in enumerate(_predecessors(asked))
    ]
    return found or [Field("replaces", show(f"{asked.row.replaces}, which cannot be read"))]


def _predecessors(asked: Asked) -> list[dict[str, object]]:
    listed = asked.record.get("predecessors")
    return [one for one in listed if isinstance(one, dict)] if isinstance(listed, list) else []
