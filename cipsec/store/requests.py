"""The enrollments that an administrator is asked about: their rows and their four states.

pending → approved → granted, or pending → rejected; a decision may be changed until it is granted.
"""

from __future__ import annotations

import operator
import sqlite3
from array import array
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, fields
from enum import StrEnum


class State(StrEnum):
    """What became of a request; `granted` once its certificate is recorded."""

    PENDING = "pending"
    APPROVED = "approved"
    REJECTED = "rejected"
    GRANTED = "granted"


@dataclass(frozen=True, slots=True)
class RequestRow:
    """One request; `id` is the hash of key, names and who was authenticated; times since 1970.

    `replaces` are the serial numbers of the certificates that a grant would replace, newest first.
    """

    id: str
    state: str
    subject: str
    sans: str
    device: str | None
    mac: str | None
    proved: str
    claimed: str
    address: str
    label: str
    spki_sha256: str
    rule: str
    reason: str
    first_seen: int
    last_seen: int
    polls: int
    decided_at: int | None
    decided_by: str | None
    note: str | None
    serial: str | None
    csr: bytes
    replaces: str | None = None
    revokes: int = 0
    approvals: int = 1
    reminded_at: int | None = None


@dataclass(frozen=True, slots=True)
class Standing:
    """How a request stands: the columns of its row that a poll needs, and no more."""

    state: str
    address: str
    first_seen: int
    decided_by: str | None
    note: str | None
    serial: str | None
    replaces: str | None
    revokes: int
    approvals: int
    proved: str


@dataclass(frozen=True, slots=True)
class Waiting:
    """What a list shows of a request that waits; texts that an applicant may make long are cut."""

    id: str
    subject: str
    sans: str
    device: str | None
    mac: str | None
    proved: str
    address: str
    label: str
    first_seen: int
    replaces: str | None
    approvals: int


@dataclass(frozen=True, slots=True)
class Poll:
    """That a request was asked about again: gathered in memory and written now and then."""

    id: str
    count: int
    last_seen: int
    address: str


# Not dataclasses.astuple, which copies every value: 10 us a row.
_values = operator.attrgetter(*(field.name for field in fields(RequestRow)))
_COLUMNS = ", ".join(field.name for field in fields(RequestRow))
_MARKS = ", ".join("?" * len(fields(RequestRow)))
_SELECT = f"SELECT {_COLUMNS} FROM requests"  # noqa: S608  # names from the class above


def insert(db: sqlite3.Connection, row: RequestRow) -> None:
    """Record a new request; raise sqlite3.IntegrityError when the id is there."""
    db.execute(f"INSERT INTO requests ({_COLUMNS}) VALUES ({_MARKS})", _values(row))  # noqa: S608  # likewise


def by_id(db: sqlite3.Connection, request: str) -> RequestRow | None:
    """Return the request with this id."""
    row = db.execute(f"{_SELECT} WHERE id = ?", (request,)).fetchone()
    return RequestRow(*row) if row else None


def standing(db: sqlite3.Connection, request: str) -> Standing | None:
    """Return how the request with this id stands; a third of the time of its whole row."""
    row = db.execute(
        "SELECT state, address, first_seen, decided_by, note, serial, replaces, revokes,"
        " approvals, proved FROM requests"
        " WHERE id = ?",
        (request,),
    ).fetchone()
    return Standing(*row) if row else None


def by_prefix(db: sqlite3.Connection, prefix: str) -> list[RequestRow]:
    """Return up to two requests whose id begins so; a second means that the prefix is ambiguous."""
    rows = db.execute(f"{_SELECT} WHERE id >= ? AND id < ? LIMIT 2", (prefix, prefix + "g"))
    return [RequestRow(*row) for row in rows]


def listed(db: sqlite3.Connection, states: Iterable[State]) -> Iterator[RequestRow]:
    """Yield the requests in these states, the longest waiting first."""
    return at(db, places(db, states), states)


def places(db: sqlite3.Connection, states: Iterable[State]) -> array[int]:
    """Return where the requests in these states are, the longest waiting first: 8 bytes each."""
    wanted = list(states)
    marks = ", ".join("?" * len(wanted))
    order = "ORDER BY first_seen, id"
    rows = db.execute(f"SELECT rowid FROM requests WHERE state IN ({marks}) {order}", wanted)  # noqa: S608  # question marks
    return array("q", (row[0] for row in rows))


def at(
    db: sqlite3.Connection, where: Iterable[int], states: Iterable[State]
) -> Iterator[RequestRow]:
    """Yield the requests at these places that are still in one of the states, in this order."""
    wanted = frozenset(states)
    for place in where:
        row = RequestRow(*db.execute(f"{_SELECT} WHERE rowid = ?", (place,)).fetchone())
        if row.state in wanted:
            yield row


def waiting(db: sqlite3.Connection, *, limit: int = -1) -> Iterator[Waiting]:
    """Yield the requests that wait, the longest waiting first, without what makes rows large."""
    rows = db.execute(
        "SELECT id, substr(subject, 1, 500), substr(sans, 1, 500), device, mac,"
        " substr(proved, 1, 500), address, label, first_seen, replaces, approvals FROM requests"
        " WHERE state = ? ORDER BY first_seen, id LIMIT ?",
        (State.PENDING, limit),
    )
    return (Waiting(*row) for row in rows)


def approved_for(db: sqlite3.Connection, device: str) -> list[str]:
    """Return the ids of a device's requests that are approved, and answered at the next poll."""
    rows = db.execute(
        "SELECT id FROM requests WHERE state = ? AND device = ? ORDER BY first_seen, id",
        (State.APPROVED, device),
    )
    return [str(row[0]) for row in rows]


def count_pending(db: sqlite3.Connection) -> int:
    """Return how many requests wait for a decision."""
    return int(db.execute("SELECT count(*) FROM requests WHERE state = 'pending'").fetchone()[0])


def pending_by_address(db: sqlite3.Connection) -> dict[str, int]:
    """Return how many requests wait for a decision, by the address they last came from."""
    rows = db.execute(
        "SELECT address, count(*) FROM requests WHERE state = 'pending' GROUP BY address"
    )
    return dict(tuple(row) for row in rows)


def decide(
    db: sqlite3.Connection,
    request: str,
    state: State,
    *,
    by: str | None,
    at: int | None,
    note: str | None,
    revokes: bool = False,
) -> None:
    """Record an administrator's decision; with `revokes` the grant revokes the predecessor."""
    db.execute(
        "UPDATE requests SET state = ?, decided_by = ?, decided_at = ?, note = ?, revokes = ?"
        " WHERE id = ?",
        (state, by, at, note, int(revokes), request),
    )


@dataclass(frozen=True, slots=True)
class Approval:
    """That one of several administrators agrees; `revokes` is what is to become of predecessors."""

    by: str
    at: int
    note: str | None
    revokes: bool | None


def approve(db: sqlite3.Connection, request: str, approval: Approval) -> None:
    """Record that an administrator agrees, once."""
    db.execute(
        "INSERT INTO approvals (request, by, at, note, revokes) VALUES (?, ?, ?, ?, ?)"
        " ON CONFLICT DO NOTHING",
        (request, approval.by, approval.at, approval.note, approval.revokes),
    )


def approvals(db: sqlite3.Connection, request: str) -> list[Approval]:
    """Return who agrees to a request that needs more than one, in the order of time."""
    rows = db.execute(
        "SELECT by, at, note, revokes FROM approvals WHERE request = ? ORDER BY at, by", (request,)
    )
    return [
        Approval(by, at, note, None if revokes is None else bool(revokes))
        for by, at, note, revokes in rows
    ]


def disagree(db: sqlite3.Connection, request: str) -> None:
    """Forget who agreed."""
    db.execute("DELETE FROM approvals WHERE request = ?", (request,))


def decided(db: sqlite3.Connection, request: str, serial: str) -> str | None:
    """Return who approved the request for which the certificate `serial` was granted, if anybody.

    A certificate carries the id of its request as its `enrollment`.
    """
    row = db.execute(
        "SELECT decided_by FROM requests WHERE id = ? AND serial = ?", (request, serial)
    ).fetchone()
    return row[0] if row else None


def grant(db: sqlite3.Connection, request: str, serial: str) -> None:
    """Record that the certificate `serial` was issued for the request."""
    db.execute("UPDATE requests SET state = 'granted', serial = ? WHERE id = ?", (serial, request))


def reopen(db: sqlite3.Connection, row: RequestRow, state: State) -> bool:
    """Make a request that is in `state` wait again as `row` has it: what was decided is void.

    Returns False when it is in another state by now.
    """
    columns = [field.name for field in fields(RequestRow) if field.name != "id"]
    done = db.execute(
        f"UPDATE requests SET {', '.join(f'{name} = ?' for name in columns)}"  # noqa: S608  # names from the class above
        " WHERE id = ? AND state = ?",
        (*(getattr(row, name) for name in columns), row.id, state),
    )
    if done.rowcount:
        disagree(db, row.id)
    return done.rowcount == 1


def record_polls(db: sqlite3.Connection, polls: Iterable[Poll]) -> None:
    """Add the polls that were gathered to their requests."""
    db.executemany(
        "UPDATE requests SET polls = polls + ?, last_seen = max(last_seen, ?), address = ?"
        " WHERE id = ?",
        [(poll.count, poll.last_seen, poll.address, poll.id) for poll in polls],
    )
