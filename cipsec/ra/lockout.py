"""Who guessed too often: which logins are slowed down and which are locked; hashes nothing.

Passwords are guessed in three ways, and each has a lock of its own. The rule for all of them: who
guesses may lock out himself, and nobody who has shown before that he knows the password.

(a) *One user from one address.* Ten different wrong passwords within a quarter of an hour lock this
    user at this address for as long. The user elsewhere, and others here, are not affected. The
    same wrong password again and again counts once: a device whose password was changed yesterday
    guesses nothing and polls all day, and must not lock out the engineer on the same address.
(b) *Many users from one address.* Fifty lock the address, for users that are not known at it.
(c) *One user from many addresses.* A hundred lock the user, at addresses where he is not known.

*Known* at an address is a user who logged in well from there with the password he has now. Known
users are spared (b) and (c), which strangers can bring about for them, and their (a) lasts a
minute: behind one NAT address the engineer and an attacker look the same until the password is
checked, so whatever stops the attacker's guesses stops the engineer's login too. A lock that opened
for the right password would be no lock: at the speed of HTTP the attacker tries them all until it
opens.

What this costs, and cannot be had without:
- Who shares the engineer's address and goes on guessing keeps him out most of the time, a minute
  after the other, and has ten guesses each time, some nine thousand a day. Each makes an event.
- Who logs in for the first time, since the server started, from an address that others abuse (b) or
  as a user whom many addresses attack (c), waits until they stop; another address helps against
  (b), another user name against (c).
- From the locks he meets, who shares an address can tell which users are known at it.

A new password lifts the locks of its user: they belong to the password. All this is the memory of
one process: `--workers N` allows N times the guesses, and a restart forgets them all, and who is
known.
"""

from __future__ import annotations

import enum
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field

_WINDOW_SECONDS = _LOCK_SECONDS = 900.0
_KNOWN_LOCK_SECONDS = 60.0

_FIRST_DELAY, _LONGEST_DELAY = 0.25, 8.0
# Each entry costs whoever makes one a hash, of which two processors do some sixty a second.
_REMEMBERED = 10_000


class Scope(enum.Enum):
    """What is locked; the value is how many different wrong passwords lock it."""

    PAIR = 10
    ADDRESS = 50
    USER = 100


@dataclass(frozen=True, slots=True)
class Lock:
    """A lock that begins, and how long it lasts."""

    scope: Scope
    seconds: float


@dataclass(frozen=True, slots=True)
class Origin:
    """Who logs in from where, as keyed hashes: names take the same room however long they are.

    `user` and `pair` are other ones for another password of the user.
    """

    user: bytes
    address: bytes
    pair: bytes


@dataclass(slots=True)
class _Tally:
    """The wrong passwords of one window of time, as keyed hashes."""

    since: float
    last: float
    wrong: set[bytes] = field(default_factory=set)


class _Tallies:
    """Counts wrong passwords by one kind of key, and locks a key that has too many."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._tallies: OrderedDict[bytes, _Tally] = OrderedDict()  # by the begin of their window
        self._locked: OrderedDict[bytes, float] = OrderedDict()

    def is_locked(self, key: bytes, now: float) -> bool:
        return self._locked.get(key, now) > now

    def get(self, key: bytes, now: float) -> _Tally | None:
        tally = self._tallies.get(key)
        return tally if tally and now - tally.since < _WINDOW_SECONDS else None

    def add(self, key: bytes, wrong: bytes, now: float, seconds: float) -> bool:
        """Count one; return True when that locks the key, for `seconds`."""
        self._forget(now)
        tally = self._tallies.setdefault(key, _Tally(now, now))
        tally.wrong.add(wrong)
        tally.last = now
        if len(tally.wrong) < self._most:
            return False
        del self._tallies[key]
        self._locked.pop(key, None)
        self._locked[key] = now + seconds
        return True

    def _forget(self, now: float) -> None:
        """Let go of windows that ended, and of the oldest where there are too many."""
        while self._tallies:
            key, tally = next(iter(self._tallies.items()))
            if now - tally.since < _WINDOW_SECONDS and len(self._tallies) < _REMEMBERED:
                break
            del self._tallies[key]
        while len(self._locked) >= _REMEMBERED:
            self._locked.popitem(last=False)


class Lockout:
    """Remembers, in bounded memory, who guessed and who is known; `clock` is in seconds."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._pairs = _Tallies(Scope.PAIR.value)
        self._addresses = _Tallies(Scope.ADDRESS.value)
        self._users = _Tallies(Scope.USER.value)
        self._known: OrderedDict[bytes, float] = OrderedDict()  # and until when not trusted

    def is_locked(self, origin: Origin) -> bool:
        """Tell whether no password of this origin is looked at now, be it the right one."""
        now = self._clock()
        if self._pairs.is_locked(origin.pair, now):
            return True
        if self.is_known(origin):
            return False
        return self._addresses.is_locked(origin.address, now) or self._users.is_locked(
            origin.user, now
        )

    def is_known(self, origin: Origin) -> bool:
        """Tell whether the user logged in well from this address, with the present password."""
        return origin.pair in self._known

    def was_wrong(self, origin: Origin, password: bytes) -> bool:
        """Tell whether this very password, as a keyed hash, was wrong here a while ago."""
        tally = self._pairs.get(origin.pair, self._clock())
        return tally is not None and password in tally.wrong

    def delay(self, origin: Origin) -> float:
        """Return the seconds until another password of this origin is looked at; none or less: now.

        A quarter of a second after the first wrong one, twice as long after each further one, up
        to 8 s.
        """
        now = self._clock()
        tally = self._pairs.get(origin.pair, now)
        if tally is None:
            return 0.0
        return tally.last + min(_FIRST_DELAY * 2.0 ** (len(tally.wrong) - 1), _LONGEST_DELAY) - now

    def failed(self, origin: Origin, password: bytes) -> list[Lock]:
        """Count a wrong password, given as a keyed hash; return the locks that begin with it."""
        now, known, begun = self._clock(), self.is_known(origin), []
        seconds = _KNOWN_LOCK_SECONDS if known else _LOCK_SECONDS
        if self._pairs.add(origin.pair, password, now, seconds):
            begun.append(Lock(Scope.PAIR, seconds))
        if not known and self._addresses.add(origin.address, password, now, seconds):
            begun.append(Lock(Scope.ADDRESS, seconds))
        if not known and self._users.add(origin.user, password, now, seconds):
            begun.append(Lock(Scope.USER, seconds))
        return begun

    def succeeded(self, origin: Origin) -> None:
        """Remember that the user is known here. What was wrong stays counted.

        Else who shares the address would have guesses anew with each poll of the engineer's.
        """
        self._known.pop(origin.pair, None)
        self._known[origin.pair] = self._clock()
        if len(self._known) > _REMEMBERED:
            self._known.popitem(last=False)

    # The short way in: a password that was right a while ago is compared, and not hashed again.

    def is_trusted(self, origin: Origin) -> bool:
        """Tell whether a password may be compared with one that was right, without a turn."""
        closed_until = self._known.get(origin.pair)
        if closed_until is None or closed_until > self._clock():
            return False
        return self.delay(origin) <= 0

    def missed(self, origin: Origin) -> None:
        """Close the short way for 8 s: comparing costs nothing and would be guessing at leisure."""
        self._known[origin.pair] = self._clock() + _LONGEST_DELAY
