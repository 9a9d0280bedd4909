"""The queue of requests that wait for an administrator: found by id, decided once."""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass
from datetime import datetime

from cipsec.errors import NotFound, UsageError
from cipsec.store import events, requests
from cipsec.store.codes import Code
from cipsec.store.requests import RequestRow, State
from cipsec.times import from_seconds, show_time

_SHORTEST_PREFIX = 8

_VERBS = {State.APPROVED: Code.APPROVED, State.REJECTED: Code.REJECTED}


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


@dataclass(frozen=True, slots=True)
class Verdict:
    """What an administrator decides: approved or rejected, by whom, with which note.

    `predecessor` says what becomes of the certificate that the request would replace: True revokes
    it with the grant, False leaves it in force, None has not thought of it. `again` overrules what
    was decided before.
    """

    state: State
    by: str
    note: str | None = None
    predecessor: bool | None = None
    again: bool = False

    @property
    def reason(self) -> str:
        """Return the reason as the record has it."""
        return self.note or f"{_VERBS[self.state]} by {self.by}"


def decide(db: sqlite3.Connection, row: RequestRow, verdict: Verdict, now: datetime) -> Decided:
    """Record an administrator's decision and its event, inside the caller's transaction.

    A request that was decided before keeps its decision, unless `again` is set; one whose
    certificate was issued keeps it in any case. One that needs several administrators goes on
    waiting until the last of them agrees.
    """
    standing = settled(row, verdict)
    if standing is not None:
        return standing
    if verdict.state is State.APPROVED and row.approvals > 1:
        missing = _agree(db, row, verdict, now)
        if missing is not None:
            return missing
    return _decide(db, row, verdict, now)


def _decide(db: sqlite3.Connection, row: RequestRow, verdict: Verdict, now: datetime) -> Decided:
    agreed = requests.approvals(db, row.id)
    by = ", ".join(approval.by for approval in agreed) or verdict.by
    if verdict.state is State.REJECTED:
        requests.disagree(db, row.id)
        by = verdict.by
    at = int(now.timestamp())
    revokes = verdict.state is State.APPROVED and bool(row.replaces and verdict.predecessor)
    requests.decide(db, row.id, verdict.state, by=by, at=at, note=verdict.note, revokes=revokes)
    reason = verdict.reason
    if revokes:
        reason += f"; revokes certificate {_listed(row)} with the grant"
    events.append(db, _event(row, _VERBS[verdict.state], verdict.by, reason, at))
    return Decided(row.id, verdict.state, changed=True, reason=reason)


def _listed(row: RequestRow) -> str:
    return ", ".join((row.replaces or "").split())


def _agree(
    db: sqlite3.Connection, row: RequestRow, verdict: Verdict, now: datetime
) -> Decided | None:
    """Record that one of several administrators agrees; None when he was the last.

    All have to agree to the same: who would revoke and who would keep do not.
    """
    before = requests.approvals(db, row.id)
    if any(approval.by == verdict.by for approval in before):
        reason = f"{verdict.by} agrees already; another administrator has to"
        return Decided(row.id, row.state, changed=False, reason=reason)
    other = next((a for a in before if a.revokes is not verdict.predecessor), None)
    if other is not None and row.replaces:
        said = "--replace" if other.revokes else "--keep"
        reason = f"{other.by} agrees with {said}: say the same, or reject it"
        return Decided(row.id, row.state, changed=False, reason=reason)
    at = int(now.timestamp())
    requests.approve(
        db, row.id, requests.Approval(verdict.by, at, verdict.note, verdict.predecessor)
    )
    count = len(before) + 1
    if count >= row.approvals:
        return None
    if row.state != State.PENDING:  # rejected before, and one who overrules is not enough
        requests.decide(db, row.id, State.PENDING, by=None, at=None, note=None)
    reason = f"{verdict.by} agrees: {count} of {row.approvals} administrators"
    events.append(db, _event(row, Code.AGREED, verdict.by, verdict.note or reason, at))
    return Decided(row.id, State.PENDING, changed=True, reason=reason)


def _event(row: RequestRow, what: Code, by: str, reason: str, at: int) -> events.Event:
    return events.Event(
        at=at,
        event=what,
        actor=by,
        request=row.id,
        subject=row.subject,
        device=row.device,
        rule=row.rule,
        reason=reason,
    )


def settled(row: RequestRow, verdict: Verdict) -> Decided | None:
    """Return why nothing is decided: it was before, or the predecessor was not thought of."""
    if row.state == State.GRANTED or (row.state != State.PENDING and not verdict.again):
        return Decided(row.id, row.state, changed=False, reason=_already(row))
    unthought = verdict.predecessor is None and row.replaces is not None
    if verdict.state is State.APPROVED and unthought:
        reason = f"it would replace certificate {_listed(row)}: say --replace or --keep"
        return Decided(row.id, row.state, changed=False, reason=reason)
    return None


def _already(row: RequestRow) -> str:
    if row.state == State.GRANTED:
        return f"already granted: certificate {row.serial}"
    when = show_time(from_seconds(row.decided_at or 0))
    return f"already {row.state} by {row.decided_by} at {when}"
