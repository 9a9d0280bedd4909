"""The TLS client certificate: whose it is, what it proves, and why it proves nothing else.

Its key is proved by TLS; everything else about it is found out here.
"""

from __future__ import annotations

import functools
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from enum import StrEnum

from cryptography import x509

from cipsec.ca.profile import ENDPOINT
from cipsec.errors import Malformed, Untrusted
from cipsec.pki import identity
from cipsec.pki.device import Identity
from cipsec.pki.faults import UNREADABLE
from cipsec.pki.identity import Reading, Rules
from cipsec.pki.issued import directly_issued, is_self_issued
from cipsec.pki.names import show_name, show_serial
from cipsec.pki.search import STRANGER
from cipsec.ra.renewals import Renewals
from cipsec.ra.sources import Sources
from cipsec.ra.vendors.proving import Proof
from cipsec.store.certificates import CertificateRow
from cipsec.store.credentials import CredentialRow

_MAX_DER = 16 * 1024  # of a client certificate: a thousand of them are remembered, parsed


class Issuer(StrEnum):
    """Who signed a client certificate, as far as it and this CA's certificate tell."""

    OURS = "ours"
    ITSELF = "itself"
    OTHER = "other"


@dataclass(frozen=True, slots=True)
class Recognized:
    """A client certificate by itself, whatever the time and the record say of it.

    `subject` is it in words.
    """

    issuer: Issuer
    certificate: x509.Certificate
    subject: str
    reading: Reading
    serial: str
    key: str


@dataclass(frozen=True, slots=True)
class Presented:
    """What a client certificate is, in words, and what it proves.

    At most one of `own` (a serial number), `vendor` and `credential` is set; `not_own`,
    `not_vendor` and `not_provisioning` say why the others are not, and `in_vain` is the one of them
    that people who decide have to know: that it is revoked, over, beyond what its CA may vouch for.
    `broken` says why it could not be told whether a vendor vouches for it. `proved` is the device
    that it proves. `row` is the record of an endpoint's certificate of this CA, good or not; `late`
    tells that it has ended and is taken for a renewal all the same.
    """

    kind: str
    not_own: str
    not_vendor: str
    not_provisioning: str
    certificate: x509.Certificate | None = None
    reading: Reading = field(default_factory=lambda: Reading(Identity(), (), None))
    key: str = "none"
    own: str | None = None
    vendor: Proof | None = None
    credential: CredentialRow | None = None
    in_vain: str | None = None
    broken: str | None = None
    proved: Identity = field(default_factory=Identity)
    row: CertificateRow | None = None
    late: bool = False


def _nothing(kind: str, why: str) -> Presented:
    return Presented(kind, why, why, why)


NOTHING = _nothing("no certificate", "no client certificate was presented")
_UNREADABLE = _nothing("an unreadable certificate", "the client certificate cannot be read")


def look_at(chain: Sequence[bytes], rules: Rules, sources: Sources, now: datetime) -> Presented:
    """Say what the TLS client presented; `chain` is DER, leaf first."""
    if not chain:
        return NOTHING
    if len(chain[0]) > _MAX_DER:
        return _UNREADABLE
    shown = _recognized(chain[0], sources.cas, rules)
    if shown is None:
        return _UNREADABLE
    if shown.issuer is Issuer.OURS:
        return _ours(shown, sources, now)
    if shown.issuer is Issuer.OTHER and _is_provisioning(shown.certificate, sources.provisioning()):
        return _provisioning(shown, sources, now)
    return _foreign(shown, chain, sources, now)


@functools.lru_cache(maxsize=1024)
def _recognized(der: bytes, cas: tuple[x509.Certificate, ...], rules: Rules) -> Recognized | None:
    """Parse a certificate and see who signed it; None where it cannot be read.

    Remembered: a device that polls presents the same one each time.
    """
    try:
        certificate = x509.load_der_x509_certificate(der)
        certificate.issuer  # noqa: B018  # parsed lazily: may fail here
        subject = show_name(certificate.subject)
        reading = identity.of_certificate(certificate, rules)
        serial = show_serial(certificate.serial_number)
    except UNREADABLE:
        return None
    key = f"certificate {hashlib.sha256(der).hexdigest()}"
    return Recognized(_issuer(certificate, cas), certificate, subject, reading, serial, key)


def _issuer(certificate: x509.Certificate, cas: tuple[x509.Certificate, ...]) -> Issuer:
    if any(_issued_by(certificate, ca) for ca in cas):
        return Issuer.OURS
    return Issuer.ITSELF if is_self_issued(certificate) else Issuer.OTHER


@functools.lru_cache(maxsize=256)
def _is_provisioning(certificate: x509.Certificate, issuer: x509.Certificate | None) -> bool:
    return issuer is not None and _issued_by(certificate, issuer)


def _issued_by(certificate: x509.Certificate, issuer: x509.Certificate) -> bool:
    return certificate.issuer == issuer.subject and directly_issued(certificate, issuer)


def _ours(shown: Recognized, sources: Sources, now: datetime) -> Presented:
    row = sources.certificate(shown.serial)
    objection = _objection(row, now)
    why = "the client certificate is of this CA"
    not_own = f"certificate {shown.serial} {objection}"
    return Presented(
        kind=f"certificate {shown.serial} of this CA" + (f" ({objection})" if objection else ""),
        not_own=not_own,
        not_vendor=why,
        not_provisioning=why,
        certificate=shown.certificate,
        reading=shown.reading,
        key=shown.key,
        own=None if objection else shown.serial,
        in_vain=not_own if objection else None,
        proved=Identity() if row is None or objection else _vouched_for(row, shown.reading),
        row=row if row is not None and row.kind == ENDPOINT else None,
    )


def in_grace(shown: Presented, renewals: Renewals, now: datetime) -> Presented:
    """Return what a certificate of this CA is for its renewal: good, though it has just ended."""
    row = shown.row
    if row is None or not renewals.in_grace(row, now):
        return shown
    proved = _vouched_for(row, shown.reading)
    return replace(shown, own=row.serial, late=True, in_vain=None, proved=proved)


def _vouched_for(row: CertificateRow, reading: Reading) -> Identity:
    """Return the device that a certificate of this CA proves: what was proved when it was issued.

    That its holder once said so, and this CA took his word for it, proves nothing elsewhere; nor
    does what is read of it only since the rules that read were changed.
    """
    device, mac = reading.identity.device, reading.identity.mac
    return Identity(
        device if row.device_proved and str(device) == row.device else None,
        mac if row.mac_proved and str(mac) == row.mac else None,
    )


def _objection(row: CertificateRow | None, now: datetime) -> str | None:
    """Return why a certificate that this CA signed proves nothing, if so."""
    if row is None:
        return "is not in this CA's record"
    if row.kind != ENDPOINT:
        return "is not an endpoint's"
    status = row.status(now)
    return None if status == "valid" else f"is {status}"


def _provisioning(shown: Recognized, sources: Sources, now: datetime) -> Presented:
    """Whether it is spent depends on who asks, and is the condition's to tell."""
    row = sources.credential(shown.serial)
    status = row.status(now, spent=0) if row else "not in this CA's record"
    name = f"provisioning certificate {row.name if row else shown.serial}"
    why = "the client certificate is a provisioning certificate"
    not_good = f"the {name} is {status}"
    return Presented(
        kind=name if status == "valid" else f"{name} ({status})",
        not_own=why,
        not_vendor=why,
        not_provisioning=not_good,
        certificate=shown.certificate,
        reading=shown.reading,
        key=shown.key,
        credential=row if status == "valid" else None,
        in_vain=None if status == "valid" else not_good,
    )


def _foreign(
    shown: Recognized, chain: Sequence[bytes], sources: Sources, now: datetime
) -> Presented:
    proof, why, broken = _vouched(shown, chain, sources, now)
    kind = "self-signed" if shown.issuer is Issuer.ITSELF else "issued by an unknown CA"
    not_ours = f"the client certificate is {'issued by a vendor' if proof else kind}"
    return Presented(
        kind=f"certificate by vendor {proof.vendor}"
        if proof
        else f"{kind} certificate of {shown.subject}",
        not_own=not_ours,
        not_vendor=why,
        not_provisioning=not_ours,
        certificate=shown.certificate,
        reading=shown.reading,
        key=shown.key,
        vendor=proof,
        in_vain=None if proof or broken or why == STRANGER else why,
        broken=broken,
        proved=shown.reading.identity if proof else Identity(),
    )


def _vouched(
    shown: Recognized, chain: Sequence[bytes], sources: Sources, now: datetime
) -> tuple[Proof | None, str, str | None]:
    """Return a vendor's proof, else why there is none, and whether that is our own fault."""
    try:
        proof = sources.vendors.verify(chain, now)
    except Untrusted as error:
        return None, error.message, None
    except Malformed as error:
        return None, "the vendors' certificates cannot be used now", error.message
    if not proof.vendor_ids:
        return proof, "", None
    device = shown.reading.identity.device
    if device is None:
        # It may be anybody's: what the rules of [[identity]] cannot read cannot be compared.
        return None, "the client certificate names no Vendor ID that could be compared", None
    if device.vendor not in proof.vendor_ids:
        return None, f"the vendor's CA does not speak for Vendor ID {device.vendor:04X}", None
    return proof, "", None
