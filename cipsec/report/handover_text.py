"""A handover as one page of plain text, 80 columns wide: to be read, printed, or mailed."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta

from cipsec.ra.notify import words
from cipsec.report.handover import Handover, waits
from cipsec.store.codes import Code
from cipsec.store.events import Event, Recorded, when
from cipsec.times import show_duration, show_time

WIDTH = 80
_SHORT_ID, _SHORT_SERIAL = 12, 16  # digits, as `ca pending` and `ca list` show them
_WAITING, _CHANGED, _DONE, _GRANTED, _BROKEN, _ENDING = 8, 4, 14, 5, 8, 6  # lines of each part
_DAY = timedelta(days=1)
# In the order in which they are counted in the first line of what was done.
_COUNTED = (
    *(Code.GRANTED, Code.APPROVED, Code.AGREED, Code.REJECTED, Code.REVOKED, Code.REPLACEMENT),
    *(Code.REFUSED, Code.PENDING),
)
_WORDS = {Code.PENDING: "newly waiting", Code.REPLACEMENT: "asked to replace"}


def text(told: Handover) -> str:
    """Return the page."""
    parts = (_waiting(told), _done(told), _broken(told), _ending(told))
    lines = [*_head(told), ""]
    for part in parts:
        lines += [*part, ""]
    lines += ["Keep the head of the log; cipsec ca log verify --head compares it:", str(told.head)]
    return "\n".join(lines) + "\n"


def _head(told: Handover) -> Iterator[str]:
    name = fit(f"Handover: {_short(told.name or 'CA')}", WIDTH)
    period = (
        f"{_time(told.since)} to {_time(told.now)} UTC ({show_duration(told.now - told.since)})"
    )
    yield name
    yield period
    yield "=" * WIDTH


def _waiting(told: Handover) -> Iterator[str]:
    if not told.waiting_count:
        yield "Nobody waits for a decision."
        return
    longest = waits(told.waiting[0], told.now)
    requests = _many(told.waiting_count, "request")
    yield f"WAITING: {requests}, the longest for {longest}"
    for row in told.waiting[:_WAITING]:
        first = (row.replaces or "").split()[:1]
        replaces = f"replaces {first[0][:_SHORT_SERIAL]}? " if first else ""
        about = f"{replaces}{_short(row.subject or row.device or row.mac)}"
        yield fit(f"  {row.id[:_SHORT_ID]}  {waits(row, told.now):<8}{about}", WIDTH)
    yield from _more(told.waiting_count - _WAITING, "cipsec ca pending")


def _done(told: Handover) -> Iterator[str]:
    counted = [(code, told.counts[code]) for code in _COUNTED if told.counts[code]]
    other = sum(told.counts.values()) - sum(count for _, count in counted)
    if not told.counts:
        yield "Nothing was done."
        return
    said = [f"{count} {_WORDS.get(code, code)}" for code, count in counted]
    said += [f"{other} other events"] if other else []
    yield from _wrapped("DONE: ", said)
    for by, count in told.granted.most_common(_GRANTED):
        yield fit(f"  granted {count} by {_short(by)}", WIDTH)
    if (more := len(told.granted) - _GRANTED) > 0:
        yield f"  and others by {more} more"
    for one in (*told.changes[-_CHANGED:], *told.notable[-_DONE:]):
        yield fit(_event(one, told), WIDTH)
    yield from _more(len(told.notable) - _DONE, f"cipsec ca log --since {show_time(told.since)}")


def _event(one: Recorded, told: Handover) -> str:
    """Return one decision in a line: when, what, about whom, by whom, why."""
    event = one.event
    at = when(event.at) or ""
    at = at[11:16] if told.now - told.since <= _DAY else at[5:16].replace("T", " ")
    what = "replace?" if event.event == Code.REPLACEMENT else event.event
    by = f" by {_short(event.actor, 24)}" if event.event != Code.REPLACEMENT else ""
    return f"  {at}  {what:<9} {_about(event)}{by}: {_short(event.reason, 200)}"


def _about(event: Event) -> str:
    return _short(event.subject or event.device or "", 32)


def _broken(told: Handover) -> Iterator[str]:
    lines = list(_troubles(told))
    if not lines:
        yield "Nothing is known to be broken."
        return
    yield "TO MEND:"
    yield from lines[:_BROKEN]
    yield from _more(len(lines) - _BROKEN, "cipsec doctor")


def _troubles(told: Handover) -> Iterator[str]:
    if told.policy_error:
        yield fit(f"  ca.toml: {_short(told.policy_error, 200)}", WIDTH)
    for row in told.channels:
        often = f"failed {_many(row.failed, 'time')}: " if row.failed else ""
        yield fit(f"  channel {_short(row.name, 24)}: {often}{_short(row.error, 200)}", WIDTH)
    for trouble in sorted(told.troubles, key=lambda one: -one.last):
        times = f" ({trouble.count} times)" if trouble.count > 1 else ""
        what = "rules" if trouble.event == Code.POLICY_ERROR else "locked"
        yield fit(f"  {what}{times}: {_short(trouble.reason, 200)}", WIDTH)


def _ending(told: Handover) -> Iterator[str]:
    within = show_duration(told.ahead)
    if not told.expiring:
        yield f"No certificate ends within {within} without a renewal."
        return
    yield f"ENDS WITHIN {within}, not renewed: {_many(len(told.expiring), 'certificate')}"
    for row in told.expiring[:_ENDING]:
        subject = _short(row["subject"] or row["device"])
        serial = str(row["serial"])[:_SHORT_SERIAL]
        yield fit(f"  in {row['left']!s:<8} {serial}  {subject}", WIDTH)
    days = max(1, told.ahead.days)
    yield from _more(len(told.expiring) - _ENDING, f"cipsec ca list --expiring {days}d")


def _more(count: int, command: str) -> Iterator[str]:
    if count > 0:
        yield f"  and {count} more: {command}"


def _wrapped(begin: str, words: Sequence[str]) -> Iterator[str]:
    """Yield a list of short texts in lines that fit."""
    line = begin
    for number, word in enumerate(words):
        piece = word + (", " if number < len(words) - 1 else "")
        if len(line) + len(piece.rstrip()) > WIDTH:
            yield line.rstrip()
            line = " " * len(begin)
        line += piece
    yield line


def fit(line: str, width: int) -> str:
    """Return a harmless line cut to so many columns; East Asian wide characters take two."""
    taken = 0
    for at, char in enumerate(line):
        taken += _columns(char)
        if taken > width:
            return _cut(line[:at], width - 1) + "…"
    return line


def _cut(line: str, width: int) -> str:
    while sum(map(_columns, line)) > width:
        line = line[:-1]
    return line


def _columns(char: str) -> int:
    return 2 if unicodedata.east_asian_width(char) in "WF" else 1


def _short(value: object, limit: int = 64) -> str:
    """Return a text from outside as a line that nothing makes a link of, cut without a word."""
    shown = words.shown(str(value or "-")[: limit + 1])
    return f"{shown[: limit - 1]}…" if len(shown) > limit else shown


def _many(count: int, what: str) -> str:
    return f"{count} {what}" if count == 1 else f"{count} {what}s"


def _time(moment: datetime) -> str:
    return show_time(moment)[:16].replace("T", " ")
