"""Provisioning certificates on record: rows; what each was spent on is in `uses`."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass, fields
from datetime import datetime


@dataclass(frozen=True, slots=True)
class CredentialRow:
    """One provisioning certificate, good for `uses` enrollments; times in seconds since 1970."""

    serial: str
    name: str
    uses: int
    not_after: int
    created_at: int
    created_by: str
    revoked_at: int | None = None
    revoked_by: str | None = None
    revocation: str | None = None

    @property
    def key(self) -> str:
        """Return under what its uses are counted."""
        return f"provisioning:{self.serial}"

    def status(self, now: datetime, *, spent: int) -> str:
        """Return `valid`, `revoked`, `expired` or `spent`."""
        if self.revoked_at is not None:
            return "revoked"
        if self.not_after < now.timestamp():
            return "expired"
        return "spent" if spent >= self.uses else "valid"


_COLUMNS = ", ".join(field.name for field in fields(CredentialRow))
_SELECT = f"SELECT {_COLUMNS} FROM credentials"  # noqa: S608  # names from the class above


def insert(db: sqlite3.Connection, row: CredentialRow) -> None:
    """Record a provisioning certificate."""
    marks = ", ".join("?" * len(fields(CredentialRow)))
    values = [getattr(row, field.name) for field in fields(CredentialRow)]
    db.execute(f"INSERT INTO credentials ({_COLUMNS}) VALUES ({marks})", values)  # noqa: S608  # likewise


def by_serial(db: sqlite3.Connection, serial: str) -> CredentialRow | None:
    """Return the provisioning certificate with this serial number in lower-case hex."""
    row = db.execute(f"{_SELECT} WHERE serial = ?", (serial,)).fetchone()
    return CredentialRow(*row) if row else None


def by_name(db: sqlite3.Connection, name: str) -> list[CredentialRow]:
    """Return the provisioning certificates of this name, newest first."""
    rows = db.execute(f"{_SELECT} WHERE name = ? ORDER BY serial DESC", (name,))
    return [CredentialRow(*row) for row in rows]


def listed(db: sqlite3.Connection) -> Iterator[CredentialRow]:
    """Yield the provisioning certificates, newest first."""
    return (CredentialRow(*row) for row in db.execute(f"{_SELECT} ORDER BY serial DESC"))


def revoke(db: sqlite3.Connection, serial: str, *, by: str, reason: str, at: int) -> bool:
    """Revoke one; return False when it is not there or was revoked before."""
    done = db.execute(
        "UPDATE credentials SET revoked_at = ?, revoked_by = ?, revocation = ?"
        " WHERE serial = ? AND revoked_at IS NULL",
        (at, by, reason, serial),
    )
    return done.rowcount == 1
