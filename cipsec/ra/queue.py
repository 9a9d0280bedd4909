"""The queue of requests that wait for an administrator: found by id, decided once."""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass
from datetime import UTC, datetime

from cipsec.errors import NotFound, UsageError
from cipsec.store import events, requests
from cipsec.store.requests import RequestRow, State
from cipsec.times import show_time

_SHORTEST_PREFIX = 8

_VERBS = {State.APPROVED: "approved", State.REJECTED: "rejected"}


@dataclass(frozen=True, slots=True)
class Decided:
    """What became of one decision: `changed` is False when it was decided before."""

    id: str
    outcome: str
    changed: bool
    reason: str


def find(db: sqlite3.Connection, text: str) -> RequestRow:
    """Return the request whose id is or begins with `text`; raise NotFound or UsageError.

    Only ids: a name can be given to two requests by whoever sends them.
    """
    if len(text) < _SHORTEST_PREFIX or not set(text.lower()) <= set("0123456789abcdef"):
        raise UsageError(
            f"{text!r} is not a request's id",
            hint=f"give {_SHORTEST_PREFIX} or more of its digits, from: cipsec ca pending",
        )
    found = requests.by_prefix(db, text.lower())
    if not found:
        raise NotFound(f"there is no request {text}", hint="list them with: cipsec ca pending")
    if len(found) > 1:
        raise UsageError(f"{text} begins more than one id", hint="give more digits")
    return found[0]


def matching(db: sqlite3.Connection, text: str) -> list[RequestRow]:
    """Return the pending requests in which `text` occurs: subject, names, device, address."""
    wanted = text.casefold()
    return [
        row
        for row in requests.listed(db, [State.PENDING])
        if any(wanted in (field or "").casefold() for field in _searched(row))
    ]


def _searched(row: RequestRow) -> tuple[str | None, ...]:
    return row.subject, row.sans, row.device, row.mac, row.address, row.label, row.proved


def decide(
    db: sqlite3.Connection,
    row: RequestRow,
    state: State,
    *,
    by: str,
    now: datetime,
    note: str | None,
    again: bool = False,
) -> Decided:
    """Record an administrator's decision and its event, inside the caller's transaction.

    A request that was decided before keeps its decision, unless `again` is set; one whose
    certificate was issued keeps it in any case.
    """
    standing = settled(row, again=again)
    if standing is not None:
        return standing
    at = int(now.timestamp())
    requests.decide(db, row.id, state, by=by, at=at, note=note)
    events.append(
        db,
        events.Event(
            at=at,
            event=_VERBS[state],
            actor=by,
            request=row.id,
            subject=row.subject,
            device=row.device,
            rule=row.rule,
            reason=note or f"{_VERBS[state]} by {by}",
        ),
    )
    return Decided(row.id, state, changed=True, reason=note or f"{_VERBS[state]} by {by}")


def settled(row: RequestRow, *, again: bool = False) -> Decided | None:
    """Return the decision that stands and would be kept; None when one can be made."""
    if row.state == State.GRANTED or (row.state != State.PENDING and not again):
        return Decided(row.id, row.state, changed=False, reason=_already(row))
    return None


def _already(row: RequestRow) -> str:
    if row.state == State.GRANTED:
        return f"already granted: certificate {row.serial}"
    when = show_time(datetime.fromtimestamp(row.decided_at or 0, UTC))
    return f"already {row.state} by {row.decided_by} at {when}"
