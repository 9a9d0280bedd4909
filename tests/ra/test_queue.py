"""What administrators decide: found by id, decided once, said who was first."""

from __future__ import annotations

import dataclasses
import sqlite3
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path

import pytest

from cipsec.errors import NotFound, UsageError
from cipsec.ra import queue
from cipsec.ra.queue import Decided, Verdict
from cipsec.store import events, requests
from cipsec.store.database import Database
from cipsec.store.requests import RequestRow, State
from tests.store import rows

NOW = datetime(2026, 11, 23, 5, 0, tzinfo=UTC)


@pytest.fixture
def db(tmp_path: Path) -> Iterator[sqlite3.Connection]:
    """The connection of an empty store."""
    database = Database.create(tmp_path / "store.sqlite3")
    yield database.connection()
    database.close()


def waits(
    db: sqlite3.Connection,
    identifier: str = "ab" * 32,
    *,
    approvals: int = 1,
    replaces: str | None = None,
) -> RequestRow:
    """Put a request into the queue."""
    row = dataclasses.replace(rows.request(identifier), approvals=approvals, replaces=replaces)
    requests.insert(db, row)
    return row


def decide(
    db: sqlite3.Connection,
    identifier: str,
    state: State,
    *,
    by: str = "anna",
    note: str | None = None,
    predecessor: bool | None = None,
    again: bool = False,
) -> Decided:
    """Decide as a command does: found and decided in one go."""
    row = queue.find(db, identifier)
    return queue.decide(db, row, Verdict(state, by, note, predecessor, again), NOW)


def standing(db: sqlite3.Connection, identifier: str) -> RequestRow:
    """Return a request as it is now."""
    row = requests.by_id(db, identifier)
    assert row
    return row


def happened(db: sqlite3.Connection) -> list[tuple[str, str]]:
    """Return what happened, and by whom."""
    return [(event.event, event.actor) for _, event in events.after(db, 0)]


def test_requests_are_found_by_eight_digits(db: sqlite3.Connection) -> None:
    """The whole id, or its beginning in either case, as long as it is one request's."""
    one, other = waits(db, "abcdef01" + "0" * 56), waits(db, "abcdef02" + "0" * 56)
    for text in (one.id, one.id[:8], one.id[:20].upper()):
        assert queue.find(db, text) == one
    assert queue.find(db, "ABCDEF02") == other
    third = waits(db, "abcdef01" + "1" * 56)
    with pytest.raises(UsageError, match="abcdef01 begins more than one id"):
        queue.find(db, "abcdef01")
    assert queue.find(db, "abcdef011") == third


@pytest.mark.parametrize("text", ["", "abcdef0", "Drive 7", "abcdefgh", "abcdef01%", "'; --"])
def test_only_ids_are_ids(text: str, db: sqlite3.Connection) -> None:
    """A name, which two requests may have, is no id; nor is what is too short."""
    waits(db)
    with pytest.raises(UsageError, match="is not a request's id") as raised:
        queue.find(db, text)
    assert raised.value.hint
    assert "cipsec ca pending" in raised.value.hint


def test_what_is_not_there_is_not_found(db: sqlite3.Connection) -> None:
    """An id that nobody has."""
    waits(db)
    with pytest.raises(NotFound, match="there is no request 12345678"):
        queue.find(db, "12345678")


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("drive 7", True),
        ("DRIVE", True),
        ("6040c8f2", True),
        ("192.0.2", True),
        ("drive-7.plant", True),
        ("line-3", True),
        ("nothing", True),
        ("Drive 8", False),
        ("everyone else", False),
        ("%", False),
        ("_", False),
    ],
)
def test_matching(text: str, found: bool, db: sqlite3.Connection) -> None:
    """Pending requests are found by what is shown of them, as plain text and in any case."""
    row = dataclasses.replace(rows.request(), sans='["dns:drive-7.plant"]', label="line-3")
    requests.insert(db, row)
    decided = dataclasses.replace(row, id="cd" * 32, state=State.REJECTED)
    requests.insert(db, decided)
    assert queue.matching(db, text) == ([row] if found else [])


@pytest.mark.parametrize("state", [State.APPROVED, State.REJECTED])
@pytest.mark.parametrize("note", [None, "tag 7 is in place"])
def test_a_decision(state: State, note: str | None, db: sqlite3.Connection) -> None:
    """Who, when and why are in the record, with an event."""
    row = waits(db)
    reason = note or f"{state} by anna"
    decided = decide(db, row.id, state, note=note)
    assert decided == Decided(row.id, state, changed=True, reason=reason)
    stored = requests.by_id(db, row.id)
    assert stored == dataclasses.replace(
        row, state=state, decided_by="anna", decided_at=int(NOW.timestamp()), note=note
    )
    [(_, event)] = events.after(db, 0)
    assert (str(event.event), event.actor, event.request) == (state, "anna", row.id)
    assert (event.reason, event.subject, event.device) == (reason, row.subject, row.device)


@pytest.mark.parametrize("first", [State.APPROVED, State.REJECTED])
@pytest.mark.parametrize("second", [State.APPROVED, State.REJECTED])
def test_the_second_administrator_reads_who_was_first(
    first: State, second: State, db: sqlite3.Connection
) -> None:
    """A decision stands, whether the second would decide the same or not; nothing is recorded."""
    row = waits(db)
    decide(db, row.id, first)
    late = decide(db, row.id, second, by="berta", note="no")
    said = f"already {first} by anna at 2026-11-23T05:00:00Z"
    assert late == Decided(row.id, first, changed=False, reason=said)
    assert len(list(events.after(db, 0))) == 1


def test_a_decision_can_be_changed_until_it_is_granted(db: sqlite3.Connection) -> None:
    """On purpose only; the certificate, once issued, is there."""
    row = waits(db)
    decide(db, row.id, State.REJECTED)
    changed = decide(db, row.id, State.APPROVED, by="berta", again=True)
    assert changed.changed
    requests.grant(db, row.id, "01a2")
    for again in (False, True):
        late = decide(db, row.id, State.REJECTED, again=again)
        said = "already granted: certificate 01a2"
        assert late == Decided(row.id, State.GRANTED, changed=False, reason=said)
    assert [event.event for _, event in events.after(db, 0)] == ["rejected", "approved"]


# What becomes of a predecessor.


def test_a_replacement_is_not_approved_without_a_thought(db: sqlite3.Connection) -> None:
    """Whoever approves says what becomes of the old certificate; rejecting needs no thought."""
    row = waits(db, replaces="01a2")
    unthought = decide(db, row.id, State.APPROVED)
    said = "it would replace certificate 01a2: say --replace or --keep"
    assert unthought == Decided(row.id, State.PENDING, changed=False, reason=said)
    assert happened(db) == []
    assert decide(db, row.id, State.REJECTED).changed


@pytest.mark.parametrize("predecessor", [True, False])
def test_what_becomes_of_the_predecessor_is_recorded(
    predecessor: bool, db: sqlite3.Connection
) -> None:
    """With the decision, and in its event."""
    row = waits(db, replaces="01a2")
    decided = decide(db, row.id, State.APPROVED, note="tag 7", predecessor=predecessor)
    reason = "tag 7; revokes certificate 01a2 with the grant" if predecessor else "tag 7"
    assert decided.reason == reason
    stored = standing(db, row.id)
    assert (stored.state, stored.revokes) == (State.APPROVED, int(predecessor))
    [(_, event)] = events.after(db, 0)
    assert event.reason == reason


def test_nothing_is_revoked_where_nothing_is_replaced(db: sqlite3.Connection) -> None:
    """Nor by a rejection, nor by what was approved and then rejected."""
    plain = waits(db, "aa" * 32)
    assert decide(db, plain.id, State.APPROVED, predecessor=True).reason == "approved by anna"
    assert standing(db, plain.id).revokes == 0
    row = waits(db, "bb" * 32, replaces="01a2")
    decide(db, row.id, State.APPROVED, predecessor=True)
    decide(db, row.id, State.REJECTED, predecessor=True, again=True)
    assert standing(db, row.id).revokes == 0


# Where more than one has to agree.


def test_two_administrators(db: sqlite3.Connection) -> None:
    """The first agrees and it goes on waiting; the second approves; both are named."""
    row = waits(db, approvals=2)
    first = decide(db, row.id, State.APPROVED, note="seen")
    said = "anna agrees: 1 of 2 administrators"
    assert first == Decided(row.id, State.PENDING, changed=True, reason=said)
    assert standing(db, row.id).state == State.PENDING
    second = decide(db, row.id, State.APPROVED, by="berta")
    assert second == Decided(row.id, State.APPROVED, changed=True, reason="approved by berta")
    assert standing(db, row.id).decided_by == "anna, berta"
    assert happened(db) == [("agreed", "anna"), ("approved", "berta")]


def test_nobody_is_two_administrators(db: sqlite3.Connection) -> None:
    """Approving twice is approving once, and is said; nothing is recorded."""
    row = waits(db, approvals=2)
    decide(db, row.id, State.APPROVED)
    for again in (False, True):
        twice = decide(db, row.id, State.APPROVED, again=again)
        said = "anna agrees already; another administrator has to"
        assert twice == Decided(row.id, State.PENDING, changed=False, reason=said)
    assert happened(db) == [("agreed", "anna")]


def test_one_is_enough_to_reject(db: sqlite3.Connection) -> None:
    """And who agreed before has to agree again, if it is to be overruled."""
    row = waits(db, approvals=2)
    decide(db, row.id, State.APPROVED)
    rejected = decide(db, row.id, State.REJECTED, by="berta", note="no")
    assert (rejected.outcome, rejected.changed) == (State.REJECTED, True)
    assert standing(db, row.id).decided_by == "berta"
    assert requests.approvals(db, row.id) == []
    late = decide(db, row.id, State.APPROVED)
    assert (late.outcome, late.changed) == (State.REJECTED, False)


def test_a_rejection_is_overruled_by_two(db: sqlite3.Connection) -> None:
    """The first of them only opens the question again."""
    row = waits(db, approvals=2)
    decide(db, row.id, State.REJECTED)
    first = decide(db, row.id, State.APPROVED, again=True)
    assert (first.outcome, first.changed) == (State.PENDING, True)
    stored = standing(db, row.id)
    assert (stored.state, stored.decided_by, stored.note) == (State.PENDING, None, None)
    second = decide(db, row.id, State.APPROVED, by="berta")
    assert second.outcome == State.APPROVED
    assert happened(db) == [
        ("rejected", "anna"), ("agreed", "anna"), ("approved", "berta"),
    ]  # fmt: skip


def test_three_administrators(db: sqlite3.Connection) -> None:
    """Each counts once, in the order in which they agreed."""
    row = waits(db, approvals=3)
    outcomes = [
        decide(db, row.id, State.APPROVED, by=by).outcome
        for by in ("carla", "carla", "anna", "berta")
    ]
    assert outcomes == [State.PENDING, State.PENDING, State.PENDING, State.APPROVED]
    assert set((standing(db, row.id).decided_by or "").split(", ")) == {"anna", "berta", "carla"}


def test_each_of_two_thinks_of_the_predecessor(db: sqlite3.Connection) -> None:
    """Neither of them agrees to a replacement without saying what becomes of the old one."""
    row = waits(db, approvals=2, replaces="01a2")
    assert not decide(db, row.id, State.APPROVED).changed
    assert decide(db, row.id, State.APPROVED, predecessor=True).changed
    assert not decide(db, row.id, State.APPROVED, by="berta").changed
    assert decide(db, row.id, State.APPROVED, by="berta", predecessor=True).changed
    assert standing(db, row.id).revokes == 1


@pytest.mark.parametrize(("first", "flag"), [(True, "--replace"), (False, "--keep")])
def test_two_agree_to_the_same(first: bool, flag: str, db: sqlite3.Connection) -> None:
    """Who would revoke and who would keep do not agree; a rejection clears the table."""
    row = waits(db, approvals=2, replaces="01a2 01a1")
    decide(db, row.id, State.APPROVED, predecessor=first)
    before = happened(db)
    other = decide(db, row.id, State.APPROVED, by="berta", predecessor=not first)
    assert (other.changed, other.outcome) == (False, State.PENDING)
    assert other.reason == f"anna agrees with {flag}: say the same, or reject it"
    assert happened(db) == before
    assert [(a.by, a.revokes) for a in requests.approvals(db, row.id)] == [("anna", first)]
    decide(db, row.id, State.REJECTED, by="berta")
    for by in ("berta", "carla"):
        assert decide(db, row.id, State.APPROVED, by=by, predecessor=not first, again=True).changed
    found = standing(db, row.id)
    assert (found.state, found.revokes) == (State.APPROVED, int(not first))


def test_where_nothing_is_replaced_the_flag_does_not_matter(db: sqlite3.Connection) -> None:
    """One gave it out of habit, the other did not."""
    row = waits(db, approvals=2)
    decide(db, row.id, State.APPROVED, predecessor=True)
    assert decide(db, row.id, State.APPROVED, by="berta").changed
    assert (standing(db, row.id).state, standing(db, row.id).revokes) == (State.APPROVED, 0)


def test_all_that_would_be_replaced_is_named(db: sqlite3.Connection) -> None:
    """Where somebody did not think of it, and where it is to be revoked."""
    row = waits(db, replaces="01a2 01a1")
    unthought = decide(db, row.id, State.APPROVED)
    assert unthought.reason == ("it would replace certificate 01a2, 01a1: say --replace or --keep")
    decided = decide(db, row.id, State.APPROVED, predecessor=True)
    assert decided.reason == "approved by anna; revokes certificate 01a2, 01a1 with the grant"


def test_administrators_at_once(tmp_path: Path) -> None:
    """Fifty who approve one request that needs two: exactly one of them was the last."""
    database = Database.create(tmp_path / "many.sqlite3")
    row = dataclasses.replace(rows.request(), approvals=2)
    database.write(lambda db: requests.insert(db, row))

    def approve(number: int) -> str:
        verdict = Verdict(State.APPROVED, f"admin {number}")
        decided = database.write(lambda db: queue.decide(db, queue.find(db, row.id), verdict, NOW))
        return decided.outcome

    with ThreadPoolExecutor(8) as pool:
        outcomes = list(pool.map(approve, range(50)))
    assert outcomes.count(State.PENDING) == 1
    stored = database.read(lambda db: requests.by_id(db, row.id))
    assert stored
    assert stored.decided_by
    assert len(stored.decided_by.split(", ")) == 2
    recorded = [e.event for _, e in database.read(lambda db: list(events.after(db, 0)))]
    assert recorded == ["agreed", "approved"]
    database.close()
