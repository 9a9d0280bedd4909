"""What an applicant proved, and what is only claimed: cryptography, no judgement.

A CSR and a self-signed certificate claim an identity; a vendor's certificate, a certificate of this
CA, a provisioning certificate or a password proves one. Rules (`policy`) see this value and nothing
else of the applicant.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import datetime

from cryptography import x509
from cryptography.x509.oid import NameOID

from cipsec.ca.profile import kept
from cipsec.pki import identity
from cipsec.pki.csr import CertificateRequest
from cipsec.pki.device import Identity
from cipsec.pki.identity import Reading, Rules
from cipsec.pki.names import same_name, same_sans, sans_of, show_san
from cipsec.ra.enrollment import Enrollment, UserProof, enrollment_id
from cipsec.ra.presented import Presented, in_grace, look_at
from cipsec.ra.renewals import ALWAYS, Renewals
from cipsec.ra.sources import Sources

_DIRECTORY = "directory:mac"
_NAMING = frozenset({NameOID.COMMON_NAME, NameOID.USER_ID, NameOID.EMAIL_ADDRESS})


@dataclass(frozen=True, slots=True)
class Evidence:
    """Everything a rule may look at.

    `id` is the enrollment's; `asked` what the CSR says of its device, `identity` that together with
    what the client certificate says. `same_names` tells that the certificate of this CA that was
    presented, if any, has the subject and names that the CSR asks for; `renewals` what a renewal
    has to be.
    """

    id: str
    enrollment: Enrollment
    presented: Presented
    user: UserProof | None
    asked: Reading
    identity: Identity
    same_names: bool
    sources: Sources
    now: datetime
    renewals: Renewals = field(default_factory=Renewals)

    @property
    def request(self) -> CertificateRequest:
        """Return the CSR."""
        return self.enrollment.request

    @property
    def unrenewed(self) -> Evidence:
        """Return what rules see that renew nothing: to them, what has ended proves nothing."""
        shown = self.presented
        if not shown.late:
            return self
        ended = replace(shown, own=None, late=False, in_vain=shown.not_own, proved=Identity())
        return replace(self, presented=ended, same_names=False)

    @property
    def no_renewal(self) -> str | None:
        """Return why the certificate presented is not to be renewed now, and by this CSR, if so."""
        row, certificate = self.presented.row, self.presented.certificate
        if row is None or certificate is None or not self.same_names:
            return None
        return self.renewals.objection(row, certificate, self.request.spki, self.now)

    @property
    def proved_identity(self) -> Identity:
        """Return the device that is proved."""
        return self.presented.proved

    @property
    def claimed_identity(self) -> Identity:
        """Return what is said of the device and not proved."""
        proved = self.proved_identity
        return Identity(
            None if proved.device else self.identity.device,
            None if proved.mac else self.identity.mac,
        )

    @property
    def proved(self) -> str:
        """Return what is proved, in words; `nothing` where nothing is."""
        shown, found = self.presented, []
        if shown.own is not None:
            found.append(f"certificate {shown.own} of this CA")
        if shown.vendor:
            device = f"device {shown.proved} " if shown.proved else ""
            found.append(f"{device}by vendor {shown.vendor.vendor}")
        if shown.credential:
            found.append(f"provisioning certificate {shown.credential.name}")
        if self.user is not None:
            found.append(f"user {self.user.name}")
        return ", ".join(found) or "nothing"

    @property
    def claimed(self) -> str:
        """Return what is only claimed, in words."""
        shown = self.presented
        vouched = shown.own is not None or shown.vendor or shown.credential
        certificate = [] if vouched or not shown.certificate else [shown.kind]
        claimed = self.claimed_identity
        device = [f"device {claimed}"] if claimed else []
        return ", ".join(device + certificate) or "nothing"

    @property
    def unproved_number(self) -> str | None:
        """Return a serialNumber in the CSR's subject that says who knows what, if there is one.

        One that is read names a device; what is not read may be a device's number all the same, as
        somebody else reads it: in decimal, up to a NUL, without regard to what prints as nothing.
        The one in the certificate that proves something goes on to the next.
        """
        shown = self.presented
        known = {found.text for found in self.asked.found}
        if shown.certificate is not None and (shown.vendor or shown.own):
            known.update(_numbers(shown.certificate.subject))
        return next((n for n in _numbers(self.request.subject) if n not in known), None)

    @property
    def said_in_names(self) -> Identity:
        """Return what is claimed of the device where a certificate would repeat it: in its names.

        A MAC address in the directory attributes is left out of the certificate by itself.
        """
        claimed = self.claimed_identity
        named = any(f.identity.mac and f.place != _DIRECTORY for f in self.asked.found)
        return Identity(claimed.device, claimed.mac if named else None)

    @property
    def unproved_in_names(self) -> str | None:
        """Return, in words, what a certificate would say of its device though nothing proves it."""
        if said := self.said_in_names:
            return f"device {said}"
        number = self.unproved_number
        return None if number is None else f"serialNumber {number}"

    def names(self) -> list[str]:
        """Return the names of every kind that a certificate would carry, without their kind."""
        subject = (a for a in self.request.subject if a.oid in _NAMING)
        sans = (show_san(san).partition(":")[2] for san in kept(self.request.sans))
        return [*(str(attribute.value) for attribute in subject), *sans]


def gather(
    enrollment: Enrollment,
    *,
    user: UserProof | None,
    rules: Rules,
    sources: Sources,
    now: datetime,
    renewals: Renewals = ALWAYS,
) -> Evidence:
    """Join what CSR, TLS client certificate and login say; `user` is set once proved."""
    request = enrollment.request
    shown = look_at(enrollment.chain, rules, sources, now)
    asked = identity.of_request(request, rules)
    same_names = shown.row is not None and _same_names(request, asked, shown)
    if same_names:  # what has ended proves nothing but its own renewal
        shown = in_grace(shown, renewals, now)
    return Evidence(
        id=enrollment_id(enrollment, _applicant(user, shown), asked.identity),
        enrollment=enrollment,
        presented=shown,
        user=user,
        asked=asked,
        identity=_joined(asked.identity, shown.reading.identity),
        same_names=shown.own is not None and same_names,
        sources=sources,
        now=now,
        renewals=renewals,
    )


def _numbers(subject: x509.Name) -> list[str]:
    attributes = subject.get_attributes_for_oid(NameOID.SERIAL_NUMBER)
    return [str(attribute.value) for attribute in attributes]


def _joined(asked: Identity, shown: Identity) -> Identity:
    return Identity(asked.device or shown.device, asked.mac or shown.mac)


def _applicant(user: UserProof | None, shown: Presented) -> str:
    """Return who was authenticated, as part of the enrollment's id."""
    login = f"user:{user.name}" if user is not None else "no user"
    return f"{login}\n{shown.key}"


def _same_names(request: CertificateRequest, asked: Reading, shown: Presented) -> bool:
    """Compare subject and alternative names by value (RFC 7030 section 4.2.2, RFC 5280 7.1).

    Of the request those that a certificate takes over: a device that asks for a URI each time is
    not refused its renewal because it never got one. A device or MAC address that the certificate
    does not name, wherever it is said, is another name.
    """
    certificate, had = shown.certificate, shown.reading.identity
    if certificate is None or (asked.identity.device and not had.device):
        return False
    if asked.identity.mac and not had.mac:
        return False
    return same_name(request.subject, certificate.subject) and same_sans(
        kept(request.sans), sans_of(certificate)
    )
