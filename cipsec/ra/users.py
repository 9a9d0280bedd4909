"""Users: their names, their passwords (Argon2id) and limits; who tries them is left to `logins`."""

from __future__ import annotations

import hashlib
import json
import os
import re
import secrets
from datetime import datetime

from cryptography.exceptions import InvalidKey
from cryptography.hazmat.primitives.kdf.argon2 import Argon2id

from cipsec.errors import UsageError
from cipsec.ra.enrollment import UserProof
from cipsec.store.users import UserRow
from cipsec.times import from_seconds, show_time

# OWASP's second choice for Argon2id: 19 MiB, two passes; about 30 ms here, and two at a time.
_ITERATIONS, _LANES, _MEMORY_KIB, _LENGTH = 2, 1, 19 * 1024, 32

_NAME = re.compile(r"[^\W_][\w.@+-]{0,63}")
_MIN_PASSWORD, _MAX_PASSWORD = 8, 1024

# A generated password is read from paper and typed on a panel: no letter looks like another, and
# none needs the shift key. Four groups of five out of 32 are 100 bits.
_LETTERS = "abcdefghijkmnpqrstuvwxyz23456789"
_GROUPS, _GROUP = 4, 5


def is_name(name: str) -> bool:
    """Tell whether a user can have this name."""
    return _NAME.fullmatch(name) is not None


def check_name(name: str) -> str:
    """Return a user name of letters, digits and `.@+-_`, at most 64; raise UsageError."""
    if not is_name(name):
        raise UsageError(
            f"{name!r} is not a user name",
            hint="use letters, digits and . @ + - _, at most 64, beginning with a letter or digit",
        )
    return name


def hash_password(password: str) -> str:
    """Return the Argon2id hash in PHC format (RFC 9106); raise UsageError for a weak password."""
    if not _MIN_PASSWORD <= len(password.encode()) <= _MAX_PASSWORD:
        raise UsageError(f"a password has {_MIN_PASSWORD} to {_MAX_PASSWORD} bytes")
    return _argon2(os.urandom(16)).derive_phc_encoded(password.encode())


def verify_password(password: str, hashed: str) -> bool:
    """Tell whether the password is the hashed one; takes the same time either way."""
    try:
        Argon2id.verify_phc_encoded(password.encode(), hashed)
    except (InvalidKey, ValueError):  # ValueError: a hash that is none
        return False
    return True


def _argon2(salt: bytes) -> Argon2id:
    return Argon2id(
        salt=salt, length=_LENGTH, iterations=_ITERATIONS, lanes=_LANES, memory_cost=_MEMORY_KIB
    )


def generate_password() -> str:
    """Return a new password of 100 bits at random."""
    groups = ("".join(secrets.choice(_LETTERS) for _ in range(_GROUP)) for _ in range(_GROUPS))
    return "-".join(groups)


def proof(row: UserRow) -> UserProof:
    """Return what the right password of this user proves; another password is counted anew."""
    digest = hashlib.sha256(row.password.encode()).hexdigest()[:16]
    return UserProof(row.name, row.uses, key=f"user:{row.name}:{digest}")


def objection(row: UserRow, label: str, now: datetime) -> str | None:
    """Return why the right password is of no use at this EST label now, in words; None when it is.

    How often it was used is left to whoever grants: the same enrollment again is no further use.
    """
    if has_ended(row, now):
        until = show_time(from_seconds(row.until or 0))
        return f"the password of {row.name} ended at {until}"
    allowed = labels(row)
    if allowed is not None and label not in allowed:
        where = f"the label {label}" if label else "the path without a label"
        return f"the password of {row.name} is not for {where}"
    return None


def has_ended(row: UserRow, now: datetime) -> bool:
    """Tell whether the user's time is over; `until` is its last second."""
    return row.until is not None and now.timestamp() > row.until


def labels(row: UserRow) -> tuple[str, ...] | None:
    """Return the EST labels a user is limited to, "" for the path without one; None for no limit.

    What cannot be read allows none.
    """
    if row.labels is None:
        return None
    try:
        found = json.loads(row.labels)
    except ValueError:
        return ()
    return tuple(text for text in found if isinstance(text, str)) if type(found) is list else ()


def labels_text(allowed: tuple[str, ...] | None) -> str | None:
    """Return labels as the store keeps them: a JSON list, each once, in order."""
    return None if allowed is None else json.dumps(sorted(set(allowed)))


def status(row: UserRow, now: datetime, *, used: int) -> str:
    """Return `valid`, `ended` or, where all uses are spent, `used up`."""
    if has_ended(row, now):
        return "ended"
    return "used up" if row.uses is not None and used >= row.uses else "valid"
