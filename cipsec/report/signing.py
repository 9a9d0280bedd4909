"""Reports signed for the CA: by a key that lives for one signature, with a certificate of the CA.

The CA's own key signs certificates and revocation lists only, as its key usage says. What signs a
report is made for it, certified, used once and forgotten, so that its certificate may be valid for
as long as people keep the report.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from cipsec.ca import profile, provisioning
from cipsec.ca.authority import Authority
from cipsec.pki import cms, csr, keys, names
from cipsec.ra.policy import BY_HAND
from cipsec.store import certificates, events
from cipsec.store.certificates import CertificateRow
from cipsec.store.codes import Code
from cipsec.store.events import Event

_MARK = "report"


@dataclass(frozen=True, slots=True)
class Signed:
    """A signature over a report, in DER, and the row of the certificate that made it.

    Nobody may have it until the row is recorded.
    """

    signature: bytes
    row: CertificateRow
    sha256: str


def sign(
    sha256: bytes,
    authority: Authority,
    *,
    by: str,
    now: datetime,
    chain: Sequence[x509.Certificate],
) -> Signed:
    """Return the signature of a report with this hash; raise LocalState when the CA has expired.

    `chain` are the CA's certificates, which go along.
    """
    key = keys.generate(keys.KeyType.EC_P256)
    name = provisioning.marked(authority.certificate.subject, _MARK)
    request = csr.parse(csr.build(key, name).public_bytes(Encoding.DER))
    life = authority.certificate.not_valid_after_utc - now.replace(microsecond=0)
    issued = authority.issue(request, profile.report(life), now=now)
    certificate = x509.load_der_x509_certificate(issued.der)
    row = CertificateRow(
        serial=issued.serial,
        enrollment="",  # no request by EST is answered with it
        kind=profile.REPORT,
        subject=names.show_name(request.subject),
        device=None,
        mac=None,
        not_before=int(issued.not_before.timestamp()),
        not_after=int(issued.not_after.timestamp()),
        issued_at=int(now.timestamp()),
        rule=BY_HAND,
        reason=f"signs the report {sha256.hex()} for {by}",
        proved="nothing",
        der=issued.der,
    )
    signature = cms.sign(sha256, certificate, key, now=now, chain=chain)
    return Signed(signature, row, sha256.hex())


def keep(db: sqlite3.Connection, signed: Signed, *, by: str) -> None:
    """Record certificate and event, inside the caller's transaction."""
    row = signed.row
    certificates.insert(db, row)
    event = Event(
        at=row.issued_at,
        event=Code.REPORT_SIGNED,
        actor=by,
        serial=row.serial,
        subject=row.subject,
        rule=row.rule,
        reason=f"report with SHA-256 {signed.sha256}",
    )
    events.append(db, event)
