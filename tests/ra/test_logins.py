"""Logins: passwords checked off the event loop, remembered, limited, slowed down and locked out."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from cipsec.errors import CredentialsRefused, StoreFailed
from cipsec.ra import logins as module
from cipsec.ra import users
from cipsec.ra.enrollment import Login, UserProof
from cipsec.ra.lockout import Origin
from cipsec.ra.logins import Logins
from cipsec.ra.users import hash_password, verify_password
from cipsec.store import users as rows
from cipsec.store.codes import Code
from cipsec.store.database import Database
from cipsec.store.events import Event
from cipsec.store.users import UserRow
from tests.support.waiting import LONG

NOW = datetime(2026, 11, 23, 5, 0, tzinfo=UTC)
RIGHT, WRONG = Login("anna", "correct horse"), Login("anna", "battery staple")
HASH = hash_password(RIGHT.password)
HERE, ELSEWHERE = "192.0.2.7", "192.0.2.8"
LOCKED = "too many wrong passwords: this login is locked, for a quarter of an hour at most"


class Clock:
    """Seconds that pass when the test says so, or as they do."""

    def __init__(self) -> None:
        self.ahead = 0.0

    def __call__(self) -> float:
        return time.monotonic() + self.ahead


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Database]:
    """A store with one user."""
    database = Database.create(tmp_path / "store.sqlite3")
    row = UserRow("anna", HASH, 0, 0)
    database.write(lambda db: rows.insert(db, row))
    yield database
    database.close()


@pytest.fixture
def clock() -> Clock:
    """The clock of locks and memory."""
    return Clock()


@pytest.fixture
def told() -> list[Event]:
    """What the administrators hear."""
    return []


@pytest.fixture
def logins(store: Database, clock: Clock, told: list[Event]) -> Iterator[Logins]:
    """The server's view of the users."""

    async def tell(event: Event) -> None:
        told.append(event)

    logins = Logins(store, locked=tell, clock=clock)
    yield logins
    logins.close()


@pytest.fixture
def hashed(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Every hash that a password is really checked against."""
    checked: list[str] = []

    def check(password: str, against: str) -> bool:
        checked.append(against)
        return verify_password(password, against)

    monkeypatch.setattr(module, "verify_password", check)
    return checked


async def verify(
    logins: Logins, login: Login, address: str = HERE, *, label: str = "", now: datetime = NOW
) -> UserProof:
    """Log in."""
    return await logins.verify(login, address, label=label, now=now)


async def attempt(logins: Logins, login: Login, address: str = HERE) -> str:
    """Log in; return what comes of it."""
    try:
        await verify(logins, login, address)
    except CredentialsRefused as error:
        return "locked" if error.message == LOCKED else "refused"
    except StoreFailed:
        return "busy"
    return "in"


def outcome(logins: Logins, login: Login, address: str = HERE) -> str:
    """Log in once; return what comes of it."""
    return asyncio.run(attempt(logins, login, address))


def said(
    logins: Logins, login: Login, address: str = HERE, *, label: str = "", now: datetime = NOW
) -> str:
    """Return the sentence of a refusal."""
    with pytest.raises(CredentialsRefused) as raised:
        asyncio.run(verify(logins, login, address, label=label, now=now))
    return raised.value.message


def guess(
    logins: Logins, clock: Clock, count: int, *, user: str = "anna", address: str = HERE
) -> list[str]:
    """Try that many different passwords, as fast as the delays allow."""
    outcomes = []
    for _ in range(count):
        clock.ahead += 8
        outcomes.append(outcome(logins, Login(user, f"guess at {clock.ahead}"), address))
    return outcomes


def limit(
    store: Database,
    *,
    until: datetime | None = None,
    uses: int | None = None,
    labels: str | None = None,
) -> None:
    """Set anna's limits, as another process would."""
    seconds = int(until.timestamp()) if until else None
    assert store.write(
        lambda db: rows.set_limits(db, "anna", until=seconds, uses=uses, labels=labels)
    )


# Logging in.


def test_right_and_wrong(logins: Logins, store: Database) -> None:
    """The password decides; the refusal does not tell a wrong name from a wrong password."""
    row = store.read(lambda db: rows.by_name(db, "anna"))
    assert row is not None
    assert asyncio.run(verify(logins, RIGHT)) == users.proof(row)
    wrong = (WRONG, Login("berta", "correct horse"), Login("Anna", "correct horse"))
    messages = {said(logins, login) for login in wrong}
    assert messages == {"the user name or the password is wrong"}


def test_unknown_names_are_hashed_too(logins: Logins, hashed: list[str]) -> None:
    """The path is the same: one hash, of the same parameters, whether or not there is a user."""
    for login in (WRONG, Login("berta", "battery staple"), Login("", "")):
        before = len(hashed)
        assert outcome(logins, login, ELSEWHERE) == "refused"
        assert len(hashed) == before + 1
        assert hashed[-1].startswith("$argon2id$v=19$m=19456,t=2,p=1$")


def test_the_decoy_opens_nothing(logins: Logins) -> None:
    """Even who guessed the password of the hash for unknown names has no user name to go with."""
    logins._decoy = hash_password("known to all")
    assert outcome(logins, Login("berta", "known to all")) == "refused"


@pytest.mark.parametrize(
    "name",
    ["", "\0", "anna\0", "an\x1b[2Kna", "a\u202eb", "anna\n", "x" * 65536, "\udcff", "' OR 1=1 --"],
)
@pytest.mark.parametrize("password", ["", "\0", "x" * 65536, "\udcff", "\n"])
def test_hostile_names_and_passwords(logins: Logins, name: str, password: str) -> None:
    """Refused as any other, twice, and with one event when locked that can be shown as it is."""
    assert [outcome(logins, Login(name, password)) for _ in range(2)] == ["refused"] * 2


def test_hostile_names_in_events(logins: Logins, clock: Clock, told: list[Event]) -> None:
    """What is told of a lock is short and harmless, whatever the name was."""
    for name in ("a\x1b[2K\u202eb\n\0", "x" * 65536, "\udcff"):
        guess(logins, clock, 10, user=name)
    assert len(told) == 3
    for event in told:
        assert event.reason is not None
        assert event.reason.isprintable()
        assert len(event.reason) < 250
        event.reason.encode()


def test_nothing_shows_a_password(
    logins: Logins, clock: Clock, told: list[Event], caplog: pytest.LogCaptureFixture
) -> None:
    """Neither errors nor events, nor what a traceback would print of the values on the way."""
    caplog.set_level("DEBUG")
    shown = [repr(logins._attempt(RIGHT, HERE, logins._row("anna"))), repr(RIGHT)]
    shown += [said(logins, WRONG), repr(asyncio.run(verify(logins, RIGHT)))]
    guess(logins, clock, 9)
    shown += [repr(told), said(logins, WRONG), caplog.text]
    assert told
    for text in shown:
        assert not any(s in text for s in (RIGHT.password, WRONG.password, "argon2id", "guess at"))


# Successes are remembered.


def test_successes_are_remembered(logins: Logins, hashed: list[str]) -> None:
    """A thousand requests of an engineer's PC cost one hash; a wrong password still costs one."""
    assert [outcome(logins, RIGHT) for _ in range(5)] == ["in"] * 5
    assert len(hashed) == 1
    assert outcome(logins, WRONG) == "refused"
    assert len(hashed) == 2
    assert all(RIGHT.password.encode() not in key for key in logins._good)


def test_failures_are_remembered(logins: Logins, clock: Clock, hashed: list[str]) -> None:
    """A device with last year's password costs one hash in a quarter of an hour, delays nobody."""
    clock.ahead += 8
    assert [outcome(logins, WRONG) for _ in range(50)] == ["refused"] * 50
    assert len(hashed) == 1
    clock.ahead += 0.25
    assert outcome(logins, RIGHT) == "in"
    assert outcome(logins, WRONG) == "refused"
    clock.ahead += 900
    assert outcome(logins, WRONG) == "refused"
    assert len(hashed) == 3


def test_a_changed_password_is_not_remembered(
    store: Database, logins: Logins, hashed: list[str]
) -> None:
    """From the moment the password is changed, or the user removed, the old one opens nothing."""
    assert outcome(logins, RIGHT) == "in"
    new = hash_password("another horse")
    store.write(lambda db: rows.set_password(db, "anna", new, at=1))
    assert outcome(logins, RIGHT) == "refused"
    assert outcome(logins, Login("anna", "another horse"), ELSEWHERE) == "in"
    store.write(lambda db: rows.remove(db, "anna"))
    assert outcome(logins, Login("anna", "another horse"), ELSEWHERE) == "refused"
    assert len(hashed) == 4


def test_a_wrong_password_may_become_the_right_one(store: Database, logins: Logins) -> None:
    """Wrong passwords too are remembered for the password of their time only."""
    assert outcome(logins, WRONG) == "refused"
    store.write(lambda db: rows.set_password(db, "anna", hash_password(WRONG.password), at=1))
    assert outcome(logins, WRONG) == "in"
    assert outcome(logins, Login("berta", "battery staple")) == "refused"
    row = UserRow("berta", hash_password("battery staple"), 0, 0)
    store.write(lambda db: rows.insert(db, row))
    assert outcome(logins, Login("berta", "battery staple")) == "in"


def test_a_user_who_goes_while_the_password_is_checked(
    store: Database, logins: Logins, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither in nor refused by what was true before: asked again, it is refused."""

    def check(password: str, against: str) -> bool:
        store.write(lambda db: rows.remove(db, "anna"))
        return verify_password(password, against)

    monkeypatch.setattr(module, "verify_password", check)
    assert outcome(logins, RIGHT) == "busy"
    assert outcome(logins, RIGHT) == "refused"


def test_what_is_remembered_is_bounded(logins: Logins) -> None:
    """Memory does not grow with the number of logins."""
    row = logins._row("anna")
    for number in range(10_050):
        logins._remember(logins._attempt(Login("anna", f"{number}"), HERE, row))
    assert len(logins._good) == 10_000
    for number, there in ((49, False), (50, True)):
        known = logins._attempt(Login("anna", f"{number}"), HERE, row)
        assert logins._is_remembered(known) is there


def test_what_is_remembered_ends(logins: Logins, clock: Clock, hashed: list[str]) -> None:
    """After five minutes a password is hashed again, however often it was used meanwhile."""
    for _ in range(5):
        assert outcome(logins, RIGHT) == "in"
        clock.ahead += 59
    assert len(hashed) == 1
    clock.ahead += 59
    assert outcome(logins, RIGHT) == "in"
    assert len(hashed) == 2


# Limits: looked at each time, also of a success that is remembered.


def test_the_end_of_a_password(store: Database, logins: Logins, hashed: list[str]) -> None:
    """It ends while it is remembered, and comes back where the clock was set back."""
    limit(store, until=NOW + timedelta(hours=8))
    assert outcome(logins, RIGHT) == "in"
    ended = "the password of anna ended at 2026-11-23T13:00:00Z"
    for hours in (8.01, 9, 24 * 365):
        assert said(logins, RIGHT, now=NOW + timedelta(hours=hours)) == ended
    assert asyncio.run(verify(logins, RIGHT, now=NOW + timedelta(hours=7))).name == "anna"
    assert asyncio.run(verify(logins, RIGHT, now=NOW - timedelta(days=3650))).name == "anna"
    assert len(hashed) == 1


def test_only_who_knows_the_password_learns_that_it_ended(store: Database, logins: Logins) -> None:
    """A wrong password of an ended user is wrong like any other."""
    limit(store, until=NOW - timedelta(hours=1), labels='["line-3"]')
    assert said(logins, WRONG) == "the user name or the password is wrong"
    assert said(logins, RIGHT, ELSEWHERE).startswith("the password of anna ended at ")


def test_labels(store: Database, logins: Logins) -> None:
    """Only at the labels named; each request is looked at."""
    limit(store, labels='["line-3"]')
    assert asyncio.run(verify(logins, RIGHT, label="line-3")).name == "anna"
    assert said(logins, RIGHT, label="line-4") == "the password of anna is not for the label line-4"
    assert said(logins, RIGHT) == "the password of anna is not for the path without a label"


def test_limits_that_change(store: Database, logins: Logins) -> None:
    """A success that is remembered obeys the limits of now."""
    assert asyncio.run(verify(logins, RIGHT)).uses is None
    limit(store, uses=3)
    assert asyncio.run(verify(logins, RIGHT)).uses == 3
    limit(store, labels="[]")
    assert "is not for" in said(logins, RIGHT)
    limit(store)
    assert outcome(logins, RIGHT) == "in"


def test_a_limit_is_no_failure(store: Database, logins: Logins, told: list[Event]) -> None:
    """The right password at the wrong time locks nobody out."""
    limit(store, until=NOW - timedelta(seconds=1))
    for _ in range(50):
        assert outcome(logins, RIGHT) == "refused"
    limit(store)
    assert outcome(logins, RIGHT) == "in"
    assert told == []


# Locks.


def test_one_user_from_one_address(
    logins: Logins, clock: Clock, told: list[Event], hashed: list[str]
) -> None:
    """(a) Ten guesses lock the user here, and nobody else; it costs no hash and is told once."""
    assert guess(logins, clock, 10) == ["refused"] * 10
    before = len(hashed)
    assert guess(logins, clock, 50) == ["locked"] * 50
    assert said(logins, RIGHT) == said(logins, WRONG) == LOCKED
    assert len(hashed) == before
    assert told == [
        Event(
            int(NOW.timestamp()),
            Code.CREDENTIAL_LOCKED,
            "server",
            address=HERE,
            reason="logins of user anna at 192.0.2.7 are locked for 15m: 10 wrong passwords",
        )
    ]
    assert outcome(logins, RIGHT, ELSEWHERE) == "in"
    assert outcome(logins, Login("berta", "battery staple")) == "refused"
    clock.ahead += 900
    assert outcome(logins, RIGHT) == "in"


def test_unknown_names_are_locked_too(logins: Logins, clock: Clock, told: list[Event]) -> None:
    """Else the lock would tell who is a user."""
    assert guess(logins, clock, 11, user="berta") == ["refused"] * 10 + ["locked"]
    assert len(told) == 1


def test_many_users_from_one_address(
    store: Database, logins: Logins, clock: Clock, told: list[Event]
) -> None:
    """(b) Fifty guesses lock the address, but for who is known there; with one event."""
    row = UserRow("berta", hash_password("battery staple"), 0, 0)
    store.write(lambda db: rows.insert(db, row))
    assert outcome(logins, RIGHT) == "in"
    for number in range(50):
        assert guess(logins, clock, 1, user=f"user{number}") == ["refused"]
    assert outcome(logins, Login("berta", "battery staple")) == "locked"
    assert outcome(logins, RIGHT) == "in"
    clock.ahead += 300  # no longer remembered: hashed, and let in
    assert outcome(logins, RIGHT) == "in"
    assert outcome(logins, Login("berta", "battery staple"), ELSEWHERE) == "in"
    assert [event.reason for event in told] == [
        "logins of 192.0.2.7 for users not known there are locked for 15m: 50 wrong passwords"
    ]


def test_one_user_from_many_addresses(logins: Logins, clock: Clock, told: list[Event]) -> None:
    """(c) A hundred guesses lock the user where he is not known; with one event."""
    assert outcome(logins, RIGHT) == "in"
    for number in range(110):
        expected = "refused" if number < 100 else "locked"
        assert guess(logins, clock, 1, address=f"198.51.100.{number}") == [expected]
    assert outcome(logins, RIGHT, ELSEWHERE) == "locked"
    assert outcome(logins, RIGHT) == "in"
    reason = "logins of user anna at addresses where it is not known are locked for 15m"
    assert [event.reason for event in told] == [f"{reason}: 100 wrong passwords"]


def test_an_attacker_on_the_engineers_address(
    logins: Logins, clock: Clock, told: list[Event]
) -> None:
    """Behind one NAT address the right password is locked out for a minute, not for fifteen."""
    assert outcome(logins, RIGHT) == "in"
    assert guess(logins, clock, 11) == ["refused"] * 10 + ["locked"]
    assert outcome(logins, RIGHT) == "locked"  # remembered, and not told from a wrong one
    clock.ahead += 60
    assert outcome(logins, RIGHT) == "in"
    assert [event.reason for event in told] == [
        "logins of user anna at 192.0.2.7 are locked for 1m: 10 wrong passwords"
    ]


def test_a_new_password_lifts_the_lock(store: Database, logins: Logins, clock: Clock) -> None:
    """Whom others lock out is helped by `user set-password`."""
    guess(logins, clock, 11)
    store.write(lambda db: rows.set_password(db, "anna", hash_password("another horse"), at=1))
    assert outcome(logins, Login("anna", "another horse")) == "in"


def test_a_lock_that_cannot_be_told(store: Database, clock: Clock) -> None:
    """The store is full: the answer is "busy", and the lock is in force all the same."""

    async def tell(_: Event) -> None:
        raise StoreFailed("the disk is full")

    logins = Logins(store, locked=tell, clock=clock)
    assert guess(logins, clock, 11) == ["refused"] * 9 + ["busy", "locked"]
    logins.close()


def test_comparing_is_not_guessing_for_nothing(
    logins: Logins, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While no password can be hashed, a wrong one closes the way of those that are remembered."""
    assert outcome(logins, RIGHT) == "in"
    monkeypatch.setattr(module, "_WAITING", 0)
    assert outcome(logins, RIGHT) == "in"
    assert outcome(logins, WRONG) == "busy"
    assert outcome(logins, RIGHT) == "busy"  # else a thousand guesses a second would be answered


# Delays.


def test_only_who_failed_waits(logins: Logins, monkeypatch: pytest.MonkeyPatch) -> None:
    """After a failure this user waits at this address; others, and elsewhere, go ahead."""

    pause = logins._pause

    async def scene() -> None:
        others = asyncio.Event()

        async def longer(origin: Origin) -> None:
            if logins._lockout.delay(origin) > 0:
                await others.wait()  # however long they take
            await pause(origin)

        assert await attempt(logins, WRONG) == "refused"
        failed = time.monotonic()
        monkeypatch.setattr(logins, "_pause", longer)
        async with asyncio.timeout(LONG):
            slowed = asyncio.create_task(attempt(logins, RIGHT))
            await asyncio.sleep(0)
            assert await attempt(logins, Login("berta", "battery staple")) == "refused"
            assert await attempt(logins, RIGHT, ELSEWHERE) == "in"
        assert not slowed.done()
        others.set()
        assert await slowed == "in"
        assert time.monotonic() - failed >= 0.25

    asyncio.run(scene())


def test_a_long_wait_is_not_slept_through(logins: Logins, clock: Clock, hashed: list[str]) -> None:
    """Beyond a second the answer is "busy", at once: sleepers would hold all connections."""
    guess(logins, clock, 5)
    for login in (RIGHT, WRONG):
        assert outcome(logins, login) == "busy"
    assert len(hashed) == 5
    assert outcome(logins, RIGHT, ELSEWHERE) == "in"


def test_guesses_side_by_side_are_one_guess(logins: Logins, hashed: list[str]) -> None:
    """Who sends ten passwords at once is not spared the wait between them."""

    async def scene() -> list[str]:
        guesses = (Login("anna", f"battery staple {n}") for n in range(10))
        return await asyncio.gather(*(attempt(logins, guess) for guess in guesses))

    assert sorted(asyncio.run(scene())) == ["busy"] * 9 + ["refused"]
    assert len(hashed) == 1


def test_guesses_beside_the_engineer_are_one_guess(logins: Logins, hashed: list[str]) -> None:
    """Nor is the right one, remembered, found among ten that are sent at once."""

    async def scene() -> list[str]:
        assert await attempt(logins, RIGHT) == "in"
        guesses = [Login("anna", f"battery staple {n}") for n in range(9)]
        return await asyncio.gather(*(attempt(logins, g) for g in (*guesses, RIGHT)))

    assert sorted(asyncio.run(scene())) == ["busy"] * 9 + ["refused"]
    assert len(hashed) == 2


# Many at once.


def test_one_login_at_many_places_is_hashed_once(logins: Logins, hashed: list[str]) -> None:
    """Sixteen programs that start at once with the same login all come in."""

    async def scene() -> list[str]:
        return await asyncio.gather(*(attempt(logins, RIGHT) for _ in range(16)))

    assert asyncio.run(scene()) == ["in"] * 16
    assert len(hashed) == 1


def test_one_wrong_login_at_many_places_is_hashed_once(logins: Logins, hashed: list[str]) -> None:
    """Sixteen programs that start at once with a wrong password are all told so."""

    async def scene() -> list[str]:
        return await asyncio.gather(*(attempt(logins, WRONG) for _ in range(16)))

    assert asyncio.run(scene()) == ["refused"] * 16
    assert len(hashed) == 1


def test_fifty_devices_at_once(logins: Logins) -> None:
    """A line that powers up with one login from fifty addresses; then once more, remembered."""

    async def scene() -> list[str]:
        line = [f"192.0.2.{number}" for number in range(50)]
        return await asyncio.gather(*(attempt(logins, RIGHT, address) for address in line))

    assert asyncio.run(scene()) == ["in"] * 50
    assert asyncio.run(scene()) == ["in"] * 50


def test_fifty_requests_of_one_address(logins: Logins, hashed: list[str]) -> None:
    """Sixteen wait and come in, the others are told to ask again; once known, all come in."""

    async def scene() -> list[str]:
        return await asyncio.gather(*(attempt(logins, RIGHT) for _ in range(50)))

    assert sorted(asyncio.run(scene())) == ["busy"] * 34 + ["in"] * 16
    assert asyncio.run(scene()) == ["in"] * 50
    assert len(hashed) == 1


def in_flight(logins: Logins, address: Callable[[int], str], count: int) -> Awaitable[list[str]]:
    """Log in with many names at once."""
    attempts = (
        attempt(logins, Login(f"user{n}", "battery staple"), address(n)) for n in range(count)
    )
    return asyncio.gather(*attempts)


def test_one_address_does_not_have_all_places(logins: Logins) -> None:
    """Sixteen logins of an address may wait; beyond that it is busy, and others come in."""

    async def scene() -> list[str]:
        flood = asyncio.ensure_future(in_flight(logins, lambda _: HERE, 100))
        await asyncio.sleep(0)
        assert await attempt(logins, RIGHT, ELSEWHERE) == "in"
        return await flood

    outcomes = asyncio.run(scene())
    assert outcomes.count("refused") == 16
    assert outcomes.count("busy") == 84
    assert not logins._turns
    assert logins._waiting == 0


def test_waiting_is_bounded(logins: Logins) -> None:
    """From however many addresses: 64 wait for the two hashers, the others are told at once."""

    async def scene() -> list[str]:
        return await in_flight(logins, lambda n: f"192.0.2.{n}", 100)

    outcomes = asyncio.run(scene())
    assert outcomes.count("refused") == 64
    assert outcomes.count("busy") == 36
    assert outcome(logins, RIGHT) == "in"


def test_whoever_hangs_up_leaves_no_place_taken(logins: Logins) -> None:
    """Clients that go away while they wait make room."""

    async def scene() -> None:
        waiting = [asyncio.create_task(attempt(logins, RIGHT)) for _ in range(16)]
        await asyncio.sleep(0.001)
        for task in waiting:
            task.cancel()
        await asyncio.gather(*waiting, return_exceptions=True)
        assert not logins._turns
        assert logins._waiting == 0
        assert await attempt(logins, RIGHT) == "in"

    asyncio.run(scene())
