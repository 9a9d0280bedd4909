"""An operator signs by hand: no rule is asked, what no rule can allow stays refused.

Reading the CSR and writing the certificate out are left to the caller.
"""

from __future__ import annotations

import dataclasses
import hashlib
import sqlite3
from dataclasses import dataclass
from datetime import datetime, timedelta

from cipsec.ca import profile
from cipsec.ca.authority import Authority
from cipsec.errors import LocalState, Rejected
from cipsec.pki.csr import CertificateRequest
from cipsec.ra import objections, record
from cipsec.ra.config import Config
from cipsec.ra.enrollment import Enrollment
from cipsec.ra.evidence import gather
from cipsec.ra.judge import Case
from cipsec.ra.policy import BY_HAND, Decision, Outcome
from cipsec.ra.replacement import known
from cipsec.ra.sources import Sources
from cipsec.store import certificates, events, held
from cipsec.store.certificates import CertificateRow
from cipsec.store.codes import Code
from cipsec.times import show_time

_SIGNED_BY = "signed by "


def signer(reason: str) -> str:
    """Return who signed by hand, from the reason that the record keeps."""
    return reason.removeprefix(_SIGNED_BY).partition(": ")[0]


@dataclass(frozen=True, slots=True)
class Order:
    """What an operator orders: a certificate for `request`, for `validity` from `now` on."""

    request: CertificateRequest
    by: str
    note: str | None
    validity: timedelta
    config: Config
    sources: Sources
    now: datetime

    @property
    def profile(self) -> profile.Profile:
        """Return what the certificate is to hold."""
        config = self.config
        return profile.endpoint(self.validity, config.certificate.backdate, config.crl.url)

    def case(self) -> Case:
        """Return the order as the record keeps it.

        Its id is never that of a request by EST: a device that asks is not answered with it.
        """
        enrollment = Enrollment(
            request=self.request,
            chain=(),
            login=None,
            label="",
            renewal=False,
            address="",
            bindings=tuple,
        )
        evidence = gather(
            enrollment, user=None, rules=self.config.identity, sources=self.sources, now=self.now
        )
        reason = f"{_SIGNED_BY}{self.by}" + (f": {self.note}" if self.note else "")
        decision = Decision(Outcome.GRANT, BY_HAND, reason, ())
        identifier = hashlib.sha256(f"{BY_HAND}:{self.by}\n{evidence.id}".encode()).hexdigest()
        asked = known(evidence, evidence.identity, None)
        return Case(dataclasses.replace(evidence, id=identifier), decision, self.config, asked)


def check(order: Order, own_names: frozenset[str], end_of_ca: datetime) -> None:
    """Raise Rejected for what no endpoint gets, LocalState when the CA itself has expired."""
    objection = objections.to_request(order.request, own_names)
    objection = objection or objections.to_evidence(order.case().evidence)
    if not order.config.renewals.ignore_change:
        objection = objection or objections.to_change(order.request)
    if objection:
        raise Rejected(objection, hint="make another request: cipsec csr create")
    if end_of_ca <= order.now:
        raise LocalState(f"the CA's own certificate expired at {show_time(end_of_ca)}")


def sign(order: Order, authority: Authority, own_names: frozenset[str]) -> CertificateRow:
    """Return a certificate that is signed and not yet recorded; raise as `check` does."""
    check(order, own_names, authority.ends)
    case = order.case()
    issued = authority.issue(
        order.request, order.profile, now=order.now, mac=case.evidence.asked.identity.mac
    )
    return record.certificate_row(case, issued, approved=True)


def keep(db: sqlite3.Connection, order: Order, row: CertificateRow) -> None:
    """Record certificate and event, inside the caller's transaction."""
    certificates.insert(db, row)
    held.insert(db, row.serial, order.case().known.names)
    event = record.event(order.case(), Code.GRANTED, row.reason, actor=order.by, serial=row.serial)
    events.append(db, event)
