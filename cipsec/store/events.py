"""What happened, in order: rows that are added and never changed, each chained to all before."""

from __future__ import annotations

import operator
import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass, fields
from datetime import UTC, datetime

from cipsec.store import chain
from cipsec.store.codes import Code
from cipsec.times import show_time


@dataclass(frozen=True, slots=True)
class Event:
    """One event; `at` in seconds since 1970, `actor` who caused it, `reason` why it went so."""

    at: int
    event: Code
    actor: str
    address: str | None = None
    request: str | None = None
    serial: str | None = None
    subject: str | None = None
    device: str | None = None
    rule: str | None = None
    reason: str | None = None


# Not dataclasses.astuple, which copies every value: 10 us a row.
_values = operator.attrgetter(*chain.FIELDS)
_COLUMNS = ", ".join(chain.FIELDS)
_INSERT = f"INSERT INTO events (seq, hash, {_COLUMNS}) VALUES (?, ?{', ?' * len(chain.FIELDS)})"  # noqa: S608  # names from the class above


def append(db: sqlite3.Connection, event: Event) -> None:
    """Add one event at the end, and to the chain, inside the caller's transaction."""
    number, previous = chain.following(db)
    values = _values(event)
    db.execute(_INSERT, (number, chain.digest(previous, number, values), *values))


def after(db: sqlite3.Connection, seq: int, *, since: int = 0) -> Iterator[tuple[int, Event]]:
    """Yield the events behind number `seq` that happened at `since` or later, with their number."""
    rows = db.execute(
        f"SELECT seq, {_COLUMNS} FROM events WHERE seq > ? AND at >= ? ORDER BY seq",  # noqa: S608
        (seq, since),
    )
    return ((row[0], Event(*tuple(row)[1:])) for row in rows)


def shown(event: Event) -> dict[str, object]:
    """Return an event as JSON has it: times in ISO 8601, every key present."""
    moment = datetime.fromtimestamp(event.at, UTC)
    return {field.name: getattr(event, field.name) for field in fields(event)} | {
        "at": show_time(moment)
    }
