"""Detached signatures: CMS SignedData (RFC 5652) over content that is hashed and not held.

`openssl cms -verify -content FILE` reads them. Which certificate signs, and what it is good for, is
left to the caller.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding

from cipsec.pki import keys
from cipsec.pki.der import element

_SEQUENCE, _SET, _OCTETS, _INTEGER, _NULL = 0x30, 0x31, 0x04, 0x02, 0x05
_CONTEXT_0 = 0xA0
_FIRST_GENERALIZED_YEAR = 2050  # RFC 5652 section 11.3

# OBJECT IDENTIFIERs, complete.
_DATA = bytes.fromhex("06092a864886f70d010701")
_SIGNED_DATA = bytes.fromhex("06092a864886f70d010702")
_CONTENT_TYPE = bytes.fromhex("06092a864886f70d010903")
_MESSAGE_DIGEST = bytes.fromhex("06092a864886f70d010904")
_SIGNING_TIME = bytes.fromhex("06092a864886f70d010905")
_HASHES = {"sha256": "0609608648016503040201", "sha384": "0609608648016503040202"}
_ECDSA = {"sha256": "06082a8648ce3d040302", "sha384": "06082a8648ce3d040303"}
_RSA = bytes.fromhex("06092a864886f70d010101")  # RFC 3370 section 3.2: rsaEncryption will do


def sign(
    digest: bytes,
    certificate: x509.Certificate,
    key: keys.PrivateKey,
    *,
    now: datetime,
    chain: Sequence[x509.Certificate] = (),
) -> bytes:
    """Return a detached signature in DER over content with this hash.

    `digest` was made with `keys.signing_hash(key)`; `chain` goes along with `certificate`.
    """
    algorithm = keys.signing_hash(key).name
    attributes = _attributes(digest, now)
    # Section 5.4: what is signed is the SET OF, not the [0] under which it is sent.
    signature = keys.sign(key, element(_SET, attributes))
    signer = element(
        _SEQUENCE,
        _number(1),
        _issuer_and_serial(certificate),
        _hash(algorithm),
        element(_CONTEXT_0, attributes),
        _signature_algorithm(key, algorithm),
        element(_OCTETS, signature),
    )
    certificates = [one.public_bytes(Encoding.DER) for one in (certificate, *chain)]
    signed = element(
        _SEQUENCE,
        _number(1),
        element(_SET, _hash(algorithm)),
        element(_SEQUENCE, _DATA),
        element(_CONTEXT_0, *sorted(set(certificates))),
        element(_SET, signer),
    )
    return element(_SEQUENCE, _SIGNED_DATA, element(_CONTEXT_0, signed))


def _attributes(digest: bytes, now: datetime) -> bytes:
    """Return the signed attributes, in the order of DER (X.690 section 11.6)."""
    values = (
        element(_SEQUENCE, _CONTENT_TYPE, element(_SET, _DATA)),
        element(_SEQUENCE, _SIGNING_TIME, element(_SET, _time(now))),
        element(_SEQUENCE, _MESSAGE_DIGEST, element(_SET, element(_OCTETS, digest))),
    )
    return b"".join(sorted(values))


def _time(moment: datetime) -> bytes:
    if moment.year < _FIRST_GENERALIZED_YEAR:
        return element(0x17, moment.strftime("%y%m%d%H%M%SZ").encode())
    return element(0x18, moment.strftime("%Y%m%d%H%M%SZ").encode())


def _issuer_and_serial(certificate: x509.Certificate) -> bytes:
    return element(_SEQUENCE, certificate.issuer.public_bytes(), _number(certificate.serial_number))


def _hash(algorithm: str) -> bytes:
    return element(_SEQUENCE, bytes.fromhex(_HASHES[algorithm]))  # RFC 5754: no parameters


def _signature_algorithm(key: keys.PrivateKey, algorithm: str) -> bytes:
    if isinstance(key, rsa.RSAPrivateKey):
        return element(_SEQUENCE, _RSA, element(_NULL))
    return element(_SEQUENCE, bytes.fromhex(_ECDSA[algorithm]))


def _number(value: int) -> bytes:
    return element(_INTEGER, value.to_bytes(value.bit_length() // 8 + 1, "big"))
