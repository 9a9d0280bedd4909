"""How far each channel of notification has come in the log of events, and how it fares.

Whom a channel tells, and of what, is left to `ra.notify`.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Collection, Iterator
from dataclasses import dataclass, fields

from cipsec.store.events import Event


@dataclass(frozen=True, slots=True)
class ChannelRow:
    """One channel; `cursor` is the number of the last event it is done with, times since 1970.

    A try counts among `failures` from when it begins, so that a crash in the midst of it counts
    too; without `error` it has not ended yet, or never will. An `error` without failures is what
    the last delivery had to leave out.
    """

    name: str
    cursor: int
    failures: int = 0
    error: str | None = None
    tried_at: int | None = None
    sent_at: int | None = None

    @property
    def is_trying(self) -> bool:
        """Tell whether a try has begun and no end of it is recorded."""
        return self.failures > 0 and self.error is None

    @property
    def failed(self) -> int:
        """Return how many tries in a row have failed, without one that goes on."""
        return self.failures - self.is_trying


_COLUMNS = ", ".join(field.name for field in fields(ChannelRow))
_SELECT = f"SELECT {_COLUMNS} FROM channels"  # noqa: S608  # names from the class above
_EVENT = ", ".join(field.name for field in fields(Event))


def open_at_end(db: sqlite3.Connection, name: str) -> None:
    """Add a channel that is told what happens from now on; one that is there stays as it is."""
    db.execute(
        f"INSERT INTO channels ({_COLUMNS})"  # noqa: S608  # names from the class above
        " SELECT ?, coalesce(max(seq), 0), 0, NULL, NULL, NULL FROM events WHERE true"
        " ON CONFLICT DO NOTHING",
        (name,),
    )


def by_name(db: sqlite3.Connection, name: str) -> ChannelRow | None:
    """Return the channel of this name."""
    row = db.execute(f"{_SELECT} WHERE name = ?", (name,)).fetchone()
    return ChannelRow(*row) if row else None


def listed(db: sqlite3.Connection) -> list[ChannelRow]:
    """Return the channels in the order of their names."""
    return [ChannelRow(*row) for row in db.execute(f"{_SELECT} ORDER BY name")]


def keep_only(db: sqlite3.Connection, names: Collection[str]) -> None:
    """Remove the channels that are no longer wanted."""
    for row in listed(db):
        if row.name not in names:
            db.execute("DELETE FROM channels WHERE name = ?", (row.name,))


def claim(db: sqlite3.Connection, row: ChannelRow, *, at: int) -> bool:
    """Begin a try; return False when another process was faster."""
    done = db.execute(
        "UPDATE channels SET failures = failures + 1, error = NULL, tried_at = ?"
        " WHERE name = ? AND cursor = ? AND failures = ?",
        (at, row.name, row.cursor, row.failures),
    )
    return done.rowcount == 1


def delivered(db: sqlite3.Connection, name: str, *, cursor: int, at: int, left: str | None) -> None:
    """Record that everything up to event `cursor` is told, but for what `left` says."""
    db.execute(
        "UPDATE channels SET cursor = max(cursor, ?), failures = 0, error = ?, sent_at = ?"
        " WHERE name = ?",
        (cursor, left, at, name),
    )


def failed(db: sqlite3.Connection, name: str, error: str) -> None:
    """Record why a try failed."""
    db.execute("UPDATE channels SET error = ? WHERE name = ?", (error, name))


def works(db: sqlite3.Connection, name: str, *, at: int) -> None:
    """Record that the channel was reached by hand: what waits for it is tried at once."""
    db.execute(
        "UPDATE channels SET failures = 0, error = NULL, sent_at = ? WHERE name = ?", (at, name)
    )


def move(db: sqlite3.Connection, name: str, *, cursor: int) -> None:
    """Set the cursor: what lies before concerns the channel no more, or the log is shorter."""
    db.execute("UPDATE channels SET cursor = ? WHERE name = ?", (cursor, name))


def last_event(db: sqlite3.Connection) -> int:
    """Return the number of the newest event, 0 when there is none."""
    return int(db.execute("SELECT coalesce(max(seq), 0) FROM events").fetchone()[0])


def events_between(
    db: sqlite3.Connection,
    after: int,
    upto: int,
    wanted: Collection[str] | None,
    *,
    limit: int = -1,
) -> Iterator[tuple[int, Event]]:
    """Yield the events behind number `after`, `upto` included, in order; `wanted` None for all."""
    names = tuple(wanted or ())
    which = "" if wanted is None else f" AND event IN ({', '.join('?' * len(names))})"
    rows = db.execute(
        f"SELECT seq, {_EVENT} FROM events WHERE seq > ? AND seq <= ?{which}"  # noqa: S608  # question marks
        " ORDER BY seq LIMIT ?",
        (after, upto, *names, limit),
    )
    return ((row[0], Event(*tuple(row)[1:])) for row in rows)
