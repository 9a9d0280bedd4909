"""What happened, in order: rows that are added and never changed, each chained to all before."""

from __future__ import annotations

import operator
import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass, fields

from cipsec.store import chain
from cipsec.store.chain import Head
from cipsec.store.codes import Code
from cipsec.times import from_seconds, show_time


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


@dataclass(frozen=True, slots=True)
class Recorded:
    """An event as it is on record: `head` has its number, and is the log's head up to it."""

    head: Head
    event: Event


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which events are wanted: what is empty or None admits all.

    Of request and serial number the beginning is enough; `device` also finds a MAC address.
    """

    since: int | None = None
    codes: frozenset[str] = frozenset()
    device: str | None = None
    request: str | None = None
    serial: str | None = None

    def clauses(self) -> tuple[str, list[object]]:
        """Return conditions of SQL, and the values of their question marks."""
        found: list[tuple[str, list[object]]] = [("true", [])]
        if self.since is not None:
            found.append(("at >= ?", [self.since]))
        if self.codes:
            marks = ", ".join("?" * len(self.codes))
            found.append((f"event IN ({marks})", list[object](sorted(self.codes))))
        if self.device:
            found.append(("instr(' ' || device || ' ', ?)", [f" {self.device} "]))
        for column, prefix in (("request", self.request), ("serial", self.serial)):
            if prefix:
                found.append((f"substr({column}, 1, ?) = ?", [len(prefix), prefix]))
        values = [value for _, those in found for value in those]
        return " AND ".join(clause for clause, _ in found), values


def recorded(
    db: sqlite3.Connection, seq: int, wanted: Wanted, *, limit: int = -1
) -> Iterator[Recorded]:
    """Yield the events behind number `seq` that are wanted, in order."""
    where, values = wanted.clauses()
    rows = db.execute(
        f"SELECT seq, hash, {_COLUMNS} FROM events WHERE seq > ? AND {where} ORDER BY seq LIMIT ?",  # noqa: S608  # question marks
        (seq, *values, limit),
    )
    return (Recorded(_head(row), Event(*tuple(row)[2:])) for row in rows)


def _head(row: sqlite3.Row) -> Head:
    return Head(row[0], chain.as_hash(row[1]) or chain.START)


def after(db: sqlite3.Connection, seq: int, *, since: int = 0) -> Iterator[tuple[int, Event]]:
    """Yield the events behind number `seq` that happened at `since` or later, with their number."""
    rows = db.execute(
        f"SELECT seq, {_COLUMNS} FROM events WHERE seq > ? AND at >= ? ORDER BY seq",  # noqa: S608  # names from the class above
        (seq, since),
    )
    return ((row[0], Event(*tuple(row)[1:])) for row in rows)


def shown_recorded(one: Recorded) -> dict[str, object]:
    """Return an event on record as JSON has it: `shown`, its number, and the head up to it."""
    return {"number": one.head.number} | shown(one.event) | {"head": str(one.head)}


def shown(event: Event) -> dict[str, object]:
    """Return an event as JSON has it: times in ISO 8601, every key present."""
    return {field.name: getattr(event, field.name) for field in fields(event)} | {
        "at": when(event.at)
    }


def when(seconds: int | None) -> str | None:
    """Return a time of the store as it is shown, None for none; never fails for what is none."""
    if seconds is None:
        return None
    try:
        return show_time(from_seconds(seconds))
    except (TypeError, ValueError, OverflowError, OSError):
        return f"not a time: {seconds!r}"
