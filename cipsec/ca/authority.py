"""The certification authority: one key that signs what it is told and decides nothing."""

from __future__ import annotations

import functools
import hashlib
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, ExtensionOID, ObjectIdentifier

from cipsec.ca import crl
from cipsec.ca.life import Life
from cipsec.ca.profile import Profile, kept
from cipsec.ca.tbs import Encoder, Extension
from cipsec.errors import Malformed
from cipsec.pki import der, keys
from cipsec.pki.csr import CertificateRequest
from cipsec.pki.device import SUBJECT_DIRECTORY_ATTRIBUTES, Mac, mac_attributes
from cipsec.pki.issued import directly_issued
from cipsec.pki.names import show_serial

_RANDOM_BITS = 80
_SEQUENCE = 0x30
_RSASSA_PSS = bytes.fromhex("06092a864886f70d01010a")  # its number in DER


@dataclass(frozen=True, slots=True)
class Issued:
    """A certificate that was just signed; nobody has it until it is recorded."""

    der: bytes
    serial: str
    sans: tuple[x509.GeneralName, ...]
    not_before: datetime
    not_after: datetime


class Authority:
    """A CA certificate and its key; `above` are the CAs above it, the root last, none for a root.

    `ends` is when the first of them ends: what is issued is good for nothing after that. `mark` is
    what `crl.place` tells its list from those of older roots by.
    """

    def __init__(
        self,
        certificate: x509.Certificate,
        key: keys.PrivateKey,
        above: Sequence[x509.Certificate] = (),
        *,
        mark: str = "",
    ) -> None:
        if keys.spki(certificate.public_key()) != keys.spki(key.public_key()):
            raise Malformed("the CA's key and certificate do not belong together")
        self.certificate = certificate
        self._key = key
        self._encoder = Encoder(certificate.subject, key)
        self._mark = mark
        self._fixed = (_constraints(), _key_identifier(certificate))
        self._life = Life.of((certificate, *above))
        self.ends = self._life.ends

    def renewed(
        self, certificate: x509.Certificate, above: Sequence[x509.Certificate], *, mark: str
    ) -> Authority:
        """Return the CA under another certificate of its key; raise Malformed for another one's."""
        return Authority(certificate, self._key, above, mark=mark)

    def signed(self, certificate: x509.Certificate) -> bool:
        """Tell whether this CA's key made the certificate's signature."""
        return directly_issued(certificate, self.certificate)

    def issue(
        self,
        request: CertificateRequest,
        profile: Profile,
        *,
        now: datetime,
        mac: Mac | None = None,
    ) -> Issued:
        """Sign a certificate of this profile for the request's subject, key and names.

        `mac` comes back where the request gave one (RFC 9908 section 3.3); nothing else that the
        applicant put there does.
        Raises LocalState when the CA's own certificate is not valid at `now`.
        """
        self.require_valid(now)
        serial = new_serial(now)
        sans = kept(request.sans)
        period = profile.period(now, self.ends)
        der = self._encoder.certificate(
            request.parsed,
            serial=serial,
            period=period,
            extensions=self._extensions(request, profile, sans, mac),
            key=_by_name(request),
        )
        return Issued(der, show_serial(serial), sans, *period)

    def terms(
        self, number: int, *, now: datetime, validity: timedelta, begin: datetime | None = None
    ) -> crl.Terms:
        """Return what a revocation list says of itself, good from now on for `validity`.

        Never beyond the CA's own end. It begins now, or was to have begun at `begin`.
        """
        start = now.replace(microsecond=0)
        return crl.Terms(number, begin or start, min(start + validity, self.ends))

    def revocation_list(self, revoked: bytes, terms: crl.Terms) -> bytes:
        """Sign a complete revocation list; return it in DER.

        `revoked` is what `crl.encoded` made of its entries.
        """
        return crl.signed(self._encoder, self._fixed[1], revoked, terms)

    def require_valid(self, now: datetime) -> None:
        """Raise LocalState when the CA's certificate, or one above it, is not valid at `now`."""
        self._life.require(now)

    def _extensions(
        self,
        request: CertificateRequest,
        profile: Profile,
        sans: Sequence[x509.GeneralName],
        mac: Mac | None,
    ) -> list[Extension]:
        constraints, authority = self._fixed
        usage = _usage(request, profile.usages)
        extensions = [constraints, usage, _extended_usage(profile.usages)]
        if sans:
            # Critical where the subject is empty: RFC 5280 section 4.2.1.6.
            value = x509.SubjectAlternativeName(sans)
            extensions.append(_encode(value, critical=not list(request.subject)))
        extensions += [_subject_identifier(request.spki), authority]
        if profile.crl_url:
            extensions.append(_distribution_point(crl.place(profile.crl_url, self._mark)))
        if mac and request.extension(SUBJECT_DIRECTORY_ATTRIBUTES):
            oid = SUBJECT_DIRECTORY_ATTRIBUTES
            extensions.append(Extension(oid=oid, critical=False, value=mac_attributes(mac)))
        return extensions


def new_serial(now: datetime) -> int:
    """Return a serial number: milliseconds since 1970 in 48 bits, then 80 random bits.

    Ordered in time, so that the store's unique index only grows at its end.
    """
    return int(now.timestamp() * 1000) << _RANDOM_BITS | secrets.randbits(_RANDOM_BITS)


def self_signed(
    subject: x509.Name, key: keys.PrivateKey, *, now: datetime, validity: timedelta
) -> x509.Certificate:
    """Make a root certificate that issues end-entity certificates only (pathlen 0)."""
    public = key.public_key()
    start = now.replace(microsecond=0)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(public)
        .serial_number(new_serial(now))
        .not_valid_before(start - timedelta(hours=24))
        .not_valid_after(start + validity)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_key_usage(signs_certificates=True), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(public), critical=False)
        .sign(key, keys.signing_hash(key))
    )


def subordinate_request(subject: x509.Name, key: keys.PrivateKey) -> x509.CertificateSigningRequest:
    """Make the request for a CA below another, which issues end-entity certificates only."""
    return (
        x509.CertificateSigningRequestBuilder()
        .subject_name(subject)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_key_usage(signs_certificates=True), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .sign(key, keys.signing_hash(key))
    )


def _key_usage(*, signs_certificates: bool = False, enciphers: bool = False) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not signs_certificates,
        content_commitment=False,
        key_encipherment=enciphers,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=signs_certificates,
        crl_sign=signs_certificates,
        encipher_only=False,
        decipher_only=False,
    )


def _encode(value: x509.ExtensionType, *, critical: bool) -> Extension:
    return Extension(oid=value.oid, critical=critical, value=value.public_bytes())


def _constraints() -> Extension:
    return _encode(x509.BasicConstraints(ca=False, path_length=None), critical=True)


def _key_identifier(certificate: x509.Certificate) -> Extension:
    """Return the AuthorityKeyIdentifier that points at the CA's certificate.

    Where that has no identifier of its own, the usual one of the key: SHA-1 (RFC 5280 4.2.1.2).
    """
    try:
        own = certificate.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value
    except x509.ExtensionNotFound:
        key = keys.served(certificate.public_key())
        return _encode(x509.AuthorityKeyIdentifier.from_issuer_public_key(key), critical=False)
    value = x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(own)
    return _encode(value, critical=False)


_SIGNS = _encode(_key_usage(), critical=True)
_SIGNS_AND_ENCIPHERS = _encode(_key_usage(enciphers=True), critical=True)


def _usage(request: CertificateRequest, usages: Sequence[ObjectIdentifier]) -> Extension:
    """Return the key usage: of a server's RSA key also the key transport of old cipher suites.

    A key for RSASSA-PSS only signs, and may not be said to do more (RFC 4055 section 1.2).
    """
    serves = ExtendedKeyUsageOID.SERVER_AUTH in usages
    is_rsa = isinstance(request.public_key, rsa.RSAPublicKey)
    transports = is_rsa and _RSASSA_PSS not in request.parsed.tbs_certrequest_bytes
    return _SIGNS_AND_ENCIPHERS if serves and transports else _SIGNS


def _by_name(request: CertificateRequest) -> bytes | None:
    """Return an EC key with the name of its curve, where the request describes that in numbers.

    RFC 5480 section 2.1.1 forbids the numbers in certificates, and peers refuse them. A compressed
    point, which it allows, stays as it is.
    """
    if request.key_is_usual or not isinstance(request.public_key, ec.EllipticCurvePublicKey):
        return None
    (_, algorithm), _ = der.elements(der.content(request.spki))
    named = der.element(_SEQUENCE, algorithm) in request.parsed.tbs_certrequest_bytes
    return None if named else request.spki


@functools.cache
def _extended_usage(usages: tuple[ObjectIdentifier, ...]) -> Extension:
    return _encode(x509.ExtendedKeyUsage(usages), critical=False)


@functools.lru_cache(maxsize=16)
def _distribution_point(url: str) -> Extension:
    """RFC 5280 section 4.2.1.13."""
    point = x509.DistributionPoint([x509.UniformResourceIdentifier(url)], None, None, None)
    return _encode(x509.CRLDistributionPoints([point]), critical=False)


def _subject_identifier(spki: bytes) -> Extension:
    """RFC 7093 section 2 method 4: the leftmost 160 bits of the SHA-256 of the whole SPKI."""
    digest = hashlib.sha256(spki).digest()[:20]
    # OCTET STRING of 20 bytes, by hand: two bytes in front.
    return Extension(
        oid=ExtensionOID.SUBJECT_KEY_IDENTIFIER, critical=False, value=b"\x04\x14" + digest
    )
