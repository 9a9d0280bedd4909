"""The data object that holds a certificate on a PIV card (SP 800-73-5 part 1, appendix A)."""

from __future__ import annotations

import zlib

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from cipsec.card import tlv
from cipsec.errors import WrongCard
from cipsec.pki.faults import UNREADABLE

_OBJECT = 0x53
_CERTIFICATE = 0x70
_INFO = 0x71
_CHECK = 0xFE
_COMPRESSED = 0x01
_GZIP = 16 + zlib.MAX_WBITS
_MAX_CERTIFICATE = 1 << 16


def encode(certificate: x509.Certificate) -> bytes:
    """Return the object with a certificate, not compressed: every reader takes that."""
    der = certificate.public_bytes(Encoding.DER)
    inner = tlv.encode(_CERTIFICATE, der) + tlv.encode(_INFO, b"\0") + tlv.encode(_CHECK, b"")
    return tlv.encode(_OBJECT, inner)


def empty() -> bytes:
    """Return the object that takes the place of a deleted one."""
    return tlv.encode(_OBJECT, b"")


def decode(data: bytes) -> x509.Certificate | None:
    """Read the object; None when it was deleted; raise WrongCard."""
    inner = tlv.inside(data, _OBJECT) if data else {}
    if not inner:
        return None
    der = tlv.value(inner, _CERTIFICATE)
    if not der:
        return None
    if inner.get(_INFO, b"\0")[:1] == bytes([_COMPRESSED]):
        der = _decompressed(der)
    return _certificate(der)


def _certificate(der: bytes) -> x509.Certificate:
    try:
        certificate = x509.load_der_x509_certificate(der)
        # These are read when asked for; whoever shows the certificate is not to stumble.
        _ = certificate.public_key(), certificate.subject, certificate.issuer
        _ = certificate.not_valid_before_utc, certificate.not_valid_after_utc
    except UNREADABLE as error:
        raise WrongCard("what the card holds as a certificate is not one") from error
    return certificate


def _decompressed(data: bytes) -> bytes:
    unpack = zlib.decompressobj(_GZIP)
    try:
        plain = unpack.decompress(data, _MAX_CERTIFICATE)
    except zlib.error as error:
        raise WrongCard("the certificate on the card is compressed, and damaged") from error
    if not unpack.eof:
        raise WrongCard("the certificate on the card is compressed, and cut off or too large")
    return plain
