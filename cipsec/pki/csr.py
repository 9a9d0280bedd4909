"""Certificate signing requests (PKCS#10, RFC 2986): parse once into a value, check, build."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import AttributeOID

from cipsec.errors import Malformed, UsageError, WeakKey
from cipsec.pki import keys
from cipsec.pki.device import (
    SUBJECT_DIRECTORY_ATTRIBUTES,
    DeviceId,
    Identity,
    Mac,
    mac_attributes,
)
from cipsec.pki.extraction import Source
from cipsec.pki.faults import UNREADABLE, why
from cipsec.pki.identity import Reading, of_parts, sans_among
from cipsec.pki.names import show_name, show_san

MAX_DER = 16 * 1024  # ten times what clients send; each waiting request keeps its CSR
CHANGE_SUBJECT_NAME = x509.ObjectIdentifier("1.3.6.1.5.5.7.7.36")  # RFC 6402 section 2.8
MOST_NAMES = 64  # each is compared with all that a CA holds: a thousand would stop it
SERVED_HASHES = frozenset(keys.ECDSA)

_EXTENSIONS = x509.ObjectIdentifier("1.2.840.113549.1.9.14")  # RFC 2985 section 5.4.2
EXTENSION_REQUESTS = frozenset(
    {
        _EXTENSIONS,
        x509.ObjectIdentifier("1.3.6.1.4.1.311.2.1.14"),  # Microsoft's number for the same
    }
)


@dataclass(frozen=True, slots=True)
class CertificateRequest:
    """A CSR whose signature proves possession of its key (RFC 2986 section 3).

    `reading` is what it says of the device, by the default rules: a claim. `challenge` is the
    challengePassword, in EST the channel binding (RFC 7030 section 3.5); it is never shown.
    `changes_names` tells that the attribute ChangeSubjectName asks for other names than it holds.
    `shown_subject` and `shown_sans` are the names in words: they go into every row and event.
    """

    der: bytes = field(repr=False)  # holds the challenge
    parsed: x509.CertificateSigningRequest
    public_key: keys.PublicKey
    spki: bytes
    subject: x509.Name
    shown_subject: str
    sans: tuple[x509.GeneralName, ...]
    shown_sans: tuple[str, ...]
    extensions: tuple[x509.Extension[x509.ExtensionType], ...]
    reading: Reading
    challenge: bytes | None = field(repr=False)
    changes_names: bool = False

    @property
    def identity(self) -> Identity:
        """Return the device it names first; whether it names another one too, `reading` tells."""
        return self.reading.identity

    @property
    def key_is_usual(self) -> bool:
        """Tell whether the CSR has its key as `spki` has it, as RFC 5480 or 3279 write it."""
        return self.spki in self.parsed.tbs_certrequest_bytes

    def extension(self, oid: x509.ObjectIdentifier) -> x509.Extension[x509.ExtensionType] | None:
        """Return the requested extension of that kind, if any."""
        return next((e for e in self.extensions if e.oid == oid), None)


def parse(der: bytes) -> CertificateRequest:
    """Read and check a CSR in DER; raise Malformed, or WeakKey for key and hash."""
    if len(der) > MAX_DER:
        raise Malformed(f"a CSR of {len(der)} bytes is too large")
    try:
        parsed = x509.load_der_x509_csr(der)
        public_key = keys.served(parsed.public_key())
        extensions = tuple(parsed.extensions)
        subject = parsed.subject
        _verify(parsed, public_key)
        sans = sans_among(extensions)
        attributes = list(parsed.attributes)
        challenge = _challenge(attributes)
        changes_names = any(a.oid == CHANGE_SUBJECT_NAME for a in attributes)
        shown = show_name(subject), tuple(map(show_san, sans))
    except UNREADABLE as error:
        raise Malformed(f"this is not a certificate signing request: {why(error)}") from None
    if again := repeated(attributes):
        raise Malformed(f"the CSR has the attribute {again.dotted_string} more than once")
    return CertificateRequest(
        der=der,
        parsed=parsed,
        public_key=public_key,
        spki=keys.spki(public_key),
        subject=subject,
        shown_subject=shown[0],
        sans=sans,
        shown_sans=shown[1],
        extensions=extensions,
        reading=of_parts(Source.CSR, subject, sans, extensions),
        challenge=challenge,
        changes_names=changes_names,
    )


def _verify(parsed: x509.CertificateSigningRequest, key: keys.PublicKey) -> None:
    algorithm = parsed.signature_hash_algorithm
    if algorithm is None or algorithm.name not in SERVED_HASHES:
        raise WeakKey("the CSR is signed with a hash that is not served; use SHA-256")
    try:
        if isinstance(key, ec.EllipticCurvePublicKey):
            # With the key already parsed: 20 us less than is_signature_valid.
            key.verify(parsed.signature, parsed.tbs_certrequest_bytes, keys.ECDSA[algorithm.name])
        elif not parsed.is_signature_valid:
            raise InvalidSignature
    except InvalidSignature:
        raise Malformed("the CSR's signature is not made with its own key") from None


def _challenge(attributes: Sequence[x509.Attribute]) -> bytes | None:
    for attribute in attributes:
        if attribute.oid == AttributeOID.CHALLENGE_PASSWORD:
            return bytes(attribute.value)
    return None


def repeated(attributes: Sequence[x509.Attribute]) -> x509.ObjectIdentifier | None:
    """Return the type of an attribute that is there twice: which one counts cannot be told.

    Extensions asked for under both of their numbers count as one type.
    """
    seen: set[x509.ObjectIdentifier] = set()
    for attribute in attributes:
        kind = _EXTENSIONS if attribute.oid in EXTENSION_REQUESTS else attribute.oid
        if kind in seen:
            return attribute.oid
        seen.add(kind)
    return None


def build(
    key: keys.PrivateKey,
    subject: x509.Name,
    *,
    sans: Sequence[x509.GeneralName] = (),
    mac: Mac | None = None,
    challenge: bytes | None = None,
) -> x509.CertificateSigningRequest:
    """Make and sign a CSR; `challenge` is the channel binding to carry, base64 already."""
    builder = x509.CertificateSigningRequestBuilder().subject_name(subject)
    if sans:
        builder = builder.add_extension(
            x509.SubjectAlternativeName(sans), critical=not list(subject)
        )
    if mac:
        extension = x509.UnrecognizedExtension(SUBJECT_DIRECTORY_ATTRIBUTES, mac_attributes(mac))
        builder = builder.add_extension(extension, critical=False)
    if challenge is not None:
        builder = builder.add_attribute(AttributeOID.CHALLENGE_PASSWORD, challenge)
    return builder.sign(key, keys.signing_hash(key))


def subject_for(subject: x509.Name | None, device: DeviceId | None, default: str) -> x509.Name:
    """Return the subject to ask for: `device` as its serialNumber, `default` as CN if empty.

    Raises UsageError when the subject has another serialNumber already.
    """
    rdns = subject.rdns if subject else []
    rdns = rdns or [_rdn(x509.NameOID.COMMON_NAME, default)]
    name = x509.Name(rdns)
    numbers = {str(a.value) for a in name.get_attributes_for_oid(x509.NameOID.SERIAL_NUMBER)}
    if not device or numbers == {str(device)}:
        return name
    if numbers:
        raise UsageError(
            "the subject's serialNumber is not the device", hint="leave it out of --subject"
        )
    return x509.Name([*rdns, _rdn(x509.NameOID.SERIAL_NUMBER, str(device))])


def _rdn(oid: x509.ObjectIdentifier, value: str) -> x509.RelativeDistinguishedName:
    return x509.RelativeDistinguishedName([x509.NameAttribute(oid, value)])
