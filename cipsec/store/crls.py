"""Revocation lists: what is revoked, in the order of revoking, and what the last list was.

The numbers of lists are given out here, so that several processes on one store never give out one
of them twice. Lists are signed and written elsewhere.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass

# Provisioning certificates have an issuer of their own, which publishes no list: devices do not
# trust it, and the EST server looks at the record itself.
_LISTED = "revoked_seq IS NOT NULL AND kind IN ('endpoint', 'server', 'report')"


@dataclass(frozen=True, slots=True)
class Published:
    """The list in the folder; times in seconds since 1970.

    It names what was revoked up to the `revoked_seq` that is `covers`. It was signed at
    `signed_at`; where lists are back-dated, `this_update` is earlier.
    """

    number: int
    sha256: str
    covers: int
    entries: int
    this_update: int
    next_update: int
    signed_at: int


def newest(db: sqlite3.Connection) -> int:
    """Return the `revoked_seq` of what was revoked last and belongs on a list, 0 for nothing."""
    row = db.execute(
        f"SELECT revoked_seq FROM certificates WHERE {_LISTED} ORDER BY revoked_seq DESC LIMIT 1"  # noqa: S608  # a constant
    ).fetchone()
    return int(row[0]) if row else 0


def unlisted_since(db: sqlite3.Connection, *, covers: int) -> int | None:
    """Return when the first was revoked that a list up to `covers` does not name, None for none."""
    row = db.execute(
        f"SELECT revoked_at FROM certificates WHERE {_LISTED} AND revoked_seq > ?"  # noqa: S608  # a constant
        " ORDER BY revoked_seq LIMIT 1",
        (covers,),
    ).fetchone()
    return int(row[0]) if row else None


def revoked(db: sqlite3.Connection, *, covers: int, ends: int) -> Iterator[tuple[str, int, str]]:
    """Yield serial number, time and reason of what was revoked up to `covers`, in that order.

    What expired before `ends` is left out.
    """
    rows = db.execute(
        f"SELECT serial, revoked_at, revocation FROM certificates WHERE {_LISTED}"  # noqa: S608  # a constant
        " AND revoked_seq <= ? AND not_after >= ? ORDER BY revoked_seq",
        (covers, ends),
    )
    return ((row[0], row[1], row[2]) for row in rows)


def next_number(db: sqlite3.Connection, issuer: str, *, at: int) -> int:
    """Give out the number of a new list, higher than all before; to be committed before it is used.

    At least `at`, the seconds since 1970: a store from a backup does not know which numbers were
    given out after it was made, but time has gone on.
    """
    row = db.execute("SELECT number FROM crls WHERE issuer = ?", (issuer,)).fetchone()
    number = max(int(row[0]) + 1 if row else 1, at)
    db.execute(
        "INSERT INTO crls (issuer, number) VALUES (?, ?)"
        " ON CONFLICT (issuer) DO UPDATE SET number = excluded.number",
        (issuer, number),
    )
    return number


def published(db: sqlite3.Connection, issuer: str) -> Published | None:
    """Return the list of an issuer that was published last, None before the first."""
    row = db.execute(
        "SELECT listed, sha256, covers, entries, this_update, next_update, signed_at FROM crls"
        " WHERE issuer = ? AND sha256 IS NOT NULL",
        (issuer,),
    ).fetchone()
    return Published(*row) if row else None


def record(db: sqlite3.Connection, issuer: str, made: Published) -> None:
    """Note that this is the list in the folder now; its number was given out before."""
    db.execute(
        "UPDATE crls SET listed = ?, sha256 = ?, covers = ?, entries = ?, this_update = ?,"
        " next_update = ?, signed_at = ? WHERE issuer = ?",
        (
            *(made.number, made.sha256, made.covers, made.entries),
            *(made.this_update, made.next_update, made.signed_at, issuer),
        ),
    )
