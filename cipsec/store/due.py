"""What is to be remembered as time goes by: certificates that end soon, requests that wait long.

Each is recorded once, in the caller's transaction; how soon and how long is left to the caller. And
how many certificates were not renewed yet.
"""

from __future__ import annotations

import itertools
import sqlite3
from dataclasses import dataclass

from cipsec.store import certificates, held
from cipsec.store.certificates import CertificateRow
from cipsec.store.requests import RequestRow, State, by_id

_CANDIDATES = 20  # newer certificates under the same name that are looked at
_MOST = 100_000  # certificates that are looked at one by one


@dataclass(frozen=True, slots=True)
class Place:
    """How far a walk over the certificates has come: by their end, then in the table's order."""

    not_after: int
    row: int = 0


def ending(
    db: sqlite3.Connection, place: Place, *, before: int, limit: int
) -> tuple[list[CertificateRow], Place | None]:
    """Return certificates behind `place` that end by `before`, the soonest first.

    And the place to go on from, None where there are no more.
    """
    rows = db.execute(
        "SELECT not_after, rowid, serial FROM certificates"
        " WHERE (not_after, rowid) > (?, ?) AND not_after <= ? ORDER BY not_after, rowid LIMIT ?",
        (place.not_after, place.row, before, limit),
    ).fetchall()
    found = (certificates.by_serial(db, row[2]) for row in rows)
    further = Place(rows[-1][0], rows[-1][1]) if len(rows) == limit else None
    return [row for row in found if row is not None], further


def is_news(db: sqlite3.Connection, row: CertificateRow) -> bool:
    """Tell whether somebody must hear that this certificate ends: it is in use, nobody was told."""
    if row.kind != "endpoint" or row.revoked_at is not None:
        return False
    told = db.execute(
        "SELECT 1 FROM events WHERE event = 'expiring' AND serial = ?", (row.serial,)
    ).fetchone()
    return told is None and not is_renewed(db, row)


def is_renewed(db: sqlite3.Connection, row: CertificateRow) -> bool:
    """Tell whether the same device, or else the same subject, has a certificate that lasts longer.

    Serial numbers are ordered in time.
    """
    if row.device or row.mac:
        names = held.texts(device=row.device, mac=None if row.device else row.mac)
    else:
        names = held.texts(subject=row.subject)
    newer = held.newer(db, names[0], row.serial, limit=_CANDIDATES) if names else []
    found = (certificates.by_serial(db, serial) for serial in newer)
    return any(
        other is not None and other.revoked_at is None and other.not_after > row.not_after
        for other in found
    )


def unrenewed(db: sqlite3.Connection, *, since: int, now: int) -> int:
    """Count the endpoints' certificates in force of before `since` that were not renewed after it.

    At most 100,000 are looked at.
    """
    found = 0
    rows = certificates.expiring(db, after=now, before=1 << 62)
    for row in itertools.islice(rows, _MOST):
        if row.kind == "endpoint" and row.issued_at < since and not is_renewed(db, row):
            found += 1
    return found


def waiting(db: sqlite3.Connection, *, since: int, limit: int) -> list[str]:
    """Return the ids of requests that wait since `since` or longer and were never recalled."""
    rows = db.execute(
        "SELECT id FROM requests WHERE state = ? AND first_seen <= ? AND reminded_at IS NULL"
        " ORDER BY first_seen LIMIT ?",
        (State.PENDING, since, limit),
    )
    return [row[0] for row in rows]


def remind(db: sqlite3.Connection, request: str, *, at: int) -> RequestRow | None:
    """Mark a request as recalled; None when it waits no more, or another process was faster."""
    done = db.execute(
        "UPDATE requests SET reminded_at = ? WHERE id = ? AND state = ? AND reminded_at IS NULL",
        (at, request, State.PENDING),
    )
    return by_id(db, request) if done.rowcount else None
