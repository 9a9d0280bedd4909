"""Requests and certificates that no library agrees to make, encoded by hand and signed for real."""

from __future__ import annotations

import base64

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec

from cipsec.pki import keys

KEY = ec.derive_private_key(7, ec.SECP256R1())

BASIC_CONSTRAINTS = "2.5.29.19"
KEY_USAGE = "2.5.29.15"
SUBJECT_ALT_NAME = "2.5.29.17"
COMMON_NAME = "2.5.4.3"
COUNTRY = "2.5.4.6"
SERIAL_NUMBER = "2.5.4.5"
CHALLENGE = "1.2.840.113549.1.9.7"
UNSTRUCTURED_NAME = "1.2.840.113549.1.9.2"
EXTENSION_REQUEST = "1.2.840.113549.1.9.14"

UTF8 = 0x0C
PRINTABLE = 0x13
_ECDSA_SHA256 = "1.2.840.10045.4.3.2"


def tlv(tag: int, *contents: bytes) -> bytes:
    """Return one DER element."""
    content = b"".join(contents)
    size = len(content)
    if size < 0x80:
        return bytes([tag, size]) + content
    octets = size.to_bytes((size.bit_length() + 7) // 8, "big")
    return bytes([tag, 0x80 | len(octets)]) + octets + content


def sequence(*contents: bytes) -> bytes:
    """Return a SEQUENCE."""
    return tlv(0x30, *contents)


def oid(dotted: str) -> bytes:
    """Return an OBJECT IDENTIFIER: the content of an EKU of one, which cryptography encodes."""
    usage = x509.ExtendedKeyUsage([x509.ObjectIdentifier(dotted)])
    return usage.public_bytes()[2:]


def name(*attributes: tuple[str, int, bytes]) -> bytes:
    """Return a Name of (OID, string tag, bytes) each in its own RDN."""
    return sequence(*(tlv(0x31, sequence(oid(o), tlv(tag, value))) for o, tag, value in attributes))


DRIVE = name((COMMON_NAME, UTF8, b"Drive 7"))


def attribute(kind: str, *values: bytes) -> bytes:
    """Return an attribute of a CSR with any number of values."""
    return sequence(oid(kind), tlv(0x31, *values))


def extension(kind: str, value: bytes, *, critical: bool = False) -> bytes:
    """Return an Extension around the DER `value`."""
    return sequence(oid(kind), b"\x01\x01\xff" if critical else b"", tlv(0x04, value))


def requested(*extensions: bytes) -> bytes:
    """Return the attribute that asks for extensions."""
    return attribute(EXTENSION_REQUEST, sequence(*extensions))


def request(*attributes: bytes, subject: bytes = DRIVE, version: int = 0) -> bytes:
    """Return a CSR with a good signature around whatever is given, in the order of DER."""
    info = sequence(
        bytes([2, 1, version]), subject, keys.spki(KEY.public_key()), tlv(0xA0, *sorted(attributes))
    )
    return _signed(info)


def certificate(
    *extensions: bytes,
    subject: bytes = DRIVE,
    serial: bytes = b"\x05",
    version: int = 2,
    not_after: bytes = b"20350101000000Z",
    spki: bytes | None = None,
) -> bytes:
    """Return a certificate with a good signature around whatever is given, self-signed by default.

    `spki` puts another public key into it.
    """
    info = sequence(
        tlv(0xA0, bytes([2, 1, version])),
        tlv(0x02, serial),
        sequence(oid(_ECDSA_SHA256)),
        subject,
        sequence(tlv(0x18, b"20250101000000Z"), tlv(0x18, not_after)),
        subject,
        spki or keys.spki(KEY.public_key()),
        tlv(0xA3, sequence(*extensions)) if extensions else b"",
    )
    return _signed(info)


def _signed(info: bytes) -> bytes:
    signature = KEY.sign(info, ec.ECDSA(hashes.SHA256()))
    return sequence(info, sequence(oid(_ECDSA_SHA256)), tlv(0x03, b"\0" + signature))


def pem(label: str, der: bytes) -> bytes:
    """Return DER in PEM armour."""
    text = base64.encodebytes(der).decode()
    return f"-----BEGIN {label}-----\n{text}-----END {label}-----\n".encode()
