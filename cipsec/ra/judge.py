"""What this CA says to one enrollment: evidence, objections, rules; one path for all who ask.

The server answers by it and `policy check` explains by it; acting on it is left to `authority`.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from datetime import datetime

from cipsec.ra import objections
from cipsec.ra.config import Config
from cipsec.ra.enrollment import Enrollment, enrollment_id
from cipsec.ra.evidence import Evidence, OwnAnchor, gather, presented
from cipsec.ra.policy import ALWAYS, Decision, Outcome


@dataclass(frozen=True, slots=True)
class Case:
    """One enrollment with all that was found out about it, and what is decided."""

    id: str
    enrollment: Enrollment
    evidence: Evidence
    decision: Decision
    config: Config
    now: datetime

    @property
    def at(self) -> int:
        """Return the time in seconds since 1970, as the store has it."""
        return int(self.now.timestamp())

    def because(self, reason: str) -> Case:
        """Return the same case with another reason."""
        return dataclasses.replace(self, decision=dataclasses.replace(self.decision, reason=reason))


def judge(
    enrollment: Enrollment,
    *,
    user: str | None,
    config: Config,
    anchor: OwnAnchor,
    own_names: frozenset[str],
    now: datetime,
) -> Case:
    """Judge one enrollment; `user` is set once the login is proved.

    `own_names` are the EST server's alternative names as `names.show_san` writes them.
    """
    evidence = gather(
        enrollment.request,
        presented(enrollment.chain, anchor, now),
        user=user,
        label=enrollment.label,
        renewal=enrollment.renewal,
    )
    decision = _decide(enrollment, evidence, config, own_names)
    identifier = enrollment_id(enrollment.request, evidence.applicant)
    return Case(identifier, enrollment, evidence, decision, config, now)


def _decide(
    enrollment: Enrollment, evidence: Evidence, config: Config, own_names: frozenset[str]
) -> Decision:
    request = enrollment.request
    objection = objections.to_request(request, own_names)
    objection = objection or objections.to_evidence(request, evidence)
    if config.server.check_binding:
        objection = objection or objections.to_binding(request, enrollment.bindings)
    if objection:
        return refusal(objection)
    return config.policy.decide(evidence)


def refusal(reason: str) -> Decision:
    """Return a refusal that no rule can change."""
    return Decision(Outcome.REJECT, ALWAYS, reason, ())
