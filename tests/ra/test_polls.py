"""How waiting devices are counted and paced."""

from __future__ import annotations

import asyncio
import dataclasses

import pytest

from cipsec.errors import StoreFailed
from cipsec.ra.polls import Polls
from cipsec.store import requests
from cipsec.store.database import Database
from cipsec.store.requests import State
from cipsec.store.writer import Writer
from tests.store import rows


def waiting(store: Database, *identifiers: str) -> None:
    """Put requests into the queue."""
    for identifier in identifiers:
        row = rows.request(identifier)
        store.write(lambda db, row=row: requests.insert(db, row))  # type: ignore[misc]  # bound now; mypy infers no lambda with a default


def test_polls_are_counted_and_written(store: Database, writer: Writer) -> None:
    """What was counted in memory is added to the record, once."""
    waiting(store, "aa", "bb")
    polls = Polls(store, writer)
    for at in (1_010, 1_020, 1_015):
        polls.count("aa", at, f"192.0.2.{at - 1_000}")
    for _ in range(2):
        asyncio.run(polls.flush())
    row = store.read(lambda db: requests.by_id(db, "aa"))
    assert row
    assert (row.polls, row.last_seen, row.address) == (4, 1_015, "192.0.2.15")
    other = store.read(lambda db: requests.by_id(db, "bb"))
    assert other == rows.request("bb")


def test_the_queue_has_an_end(store: Database, writer: Writer) -> None:
    """Full is full, also across a restart; whoever is decided makes room at the next flush."""
    waiting(store, "aa", "bb")
    polls = Polls(store, writer)
    polls.admit("192.0.2.1", most=3, most_of_one=100_000)
    with pytest.raises(StoreFailed, match="3 requests wait already"):
        polls.admit("192.0.2.1", most=3, most_of_one=100_000)
    polls.admit("192.0.2.1", most=4, most_of_one=100_000)
    waiting(store, "cc", "dd")
    again = Polls(store, writer)
    with pytest.raises(StoreFailed, match="4 requests wait already"):
        again.admit("192.0.2.1", most=4, most_of_one=100_000)
    for identifier in ("aa", "bb", "cc"):
        store.write(
            lambda db, i=identifier: requests.decide(  # type: ignore[misc]  # bound now; mypy infers no lambda with a default
                db, i, State.REJECTED, by="anna", at=0, note=None
            )
        )
    asyncio.run(again.flush())
    again.admit("192.0.2.1", most=2, most_of_one=100_000)
    with pytest.raises(StoreFailed):
        again.admit("192.0.2.1", most=2, most_of_one=100_000)


def test_who_was_counted_and_never_came_makes_room(store: Database, writer: Writer) -> None:
    """A place that was taken for a request that could not be recorded is given back."""
    polls = Polls(store, writer)
    polls.admit("192.0.2.1", most=1, most_of_one=100_000)
    asyncio.run(polls.flush())
    polls.admit("192.0.2.1", most=1, most_of_one=100_000)


@pytest.mark.parametrize(
    ("least", "waited", "told"),
    [
        (5, 0, range(5, 7)),
        (5, -3_600, range(5, 7)),  # the clock was set back
        (1, 0, range(1, 2)),
        (5, 60, range(6, 8)),
        (5, 500, range(50, 61)),
        (5, 10**9, range(60, 73)),
        (300, 0, range(300, 361)),
        (100_000, 0, range(600, 601)),
    ],
)
def test_retry_after(least: int, waited: int, told: range, store: Database, writer: Writer) -> None:
    """Soon for who just came, later for who waits long, whole seconds, never over ten minutes."""
    polls = Polls(store, writer)
    seconds = [polls.retry_after(least, waited=waited) for _ in range(500)]
    assert {type(number) for number in seconds} == {int}
    assert set(seconds) <= set(told)


def test_many_are_told_to_come_later(store: Database, writer: Writer) -> None:
    """Ten thousand that wait together ask no more than fifty times a second."""
    polls = Polls(store, writer)
    for _ in range(10_000):
        polls.admit("192.0.2.1", most=20_000, most_of_one=100_000)
    told = [polls.retry_after(5, waited=0) for _ in range(500)]
    assert min(told) >= 10_000 // 50
    assert len(set(told)) > 10  # and not all at the same moment


def test_polls_of_a_request_that_is_gone(store: Database, writer: Writer) -> None:
    """Nothing is made of them."""
    polls = Polls(store, writer)
    polls.count("aa", 1_000, "192.0.2.7")
    asyncio.run(polls.flush())
    assert store.read(lambda db: list(requests.listed(db, list(State)))) == []


def test_a_store_that_fails_says_so(store: Database, writer: Writer) -> None:
    """Counting goes on after a flush that failed."""
    waiting(store, "aa")
    polls = Polls(store, writer)
    asyncio.run(writer.write(lambda db: db.execute("PRAGMA query_only=ON")))
    polls.count("aa", 1_010, "192.0.2.7")
    with pytest.raises(StoreFailed):
        asyncio.run(polls.flush())
    for connection in store._opened:
        connection.execute("PRAGMA query_only=OFF")
    polls.count("aa", 1_020, "192.0.2.7")
    asyncio.run(polls.flush())
    row = store.read(lambda db: requests.by_id(db, "aa"))
    assert row == dataclasses.replace(rows.request("aa"), polls=2, last_seen=1_020)


def test_one_address_does_not_fill_the_queue(store: Database, writer: Writer) -> None:
    """A thousand keys from one sender leave room for everybody else."""
    polls = Polls(store, writer)
    for _ in range(3):
        polls.admit("192.0.2.66", most=100, most_of_one=3)
    with pytest.raises(StoreFailed, match=r"3 requests from 192\.0\.2\.66 wait already"):
        polls.admit("192.0.2.66", most=100, most_of_one=3)
    polls.admit("192.0.2.7", most=100, most_of_one=3)
