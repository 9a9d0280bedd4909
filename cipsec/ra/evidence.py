"""What an applicant proved, and what is only claimed: cryptography, no judgement.

A CSR and a self-signed certificate claim an identity; a certificate of this CA or a password proves
one. Rules (`policy`) see this value and nothing else of the applicant.
"""

from __future__ import annotations

import dataclasses
import functools
import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from cryptography import x509

from cipsec.ca.profile import ENDPOINT, kept
from cipsec.pki.chain import directly_issued, is_self_issued
from cipsec.pki.csr import CertificateRequest
from cipsec.pki.device import SUBJECT_DIRECTORY_ATTRIBUTES, Identity, identity_of
from cipsec.pki.faults import UNREADABLE
from cipsec.pki.names import same_name, same_sans, sans_of, show_name, show_serial
from cipsec.store.certificates import CertificateRow

_MAX_DER = 16 * 1024  # of a client certificate: a thousand of them are remembered, parsed


@dataclass(frozen=True, slots=True)
class OwnCertificate:
    """A valid certificate of this CA, its key proved by TLS; `same_names` as the CSR asks for."""

    serial: str
    same_names: bool


@dataclass(frozen=True, slots=True)
class Presented:
    """The TLS client certificate in words: what it is, and why it is no certificate of ours."""

    kind: str
    not_own: str
    certificate: x509.Certificate | None = None
    identity: Identity = field(default_factory=Identity)
    own_serial: str | None = None
    key: str = "none"


@dataclass(frozen=True, slots=True)
class Evidence:
    """Everything a rule may look at.

    `applicant` names who was authenticated, for the enrollment's id; `proved` and `claimed` are in
    words, for people; `identity` is the device that CSR and certificate speak of.
    """

    own: OwnCertificate | None
    user: str | None
    presented: Presented
    identity: Identity
    label: str
    renewal: bool

    @property
    def applicant(self) -> str:
        """Return who was authenticated, as part of the enrollment's id."""
        user = f"user:{self.user}" if self.user is not None else "no user"
        return f"{user}\n{self.presented.key}"

    @property
    def proved(self) -> str:
        """Return what is proved, in words; `nothing` where nothing is."""
        own = [f"certificate {self.own.serial} of this CA"] if self.own else []
        user = [f"user {self.user}"] if self.user is not None else []
        return ", ".join(own + user) or "nothing"

    @property
    def claimed(self) -> str:
        """Return what is only claimed, in words."""
        certificate = [] if self.own or not self.presented.certificate else [self.presented.kind]
        device = [f"device {self.identity}"] if self.identity else []
        return ", ".join(device + certificate) or "nothing"


NOTHING = Presented("no certificate", "no client certificate was presented")
_UNREADABLE = Presented("an unreadable certificate", "the client certificate cannot be read")


@dataclass(frozen=True, slots=True)
class OwnAnchor:
    """This CA as the judge of its own certificates: `recorded` looks a serial number up."""

    certificate: x509.Certificate
    recorded: Callable[[str], CertificateRow | None]


def presented(chain: Sequence[bytes], anchor: OwnAnchor, now: datetime) -> Presented:
    """Say what the TLS client presented; `chain` is DER, leaf first, its key proved by TLS."""
    if not chain:
        return NOTHING
    shown = _recognized(chain[0], anchor.certificate) if len(chain[0]) <= _MAX_DER else _UNREADABLE
    if shown.own_serial is None:
        return shown
    objection = _objection(shown.own_serial, anchor, now)
    if objection is None:
        return shown
    return dataclasses.replace(
        shown,
        kind=f"{shown.kind} ({objection})",
        not_own=f"certificate {shown.own_serial} {objection}",
        own_serial=None,
    )


def _objection(serial: str, anchor: OwnAnchor, now: datetime) -> str | None:
    """Return why a certificate that this CA signed proves nothing, if so."""
    row = anchor.recorded(serial)
    if row is None:
        return "is not in this CA's record"
    if row.kind != ENDPOINT:
        return "is not an endpoint's"
    status = row.status(now)
    return None if status == "valid" else f"is {status}"


def gather(
    request: CertificateRequest, shown: Presented, *, user: str | None, label: str, renewal: bool
) -> Evidence:
    """Join what CSR, TLS client certificate and login say; `user` is set once proved."""
    own = None
    if shown.own_serial is not None and shown.certificate is not None:
        own = OwnCertificate(shown.own_serial, _same_names(request, shown.certificate))
    identity = Identity(
        request.identity.device or shown.identity.device, request.identity.mac or shown.identity.mac
    )
    return Evidence(own, user, shown, identity, label, renewal)


def _same_names(request: CertificateRequest, certificate: x509.Certificate) -> bool:
    """Compare subject and alternative names by value (RFC 7030 section 4.2.2, RFC 5280 7.1).

    Of the request those that a certificate takes over: a device that asks for a URI each time is
    not refused its renewal because it never got one.
    """
    return same_name(request.subject, certificate.subject) and same_sans(
        kept(request.sans), sans_of(certificate)
    )


@functools.lru_cache(maxsize=1024)
def _recognized(der: bytes, issuer: x509.Certificate) -> Presented:
    """Say what a certificate is, whatever the time and the record say of it.

    Remembered: a device that polls presents the same one each time.
    """
    try:
        certificate = x509.load_der_x509_certificate(der)
        certificate.issuer  # noqa: B018  # parsed lazily: what cannot be read fails here
        identity = identity_of(certificate.subject, _directory(certificate))
    except UNREADABLE:
        return _UNREADABLE
    key = f"certificate {hashlib.sha256(der).hexdigest()}"
    if _issued_by(certificate, issuer):
        serial = show_serial(certificate.serial_number)
        kind = f"certificate {serial} of this CA"
        return Presented(kind, "", certificate, identity, own_serial=serial, key=key)
    kind = "self-signed" if is_self_issued(certificate) else "issued by an unknown CA"
    return Presented(
        f"{kind} certificate of {show_name(certificate.subject)}",
        f"the client certificate is {kind}",
        certificate,
        identity,
        key=key,
    )


def _issued_by(certificate: x509.Certificate, issuer: x509.Certificate) -> bool:
    return certificate.issuer == issuer.subject and directly_issued(certificate, issuer)


def _directory(certificate: x509.Certificate) -> bytes | None:
    for extension in certificate.extensions:
        if extension.oid == SUBJECT_DIRECTORY_ATTRIBUTES:
            return bytes(extension.value.public_bytes())
    return None
