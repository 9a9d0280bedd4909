"""Whether a certificate can be this CA's own: every objection, and what to do about each.

Looked at is what endpoints will look at, in it and in the CAs above it, and what signing needs.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TypeVar

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, SignatureAlgorithmOID

from cipsec.errors import WeakKey
from cipsec.pki import keys
from cipsec.pki.faults import UNREADABLE, why
from cipsec.pki.issued import is_root
from cipsec.pki.names import show_name
from cipsec.times import show_time

T = TypeVar("T", bound=x509.ExtensionType)

_HASHES = frozenset({"sha256", "sha384", "sha512"})
_NEEDED = {
    ExtendedKeyUsageOID.SERVER_AUTH: "serverAuth",
    ExtendedKeyUsageOID.CLIENT_AUTH: "clientAuth",
}
# Those that the path validation of embedded TLS stacks, and ours, knows.
_KNOWN = frozenset(
    {
        x509.BasicConstraints.oid,
        x509.KeyUsage.oid,
        x509.ExtendedKeyUsage.oid,
        x509.NameConstraints.oid,  # judged by itself
        x509.SubjectAlternativeName.oid,
        x509.SubjectKeyIdentifier.oid,
        x509.AuthorityKeyIdentifier.oid,
    }
)
# What the certificates of this CA have names of; a list of the only ones allowed ends that.
_HELD = (x509.DNSName, x509.IPAddress, x509.DirectoryName)


@dataclass(frozen=True, slots=True)
class Objection:
    """Why a certificate cannot be the CA's, in words, and what to do about it."""

    what: str
    remedy: str


@dataclass(frozen=True, slots=True)
class Chain:
    """A CA's certificate and those of the CAs above it, as `issuers.above` found them."""

    own: x509.Certificate
    above: Sequence[x509.Certificate]

    @property
    def whole(self) -> tuple[x509.Certificate, ...]:
        """All of them, the CA's own first."""
        return (self.own, *self.above)


def objections(chain: Chain, key: keys.PublicKey, now: datetime) -> list[Objection]:
    """Return all that speaks against a CA with this key and this chain at `now`."""
    found = [*_own(chain.own, key), *_links(chain.whole)]
    for below, certificate in enumerate(chain.whole):
        found += _of_one(certificate, now, below=below)
    return found


def cautions(chain: Chain) -> list[str]:
    """Return what speaks against nothing, and people should know all the same."""
    return [
        f"{_name(certificate)}: {caution}"
        for certificate in chain.whole
        for caution in _cautions(certificate)
    ]


def _own(own: x509.Certificate, key: keys.PublicKey) -> Iterator[Objection]:
    try:
        public = keys.served(own.public_key())
        if keys.spki(public) != keys.spki(key):
            yield Objection(
                "it is for another key", "give the certificate that was made for this CA's key"
            )
    except (WeakKey, *UNREADABLE) as error:
        yield Objection(f"its key cannot be used: {why(error)}", "use a key of P-256 or RSA-3072")
    if not own.subject.rdns:
        yield Objection("it has no subject, which is to be the issuer's name", _again("a subject"))
    elif own.subject.public_bytes() not in own.tbs_certificate_bytes:
        # Certificates name their issuer; clients compare what is written, byte by byte.
        yield Objection("its subject is encoded in a way that cannot be repeated", _again("UTF-8"))


def _links(path: Sequence[x509.Certificate]) -> Iterator[Objection]:
    """Yield what is wrong between one certificate and the next."""
    if not is_root(path[-1]):
        issuer = show_name(path[-1].issuer) or "no name"
        yield Objection(
            f"the chain ends at {_name(path[-1])}: the certificate of its issuer, {issuer}, is"
            " missing, or did not sign it",
            "add the certificates of all CAs above, the root's included: --chain FILE",
        )
    for child, above in itertools.pairwise(path):
        wanted = _value(child, x509.AuthorityKeyIdentifier)
        held = _value(above, x509.SubjectKeyIdentifier)
        if wanted and held and wanted.key_identifier not in (None, held.digest):
            yield Objection(
                f"{_name(child)} names another key of its issuer (authorityKeyIdentifier)",
                _again("the issuer's subjectKeyIdentifier"),
            )


def _of_one(certificate: x509.Certificate, now: datetime, *, below: int) -> Iterator[Objection]:
    """Yield what speaks against a CA that has `below` CAs below it."""
    who = _name(certificate)
    yield from _validity(certificate, who, now)
    yield from _algorithms(certificate, who)
    try:
        tuple(certificate.extensions)
    except UNREADABLE as error:
        yield Objection(f"the extensions of {who} cannot be read: {why(error)}", _again("others"))
        return
    yield from _constraints(certificate, who, below)
    yield from _usage(certificate, who, below)
    yield from _extended(certificate, who)
    yield from _permitted(certificate, who)
    yield from _critical(certificate, who)


def _validity(certificate: x509.Certificate, who: str, now: datetime) -> Iterator[Objection]:
    begin, end = certificate.not_valid_before_utc, certificate.not_valid_after_utc
    if now < begin:
        yield Objection(f"{who} is valid only from {show_time(begin)}", "check the clock: date -u")
    if now >= end:
        yield Objection(f"{who} expired at {show_time(end)}", "have it renewed")


def _algorithms(certificate: x509.Certificate, who: str) -> Iterator[Objection]:
    """Yield what devices cannot verify; nobody verifies the signature of a root."""
    try:
        key = certificate.public_key()
        algorithm = certificate.signature_hash_algorithm
    except UNREADABLE as error:
        yield Objection(f"{who} uses what is not known here: {why(error)}", _again("ECDSA or RSA"))
        return
    strong = isinstance(key, ec.EllipticCurvePublicKey) or (
        isinstance(key, rsa.RSAPublicKey) and key.key_size >= keys.MIN_RSA_BITS
    )
    if not strong:
        kind = keys.type_name(key)
        yield Objection(f"devices do not verify the {kind} key of {who}", _again("ECDSA or RSA"))
    if not is_root(certificate) and (algorithm is None or algorithm.name not in _HASHES):
        kind = algorithm.name if algorithm else "no hash"
        yield Objection(f"{who} is signed with {kind}, which devices refuse", _again("SHA-256"))


def _constraints(certificate: x509.Certificate, who: str, below: int) -> Iterator[Objection]:
    found = _value(certificate, x509.BasicConstraints)
    if found is None or not found.ca:
        yield Objection(f"{who} is not the certificate of a CA", _again("CA:TRUE"))
    elif found.path_length is not None and below > found.path_length:
        yield Objection(
            f"{who} may have {found.path_length} CAs below it, not {below} (pathLenConstraint)",
            "choose a CA that may have CAs below it",
        )


def _usage(certificate: x509.Certificate, who: str, below: int) -> Iterator[Objection]:
    found = _value(certificate, x509.KeyUsage)
    if found is not None and not found.key_cert_sign:
        yield Objection(f"{who} may not sign certificates", _again("keyUsage keyCertSign"))
    if found is not None and below == 0 and not found.crl_sign:
        yield Objection(f"{who} may not sign CRLs", _again("keyUsage cRLSign"))


def _extended(certificate: x509.Certificate, who: str) -> Iterator[Objection]:
    """Of a CA, extended usages restrict what it issues, say OpenSSL and most others."""
    found = _value(certificate, x509.ExtendedKeyUsage)
    if found is None or ExtendedKeyUsageOID.ANY_EXTENDED_KEY_USAGE in found:
        return
    missing = [name for usage, name in _NEEDED.items() if usage not in found]
    if missing:
        yield Objection(
            f"{who} is restricted by extendedKeyUsage, and not to {' and '.join(missing)}:"
            " certificates below it would be refused",
            "have it issued without extendedKeyUsage",
        )


def _permitted(certificate: x509.Certificate, who: str) -> Iterator[Objection]:
    found = _value(certificate, x509.NameConstraints)
    names = [n for n in (found.permitted_subtrees if found else None) or () if isinstance(n, _HELD)]
    if names:
        yield Objection(
            f"{who} permits only names within {_listed(names)}: the certificates of devices, and"
            " this server's own, have others and would be refused",
            "have it issued without permitted subtrees (nameConstraints)",
        )


def _critical(certificate: x509.Certificate, who: str) -> Iterator[Objection]:
    for extension in certificate.extensions:
        if extension.critical and extension.oid not in _KNOWN and not is_root(certificate):
            oid = extension.oid.dotted_string
            yield Objection(
                f"{who} has the critical extension {oid}, for which devices refuse it",
                "have it issued without, or not marked critical",
            )


def _cautions(certificate: x509.Certificate) -> Iterator[str]:
    if certificate.signature_algorithm_oid == SignatureAlgorithmOID.RSASSA_PSS:
        yield "signed with RSASSA-PSS, which old firmware cannot verify"
    if _value(certificate, x509.SubjectKeyIdentifier) is None:
        yield "has no subjectKeyIdentifier; strict clients (RFC 5280 section 4.2.1.2) refuse it"
    if _value(certificate, x509.KeyUsage) is None:
        yield "has no keyUsage; strict clients (RFC 5280 section 4.2.1.3) refuse it"
    found = _value(certificate, x509.NameConstraints)
    if found is not None and found.excluded_subtrees:
        yield (
            f"excludes names within {_listed(found.excluded_subtrees)}: certificates with such"
            " names are refused; every one is by endpoints that do not know nameConstraints"
        )


def _value(certificate: x509.Certificate, kind: type[T]) -> T | None:
    try:
        return certificate.extensions.get_extension_for_class(kind).value
    except (x509.ExtensionNotFound, *UNREADABLE):
        return None


def _name(certificate: x509.Certificate) -> str:
    return show_name(certificate.subject) or "a CA without a name"


def _listed(names: Sequence[x509.GeneralName]) -> str:
    shown = (show_name(n.value) if isinstance(n.value, x509.Name) else str(n.value) for n in names)
    return ", ".join(shown)


def _again(what: str) -> str:
    return f"have it issued again, with {what}"
