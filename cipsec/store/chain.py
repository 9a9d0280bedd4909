"""The chain that ties each event to all before it, as docs/events.md describes it.

An event's hash is the SHA-256 of the hash before it, its number and its fields, each written as a
netstring (`5:drive,`), one that is absent as `-,`: no two events have the same encoding. Walking
the chain is left to `verification`.
"""

from __future__ import annotations

import hashlib
import re
import sqlite3
from collections.abc import Iterable
from dataclasses import dataclass

from cipsec.errors import UsageError

FIELDS = (
    *("at", "event", "actor", "address", "request", "serial", "subject", "device"),
    *("rule", "reason"),
)
START = bytes(32)  # the hash before the first event

_HEAD = re.compile(r"([0-9]{1,18}):([0-9a-f]{64})")
_LAST = (
    "SELECT seq, hash, (SELECT seq FROM sqlite_sequence WHERE name = 'events')"
    " FROM events ORDER BY seq DESC LIMIT 1"
)


@dataclass(frozen=True, slots=True)
class Head:
    """Where a chain ends: the number of its last event, 0 for none, and the hash of that."""

    number: int
    hash: bytes

    def __str__(self) -> str:
        return f"{self.number}:{self.hash.hex()}"

    @classmethod
    def parse(cls, text: str) -> Head:
        """Read a head as `str` writes it; raise UsageError."""
        found = _HEAD.fullmatch(text.strip().lower())
        if found is None:
            raise UsageError(
                f"{text!r} is not the head of a log",
                hint="write its number, a colon and 64 hex digits, as `cipsec ca log verify` does",
            )
        return cls(int(found[1]), bytes.fromhex(found[2]))


def digest(previous: bytes, number: int, values: Iterable[object]) -> bytes:
    """Return the hash of event `number`, of the values of `FIELDS`, behind the hash `previous`."""
    parts = [f"64:{previous.hex()},", _netstring(str(number))]
    for value in values:
        parts.append("-," if value is None else _netstring(str(value)))
    return hashlib.sha256("".join(parts).encode()).digest()


def _netstring(text: str) -> str:
    """Return a text behind its length in bytes of UTF-8."""
    return f"{len(text) if text.isascii() else len(text.encode())}:{text},"


def as_hash(stored: object) -> bytes | None:
    """Return what is stored as a hash; None for what is none, as another program may leave it."""
    return stored if isinstance(stored, bytes) and len(stored) == len(START) else None


def following(db: sqlite3.Connection) -> tuple[int, bytes]:
    """Return the number of the next event and the hash before it, inside a writing transaction.

    A number that was given is never given again, also where the newest events were taken out: what
    is missing shows. Numbers given in a transaction that was rolled back are as if never given.
    """
    row = db.execute(_LAST).fetchone()
    if row is None:
        given = db.execute("SELECT seq FROM sqlite_sequence WHERE name = 'events'").fetchone()
        return (given[0] if given else 0) + 1, START
    last, stored, given = row
    return max(last, given or 0) + 1, as_hash(stored) or START


def head(db: sqlite3.Connection) -> Head:
    """Return the head of the log as it is now."""
    row = db.execute("SELECT seq, hash FROM events ORDER BY seq DESC LIMIT 1").fetchone()
    return Head(row[0], as_hash(row[1]) or START) if row else Head(0, START)


def hash_of(db: sqlite3.Connection, number: int) -> bytes | None:
    """Return the hash of one event, None when there is none of this number."""
    row = db.execute("SELECT hash FROM events WHERE seq = ?", (number,)).fetchone()
    return as_hash(row[0]) if row else None


def build(db: sqlite3.Connection) -> int:
    """Number and chain events that were recorded without; return how many there are.

    For the upgrade of an earlier store, inside its transaction. Numbers are close together
    afterwards: nothing outside the store has named one before.
    """
    number, seq, previous = 0, 0, START
    page = f"SELECT seq, {', '.join(FIELDS)} FROM events WHERE seq > ? ORDER BY seq LIMIT 1000"  # noqa: S608  # names from above
    while rows := db.execute(page, (seq,)).fetchall():  # numbers only become smaller
        for seq, *values in rows:  # the next page begins behind the last of this
            number, previous = number + 1, digest(previous, number + 1, values)
            db.execute("UPDATE events SET seq = ?, hash = ? WHERE seq = ?", (number, previous, seq))
    db.execute("UPDATE sqlite_sequence SET seq = ? WHERE name = 'events'", (number,))
    return number
