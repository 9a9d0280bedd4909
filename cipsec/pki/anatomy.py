"""A certificate taken apart as its DER has it (RFC 5280 section 4.1): what parsers smooth over.

What is wrong with the parts is left to `pki.rfc5280`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from cryptography import x509

# From where `serialization` has it, which is slow to import.
from cryptography.hazmat.primitives._serialization import Encoding

from cipsec.errors import Malformed
from cipsec.pki import der
from cipsec.pki.der import Element

_BOOLEAN, _INTEGER = 0x01, 0x02
SEQUENCE = 0x30
_VERSION, _ISSUER_ID, _SUBJECT_ID, _EXTENSIONS = 0xA0, 0x81, 0x82, 0xA3


@dataclass(frozen=True, slots=True)
class Algorithm:
    """An AlgorithmIdentifier: `parameters` is None where they are absent."""

    oid: str
    parameters: Element | None


@dataclass(frozen=True, slots=True)
class Attribute:
    """One attribute of a name: its OID, and the tag and content of its value."""

    oid: str
    tag: int
    content: bytes


@dataclass(frozen=True, slots=True)
class RawExtension:
    """One extension: its OID, and whether it is critical."""

    oid: str
    critical: bool


@dataclass(frozen=True, slots=True)
class Anatomy:
    """The parts of a certificate; `version` is None where it is not written, else 0 to 2."""

    version: int | None
    serial: bytes
    inner: Algorithm
    outer: Algorithm
    issuer: tuple[Attribute, ...]
    not_before: Element
    not_after: Element
    subject: tuple[Attribute, ...]
    key: Algorithm
    unique_ids: int
    extensions: tuple[RawExtension, ...] | None


def dissect(certificate: x509.Certificate) -> Anatomy:
    """Return the parts of a certificate; raise Malformed where it is not made of them."""
    try:
        return _dissect(certificate.public_bytes(Encoding.DER))
    except ValueError as error:
        raise Malformed(f"the certificate cannot be taken apart: {error}") from None


def _dissect(data: bytes) -> Anatomy:
    tbs, outer, _ = der.elements(der.only(data, SEQUENCE))
    fields = der.elements(tbs[1])
    version = fields.pop(0) if fields[0][0] == _VERSION else None
    (_, serial), inner, (_, issuer), (_, validity), (_, subject), (_, key), *rest = fields
    not_before, not_after = der.elements(validity)
    optional = dict(rest)
    return Anatomy(
        version=int.from_bytes(der.only(version[1], _INTEGER), "big") if version else None,
        serial=serial,
        inner=_algorithm(inner),
        outer=_algorithm(outer),
        issuer=tuple(_attributes(issuer)),
        not_before=not_before,
        not_after=not_after,
        subject=tuple(_attributes(subject)),
        key=_algorithm(der.elements(key)[0]),
        unique_ids=sum(tag in optional for tag in (_ISSUER_ID, _SUBJECT_ID)),
        extensions=_extensions(optional),
    )


def _algorithm(element: Element) -> Algorithm:
    (_, oid), *parameters = der.elements(element[1])
    return Algorithm(der.dotted(oid), parameters[0] if parameters else None)


def _attributes(name: bytes) -> Iterator[Attribute]:
    for _, rdn in der.elements(name):
        for _, attribute in der.elements(rdn):
            (_, oid), (tag, content) = der.elements(attribute)
            yield Attribute(der.dotted(oid), tag, content)


def _extensions(optional: dict[int, bytes]) -> tuple[RawExtension, ...] | None:
    if _EXTENSIONS not in optional:
        return None
    listed = der.elements(der.only(optional[_EXTENSIONS], SEQUENCE))
    return tuple(_extension(der.elements(content)) for _, content in listed)


def _extension(fields: Sequence[Element]) -> RawExtension:
    (_, oid), second, *_ = fields
    return RawExtension(der.dotted(oid), second[0] == _BOOLEAN and any(second[1]))


def one_by_one(certificate: x509.Certificate) -> Iterator[tuple[str, x509.Certificate]]:
    """Yield each extension's OID, and a bare certificate with no other: to be read only.

    cryptography reads all extensions or none. Nothing else of the certificate is in these: it may
    be megabytes, and there may be as many extensions as fit beside it.
    """
    tbs = der.elements(der.only(certificate.public_bytes(Encoding.DER), SEQUENCE))[0][1]
    tag, listed = der.elements(tbs)[-1]
    if tag != _EXTENSIONS:
        return
    for field, content in der.elements(der.only(listed, SEQUENCE)):
        alone = der.element(tag, der.element(SEQUENCE, der.element(field, content)))
        made = der.element(SEQUENCE, der.element(SEQUENCE, _BARE, alone), _UNSIGNED)
        yield _extension(der.elements(content)).oid, x509.load_der_x509_certificate(made)


_ALGORITHM = bytes.fromhex("300a06082a8648ce3d040302")
_BARE = b"".join(  # version 3, serial number, algorithm, issuer, validity, subject, key
    (
        bytes.fromhex("a003020102020101"),
        _ALGORITHM,
        b"\x30\x00",
        b"\x30\x1e\x17\x0d250101000000Z\x17\x0d350101000000Z",
        b"\x30\x00",
        der.element(SEQUENCE, _ALGORITHM, b"\x03\x01\x00"),
    )
)
_UNSIGNED = _ALGORITHM + b"\x03\x01\x00"
