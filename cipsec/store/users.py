"""The users that may enroll with a password: their rows; hashing is left to `ra.users`."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class UserRow:
    """One user; `password` is an Argon2id hash in PHC format, times in seconds since 1970."""

    name: str
    password: str = field(repr=False)
    created_at: int
    changed_at: int


def insert(db: sqlite3.Connection, row: UserRow) -> bool:
    """Add a user; return False when the name is taken."""
    added = db.execute(
        "INSERT INTO users VALUES (?, ?, ?, ?) ON CONFLICT DO NOTHING",
        (row.name, row.password, row.created_at, row.changed_at),
    )
    return added.rowcount == 1


def by_name(db: sqlite3.Connection, name: str) -> UserRow | None:
    """Return the user of this name."""
    row = db.execute("SELECT * FROM users WHERE name = ?", (name,)).fetchone()
    return UserRow(*row) if row else None


def listed(db: sqlite3.Connection) -> Iterator[UserRow]:
    """Yield the users in the order of their names."""
    return (UserRow(*row) for row in db.execute("SELECT * FROM users ORDER BY name"))


def set_password(db: sqlite3.Connection, name: str, password: str, *, at: int) -> bool:
    """Replace a user's hash; return False when there is no such user."""
    done = db.execute(
        "UPDATE users SET password = ?, changed_at = ? WHERE name = ?", (password, at, name)
    )
    return done.rowcount == 1


def remove(db: sqlite3.Connection, name: str) -> bool:
    """Remove a user; return False when there is none."""
    return db.execute("DELETE FROM users WHERE name = ?", (name,)).rowcount == 1
