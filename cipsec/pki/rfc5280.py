"""The profile `rfc5280`: a certificate held against RFC 5280 section 4, each thing that is wrong.

`fail` is what a MUST of the RFC forbids, `warn` a SHOULD, or what programs are known to stumble on.
Its extensions are left to `pki.rfc5280_extensions`, its names to `pki.rfc5280_names`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, ed448, ed25519, rsa

from cipsec.pki import keys
from cipsec.pki.anatomy import Algorithm
from cipsec.pki.der import Element
from cipsec.pki.describe import signature_name
from cipsec.pki.faults import UNREADABLE
from cipsec.pki.lint import Finding
from cipsec.pki.lints import Check, Remark, Specimen, findings, specimen
from cipsec.pki.rfc5280_extensions import EXTENSIONS
from cipsec.pki.rfc5280_names import NAMES

_REISSUE = "tell whoever runs the CA; then have another certificate issued"
_NULL: Element = (0x05, b"")
_UTC, _GENERALIZED = 0x17, 0x18
_FORMS = {_UTC: re.compile(rb"\d{12}Z"), _GENERALIZED: re.compile(rb"\d{14}Z")}
_FIRST_GENERALIZED = b"2050"
_MAX_SERIAL = 20  # octets
_RANDOM_BITS = 64
_MIN_RSA_BITS = 2048
_PKCS1 = "1.2.840.113549.1.1."
_NULL_PARAMETERS = {f"{_PKCS1}{n}" for n in (2, 4, 5, 11, 12, 13, 14)}
_GOOD_CURVES = frozenset({"secp256r1", "secp384r1", "secp521r1"})
_WEAK = {"md2", "md4", "md5", "sha1"}


def certificate(parsed: x509.Certificate) -> list[Finding]:
    """Return all findings on a certificate by RFC 5280; raise Malformed where it has no parts."""
    return list(findings(CHECKS, specimen(parsed), hint=_REISSUE))


def _version(looked_at: Specimen) -> Iterator[Remark]:
    """Section 4.1.2.1."""
    version, extensions = looked_at.anatomy.version, looked_at.anatomy.extensions
    if extensions is not None and version != 2:
        yield Remark("fail", "it has extensions, and is not of version 3")
    if extensions is None and version == 2:
        yield Remark("warn", "it is of version 3 without any extension")
    if version != 2:
        yield Remark("warn", f"version {(version or 0) + 1}: TLS programs want version 3")


def _serial(looked_at: Specimen) -> Iterator[Remark]:
    """Section 4.1.2.2; whether the number is random cannot be seen, only that it is too short."""
    octets = looked_at.anatomy.serial
    number = int.from_bytes(octets, "big", signed=True)
    if number < 0:
        yield Remark("fail", "it is negative")
    elif number == 0:
        yield Remark("fail", "it is zero")
    elif number.bit_length() < _RANDOM_BITS - 8:  # eight random bits are zero now and then
        yield Remark("warn", f"{number}: too short a number to be random and unique")
    if len(octets) > _MAX_SERIAL:
        yield Remark("fail", f"{len(octets)} octets are more than the {_MAX_SERIAL} allowed")


def _signature(looked_at: Specimen) -> Iterator[Remark]:
    """Sections 4.1.1.2 and 4.1.2.3; parameters by RFC 4055, 5758 and 8410."""
    inner, outer = looked_at.anatomy.inner, looked_at.anatomy.outer
    if inner != outer:
        yield Remark("fail", "the algorithm that is signed is not the one beside the signature")
    yield from _parameters(inner)
    name = signature_name(x509.ObjectIdentifier(inner.oid))
    try:
        algorithm = looked_at.parsed.signature_hash_algorithm
    except UNREADABLE:
        yield Remark("warn", f"{name} is not known here")
        return
    if algorithm is not None and algorithm.name in _WEAK:
        yield Remark("fail", f"{name} proves nothing: a second certificate can be made for it")


def _parameters(algorithm: Algorithm) -> Iterator[Remark]:
    if algorithm.oid in _NULL_PARAMETERS and algorithm.parameters != _NULL:
        yield Remark("fail", "RSA's algorithm has to have NULL as its parameters")


def _validity(looked_at: Specimen) -> Iterator[Remark]:
    """Section 4.1.2.5: UTCTime through 2049, GeneralizedTime from 2050, seconds, and `Z`."""
    for field, (tag, text) in (
        ("notBefore", looked_at.anatomy.not_before),
        ("notAfter", looked_at.anatomy.not_after),
    ):
        if tag not in _FORMS or not _FORMS[tag].fullmatch(text):
            yield Remark("fail", f"{field} is not written with seconds and Z")
        elif tag == _GENERALIZED and text < _FIRST_GENERALIZED:
            yield Remark("fail", f"{field} is before 2050 and not UTCTime")
    try:
        begin = looked_at.parsed.not_valid_before_utc
        if begin > looked_at.parsed.not_valid_after_utc:
            yield Remark("fail", "it ends before it begins")
    except UNREADABLE:
        yield Remark("fail", "its times cannot be read")


def _key(looked_at: Specimen) -> Iterator[Remark]:
    """Section 4.1.2.7: a kind and strength that proves something, written as RFC 5480 has it."""
    key = looked_at.key
    if key is None:
        yield Remark("fail", f"its algorithm {looked_at.anatomy.key.oid} is not known, or damaged")
        return
    yield from _strength(key)
    if keys.spki(key) not in looked_at.parsed.tbs_certificate_bytes:
        yield Remark("warn", "its algorithm or curve is not written as RFC 5480 or 3279 says")


def _strength(key: object) -> Iterator[Remark]:
    match key:
        case ec.EllipticCurvePublicKey() if key.curve.name not in _GOOD_CURVES:
            yield Remark("warn", f"few programs know the curve {key.curve.name}")
        case rsa.RSAPublicKey():
            exponent = key.public_numbers().e
            if key.key_size < _MIN_RSA_BITS:
                yield Remark("fail", f"an RSA key of {key.key_size} bits proves nothing")
            if exponent < 3 or not exponent & 1:
                yield Remark("fail", f"{exponent} is no exponent for an RSA key")
        case ec.EllipticCurvePublicKey() | ed25519.Ed25519PublicKey() | ed448.Ed448PublicKey():
            return
        case _:
            yield Remark("warn", "TLS knows no such kind of key any more")


def _unique_ids(looked_at: Specimen) -> Iterator[Remark]:
    """Section 4.1.2.8."""
    if looked_at.anatomy.unique_ids:
        yield Remark("fail", "issuerUniqueID and subjectUniqueID are not to be used")


CHECKS: dict[str, Check] = {
    "version": _version,
    "serial number": _serial,
    "signature algorithm": _signature,
    **NAMES,
    "validity encoding": _validity,
    "public key": _key,
    "unique identifiers": _unique_ids,
    **EXTENSIONS,
}
