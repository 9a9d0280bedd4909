"""Users and their passwords: Argon2id, bounded work, equal time, delay after failures."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import hmac
import os
import re
import time
from collections import OrderedDict
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

from cryptography.exceptions import InvalidKey
from cryptography.hazmat.primitives.kdf.argon2 import Argon2id

from cipsec.errors import CredentialsRefused, StoreFailed, UsageError
from cipsec.ra.enrollment import Login
from cipsec.store import users as rows
from cipsec.store.database import Database

# OWASP's second choice for Argon2id: 19 MiB, two passes; about 30 ms here, and two at a time.
_ITERATIONS, _LANES, _MEMORY_KIB, _LENGTH = 2, 1, 19 * 1024, 32
_HASHERS = 2
# Beyond these, logins are answered "busy": passwords must not stop the server, nor one address
# the others.
_WAITING, _WAITING_PER_ADDRESS = 64, 16
_REMEMBER_SECONDS = 300.0
_REMEMBERED = 10_000
_FIRST_DELAY, _LONGEST_DELAY = 0.25, 8.0
_LONGEST_SLEEP = 1.0  # beyond this "busy" as well: who sleeps here holds one of few connections
_FORGET_FAILURES_SECONDS = 900.0
_FAILING = 10_000

_NAME = re.compile(r"[^\W_][\w.@+-]{0,63}")
_MIN_PASSWORD, _MAX_PASSWORD = 8, 1024


def check_name(name: str) -> str:
    """Return a user name of letters, digits and `.@+-_`, at most 64; raise UsageError."""
    if not _NAME.fullmatch(name):
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


class Logins:
    """Checks logins for the server: off the event loop, two at a time, successes remembered."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._pool = ThreadPoolExecutor(_HASHERS, thread_name_prefix="argon2")
        self._waiting = 0
        self._key = os.urandom(32)
        self._good: OrderedDict[bytes, float] = OrderedDict()
        self._failures: OrderedDict[tuple[str, str], tuple[int, float]] = OrderedDict()
        self._turns: dict[str, tuple[int, asyncio.Lock]] = {}
        # An unknown name is hashed against this, so that time does not tell it from a known one.
        self._decoy = hash_password(os.urandom(16).hex())

    async def verify(self, login: Login, address: str) -> None:
        """Return when the password is right; raise CredentialsRefused, or StoreFailed when busy.

        After a failure this user is not checked again from this address for a quarter of a
        second, twice as long after each further one, up to 8 s; others, and this user from
        elsewhere, are not affected.
        """
        row = self._database.read(lambda db: rows.by_name(db, login.user))
        hashed = row.password if row else self._decoy
        remembered = self._digest(login, hashed)
        if row and self._is_remembered(remembered):
            return
        with self._place(address) as turn:
            await self._pause(login.user, address)
            async with turn:  # one at a time: guesses side by side would not be delayed
                if row and self._is_remembered(remembered):
                    return  # somebody logged in likewise while this one waited
                if self._delay(login.user, address) > 0:
                    raise StoreFailed("another login of this user has just failed")
                if await self._matches(login.password, hashed) and row:
                    self._remember(remembered)
                    self._failures.pop((login.user, address), None)
                    return
                self._count_failure(login.user, address)
        raise CredentialsRefused("the user name or the password is wrong")

    @contextlib.contextmanager
    def _place(self, address: str) -> Iterator[asyncio.Lock]:
        """Take one of the places that logins from an address may hold; yield its turn."""
        waiting, lock = self._turns.get(address) or (0, asyncio.Lock())
        if waiting >= _WAITING_PER_ADDRESS:
            raise StoreFailed("too many logins of one address are being checked")
        self._turns[address] = waiting + 1, lock
        try:
            yield lock
        finally:
            waiting, lock = self._turns.pop(address)
            if waiting > 1:
                self._turns[address] = waiting - 1, lock

    async def _matches(self, password: str, hashed: str) -> bool:
        if self._waiting >= _WAITING:
            raise StoreFailed("too many logins are being checked")
        self._waiting += 1
        try:
            loop = asyncio.get_running_loop()
            return await loop.run_in_executor(self._pool, verify_password, password, hashed)
        finally:
            self._waiting -= 1

    def _digest(self, login: Login, hashed: str) -> bytes:
        """Keyed with a secret of this process; the stored hash makes a changed password miss."""
        message = "\0".join((login.user, hashed, login.password)).encode("utf-8", "surrogatepass")
        return hmac.new(self._key, message, hashlib.sha256).digest()

    def _is_remembered(self, digest: bytes) -> bool:
        return self._good.get(digest, 0.0) > time.monotonic()

    def _remember(self, digest: bytes) -> None:
        self._good[digest] = time.monotonic() + _REMEMBER_SECONDS
        while len(self._good) > _REMEMBERED:
            self._good.popitem(last=False)

    async def _pause(self, user: str, address: str) -> None:
        seconds = self._delay(user, address)
        if seconds > _LONGEST_SLEEP:
            raise StoreFailed("too many logins of this user have just failed")
        await asyncio.sleep(max(0.0, seconds))

    def _delay(self, user: str, address: str) -> float:
        """Return the seconds until this user may be checked again; none or less for now."""
        count, at = self._failures.get((user, address), (0, 0.0))
        delay = min(_FIRST_DELAY * 2 ** (count - 1), _LONGEST_DELAY)
        return at + delay - time.monotonic() if count else 0.0

    def _count_failure(self, user: str, address: str) -> None:
        now = time.monotonic()
        count, at = self._failures.pop((user, address), (0, now))
        count = count if now - at < _FORGET_FAILURES_SECONDS else 0
        self._failures[user, address] = (min(count + 1, 16), now)
        while len(self._failures) > _FAILING:
            self._failures.popitem(last=False)

    def close(self) -> None:
        """End the hashing threads."""
        self._pool.shutdown(wait=False, cancel_futures=True)
