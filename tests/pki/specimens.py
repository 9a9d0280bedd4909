"""Certificates that are right but for the one part that is given, encoded by hand and signed."""

from __future__ import annotations

import warnings
from collections.abc import Sequence

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec

from cipsec.pki import keys
from tests.support import der

ECDSA = der.sequence(der.oid("1.2.840.10045.4.3.2"))
ISSUER = der.name((der.COMMON_NAME, der.UTF8, b"Line 4"))
SERIAL = bytes.fromhex("3e0123456789abcdef0123456789abcd")
UTC, GENERALIZED, IA5, TELETEX = 0x17, 0x18, 0x16, 0x14
VALIDITY = der.tlv(UTC, b"250101000000Z") + der.tlv(UTC, b"350101000000Z")
KEY_ID = b"\x04\x14" + b"k" * 20

EXTENDED_KEY_USAGE, SKI, AKI = "2.5.29.37", "2.5.29.14", "2.5.29.35"
NO_CA = der.extension(der.BASIC_CONSTRAINTS, b"\x30\x00", critical=True)
CA = der.extension(der.BASIC_CONSTRAINTS, b"\x30\x03\x01\x01\xff", critical=True)
SIGNS = der.extension(der.KEY_USAGE, b"\x03\x02\x07\x80", critical=True)
SIGNS_ALL = der.extension(der.KEY_USAGE, b"\x03\x02\x01\x86", critical=True)
BOTH_ENDS = der.extension(
    EXTENDED_KEY_USAGE,
    der.sequence(der.oid("1.3.6.1.5.5.7.3.1"), der.oid("1.3.6.1.5.5.7.3.2")),
)
HAS_SKI = der.extension(SKI, KEY_ID)
HAS_AKI = der.extension(AKI, der.sequence(b"\x80\x14" + b"i" * 20))
NAMED = der.extension(der.SUBJECT_ALT_NAME, der.sequence(der.tlv(0x82, b"drive-7")))
USUAL = (NO_CA, SIGNS, BOTH_ENDS, HAS_SKI, HAS_AKI, NAMED)


def make(
    extensions: Sequence[bytes] | None = USUAL,
    *,
    version: bytes = b"\xa0\x03\x02\x01\x02",
    serial: bytes = SERIAL,
    inner: bytes = ECDSA,
    outer: bytes | None = None,
    issuer: bytes = ISSUER,
    validity: bytes = VALIDITY,
    subject: bytes = der.DRIVE,
    key: bytes | None = None,
    unique_ids: bytes = b"",
) -> x509.Certificate:
    """Return a certificate; each part is DER."""
    listed = b"" if extensions is None else der.tlv(0xA3, der.sequence(*extensions))
    info = der.sequence(
        version,
        der.tlv(0x02, serial),
        inner,
        issuer,
        der.sequence(validity),
        subject,
        key or keys.spki(der.KEY.public_key()),
        unique_ids,
        listed,
    )
    signature = der.KEY.sign(info, ec.ECDSA(hashes.SHA256()))
    made = der.sequence(info, outer or inner, der.tlv(0x03, b"\0" + signature))
    with warnings.catch_warnings():  # cryptography warns of serial numbers that are not positive
        warnings.simplefilter("ignore")
        return x509.load_der_x509_certificate(made)


def without(*extensions: bytes, put: Sequence[bytes] = ()) -> tuple[bytes, ...]:
    """Return the usual extensions without some, and with others."""
    return (*(one for one in USUAL if one not in extensions), *put)
