"""What was spent: each enrollment counts once against a credential that is good for N of them."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Spent:
    """How far a credential is used up: by how many enrollments, and for which certificate by one.

    `serial` is set when the enrollment that was asked about is one of them.
    """

    count: int
    serial: str | None


def spent(db: sqlite3.Connection, credential: str, enrollment: str) -> Spent:
    """Return how often `credential` was spent, and whether by this enrollment."""
    number = count(db, credential)  # first: else a use in between would count, and not as its own
    serial = db.execute(
        "SELECT serial FROM uses WHERE credential = ? AND enrollment = ?", (credential, enrollment)
    ).fetchone()
    return Spent(number, serial[0] if serial else None)


def count(db: sqlite3.Connection, credential: str) -> int:
    """Return how many enrollments `credential` was spent on."""
    row = db.execute("SELECT count(*) FROM uses WHERE credential = ?", (credential,)).fetchone()
    return int(row[0])


def counts(db: sqlite3.Connection, prefix: str) -> dict[str, int]:
    """Return how many enrollments each credential was spent on whose name begins with `prefix`."""
    rows = db.execute(
        "SELECT credential, count(*) FROM uses WHERE credential >= ? AND credential < ?"
        " GROUP BY credential",
        (prefix, f"{prefix}\U0010ffff"),
    )
    return dict(map(tuple, rows))


def spend(
    db: sqlite3.Connection, credential: str, enrollment: str, *, serial: str, at: int
) -> None:
    """Record one use, inside the grant's transaction; a repeated grant is the same use."""
    db.execute(
        "INSERT INTO uses VALUES (?, ?, ?, ?)"
        " ON CONFLICT (credential, enrollment) DO UPDATE SET serial = excluded.serial",
        (credential, enrollment, serial, at),
    )


def certificates(db: sqlite3.Connection, credential: str) -> Iterator[str]:
    """Yield the serial numbers of the certificates that `credential` was spent on, oldest first."""
    rows = db.execute("SELECT serial FROM uses WHERE credential = ? ORDER BY at", (credential,))
    return (row[0] for row in rows)
