"""Finding what was done to the log: each kind of it, where, and how it is said."""

from __future__ import annotations

import resource
import sqlite3

import pytest

from cipsec.store import chain, events, verification
from cipsec.store.chain import Head
from cipsec.store.database import Database
from cipsec.store.verification import Verified, verify

from .test_chain import happened, record


@pytest.fixture
def log(store: Database, monkeypatch: pytest.MonkeyPatch) -> Database:
    """A log of ten events, walked four at a time."""
    monkeypatch.setattr(verification, "_CHUNK", 4)
    record(store, 10)
    return store


def found(verified: Verified) -> list[tuple[int, str]]:
    """Return where something was found, and of what kind."""
    assert verified.intact is not bool(verified.findings)
    return [(finding.event, finding.kind) for finding in verified.findings]


def rewrite(log: Database, first: int = 1) -> None:
    """Do what the chain cannot prevent: make it anew from some event on."""
    db = log.connection()
    previous = chain.START if first == 1 else chain.hash_of(db, first - 1)
    assert previous is not None
    for number, event in list(events.after(db, first - 1)):
        previous = chain.digest(previous, number, events._values(event))
        db.execute("UPDATE events SET hash = ? WHERE seq = ?", (previous, number))


def test_a_whole_log(log: Database) -> None:
    """How many events, and the head."""
    done = verify(log)
    assert (done.events, done.head, done.wrong, done.heads) == (10, log.read(chain.head), 0, 0)
    assert done.intact


@pytest.mark.parametrize("column", chain.FIELDS)
@pytest.mark.parametrize("number", [1, 4, 5, 10])
def test_an_edit_of_any_field(log: Database, column: str, number: int) -> None:
    """Of the first, the last, and at the border of what is read at once."""
    value = 7 if column == "at" else "edited"
    log.connection().execute(f"UPDATE events SET {column} = ? WHERE seq = ?", (value, number))
    assert found(verify(log)) == [(number, "changed")]


@pytest.mark.parametrize(
    "value",
    ["CAST(x'ff' AS TEXT)", "x'656e64706f696e74'", "'endpoint ' ", "zeroblob(9)", "1.5"],
)
def test_what_is_no_text_of_ours(log: Database, value: str) -> None:
    """Bytes that are no UTF-8, the right text as bytes, numbers: found, not fallen over."""
    log.connection().execute(f"UPDATE events SET actor = {value} WHERE seq = 6")
    assert found(verify(log)) == [(6, "changed")]
    record(log, 1)
    assert log.connection().text_factory is str


@pytest.mark.parametrize("value", ["x''", "'text'", "zeroblob(32)", "7", "x'00'"])
def test_a_hash_that_is_none(log: Database, value: str) -> None:
    """The event, and the next, which was chained to another."""
    log.connection().execute(f"UPDATE events SET hash = {value} WHERE seq = 6")
    assert found(verify(log)) == [(6, "changed"), (7, "changed")]


def test_an_edit_with_its_own_hash_made_anew(log: Database) -> None:
    """Seen at the next event."""
    db = log.connection()
    previous = chain.hash_of(db, 5)
    assert previous
    [(_, event), *_] = events.after(db, 5)
    forged = chain.digest(previous, 6, events._values(happened(99)))
    db.execute("UPDATE events SET at = ?, reason = ?, hash = ? WHERE seq = 6",
               (happened(99).at, happened(99).reason, forged))  # fmt: skip
    assert event != happened(99)
    assert found(verify(log)) == [(7, "changed")]


def test_events_taken_out_of_the_middle(log: Database) -> None:
    """One, several, the first ones."""
    db = log.connection()
    db.execute("DELETE FROM events WHERE seq IN (1, 2, 5, 8, 9)")
    done = verify(log)
    assert found(done) == [(3, "missing"), (6, "missing"), (10, "missing")]
    assert [finding.detail for finding in done.findings] == [
        "events 1 to 2 were taken out from between others",
        "event 5 was taken out from between others",
        "events 8 to 9 were taken out from between others",
    ]


def test_numbers_closed_up_after_a_deletion(log: Database) -> None:
    """The number is in the hash."""
    db = log.connection()
    db.execute("DELETE FROM events WHERE seq = 4")
    for number in range(5, 11):
        db.execute("UPDATE events SET seq = ? WHERE seq = ?", (number - 1, number))
    db.execute("UPDATE sqlite_sequence SET seq = 9")
    assert found(verify(log))[0] == (4, "changed")


def test_events_in_another_order(log: Database) -> None:
    """Two that change places, with their hashes."""
    db = log.connection()
    for old, new in ((3, 99), (4, 3), (99, 4)):
        db.execute("UPDATE events SET seq = ? WHERE seq = ?", (new, old))
    assert found(verify(log)) == [(3, "changed"), (4, "changed"), (5, "changed")]


def test_an_event_put_in_by_hand(log: Database) -> None:
    """At the end: it carries no hash, and one that it made up fits nothing."""
    db = log.connection()
    db.execute("INSERT INTO events (at, event, actor) VALUES (1, 'approved', 'anna')")
    [finding] = verify(log).findings
    assert (finding.event, finding.detail) == (
        11,
        "event 11 carries no hash: it was not recorded by cipsec",
    )
    db.execute("UPDATE events SET hash = zeroblob(32) WHERE seq = 11")
    assert found(verify(log)) == [(11, "changed")]


def test_the_end_taken_out(log: Database) -> None:
    """SQLite's own count tells, as long as nobody thinks of it."""
    db = log.connection()
    db.execute("DELETE FROM events WHERE seq > 8")
    done = verify(log)
    assert found(done) == [(9, "truncated")]
    assert done.findings[0].detail == "events 9 to 10 were taken out at the end"
    record(log, 1)
    done = verify(log)
    assert found(done) == [(11, "missing")]
    assert "before more was recorded" in done.findings[0].detail


# Heads that were written down.


@pytest.fixture
def heads(log: Database) -> list[Head]:
    """The heads that the log had after each event."""
    db = log.connection()
    rows = db.execute("SELECT seq, hash FROM events ORDER BY seq").fetchall()
    return [Head(0, chain.START), *(Head(*row) for row in rows)]


def test_heads_of_this_log(log: Database, heads: list[Head]) -> None:
    """Whenever they were written down, and often."""
    done = verify(log, [*heads, *heads])
    assert done.intact
    assert done.heads == len(heads)


def test_only_a_head_finds_an_end_that_was_taken_out_with_care(
    log: Database, heads: list[Head]
) -> None:
    """The whole chain fits: what a chain cannot prove."""
    db = log.connection()
    db.execute("DELETE FROM events WHERE seq > 8")
    db.execute("UPDATE sqlite_sequence SET seq = 8")
    assert verify(log).intact
    assert verify(log, heads[:9]).intact
    done = verify(log, heads)
    assert found(done) == [(9, "head"), (10, "head")]
    assert "the log ends with event 8" in done.findings[0].detail


def test_only_a_head_finds_a_log_that_was_rewritten(log: Database, heads: list[Head]) -> None:
    """All hashes from the edit on are made anew."""
    log.connection().execute("UPDATE events SET reason = 'nothing to see' WHERE seq = 6")
    rewrite(log, 6)
    assert verify(log).intact
    assert verify(log, heads[:6]).intact
    assert found(verify(log, heads[5:7])) == [(6, "head")]
    assert found(verify(log, [heads[-1]])) == [(10, "head")]


def test_two_heads_for_one_event(log: Database, heads: list[Head]) -> None:
    """One of them is of another log."""
    other = Head(4, b"\7" * 32)
    assert found(verify(log, [heads[4], other])) == [(4, "head")]


def test_a_head_of_a_number_that_is_missing(log: Database, heads: list[Head]) -> None:
    """It is told once that the event is missing."""
    log.connection().execute("DELETE FROM events WHERE seq = 4")
    assert found(verify(log, [heads[4]])) == [(5, "missing")]


# Bounds.


def test_a_head_of_before_the_first_event(log: Database) -> None:
    """There is one, of every log; another number 0 is no head of any."""
    assert verify(log, [Head(0, chain.START)]).intact
    assert found(verify(log, [Head(0, b"\xff" * 32)])) == [(0, "head")]


def test_a_log_that_is_wrong_throughout(store: Database) -> None:
    """The first of what was found, and how much there was."""
    record(store, 100)
    store.connection().execute("UPDATE events SET at = 1")
    done = verify(store)
    assert (done.wrong, len(done.findings), done.findings[0].event) == (100, 20, 1)


def test_events_that_are_recorded_meanwhile(log: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    """They are walked too, and nothing is taken for a gap."""
    step, more = verification._Walk.step, iter(range(11, 40))

    def slowly(walk: verification._Walk, *values: object) -> None:
        step(walk, *values)  # type: ignore[arg-type]  # handed on
        if (number := next(more, None)) is not None:
            record(log, 1, first=number)

    monkeypatch.setattr(verification._Walk, "step", slowly)
    done = verify(log)
    assert done.intact
    assert done.events == 39


def _append_many(log: Database, count: int) -> None:
    def work(db: sqlite3.Connection) -> None:
        for number in range(count):
            events.append(db, happened(number))

    log.write(work)


def test_memory_is_bounded(store: Database) -> None:
    """A hundred thousand events need no more than their page of them."""
    _append_many(store, 100_000)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    assert verify(store).events == 100_000
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 20_000  # KiB
