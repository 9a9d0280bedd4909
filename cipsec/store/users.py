"""The users that may enroll with a password: their rows; hashing is left to `ra.users`."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass, field, fields


@dataclass(frozen=True, slots=True)
class UserRow:
    """One user; `password` is an Argon2id hash in PHC format, times in seconds since 1970.

    Good until `until`, for `uses` enrollments, at the EST labels of the JSON list `labels`; None
    sets no limit.
    """

    name: str
    password: str = field(repr=False)
    created_at: int
    changed_at: int
    until: int | None = None
    uses: int | None = None
    labels: str | None = None


_COLUMNS = ", ".join(column.name for column in fields(UserRow))
_SELECT = f"SELECT {_COLUMNS} FROM users"  # noqa: S608  # names from the class above


def insert(db: sqlite3.Connection, row: UserRow) -> bool:
    """Add a user; return False when the name is taken."""
    marks = ", ".join("?" * len(fields(UserRow)))
    added = db.execute(
        f"INSERT INTO users ({_COLUMNS}) VALUES ({marks}) ON CONFLICT DO NOTHING",  # noqa: S608  # likewise
        [getattr(row, column.name) for column in fields(UserRow)],
    )
    return added.rowcount == 1


def by_name(db: sqlite3.Connection, name: str) -> UserRow | None:
    """Return the user of this name."""
    row = db.execute(f"{_SELECT} WHERE name = ?", (name,)).fetchone()
    return UserRow(*row) if row else None


def listed(db: sqlite3.Connection) -> Iterator[UserRow]:
    """Yield the users in the order of their names."""
    return (UserRow(*row) for row in db.execute(f"{_SELECT} ORDER BY name"))


def set_password(db: sqlite3.Connection, name: str, password: str, *, at: int) -> bool:
    """Replace a user's hash; return False when there is no such user."""
    done = db.execute(
        "UPDATE users SET password = ?, changed_at = ? WHERE name = ?", (password, at, name)
    )
    return done.rowcount == 1


def set_limits(
    db: sqlite3.Connection, name: str, *, until: int | None, uses: int | None, labels: str | None
) -> bool:
    """Replace a user's limits, all of them; return False when there is no such user."""
    done = db.execute(
        "UPDATE users SET until = ?, uses = ?, labels = ? WHERE name = ?",
        (until, uses, labels, name),
    )
    return done.rowcount == 1


def remove(db: sqlite3.Connection, name: str) -> bool:
    """Remove a user; return False when there is none."""
    return db.execute("DELETE FROM users WHERE name = ?", (name,)).rowcount == 1
