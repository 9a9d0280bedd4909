"""The chain of events: its encoding, and that what happens to transactions does not break it."""

from __future__ import annotations

import asyncio
import dataclasses
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cipsec.errors import UsageError
from cipsec.store import chain, events
from cipsec.store.chain import Head
from cipsec.store.codes import Code
from cipsec.store.database import Database
from cipsec.store.events import Event
from cipsec.store.verification import verify
from cipsec.store.writer import Writer
from tests.ra.harmless import HOSTILE
from tests.support.programs import need, run

ROOT = Path(__file__).parents[2]


def happened(number: int, **values: str) -> Event:
    """Return an event like others."""
    made = Event(1_800_000_000 + number, Code.GRANTED, "endpoint", reason=f"the {number}th")
    return dataclasses.replace(made, **values)  # type: ignore[arg-type]  # texts only


def record(store: Database, count: int, *, first: int = 1) -> None:
    """Record so many events, each in a transaction of its own."""
    for number in range(first, first + count):
        store.write(lambda db, n=number: events.append(db, happened(n)))  # type: ignore[misc]  # mypy infers no lambda with a default


def numbers(store: Database) -> list[int]:
    """Return the numbers of the events on record."""
    return store.read(lambda db: [number for number, _ in events.after(db, 0)])


# The encoding.

# As docs/events.md has it: what is hashed, made by SQLite.
ENCODED = """
SELECT '64:' || (SELECT lower(hex(hash)) FROM events WHERE seq = e.seq - 1) || ','
  || length(CAST(seq AS BLOB)) || ':' || seq || ','
  || length(CAST(at AS BLOB)) || ':' || at || ','
  || length(CAST(event AS BLOB)) || ':' || event || ','
  || length(CAST(actor AS BLOB)) || ':' || actor || ','
  || coalesce(length(CAST(address AS BLOB)) || ':' || address || ',', '-,')
  || coalesce(length(CAST(request AS BLOB)) || ':' || request || ',', '-,')
  || coalesce(length(CAST(serial AS BLOB)) || ':' || serial || ',', '-,')
  || coalesce(length(CAST(subject AS BLOB)) || ':' || subject || ',', '-,')
  || coalesce(length(CAST(device AS BLOB)) || ':' || device || ',', '-,')
  || coalesce(length(CAST(rule AS BLOB)) || ':' || rule || ',', '-,')
  || coalesce(length(CAST(reason AS BLOB)) || ':' || reason || ',', '-,')
FROM events e WHERE seq = ?
"""


@pytest.mark.parametrize("name", sorted(HOSTILE))
def test_openssl_and_sqlite_come_to_the_same_hash(store: Database, name: str) -> None:
    """Nothing of ours is needed to check an event, whatever a device called itself."""
    need("openssl")
    text = HOSTILE[name]
    record(store, 1)
    store.write(lambda db: events.append(db, happened(2, subject=text, reason=f"{text}5:x,")))
    encoded = store.read(lambda db: db.execute(ENCODED, (2,)).fetchone()[0])
    done = run("openssl", "dgst", "-sha256", "-r", stdin=encoded.encode())
    assert done.stdout.split()[0].decode() == store.read(chain.head).hash.hex()


_TEXT = st.none() | st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
_VALUES = st.tuples(st.integers(0, 2**40), *[_TEXT] * (len(chain.FIELDS) - 1))


@given(_VALUES, _VALUES, st.integers(1, 12), st.integers(1, 12))
def test_no_two_events_have_the_same_hash(
    one: tuple[object, ...], other: tuple[object, ...], number: int, at: int
) -> None:
    """Also where the text of one field looks like the end of one and the beginning of another."""
    same = (one, number) == (other, at)
    a, b = chain.digest(chain.START, number, one), chain.digest(chain.START, at, other)
    assert (a == b) is same
    assert chain.digest(b"\1" * 32, number, one) != a


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (("a", "b"), ("a,1:b", None)),
        ((None, "-,"), ("-,", None)),
        (("", None), (None, "")),
        (("é", "x"), ("é,1:", "x")),
        (("1:a", "2"), ("1", "a:2")),
    ],
)
def test_what_could_be_confused_is_not(one: tuple[object, ...], other: tuple[object, ...]) -> None:
    """Nothing and an empty text, a comma in a text, lengths in a text."""
    assert chain.digest(chain.START, 1, one) != chain.digest(chain.START, 1, other)


def test_every_field_is_chained() -> None:
    """A column that is added to events belongs into the hash."""
    assert [field.name for field in dataclasses.fields(Event)] == list(chain.FIELDS)


def test_heads_are_read_as_they_are_written() -> None:
    """Around in a circle; what is none is refused."""
    head = Head(17, bytes(range(32)))
    assert Head.parse(f" {head}\n") == head
    assert Head.parse(str(head).upper()) == head
    for text in ("", "17", "17:00", f"x:{head.hash.hex()}", f"{head}0", f"-1:{head.hash.hex()}"):
        with pytest.raises(UsageError):
            Head.parse(text)


def test_an_empty_log_has_a_head(store: Database) -> None:
    """Number 0 and no hash."""
    assert str(store.read(chain.head)) == f"0:{'0' * 64}"
    assert verify(store).intact


# What breaks no chain.


def test_what_was_rolled_back_leaves_no_gap(store: Database) -> None:
    """A number that was given to nobody is given again: a gap would look like a deletion."""
    record(store, 2)

    def fails(db: sqlite3.Connection) -> None:
        events.append(db, happened(9))
        raise ZeroDivisionError

    for _ in range(3):
        with pytest.raises(ZeroDivisionError):
            store.write(fails)
    record(store, 2, first=3)
    assert numbers(store) == [1, 2, 3, 4]
    assert verify(store).intact


def test_a_unit_that_fails_takes_its_events_out_of_a_shared_commit(
    store: Database, writer: Writer
) -> None:
    """One savepoint of many is rolled back; what lies around it is chained together."""

    async def unit(number: int) -> None:
        def work(db: sqlite3.Connection) -> None:
            events.append(db, happened(number))
            if number % 3 == 0:
                raise ValueError(number)

        await writer.write(work)

    async def all_of_them() -> list[BaseException | None]:
        return await asyncio.gather(*map(unit, range(60)), return_exceptions=True)

    done = asyncio.run(all_of_them())
    assert sum(isinstance(one, ValueError) for one in done) == 20
    assert numbers(store) == list(range(1, 41))
    assert verify(store).intact


def test_an_event_that_sqlite_refuses_leaves_no_gap(store: Database) -> None:
    """The second `expiring` of a certificate."""
    once = Event(1, Code.EXPIRING, "server", serial="01")
    store.write(lambda db: events.append(db, once))
    db = store.connection()
    db.execute("BEGIN IMMEDIATE")
    with pytest.raises(sqlite3.IntegrityError):
        events.append(db, once)
    events.append(db, happened(2))
    db.execute("COMMIT")
    assert numbers(store) == [1, 2]
    assert verify(store).intact


RECORD = """
import sys
from pathlib import Path
from cipsec.store.database import Database
from tests.store.test_chain import record
record(Database.open(Path(sys.argv[1])), 100)
"""


def test_processes_that_record_at_once_make_one_chain(store: Database) -> None:
    """A server's workers and commands beside it."""
    command = [sys.executable, "-c", RECORD, str(store.path)]
    started = [subprocess.Popen(command, cwd=ROOT) for _ in range(3)]
    record(store, 100)
    assert [process.wait(600) for process in started] == [0, 0, 0]
    assert numbers(store) == list(range(1, 401))
    assert verify(store).intact


def test_a_log_that_lost_its_end_is_gone_on_with(store: Database) -> None:
    """Who took events out does not stop the CA, and what he took out still shows."""
    record(store, 5)
    db = store.connection()
    db.execute("DELETE FROM events WHERE seq > 3")
    record(store, 1)
    assert numbers(store) == [1, 2, 3, 6]
    db.execute("DELETE FROM events")
    record(store, 1)
    assert numbers(store) == [7]


@pytest.mark.parametrize(
    "change", ["DELETE FROM sqlite_sequence", "UPDATE sqlite_sequence SET seq=1"]
)
def test_a_lost_count_does_not_stop_the_ca(store: Database, change: str) -> None:
    """Numbers go on behind the last event there is."""
    record(store, 3)
    store.connection().execute(change)
    record(store, 2)
    assert numbers(store) == [1, 2, 3, 4, 5]
    assert verify(store).intact
