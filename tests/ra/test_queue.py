"""What administrators decide: found by id, decided once, said who was first."""

from __future__ import annotations

import dataclasses
import sqlite3
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from cipsec.errors import NotFound, UsageError
from cipsec.ra import queue
from cipsec.ra.queue import Decided
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


def waits(db: sqlite3.Connection, identifier: str = "ab" * 32) -> RequestRow:
    """Put a request into the queue."""
    row = rows.request(identifier)
    requests.insert(db, row)
    return row


def decide(
    db: sqlite3.Connection,
    identifier: str,
    state: State,
    *,
    by: str = "anna",
    note: str | None = None,
    again: bool = False,
) -> Decided:
    """Decide as a command does: found and decided in one go."""
    row = queue.find(db, identifier)
    return queue.decide(db, row, state, by=by, now=NOW, note=note, again=again)


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
    assert (event.event, event.actor, event.request) == (state, "anna", row.id)
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
