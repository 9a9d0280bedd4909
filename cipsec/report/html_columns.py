"""The tables of a report in HTML: which columns, how wide, and each cell, escaped."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from html import escape

from cipsec import safe
from cipsec.report.tables import Row

_LONG = 400


@dataclass(frozen=True, slots=True)
class Column:
    """A column: its title, its share of the width in percent, and its cell as HTML."""

    title: str
    width: int
    cell: Callable[[Row], str]


@dataclass(frozen=True, slots=True)
class Section:
    """A table with what people need to know of it, and what stands there when it is empty."""

    table: str
    title: str
    text: str
    empty: str
    columns: tuple[Column, ...]


def text(value: object) -> str:
    """Return a text from outside as HTML shows it: harmless, and nothing of it is markup."""
    return escape(safe.text("" if value is None else value, limit=_LONG))


def _field(name: str) -> Callable[[Row], str]:
    return lambda row: text(row[name]) or "–"


def _moment(name: str) -> Callable[[Row], str]:
    return lambda row: time(row[name]) or "–"


def _code(name: str) -> Callable[[Row], str]:
    return lambda row: f"<code>{text(row[name])}</code>"


def _device(row: Row) -> str:
    shown = row["device"] or row["mac"]
    more = f"<small><code>{text(row['mac'])}</code></small>" if row["device"] and row["mac"] else ""
    return f"<code>{text(shown)}</code>{more}" if shown else "–"


def _under(first: str, second: str) -> Callable[[Row], str]:
    """Return a cell with one field and, smaller, another below it."""
    return lambda row: f"{text(row[first]) or '–'}<small>{text(row[second])}</small>"


def _revoked(row: Row) -> str:
    return f"{time(row['revoked_at'])}<small>by {text(row['revoked_by'])}</small>"


def _waits(row: Row) -> str:
    state = text(row["state"])
    return f"{text(row['waits'])}<small>{state}, from {text(row['address'])}</small>"


def _subject(row: Row) -> str:
    """Return the subject, which may go on on the next line where a part of it ends."""
    return text(row["subject"]).replace(",", ",<wbr>") or "–"


def _uses(row: Row) -> str:
    return "any number" if row["uses"] is None else f"{text(row['used'])} of {text(row['uses'])}"


def _labels(row: Row) -> str:
    labels = row["labels"]
    if not isinstance(labels, list):
        return "everywhere"
    return text(", ".join(str(label) or "no label" for label in labels)) or "nowhere"


def _when(row: Row) -> str:
    conditions = row["when"]
    return text(" and ".join(map(str, conditions)) if isinstance(conditions, list) else conditions)


def _then(row: Row) -> str:
    until = f"<small>until {time(row['until'])}</small>" if row["until"] else ""
    approvals = row["approvals"]
    agree = f"<small>{approvals} administrators agree</small>" if approvals not in (0, 1) else ""
    return f"{text(row['then'])}{until}{agree}"


def time(value: object) -> str:
    """Return a time as people read it; the heading says that it is UTC."""
    return text(value).replace("T", " ", 1).removesuffix("Z").rpartition(":")[0] or text(value)


def number(value: object) -> str:
    """Return a number with its thousands apart."""
    return f"{value:,}".replace(",", "\u202f") if isinstance(value, int) else text(value)


def grouped(digits: object) -> str:
    """Return a fingerprint in groups of four, as people compare them."""
    shown = text(digits)
    return " ".join(shown[at : at + 4] for at in range(0, len(shown), 4))


def mapping(value: object) -> Mapping[str, object]:
    """Return a part of a report that is a mapping."""
    return value if isinstance(value, Mapping) else {}


_DEVICE = Column("Device", 14, _device)
_SUBJECT = Column("Subject", 22, _subject)
_SERIAL = Column("Certificate", 17, _code("serial"))
_WHY = Column("Why: rule, reason", 23, _under("rule", "reason"))

SECTIONS = (
    Section(
        "requests",
        "Open requests",
        "",
        "No request is open.",
        (
            _DEVICE,
            _SUBJECT,
            Column("Waits", 16, _waits),
            Column("Proved, and only claimed", 20, _under("proved", "claimed")),
            Column("Why it waits", 18, _under("rule", "reason")),
            Column("Request", 10, lambda row: f"<code>{text(str(row['id'])[:12])}</code>"),
        ),
    ),
    Section(
        "expiring",
        "Ending soon",
        "In force, and not renewed.",
        "None, or all of them are renewed.",
        (
            _DEVICE,
            _SUBJECT,
            Column("Ends (UTC)", 12, _moment("not_after")),
            Column("Left", 8, _field("left")),
            _SERIAL,
            _WHY,
        ),
    ),
    Section(
        "certificates",
        "Certificates in force",
        "",
        "No certificate is in force.",
        (
            _DEVICE,
            _SUBJECT,
            Column("Ends (UTC)", 12, _moment("not_after")),
            _WHY,
            Column("Granted by", 12, _field("granted_by")),
            _SERIAL,
        ),
    ),
    Section(
        "revoked",
        "Revoked",
        "Those whose time is not over.",
        "No certificate that has not ended was revoked.",
        (
            _DEVICE,
            _SUBJECT,
            Column("Revoked (UTC)", 16, _revoked),
            Column("Reason", 14, _field("revocation")),
            Column("Would have ended", 14, _moment("not_after")),
            _SERIAL,
        ),
    ),
    Section(
        "credentials",
        "Provisioning certificates outstanding",
        "Whoever holds one of these can still enroll with it.",
        "No provisioning certificate is outstanding.",
        (
            Column("Name", 22, _field("name")),
            Column("Used", 12, _uses),
            Column("Ends (UTC)", 14, _moment("not_after")),
            Column("Made (UTC)", 14, _moment("created_at")),
            Column("By", 18, _field("created_by")),
            _SERIAL,
        ),
    ),
    Section(
        "users",
        "Users that can enroll",
        "",
        "No user has a password that is good for anything.",
        (
            Column("Name", 30, _field("name")),
            Column("Used", 15, _uses),
            Column("Until (UTC)", 20, _moment("until")),
            Column("Where", 35, _labels),
        ),
    ),
)
RULES = (
    Column("Rule", 30, _field("name")),
    Column("When", 50, _when),
    Column("Then", 20, _then),
)
