"""What the server would say to a request that nobody sent: `judge` on assumed facts; no change."""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass
from datetime import datetime

from cryptography import x509

from cipsec.pki.csr import CertificateRequest
from cipsec.ra.config import Config
from cipsec.ra.enrollment import Enrollment
from cipsec.ra.evidence import OwnAnchor
from cipsec.ra.judge import judge, refusal
from cipsec.ra.policy import Decision
from cipsec.store import certificates, requests, users


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
    """The decision, and the request in the queue that it would meet, with its state, if any."""

    decision: Decision
    request: str | None = None
    state: str | None = None


def foresee(
    db: sqlite3.Connection,
    hypothesis: Hypothesis,
    *,
    ca: x509.Certificate,
    config: Config,
    own_names: frozenset[str],
    now: datetime,
) -> Foreseen:
    """Return what the server would say; the label and the login come before any rule, as there."""
    if hypothesis.label and hypothesis.label not in config.server.labels:
        return Foreseen(refusal(f"the label {hypothesis.label} is not known here"))
    if hypothesis.user is not None and users.by_name(db, hypothesis.user) is None:
        return Foreseen(refusal(f"there is no user {hypothesis.user}: the login is refused"))
    anchor = OwnAnchor(ca, lambda serial: certificates.by_serial(db, serial))
    case = judge(
        hypothesis.enrollment(),
        user=hypothesis.user,
        config=config,
        anchor=anchor,
        own_names=own_names,
        now=now,
    )
    row = requests.by_id(db, case.id)
    return Foreseen(case.decision, case.id, row.state if row else None)
