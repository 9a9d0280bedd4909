"""Certification paths (RFC 5280 section 6), from the anchor down to one certificate.

Not by cryptography's verifier: it wants all certificates valid at one time, times in the encoding
of the web's rules and no critical directoryName constraint, overlooks those that are not critical,
and takes an anchor for a device. Vendor certificates outlive all that; the tests hold this module
against it, against openssl and against NIST's PKITS. What is never optional is checked here;
expiry, EKU, SAN and AKI are told, for the caller to insist on. How the CAs are found is left to
`pki.search`.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.asymmetric.types import PublicKeyTypes
from cryptography.x509.oid import ExtendedKeyUsageOID, SignatureAlgorithmOID

from cipsec.errors import Untrusted
from cipsec.pki import constraints, fingerprint, keys, policies
from cipsec.pki.extensions import value
from cipsec.pki.faults import UNREADABLE, why
from cipsec.pki.issued import is_self_issued
from cipsec.pki.names import show_name

MAX_CAS = 8  # on one path: vendors have one or two
_HASHES = frozenset({"sha256", "sha384", "sha512"})
_CURVES = frozenset({"secp256r1", "secp384r1", "secp521r1"})
_CLIENT_USAGES = frozenset(
    {ExtendedKeyUsageOID.CLIENT_AUTH, ExtendedKeyUsageOID.ANY_EXTENDED_KEY_USAGE}
)
_UNDERSTOOD = frozenset(
    {
        x509.BasicConstraints.oid,
        x509.KeyUsage.oid,
        x509.ExtendedKeyUsage.oid,
        x509.SubjectAlternativeName.oid,
        x509.SubjectKeyIdentifier.oid,
        x509.AuthorityKeyIdentifier.oid,
        x509.CertificatePolicies.oid,
        *policies.UNDERSTOOD,
    }
)
_UNDERSTOOD_OF_CAS = _UNDERSTOOD | {x509.NameConstraints.oid}


@dataclass(frozen=True, slots=True, eq=False)
class Authority:
    """A CA whose path to an anchor is verified, and what that path allows below it.

    `path` leads from the CA itself to the anchor; `below` is how many CAs may follow, None for
    any; `policies_bind` that certificate policies matter on it (RFC 5280 section 6.1.3 (d) to (f));
    `begin` and `end` are when all of the path is valid, if ever; `names_client` tells that no
    CA's EKU excludes TLS clients, `has_aki` that each below the anchor points to its issuer's key.
    """

    certificate: x509.Certificate
    subject: x509.Name
    sha256: str
    key_id: bytes | None
    path: tuple[x509.Certificate, ...]
    anchor_sha256: str
    below: int | None
    constraints: tuple[x509.NameConstraints, ...]
    policies_bind: bool
    begin: datetime
    end: datetime
    names_client: bool
    has_aki: bool


@dataclass(frozen=True, slots=True, eq=False)
class DevicePath:
    """A certificate below a CA, mostly a device's: valid but for what such often lack.

    `begin`, `end`, `names_client` and `has_aki` are of all certificates on the path.
    """

    leaf: x509.Certificate
    authority: Authority
    begin: datetime
    end: datetime
    names_client: bool
    has_aki: bool
    has_san: bool

    def links(self) -> Iterator[tuple[x509.Certificate, x509.Certificate]]:
        """Yield each certificate below the anchor with its issuer's, the device's first."""
        chain = (self.leaf, *self.authority.path)
        return itertools.pairwise(chain)


def anchor(certificate: x509.Certificate) -> Authority:
    """Return a certificate as trusted by itself, not beyond what it says; raise Untrusted.

    Its own limits count, for an intermediate may be the anchor: its issuer made them for a reason.
    """
    try:
        certificate.issuer  # noqa: B018  # parsed lazily: fails here, or for whoever asks for it
        extensions = _ca_extensions(certificate)
        _check_key(certificate.public_key(), show_name(certificate.subject))
        binds = policies.bind(extensions)
        if binds and is_self_issued(certificate):
            # There is no path on which it stands, and nothing that these could limit.
            raise Untrusted(f"{show_name(certificate.subject)} limits policies, and is a root")
        return Authority(
            certificate=certificate,
            subject=certificate.subject,
            sha256=fingerprint.sha256(certificate),
            key_id=_key_id(extensions),
            path=(certificate,),
            anchor_sha256=fingerprint.sha256(certificate),
            below=_path_length(extensions),
            constraints=_constraints(certificate, extensions),
            policies_bind=binds,
            begin=certificate.not_valid_before_utc,
            end=certificate.not_valid_after_utc,
            names_client=_names_client(extensions, required=False),
            has_aki=True,
        )
    except UNREADABLE as error:
        raise Untrusted(f"a certificate cannot be read: {why(error)}") from None


def subordinate(issuer: Authority, certificate: x509.Certificate) -> Authority:
    """Return a CA that `issuer` has signed, which the caller has checked; raise Untrusted."""
    name = show_name(certificate.subject)
    extensions = _ca_extensions(certificate)
    _check_key(certificate.public_key(), name)
    if len(issuer.path) >= MAX_CAS:
        raise Untrusted(f"the path has more than {MAX_CAS} CAs")
    self_issued = is_self_issued(certificate)
    if not self_issued:
        if issuer.below == 0:
            raise Untrusted(f"{name} stands below a CA that may have none below it")
        constraints.check(certificate, issuer.constraints)
    return Authority(
        certificate=certificate,
        subject=certificate.subject,
        sha256=fingerprint.sha256(certificate),
        key_id=_key_id(extensions),
        path=(certificate, *issuer.path),
        anchor_sha256=issuer.anchor_sha256,
        below=_least(_one_less(issuer.below, self_issued=self_issued), _path_length(extensions)),
        constraints=issuer.constraints + _constraints(certificate, extensions),
        policies_bind=issuer.policies_bind or policies.bind(extensions),
        begin=max(issuer.begin, certificate.not_valid_before_utc),
        end=min(issuer.end, certificate.not_valid_after_utc),
        names_client=issuer.names_client and _names_client(extensions, required=False),
        has_aki=issuer.has_aki and _points_to(issuer, extensions),
    )


def device(issuer: Authority, leaf: x509.Certificate) -> DevicePath:
    """Return the path of a device that `issuer` has signed, which the caller has checked.

    Raises Untrusted.
    """
    basic = value(leaf.extensions, x509.BasicConstraints)
    if basic and basic.ca:
        raise Untrusted("the client certificate is a CA's, not a device's")
    return end(issuer, leaf)


def end(issuer: Authority, leaf: x509.Certificate) -> DevicePath:
    """Return the path of any certificate that `issuer` has signed, a CA's included.

    The caller has checked the signature. Raises Untrusted.
    """
    extensions = leaf.extensions
    check_understood(leaf)
    constraints.check(leaf, issuer.constraints)
    if issuer.policies_bind or policies.bind(extensions):
        policies.check((leaf, *issuer.path))
    return DevicePath(
        leaf=leaf,
        authority=issuer,
        begin=max(issuer.begin, leaf.not_valid_before_utc),
        end=min(issuer.end, leaf.not_valid_after_utc),
        names_client=issuer.names_client and _names_client(extensions, required=True),
        has_aki=issuer.has_aki and _points_to(issuer, extensions),
        has_san=bool(value(extensions, x509.SubjectAlternativeName)),
    )


def weak_signature(certificate: x509.Certificate) -> str | None:
    """Return why a signature of that kind proves nothing, whoever made it; None if it may."""
    try:
        algorithm = certificate.signature_hash_algorithm
    except UNREADABLE:
        return "it is signed in a way that is not known"
    if algorithm is None:
        if certificate.signature_algorithm_oid == SignatureAlgorithmOID.ED25519:
            return None
        return "it is signed with a kind of key that is not served; EC or RSA is"
    if algorithm.name not in _HASHES:
        return f"it is signed with {algorithm.name.upper()}, which proves nothing; SHA-256 would"
    return None


def _check_key(key: PublicKeyTypes, name: str) -> None:
    match key:
        case ec.EllipticCurvePublicKey() if key.curve.name in _CURVES:
            return
        case ed25519.Ed25519PublicKey():
            return  # none is issued here; what others sign with it is proved all the same
        case rsa.RSAPublicKey():
            _check_rsa_key(key, name)
        case _:
            raise Untrusted(f"{name} has a kind of key that is not served; EC or RSA is")


def _check_rsa_key(key: rsa.RSAPublicKey, name: str) -> None:
    bits = key.key_size
    if bits < keys.MIN_RSA_BITS:
        raise Untrusted(f"{name} has an RSA key of {bits} bits, which proves nothing")
    if bits > keys.MAX_RSA_BITS:
        raise Untrusted(f"{name} has an RSA key of {bits} bits; more than 8192 are not checked")
    if key.public_numbers().e > keys.MAX_RSA_EXPONENT:
        raise Untrusted(f"{name} has an RSA key with so large an exponent that it proves nothing")


def _ca_extensions(certificate: x509.Certificate) -> x509.Extensions:
    """Return the extensions of a certificate that may sign others; raise Untrusted."""
    name = show_name(certificate.subject)
    extensions = certificate.extensions
    basic = value(extensions, x509.BasicConstraints)
    if basic is None or not basic.ca:
        raise Untrusted(f"{name} is not a CA")
    usage = value(extensions, x509.KeyUsage)
    if usage is not None and not usage.key_cert_sign:
        raise Untrusted(f"{name} may not sign certificates")
    check_understood(certificate)
    return extensions


def check_understood(certificate: x509.Certificate) -> None:
    """Raise Untrusted for a critical extension that is not understood (RFC 5280 section 4.2)."""
    extensions = certificate.extensions
    basic = value(extensions, x509.BasicConstraints)
    understood = _UNDERSTOOD_OF_CAS if basic and basic.ca else _UNDERSTOOD
    for extension in extensions:
        if extension.critical and extension.oid not in understood:
            name, oid = show_name(certificate.subject), extension.oid.dotted_string
            raise Untrusted(f"{name} has the critical extension {oid}, which is not understood")


def _path_length(extensions: x509.Extensions) -> int | None:
    basic = value(extensions, x509.BasicConstraints)
    return basic.path_length if basic else None


def _one_less(below: int | None, *, self_issued: bool) -> int | None:
    """Count a CA, unless it is a name's own next certificate (RFC 5280 section 6.1.4 (l))."""
    return below if below is None or self_issued else below - 1


def _least(one: int | None, other: int | None) -> int | None:
    return min((n for n in (one, other) if n is not None), default=None)


def _constraints(
    certificate: x509.Certificate, extensions: x509.Extensions
) -> tuple[x509.NameConstraints, ...]:
    """Return the CA's name constraints, critical or not; raise Untrusted for what is lost."""
    found = value(extensions, x509.NameConstraints)
    if found is None:
        return ()
    # cryptography drops minimum and maximum; written again, they would not be the same.
    if found.public_bytes() not in certificate.tbs_certificate_bytes:
        name = show_name(certificate.subject)
        raise Untrusted(f"{name} has name constraints that are not understood")
    return (found,)


def _names_client(extensions: x509.Extensions, *, required: bool) -> bool:
    usages = value(extensions, x509.ExtendedKeyUsage)
    return not required if usages is None else not _CLIENT_USAGES.isdisjoint(usages)


def _points_to(issuer: Authority, extensions: x509.Extensions) -> bool:
    """Tell whether the key identifier of the issuer is there, and is the one it says it has."""
    found = value(extensions, x509.AuthorityKeyIdentifier)
    if found is None or found.key_identifier is None:
        return False
    return issuer.key_id is None or found.key_identifier == issuer.key_id


def _key_id(extensions: x509.Extensions) -> bytes | None:
    found = value(extensions, x509.SubjectKeyIdentifier)
    return found.digest if found else None
