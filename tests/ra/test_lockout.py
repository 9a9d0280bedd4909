"""Lock-out: what one who guesses can lock, and what he cannot, by a clock that the test moves."""

from __future__ import annotations

import pytest

from cipsec.ra import lockout as module
from cipsec.ra.lockout import Lock, Lockout, Origin, Scope

QUARTER = 900.0


class Clock:
    """Seconds that pass when the test says so."""

    def __init__(self) -> None:
        self.now = 1e6

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    """The time."""
    return Clock()


@pytest.fixture
def lockout(clock: Clock) -> Lockout:
    """Nobody failed, nobody is known."""
    return Lockout(clock)


def at(address: str, user: str = "anna", stored: str = "hash") -> Origin:
    """Return an origin, legible instead of hashed."""
    user = f"{user} {stored}"
    return Origin(user.encode(), address.encode(), f"{user} {address}".encode())


def guess(lockout: Lockout, origin: Origin, count: int, *, first: int = 0) -> list[Lock]:
    """Fail with that many different passwords; return the locks that began."""
    begun = []
    for number in range(first, first + count):
        begun += lockout.failed(origin, f"{origin.user!r} {number}".encode())
    return begun


def addresses(count: int) -> list[str]:
    """Return as many addresses."""
    return [f"192.0.2.{number}" for number in range(count)]


# (a) One user from one address.


def test_a_pair_is_locked(lockout: Lockout, clock: Clock) -> None:
    """Ten wrong passwords lock the user here for a quarter of an hour, and nobody else."""
    assert guess(lockout, at("here"), 9) == []
    assert not lockout.is_locked(at("here"))
    assert guess(lockout, at("here"), 1, first=9) == [Lock(Scope.PAIR, QUARTER)]
    assert lockout.is_locked(at("here"))
    assert not lockout.is_locked(at("there"))
    assert not lockout.is_locked(at("here", "berta"))
    clock.now += QUARTER - 1
    assert lockout.is_locked(at("here"))
    clock.now += 1
    assert not lockout.is_locked(at("here"))
    assert guess(lockout, at("here"), 9) == []  # counted anew


def test_the_same_wrong_password_counts_once(lockout: Lockout) -> None:
    """A device that was not told of a new password guesses nothing."""
    for _ in range(1000):
        assert lockout.failed(at("here"), b"old") == []
    assert lockout.was_wrong(at("here"), b"old")
    assert not lockout.was_wrong(at("there"), b"old")
    assert not lockout.was_wrong(at("here"), b"new")


def test_slow_guesses_do_not_lock(lockout: Lockout, clock: Clock) -> None:
    """Nine in a quarter of an hour are mistyped; each window counts for itself."""
    for _ in range(10):
        assert guess(lockout, at("here"), 9) == []
        clock.now += QUARTER
        assert not lockout.was_wrong(at("here"), b"0")


def test_another_password_lifts_the_locks(lockout: Lockout) -> None:
    """The administrator's way out: locks belong to the stored hash."""
    guess(lockout, at("here"), 10)
    assert lockout.is_locked(at("here"))
    assert not lockout.is_locked(at("here", stored="another hash"))


def test_each_failure_doubles_the_wait(lockout: Lockout, clock: Clock) -> None:
    """A quarter of a second, a half, one … eight; for this user, here."""
    waits = []
    for number in range(9):
        guess(lockout, at("here"), 1, first=number)
        waits.append(lockout.delay(at("here")))
    assert waits == [0.25, 0.5, 1.0, 2.0, 4.0, 8.0, 8.0, 8.0, 8.0]
    assert lockout.delay(at("there")) <= 0
    assert lockout.delay(at("here", "berta")) <= 0
    clock.now += 8
    assert lockout.delay(at("here")) <= 0


# (b) Many users from one address.


def test_an_address_is_locked(lockout: Lockout, clock: Clock) -> None:
    """Fifty users tried once each; then nobody new comes in from there, but from elsewhere."""
    begun = [lock for n in range(50) for lock in guess(lockout, at("here", f"user{n}"), 1)]
    assert begun == [Lock(Scope.ADDRESS, QUARTER)]
    assert lockout.is_locked(at("here", "anna"))
    assert not lockout.is_locked(at("there", "user1"))
    clock.now += QUARTER
    assert not lockout.is_locked(at("here", "anna"))


def test_who_is_known_at_an_address_is_not_locked_with_it(lockout: Lockout) -> None:
    """The engineers behind the same NAT address go on; with their present passwords only."""
    lockout.succeeded(at("here", "anna"))
    for number in range(50):
        guess(lockout, at("here", f"user{number}"), 1)
    assert not lockout.is_locked(at("here", "anna"))
    assert lockout.is_locked(at("here", "anna", stored="another hash"))


# (c) One user from many addresses.


def test_a_user_is_locked_where_he_is_not_known(lockout: Lockout, clock: Clock) -> None:
    """A hundred wrong passwords from a hundred addresses; the engineer's own are spared."""
    lockout.succeeded(at("office"))
    begun = []
    for number, address in enumerate(addresses(100)):
        begun += guess(lockout, at(address), 1, first=number)
    assert begun == [Lock(Scope.USER, QUARTER)]
    assert lockout.is_locked(at("new"))
    assert not lockout.is_locked(at("office"))
    assert not lockout.is_locked(at("new", "berta"))
    clock.now += QUARTER
    assert not lockout.is_locked(at("new"))


def test_a_plant_with_an_old_password_locks_nobody(lockout: Lockout) -> None:
    """A thousand devices that all send the same wrong password are one guess."""
    for address in addresses(1000):
        assert lockout.failed(at(address), b"last year's") == []
    assert not lockout.is_locked(at("new"))


# Both at one address.


def test_who_is_known_is_locked_for_a_minute(lockout: Lockout, clock: Clock) -> None:
    """Behind one address the engineer pays for the attacker, but a minute at a time."""
    lockout.succeeded(at("here"))
    assert guess(lockout, at("here"), 10) == [Lock(Scope.PAIR, 60.0)]
    assert lockout.is_locked(at("here"))
    clock.now += 60
    assert not lockout.is_locked(at("here"))


def test_guesses_at_a_known_address_do_not_count_elsewhere(lockout: Lockout) -> None:
    """Else who shares it would lock the address for others, and the user everywhere else."""
    lockout.succeeded(at("here"))
    begun = guess(lockout, at("here"), 1000)
    assert {lock.scope for lock in begun} == {Scope.PAIR}
    assert not lockout.is_locked(at("here", "berta"))
    assert not lockout.is_locked(at("there"))


def test_a_success_does_not_forgive_guesses(lockout: Lockout) -> None:
    """Else the engineer's polls would give the attacker behind his address ten guesses each."""
    guess(lockout, at("here"), 9)
    lockout.succeeded(at("here"))
    assert guess(lockout, at("here"), 1, first=9) == [Lock(Scope.PAIR, 60.0)]


# The short way.


def test_the_short_way(lockout: Lockout, clock: Clock) -> None:
    """Open where the user is known; a miss closes it for eight seconds, a success opens it."""
    assert not lockout.is_trusted(at("here"))
    lockout.succeeded(at("here"))
    assert lockout.is_trusted(at("here"))
    assert not lockout.is_trusted(at("there"))
    lockout.missed(at("here"))
    assert not lockout.is_trusted(at("here"))
    clock.now += 8
    assert lockout.is_trusted(at("here"))
    guess(lockout, at("here"), 1)
    assert not lockout.is_trusted(at("here"))
    clock.now += 0.25
    assert lockout.is_trusted(at("here"))
    lockout.missed(at("here"))
    lockout.succeeded(at("here"))
    assert lockout.is_trusted(at("here"))


# Memory.


def test_memory_is_bounded(lockout: Lockout, clock: Clock) -> None:
    """However many names and addresses there are, the oldest are let go."""
    for number in range(10_050):
        lockout.failed(at(f"{number}", f"user{number}"), b"wrong")
        lockout.succeeded(at(f"{number}", f"user{number}"))
    assert len(lockout._known) == 10_000
    assert [len(kind._tallies) for kind in (lockout._pairs, lockout._users)] == [10_000] * 2
    assert not lockout.is_known(at("49", "user49"))
    assert not lockout.was_wrong(at("49", "user49"), b"wrong")
    assert lockout.was_wrong(at("50", "user50"), b"wrong")
    clock.now += QUARTER
    lockout.failed(at("here"), b"wrong")
    assert len(lockout._pairs._tallies) == 1


def test_locks_are_bounded(lockout: Lockout) -> None:
    """As many as sixty hashes a second could begin while they last, and more."""
    for number in range(10_010):
        guess(lockout, at("here", f"user{number}"), 10)
    assert len(lockout._pairs._locked) == 10_000
    assert not lockout._pairs.is_locked(at("here", "user9").pair, 1e6)
    assert lockout._pairs.is_locked(at("here", "user10").pair, 1e6)


def test_what_began_anew_is_not_forgotten_first(
    lockout: Lockout, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who logged in again stays known, and who is locked again stays locked."""
    monkeypatch.setattr(module, "_REMEMBERED", 3)
    for user in ("anna", "berta", "carla", "anna", "dora"):
        lockout.succeeded(at("here", user))
    assert lockout.is_known(at("here", "anna"))
    assert not lockout.is_known(at("here", "berta"))
    guess(lockout, at("first"), 10)
    guess(lockout, at("second"), 10)
    clock.now += QUARTER
    guess(lockout, at("first"), 10)
    guess(lockout, at("third"), 10)
    guess(lockout, at("fourth"), 1)
    assert lockout.is_locked(at("first"))
