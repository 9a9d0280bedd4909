"""Under which names the holder of a certificate is known: device, MAC, host names, subject, slot.

Kept as 64 bits of a hash, small enough for an index over a million certificates; whether a
certificate found so is really meant is for the caller to see.
"""

from __future__ import annotations

import hashlib
import re
import sqlite3
from collections.abc import Iterable, Sequence

_SPACE = re.compile(r" ?([,=+]) ?")


def texts(
    *,
    device: str | None = None,
    mac: str | None = None,
    subject: str | None = None,
    slot: str | None = None,
    others: Iterable[str] = (),
) -> tuple[str, ...]:
    """Return the names, each with its kind; `others` have theirs, as in `dns:drive-7`."""
    # RFC 5280 section 7.1: runs of white space, and white space at the ends, make no other name.
    subject = _SPACE.sub(r"\1", " ".join(subject.replace("\\ ", " ").split())) if subject else None
    kinds = {"device": device, "mac": mac, "subject": subject, "slot": slot}
    named = [f"{kind}:{value}" for kind, value in kinds.items() if value]
    return tuple(dict.fromkeys(text.casefold() for text in (*named, *others)))


def insert(db: sqlite3.Connection, serial: str, names: Iterable[str]) -> None:
    """Record that the holder of certificate `serial` is known by these names."""
    db.executemany(
        "INSERT INTO held VALUES (?, ?) ON CONFLICT DO NOTHING",
        [(_hash(name), serial) for name in names],
    )


def serials(db: sqlite3.Connection, names: Sequence[str], *, limit: int) -> list[str]:
    """Return the serial numbers of certificates that may hold one of these names, newest first.

    "May": two names can have the same hash. Of each name up to `limit`: one that thousands share
    neither takes long nor hides who holds the others.
    """
    if not _is_any(db, names):
        return []
    found = {serial for name in names for serial in newer(db, name, "", limit=limit)}
    return sorted(found, reverse=True)


def _is_any(db: sqlite3.Connection, names: Sequence[str]) -> bool:
    """Tell whether one of the names is held at all: one question, which most devices end with."""
    marks = ", ".join("?" * len(names))
    hashes = [_hash(name) for name in names]
    row = db.execute(f"SELECT 1 FROM held WHERE name IN ({marks}) LIMIT 1", hashes)  # noqa: S608  # question marks
    return row.fetchone() is not None


def newer(db: sqlite3.Connection, name: str, serial: str, *, limit: int) -> list[str]:
    """Return up to `limit` serial numbers behind `serial` that may hold the name, newest first."""
    rows = db.execute(
        "SELECT serial FROM held WHERE name = ? AND serial > ? ORDER BY serial DESC LIMIT ?",
        (_hash(name), serial, limit),
    )
    return [row[0] for row in rows]


def _hash(name: str) -> int:
    digest = hashlib.blake2b(name.encode("utf-8", "backslashreplace"), digest_size=8).digest()
    return int.from_bytes(digest, "big", signed=True)
