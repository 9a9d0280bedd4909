"""Logins of the server's clients: passwords checked off the loop, in bounded work and memory.

Who guesses too often is left to `lockout`, what the user's limits are to `users`.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import os
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from cipsec import safe
from cipsec.errors import CredentialsRefused, StoreFailed
from cipsec.ra.enrollment import Login, UserProof
from cipsec.ra.lockout import Lock, Lockout, Origin, Scope
from cipsec.ra.users import hash_password, is_name, objection, proof, verify_password
from cipsec.store import users as rows
from cipsec.store.codes import Code
from cipsec.store.database import Database
from cipsec.store.events import Event
from cipsec.store.users import UserRow
from cipsec.times import show_duration

_HASHERS = 2
# Beyond these, logins are answered "busy": passwords must not stop the server, nor one address
# the others.
_WAITING, _WAITING_PER_ADDRESS = 64, 16
_REMEMBER_SECONDS = 300.0
_REMEMBERED = 10_000
_LONGEST_SLEEP = 1.0  # beyond this "busy" as well: who sleeps here holds one of few connections

WRONG = "the user name or the password is wrong"
# The same words for each lock, and whatever the password: they tell nothing about the user.
_LOCKED = "too many wrong passwords: this login is locked, for a quarter of an hour at most"


async def _nobody(_: Event) -> None:
    """Tell nobody of locks."""


@dataclass(frozen=True, slots=True)
class _Attempt:
    """One login; `hashed` is the user's stored hash, or the decoy where there is no such user."""

    user: str
    address: str
    password: str = field(repr=False)
    hashed: str = field(repr=False)
    exists: bool
    origin: Origin
    digest: bytes  # of user, stored hash and password, keyed


class Logins:
    """Checks logins for the server: two at a time, successes remembered, guesses locked out."""

    def __init__(
        self,
        database: Database,
        *,
        locked: Callable[[Event], Awaitable[None]] = _nobody,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """`locked` is awaited with one `credential-locked` event for each lock that begins.

        `clock` gives the seconds that locks and memory last, whatever is done to the time of day.
        """
        self._database = database
        self._locked = locked
        self._clock = clock
        self._lockout = Lockout(clock)
        self._pool = ThreadPoolExecutor(_HASHERS, thread_name_prefix="argon2")
        self._waiting = 0
        self._key = os.urandom(32)
        self._good: OrderedDict[bytes, float] = OrderedDict()
        self._turns: dict[str, tuple[int, asyncio.Lock]] = {}
        # An unknown name is hashed against this, so that time does not tell it from a known one.
        self._decoy = hash_password(os.urandom(16).hex())

    async def verify(self, login: Login, address: str, *, label: str, now: datetime) -> UserProof:
        """Return what a right password proves, at this EST label and time.

        Raises CredentialsRefused when it is wrong, when logins like it are locked (the password is
        not looked at then), or when it is right and has ended or is not for this label: only who
        knows the password learns of its limits. Raises StoreFailed when busy. How often a password
        may be used is left to whoever grants.
        """
        row = self._row(login.user)
        attempt = self._attempt(login, address, row)
        if not self._comes_in(attempt):
            await self._check(attempt, now)
            row = self._row(login.user)  # hashing takes its time: the user may be another now
        if row is None or row.password != attempt.hashed:
            raise StoreFailed("the user was changed while a login was checked")
        reason = objection(row, label, now)
        if reason is not None:
            raise CredentialsRefused(reason)
        return proof(row)

    def _row(self, name: str) -> UserRow | None:
        if not is_name(name):  # whatever it is instead, the store need not meet it
            return None
        return self._database.read(lambda db: rows.by_name(db, name))

    def _attempt(self, login: Login, address: str, row: UserRow | None) -> _Attempt:
        hashed = row.password if row else self._decoy
        origin = Origin(
            user=self._digest("user", login.user, hashed),
            address=self._digest("address", address),
            pair=self._digest("pair", login.user, hashed, address),
        )
        digest = self._digest("login", login.user, hashed, login.password)
        password = login.password
        return _Attempt(login.user, address, password, hashed, row is not None, origin, digest)

    def _digest(self, *texts: str) -> bytes:
        """Keyed with a secret of this process; the stored hash makes a changed password miss."""
        digest = hashlib.blake2b(key=self._key, digest_size=16)
        for text in texts:
            data = text.encode("utf-8", "surrogatepass")
            digest.update(len(data).to_bytes(8, "big") + data)
        return digest.digest()

    def _comes_in(self, attempt: _Attempt) -> bool:
        """Tell whether the password was right a while ago; raise CredentialsRefused when locked.

        This is the way of a thousand polls, past those whose passwords are being hashed.
        """
        self._refuse_guesses(attempt)
        if not self._lockout.is_trusted(attempt.origin):
            return False
        if self._is_remembered(attempt):
            return True
        self._lockout.missed(attempt.origin)
        return False

    def _refuse_guesses(self, attempt: _Attempt) -> None:
        """Refuse, without work, while locked, and what is known to be wrong."""
        if self._lockout.is_locked(attempt.origin):
            raise CredentialsRefused(_LOCKED)
        if self._lockout.was_wrong(attempt.origin, attempt.digest):
            raise CredentialsRefused(WRONG)

    async def _check(self, attempt: _Attempt, now: datetime) -> None:
        """Return when the password is right; one of each address at a time.

        Guesses side by side would not be delayed.
        """
        with self._place(attempt.address) as turn:
            await self._pause(attempt.origin)
            async with turn:
                self._refuse_guesses(attempt)  # there were others before this one
                if self._lockout.delay(attempt.origin) > 0:
                    raise StoreFailed("another login of this user has just failed")
                if self._waiting >= _WAITING:  # before comparing: that would be a guess for nothing
                    raise StoreFailed("too many logins are being checked")
                right = self._is_remembered(attempt) or await self._matches(attempt)
                if right:
                    self._remember(attempt)
                    return
                begun = self._lockout.failed(attempt.origin, attempt.digest)
        for lock in begun:
            await self._locked(_event(lock, attempt, now))
        raise CredentialsRefused(WRONG)

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

    async def _pause(self, origin: Origin) -> None:
        seconds = self._lockout.delay(origin)
        if seconds > _LONGEST_SLEEP:
            raise StoreFailed("too many logins of this user have just failed")
        await asyncio.sleep(max(0.0, seconds))

    async def _matches(self, attempt: _Attempt) -> bool:
        self._waiting += 1
        try:
            loop = asyncio.get_running_loop()
            right = await loop.run_in_executor(
                self._pool, verify_password, attempt.password, attempt.hashed
            )
            return right and attempt.exists
        finally:
            self._waiting -= 1

    def _is_remembered(self, attempt: _Attempt) -> bool:
        return attempt.exists and self._good.get(attempt.digest, 0.0) > self._clock()

    def _remember(self, attempt: _Attempt) -> None:
        self._lockout.succeeded(attempt.origin)
        if self._is_remembered(attempt):
            return  # not for longer: after five minutes it is hashed again
        self._good.pop(attempt.digest, None)
        self._good[attempt.digest] = self._clock() + _REMEMBER_SECONDS
        while len(self._good) > _REMEMBERED:
            self._good.popitem(last=False)

    def close(self) -> None:
        """End the hashing threads."""
        self._pool.shutdown(wait=False, cancel_futures=True)


def _event(lock: Lock, attempt: _Attempt, now: datetime) -> Event:
    """Return what is told of a lock; the name was made up by whoever guessed, and is cut."""
    user, address = safe.text(attempt.user, limit=64), attempt.address
    match lock.scope:
        case Scope.PAIR:
            what = f"user {user} at {address}"
        case Scope.ADDRESS:
            what = f"{address} for users not known there"
        case Scope.USER:
            what = f"user {user} at addresses where it is not known"
    duration = show_duration(timedelta(seconds=lock.seconds))
    reason = f"logins of {what} are locked for {duration}: {lock.scope.value} wrong passwords"
    at = int(now.timestamp())
    return Event(at, Code.CREDENTIAL_LOCKED, "server", address=address or None, reason=reason)
