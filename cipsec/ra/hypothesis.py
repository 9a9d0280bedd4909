"""What the server would say to a request that nobody sent: `judge` on assumed facts; no change."""

from __future__ import annotations

import contextlib
import sqlite3
from dataclasses import dataclass, replace
from datetime import datetime

from cipsec.ca.life import Life
from cipsec.errors import Malformed, StoreFailed
from cipsec.pki import csr
from cipsec.pki.csr import CertificateRequest
from cipsec.ra import granting, polls
from cipsec.ra.answers import Refused
from cipsec.ra.config import Config
from cipsec.ra.enrollment import Enrollment, UserProof
from cipsec.ra.judge import Case, judge, refusal
from cipsec.ra.logins import WRONG
from cipsec.ra.policy import Decision, Outcome
from cipsec.ra.sources import Sources
from cipsec.ra.users import objection, proof
from cipsec.store import requests, users
from cipsec.store.requests import Standing, State


@dataclass(frozen=True, slots=True)
class Hypothesis:
    """A request in DER as it might arrive: `user` as if with the right password.

    `chain` is the certificates that are presented with it, in DER, leaf first.
    """

    der: bytes
    chain: tuple[bytes, ...] = ()
    user: str | None = None
    label: str = ""
    renewal: bool = False

    def enrollment(self, request: CertificateRequest) -> Enrollment:
        """Return it as the RA would see it: no connection, hence no channel binding that fits."""
        return Enrollment(
            request=request,
            chain=self.chain,
            login=None,
            label=self.label,
            renewal=self.renewal,
            address="",
            bindings=tuple,
        )


@dataclass(frozen=True, slots=True)
class Foreseen:
    """What the server would answer, and the request in the queue that it would meet, if any.

    `asks` tells that the rules ask, whatever an administrator has said by now: `state` is that
    request's. `replaces` are the serial numbers of the certificates that a grant would replace.
    """

    decision: Decision
    request: str | None = None
    state: str | None = None
    replaces: str | None = None
    asks: bool = False


async def foresee(
    hypothesis: Hypothesis,
    *,
    sources: Sources,
    config: Config,
    own_names: frozenset[str],
    life: Life,
    now: datetime,
) -> Foreseen:
    """Return what the server would say; label, CSR and login come before any rule, as there.

    Raises LocalState where it would have no answer but that it cannot decide now.
    """
    if hypothesis.label and hypothesis.label not in config.server.labels:
        unknown = refusal(f"the label {hypothesis.label} is not known here")
        return Foreseen(replace(unknown, told="this label is not known here"))
    try:
        asked = csr.parse(hypothesis.der)
    except Malformed as error:
        return Foreseen(refusal(error.message))
    user = _user(hypothesis, sources, now)
    if isinstance(user, Decision):
        return Foreseen(user)
    for _ in range(granting.MOST_TRIES):
        case = await judge(
            hypothesis.enrollment(asked),
            user=user,
            config=lambda: config,
            sources=sources,
            own_names=own_names,
            now=now,
        )
        with contextlib.suppress(granting.Overtaken):
            return _looked_up(sources, case, life)
    raise StoreFailed("others change all the time what it is judged by")


def _looked_up(sources: Sources, case: Case, life: Life) -> Foreseen:
    return sources.database.read(lambda db: _answer(db, case, life))


def _answer(db: sqlite3.Connection, case: Case, life: Life) -> Foreseen:
    """Return what `authority` would do, which writes where this only looks."""
    row = requests.standing(db, case.id)
    asks = case.decision.outcome is Outcome.ASK
    match case.decision.outcome:
        case Outcome.GRANT:
            decision = _granted(db, case, row, life)
        case Outcome.ASK:
            decision = _asked(db, case, row, life)
        case Outcome.REJECT:
            decision = case.decision
    return Foreseen(decision, case.id, row.state if row else None, case.replaces, asks)


def _granted(db: sqlite3.Connection, case: Case, row: Standing | None, life: Life) -> Decision:
    """Return what becomes of a grant: what an administrator rejected stays rejected."""
    answer = granting.answered(db, case, row)
    if isinstance(answer, Refused):
        return _refused(case, answer.reason)
    if answer is None:  # it is a new certificate's turn
        life.require(case.now)
    return case.decision


def _asked(db: sqlite3.Connection, case: Case, row: Standing | None, life: Life) -> Decision:
    """Return what becomes of a request that an administrator decides, or has decided."""
    if row is None:
        polls.require_room(requests.count_pending(db), case.config.server.max_pending)
        return case.decision
    match State(row.state):
        case State.PENDING:
            return case.decision
        case State.REJECTED:
            return _refused(case, granting.rejected(row).reason)
        case State.APPROVED:
            return _approved(db, case, row, life)
        case State.GRANTED:
            return _again(db, case, row)


def _again(db: sqlite3.Connection, case: Case, row: Standing) -> Decision:
    if granting.again(db, case, row) is None:
        return case.decision
    why = f"certificate {row.serial}, which it has, is not due for renewal"
    return replace(case.decision, outcome=Outcome.GRANT, reason=why)


def _approved(db: sqlite3.Connection, case: Case, row: Standing, life: Life) -> Decision:
    if case.decision.undecided or not granting.is_as_shown(case, row):
        return case.decision
    granting.require_uses(db, case)
    life.require(case.now)
    return replace(case.decision, outcome=Outcome.GRANT, reason=granting.approved(row))


def _refused(case: Case, reason: str) -> Decision:
    return replace(case.decision, outcome=Outcome.REJECT, reason=reason, told=None)


def _user(hypothesis: Hypothesis, sources: Sources, now: datetime) -> UserProof | Decision | None:
    """Return what the login would prove, or its refusal."""
    name = hypothesis.user
    if name is None:
        return None
    row = sources.database.read(lambda db: users.by_name(db, name))
    if row is None:
        return replace(refusal(f"there is no user {name}: the login is refused"), told=WRONG)
    why = objection(row, hypothesis.label, now)
    return proof(row) if why is None else refusal(why)
