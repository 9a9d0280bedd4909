"""What this CA says to one enrollment: evidence, objections, rules; one path for all who ask.

The server answers by it and `policy check` explains by it; acting on it is left to `authority`.
"""

from __future__ import annotations

import dataclasses
import sqlite3
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime

from cipsec.errors import StoreFailed
from cipsec.pki.device import Identity
from cipsec.ra import objections, replacement
from cipsec.ra.config import Config
from cipsec.ra.enrollment import Enrollment, UserProof
from cipsec.ra.evidence import Evidence, gather
from cipsec.ra.notyet import NotYet
from cipsec.ra.policy import ALWAYS, Decision, Outcome
from cipsec.ra.replacement import Known, granted_identity
from cipsec.ra.sources import Sources
from cipsec.store.certificates import CertificateRow

_MOST_WAITS = 64  # lists that change while they are read, programs: then somebody plays games


@dataclass(frozen=True, slots=True)
class Case:
    """One enrollment with all that was found out about it, and what is decided.

    `known` is under which names its holder would be known, `predecessors` are the certificates in
    force that it would replace, newest first.
    """

    evidence: Evidence
    decision: Decision
    config: Config
    known: Known = field(default_factory=Known)
    predecessors: tuple[CertificateRow, ...] = ()

    @property
    def identity(self) -> Identity:
        """Return the device that a certificate would be for."""
        return granted_identity(self.evidence, self.decision.applied)

    @property
    def replaces(self) -> str | None:
        """Return the serial numbers of the predecessors, as the store keeps them."""
        return " ".join(row.serial for row in self.predecessors) or None

    @property
    def approvals(self) -> int:
        """Return how many administrators have to agree."""
        return self.decision.applied.approvals if self.decision.applied else 1

    @property
    def id(self) -> str:
        """Return the enrollment's id."""
        return self.evidence.id

    @property
    def enrollment(self) -> Enrollment:
        """Return what was asked."""
        return self.evidence.enrollment

    @property
    def now(self) -> datetime:
        """Return when it is judged."""
        return self.evidence.now

    @property
    def at(self) -> int:
        """Return the time in seconds since 1970, as the store has it."""
        return int(self.now.timestamp())

    def because(self, reason: str) -> Case:
        """Return the same case with another reason."""
        return dataclasses.replace(self, decision=dataclasses.replace(self.decision, reason=reason))


async def judge(
    enrollment: Enrollment,
    *,
    user: UserProof | None,
    config: Callable[[], Config],
    sources: Sources,
    own_names: frozenset[str],
    now: datetime,
    look: bool = True,
) -> Case:
    """Judge one enrollment; `user` is set once the login is proved.

    Without `look` what the rules grant is not compared with the certificates there are: that is
    left to the transaction.

    Returns as soon as what the rules ask about is there: a long list that is being read, the
    opinion of a program. `own_names` are the EST server's alternative names as `names.show_san`
    writes them. Raises StoreFailed while that cannot be had.
    """
    for _ in range(_MOST_WAITS):
        # Anew after each wait: rules may have changed, certificates been revoked meanwhile.
        rules = config()
        evidence = gather(
            enrollment,
            user=user,
            rules=rules.identity,
            sources=sources,
            now=now,
            renewals=rules.renewals,
        )
        try:
            return _judged(evidence, rules, own_names, look=look)
        except NotYet as wait:
            await wait.ready()
    raise StoreFailed("what the rules ask about changes all the time")


def _judged(evidence: Evidence, config: Config, own_names: frozenset[str], *, look: bool) -> Case:
    decision = _decide(evidence, config, own_names)
    if decision.applied is None or not decision.applied.renews:
        evidence = evidence.unrenewed
    if decision.outcome is Outcome.REJECT:
        return Case(evidence, decision, config)
    identity = granted_identity(evidence, decision.applied)
    asked = replacement.known(evidence, identity, decision.slot)
    case = Case(evidence, decision, config, asked)
    if decision.outcome is Outcome.GRANT and not look:
        return case
    return evidence.sources.database.read(lambda db: compared(db, case))


def compared(db: sqlite3.Connection, case: Case) -> Case:
    """Return the case compared with the certificates that there are."""
    rows = replacement.predecessors(db, case.evidence, case.known)
    decision = replacement.considered(db, case.decision, rows, case.evidence, case.known)
    return dataclasses.replace(case, decision=decision, predecessors=rows)


def _decide(evidence: Evidence, config: Config, own_names: frozenset[str]) -> Decision:
    request = evidence.request
    objection = objections.to_request(request, own_names)
    objection = objection or objections.to_evidence(evidence)
    if not config.renewals.ignore_change:
        objection = objection or objections.to_change(request)
    if config.server.check_binding:
        objection = objection or objections.to_binding(request, evidence.enrollment.bindings)
    if objection:
        return refusal(objection)
    return config.policy.decide(evidence)


def refusal(reason: str) -> Decision:
    """Return a refusal that no rule can change."""
    return Decision(Outcome.REJECT, ALWAYS, reason, ())
