"""What the server would say to a request that nobody sent: `judge` on assumed facts; no change."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime

from cipsec.pki.csr import CertificateRequest
from cipsec.ra.config import Config
from cipsec.ra.enrollment import Enrollment, UserProof
from cipsec.ra.granting import rejected
from cipsec.ra.judge import judge, refusal
from cipsec.ra.policy import Decision, Outcome
from cipsec.ra.sources import Sources
from cipsec.ra.users import objection, proof
from cipsec.store import requests, users
from cipsec.store.requests import Standing, State


@dataclass(frozen=True, slots=True)
class Hypothesis:
    """A request as it might arrive: `user` as if with the right password, `chain` as presented."""

    request: CertificateRequest
    chain: tuple[bytes, ...] = ()
    user: str | None = None
    label: str = ""
    renewal: bool = False

    def enrollment(self) -> Enrollment:
        """Return it as the RA would see it: no connection, hence no channel binding that fits."""
        return Enrollment(
            request=self.request,
            chain=self.chain,
            login=None,
            label=self.label,
            renewal=self.renewal,
            address="",
            bindings=tuple,
        )


@dataclass(frozen=True, slots=True)
class Foreseen:
    """The decision, and the request in the queue that it would meet, with its state, if any.

    `replaces` are the serial numbers of the certificates that a grant would replace.
    """

    decision: Decision
    request: str | None = None
    state: str | None = None
    replaces: str | None = None


async def foresee(
    hypothesis: Hypothesis,
    *,
    sources: Sources,
    config: Config,
    own_names: frozenset[str],
    now: datetime,
) -> Foreseen:
    """Return what the server would say; the label and the login come before any rule, as there."""
    if hypothesis.label and hypothesis.label not in config.server.labels:
        return Foreseen(refusal(f"the label {hypothesis.label} is not known here"))
    user = _user(hypothesis, sources, now)
    if isinstance(user, str):
        return Foreseen(refusal(user))
    case = await judge(
        hypothesis.enrollment(),
        user=user,
        config=lambda: config,
        sources=sources,
        own_names=own_names,
        now=now,
    )
    row = sources.database.read(lambda db: requests.standing(db, case.id))
    decision = _standing(case.decision, row)
    return Foreseen(decision, case.id, row.state if row else None, case.replaces)


def _standing(decision: Decision, row: Standing | None) -> Decision:
    """Return what becomes of a grant: what an administrator rejected stays rejected (`granting`).

    Where the rules ask, how the request stands tells what follows.
    """
    if decision.outcome is not Outcome.GRANT or row is None or row.state != State.REJECTED:
        return decision
    return replace(decision, outcome=Outcome.REJECT, reason=rejected(row).reason, told=None)


def _user(hypothesis: Hypothesis, sources: Sources, now: datetime) -> UserProof | str | None:
    """Return what the login would prove, or why it would be refused."""
    name = hypothesis.user
    if name is None:
        return None
    row = sources.database.read(lambda db: users.by_name(db, name))
    if row is None:
        return f"there is no user {name}: the login is refused"
    return objection(row, hypothesis.label, now) or proof(row)
