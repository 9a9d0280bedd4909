"""The certificates that were issued: one row each, written once, and revoked at most once."""

from __future__ import annotations

import operator
import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass, fields
from datetime import datetime

from cipsec.times import from_seconds, show_time


@dataclass(frozen=True, slots=True)
class CertificateRow:
    """One certificate and why it was issued; times in seconds since 1970."""

    serial: str
    enrollment: str
    kind: str
    subject: str
    device: str | None
    mac: str | None
    not_before: int
    not_after: int
    issued_at: int
    rule: str
    reason: str
    proved: str
    der: bytes
    user: str | None = None
    credential: str | None = None
    device_proved: int = 0
    mac_proved: int = 0
    granted_at: int | None = None  # of a renewal: when what it goes back to was granted
    revoked_at: int | None = None
    revoked_by: str | None = None
    revocation: str | None = None

    @property
    def first_granted(self) -> int:
        """Return when it was granted, or what it renews, through all its renewals."""
        return self.issued_at if self.granted_at is None else self.granted_at

    @property
    def ended(self) -> str:
        """Return when it ended, in words."""
        return f"ended at {show_time(from_seconds(self.not_after))}"

    def status(self, now: datetime) -> str:
        """Return `valid`, `revoked`, `expired`, or `not yet valid` where a clock was ahead."""
        if self.revoked_at is not None:
            return "revoked"
        if self.not_before > now.timestamp():
            return "not yet valid"
        return "expired" if self.not_after < now.timestamp() else "valid"


# Not dataclasses.astuple, which copies every value: 10 us a row.
_values = operator.attrgetter(*(field.name for field in fields(CertificateRow)))
_COLUMNS = ", ".join(field.name for field in fields(CertificateRow))
_INSERT = (
    f"INSERT INTO certificates ({_COLUMNS}) VALUES ({', '.join('?' * len(fields(CertificateRow)))})"  # noqa: S608  # names from the class above
)
_SELECT = f"SELECT {_COLUMNS} FROM certificates"  # noqa: S608  # likewise


def insert(db: sqlite3.Connection, row: CertificateRow) -> None:
    """Record a certificate; raise sqlite3.IntegrityError when its serial number is taken."""
    db.execute(_INSERT, _values(row))


def by_serial(db: sqlite3.Connection, serial: str) -> CertificateRow | None:
    """Return the certificate with this serial number in lower-case hex."""
    return _one(db.execute(f"{_SELECT} WHERE serial = ?", (serial,)))


def by_serial_prefix(db: sqlite3.Connection, prefix: str) -> list[CertificateRow]:
    """Return up to two certificates whose serial number begins so; a second means ambiguous."""
    found = db.execute(
        f"{_SELECT} WHERE serial >= ? AND serial < ? LIMIT 2", (prefix, prefix + "g")
    )
    return [_row(row) for row in found]


def latest_for_enrollment(
    db: sqlite3.Connection, enrollment: str, *, since: int, at: int
) -> CertificateRow | None:
    """Return the newest certificate issued for exactly this enrollment at `since` or later.

    Of those that have begun by `at`: a clock that was ahead left one of years from now.
    """
    return _one(
        db.execute(
            f"{_SELECT} WHERE enrollment = ? AND issued_at >= ? AND not_before <= ?"
            " ORDER BY serial DESC LIMIT 1",
            (enrollment, since, at),
        )
    )


def by_credential(db: sqlite3.Connection, serial: str) -> Iterator[CertificateRow]:
    """Yield what was granted to the holder of the provisioning certificate `serial`."""
    rows = db.execute(f"{_SELECT} WHERE credential = ? ORDER BY serial", (serial,))
    return map(_row, rows)


def expiring(db: sqlite3.Connection, *, after: int, before: int) -> Iterator[CertificateRow]:
    """Yield the certificates in force that end between two times, the soonest first."""
    rows = db.execute(
        f"{_SELECT} WHERE not_after > ? AND not_after <= ? AND revoked_at IS NULL"
        " ORDER BY not_after",
        (after, before),
    )
    return map(_row, rows)


def revoke(db: sqlite3.Connection, serial: str, *, by: str, reason: str, at: int) -> bool:
    """Revoke a certificate; return False when it is not there or was revoked before.

    `reason` is a name of RFC 5280 section 5.3.1, as in `keyCompromise`.
    """
    done = db.execute(
        "UPDATE certificates SET revoked_at = ?, revoked_by = ?, revocation = ?, revoked_seq ="
        " (SELECT coalesce(max(revoked_seq), 0) + 1 FROM certificates WHERE revoked_seq NOT NULL)"
        " WHERE serial = ? AND revoked_at IS NULL",
        (at, by, reason, serial),
    )
    return done.rowcount == 1


def listed(
    db: sqlite3.Connection, *, device: str | None = None, after: str = "", limit: int = -1
) -> Iterator[CertificateRow]:
    """Yield the certificates behind the serial number `after`, oldest first.

    With `device` only those of that device.
    """
    which, values = ("device = ? AND", (device,)) if device else ("", ())
    rows = db.execute(
        f"{_SELECT} WHERE {which} serial > ? ORDER BY serial LIMIT ?", (*values, after, limit)
    )
    return map(_row, rows)


def in_force(db: sqlite3.Connection, *, at: int) -> Iterator[CertificateRow]:
    """Yield the certificates of endpoints and of the server that have not ended, oldest first."""
    rows = db.execute(
        f"{_SELECT} WHERE revoked_at IS NULL AND not_after >= ? AND kind IN ('endpoint', 'server')"
        " ORDER BY serial",
        (at,),
    )
    return map(_row, rows)


def revoked(db: sqlite3.Connection, *, at: int) -> Iterator[CertificateRow]:
    """Yield the certificates that were revoked and have not ended, oldest first."""
    rows = db.execute(
        f"{_SELECT} WHERE revoked_at IS NOT NULL AND not_after >= ? ORDER BY serial", (at,)
    )
    return map(_row, rows)


def count(db: sqlite3.Connection) -> int:
    """Return how many certificates were issued."""
    return int(db.execute("SELECT count(*) FROM certificates").fetchone()[0])


def _one(cursor: sqlite3.Cursor) -> CertificateRow | None:
    row = cursor.fetchone()
    return _row(row) if row else None


def _row(row: sqlite3.Row) -> CertificateRow:
    return CertificateRow(*row)
