"""Passwords: how they are hashed, checked off the event loop, remembered, and slowed down."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path

import pytest

from cipsec.errors import CredentialsRefused, StoreFailed, UsageError
from cipsec.ra import users
from cipsec.ra.enrollment import Login
from cipsec.ra.users import Logins, check_name, hash_password, verify_password
from cipsec.store import users as rows
from cipsec.store.database import Database

RIGHT, WRONG = Login("anna", "correct horse"), Login("anna", "battery staple")
HERE, ELSEWHERE = "192.0.2.7", "192.0.2.8"


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Database]:
    """A store with one user."""
    database = Database.create(tmp_path / "store.sqlite3")
    row = rows.UserRow("anna", hash_password(RIGHT.password), 0, 0)
    database.write(lambda db: rows.insert(db, row))
    yield database
    database.close()


@pytest.fixture
def logins(store: Database) -> Iterator[Logins]:
    """The server's view of the users."""
    logins = Logins(store)
    yield logins
    logins.close()


@pytest.fixture
def hashed(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Every hash that a password is really checked against."""
    checked: list[str] = []

    def check(password: str, against: str) -> bool:
        checked.append(against)
        return verify_password(password, against)

    monkeypatch.setattr(users, "verify_password", check)
    return checked


def outcome(logins: Logins, login: Login, address: str = HERE) -> str:
    """Log in once; return what comes of it."""
    return asyncio.run(attempt(logins, login, address))


async def attempt(logins: Logins, login: Login, address: str = HERE) -> str:
    """Log in; return what comes of it."""
    try:
        await logins.verify(login, address)
    except CredentialsRefused:
        return "refused"
    except StoreFailed:
        return "busy"
    return "in"


# Hashing.


def test_hashes_are_argon2id() -> None:
    """19 MiB, two passes, one lane (OWASP), 16 bytes of salt, 32 of hash, in PHC format."""
    hashed = hash_password("correct horse")
    kind, version, parameters, salt, tag = hashed.split("$")[1:]
    assert (kind, version, parameters) == ("argon2id", "v=19", "m=19456,t=2,p=1")
    assert (len(salt), len(tag)) == (22, 43)
    assert hash_password("correct horse") != hashed
    assert verify_password("correct horse", hashed)
    assert not verify_password("correct horsf", hashed)
    assert not verify_password("", hashed)


@pytest.mark.parametrize("password", ["12345678", "Pässwort", "😀😀", "a\0b c\n d", "x" * 1024])
def test_passwords(password: str) -> None:
    """Any text of eight to 1,024 bytes is a password, and all of it counts."""
    hashed = hash_password(password)
    assert verify_password(password, hashed)
    assert not verify_password(password[:-1], hashed)


@pytest.mark.parametrize("password", ["", "1234567", "x" * 1025, "ä" * 513])
def test_weak_and_endless_passwords_are_refused(password: str) -> None:
    """Shorter is guessed, longer is work for nothing."""
    with pytest.raises(UsageError, match="a password has 8 to 1024 bytes") as raised:
        hash_password(password)
    assert password not in str(raised.value) or not password


@pytest.mark.parametrize("hashed", ["", "correct horse", "$argon2id$v=19$m=19456,t=2,p=1$AA$AA"])
def test_a_damaged_hash_opens_nothing(hashed: str) -> None:
    """What is no hash is matched by no password."""
    assert not verify_password("correct horse", hashed)


@pytest.mark.parametrize("name", ["a", "anna", "Anna.B-7_x+y@plant", "7", "Ünal", "x" * 64])
def test_names(name: str) -> None:
    """Letters, digits and a few signs, beginning with a letter or digit."""
    assert check_name(name) == name


@pytest.mark.parametrize(
    "name", ["", " ", "a b", "a:b", "-a", "_a", ".a", "a\n", "a\0", "a/b", "x" * 65, "a\u202eb"]
)
def test_names_that_are_none(name: str) -> None:
    """Nothing that HTTP Basic, a table or a terminal could read otherwise."""
    with pytest.raises(UsageError, match="is not a user name"):
        check_name(name)


# Logging in.


def test_right_and_wrong(logins: Logins) -> None:
    """The password decides; the refusal does not tell a wrong name from a wrong password."""
    assert outcome(logins, RIGHT) == "in"
    messages = []
    for login in (WRONG, Login("berta", "correct horse"), Login("Anna", "correct horse")):
        with pytest.raises(CredentialsRefused) as raised:
            asyncio.run(logins.verify(login, HERE))
        messages.append(raised.value.message)
    assert messages == ["the user name or the password is wrong"] * 3


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


def test_successes_are_remembered(logins: Logins, hashed: list[str]) -> None:
    """A thousand requests of an engineer's PC cost one hash; a wrong password still costs one."""
    assert [outcome(logins, RIGHT) for _ in range(5)] == ["in"] * 5
    assert len(hashed) == 1
    assert outcome(logins, WRONG) == "refused"
    assert len(hashed) == 2
    assert all(RIGHT.password.encode() not in key for key in logins._good)


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


def test_what_is_remembered_is_bounded(logins: Logins) -> None:
    """Memory does not grow with the number of logins, right or wrong."""
    for number in range(10_050):
        logins._remember(number.to_bytes(4))
        logins._count_failure("anna", f"{number}")
    assert len(logins._good) == 10_000
    assert len(logins._failures) == 10_000
    assert (49).to_bytes(4) not in logins._good
    assert ("anna", "49") not in logins._failures


def test_what_is_remembered_ends(
    logins: Logins, hashed: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """After five minutes a password is hashed again."""
    assert outcome(logins, RIGHT) == "in"
    monkeypatch.setattr(users, "_REMEMBER_SECONDS", -1.0)
    logins._remember(next(iter(logins._good)))
    assert outcome(logins, RIGHT) == "in"
    assert len(hashed) == 2


# Guessing.


def test_only_who_failed_waits(logins: Logins, monkeypatch: pytest.MonkeyPatch) -> None:
    """After a failure this user waits at this address; others, and elsewhere, go ahead."""

    async def scene() -> None:
        assert await attempt(logins, WRONG) == "refused"
        failed = time.monotonic()
        slowed = asyncio.create_task(attempt(logins, RIGHT))
        await asyncio.sleep(0)
        assert await attempt(logins, Login("berta", "battery staple")) == "refused"
        assert await attempt(logins, RIGHT, ELSEWHERE) == "in"
        assert not slowed.done()
        assert await slowed == "in"
        assert time.monotonic() - failed >= 0.25

    # Remembered at ELSEWHERE would help at HERE as well: the password was right.
    monkeypatch.setattr(logins, "_remember", lambda _: None)
    asyncio.run(scene())


def test_each_failure_doubles_the_wait(logins: Logins) -> None:
    """A quarter of a second, a half, one … eight; a success forgets it all."""
    waits = []
    for _ in range(8):
        logins._count_failure("anna", HERE)
        waits.append(round(logins._delay("anna", HERE), 1))
    assert waits == [0.2, 0.5, 1.0, 2.0, 4.0, 8.0, 8.0, 8.0]
    assert logins._delay("anna", ELSEWHERE) <= 0
    assert logins._delay("berta", HERE) <= 0


def test_old_failures_are_forgotten(logins: Logins) -> None:
    """Who mistypes today is not slowed down for yesterday."""
    logins._failures["anna", HERE] = (7, time.monotonic() - 901)
    logins._count_failure("anna", HERE)
    assert logins._failures["anna", HERE][0] == 1


def test_a_success_ends_the_delay(logins: Logins) -> None:
    """With the right password, after the wait, the count begins anew."""
    logins._failures["anna", HERE] = (7, time.monotonic() - 8)
    assert outcome(logins, RIGHT) == "in"
    assert not logins._failures


def test_a_long_wait_is_not_slept_through(logins: Logins, hashed: list[str]) -> None:
    """Beyond a second the answer is "busy", at once: sleepers would hold all connections."""
    logins._failures["anna", HERE] = (5, time.monotonic())
    for login in (RIGHT, WRONG):
        assert outcome(logins, login) == "busy"
    assert hashed == []
    assert outcome(logins, RIGHT, ELSEWHERE) == "in"


def test_guesses_side_by_side_are_one_guess(logins: Logins, hashed: list[str]) -> None:
    """Who sends ten passwords at once is not spared the wait between them."""

    async def scene() -> list[str]:
        guesses = (Login("anna", f"battery staple {n}") for n in range(10))
        return await asyncio.gather(*(attempt(logins, guess) for guess in guesses))

    assert sorted(asyncio.run(scene())) == ["busy"] * 9 + ["refused"]
    assert len(hashed) == 1


def test_one_login_at_many_places_is_hashed_once(logins: Logins, hashed: list[str]) -> None:
    """Sixteen programs that start at once with the same login all come in."""

    async def scene() -> list[str]:
        return await asyncio.gather(*(attempt(logins, RIGHT) for _ in range(16)))

    assert asyncio.run(scene()) == ["in"] * 16
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
