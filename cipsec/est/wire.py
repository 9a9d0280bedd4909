"""What crosses the wire in EST: requests, responses, base64 bodies, certs-only PKCS#7.

Bytes in, values out; connections are left to `front` and to `est.connection`.
"""

from __future__ import annotations

import base64
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.hazmat.primitives.serialization.pkcs7 import load_der_pkcs7_certificates

from cipsec.errors import Malformed
from cipsec.pki import armour, pkcs7
from cipsec.pki.faults import UNREADABLE, why

WELL_KNOWN = "/.well-known/est"
PKCS10 = "application/pkcs10"
# Bare for /cacerts and with the parameter for enrollments: BouncyCastle before 1.69 compares
# the whole string, libest looks for smime-type in the answer to an enrollment.
CERTS = "application/pkcs7-mime"
CERTS_ONLY = "application/pkcs7-mime; smime-type=certs-only"
CSR_ATTRS = "application/csrattrs"

_ONE_LINE_MAX = 1022  # OpenSSL's base64 BIO wants a line feed within the first 1,024 bytes


def _no_bindings() -> tuple[bytes, ...]:
    return ()


@dataclass(frozen=True, slots=True)
class Peer:
    """The client's end of a TLS connection, as presented: nothing here is verified.

    `chain` holds the certificates in DER, leaf first. `bindings` computes the connection's
    channel bindings: tls-unique under TLS 1.2 (RFC 5929), tls-exporter (RFC 9266) wherever it is
    defined; a function, because most requests never need one.
    """

    address: str
    chain: tuple[bytes, ...] = ()
    tls_version: str = ""
    bindings: Callable[[], tuple[bytes, ...]] = _no_bindings


@dataclass(frozen=True, slots=True)
class Request:
    """One HTTP request: `headers` has lower-case names, `path` is without query."""

    method: str
    path: str
    headers: Mapping[str, str] = field(repr=False)  # Authorization is one of them
    body: bytes = field(repr=False)
    peer: Peer


@dataclass(frozen=True, slots=True)
class Response:
    """One HTTP response; Content-Length and Connection are added by who writes it."""

    status: int
    body: bytes = b""
    headers: Sequence[tuple[str, str]] = field(default=())


def decode_body(body: bytes) -> bytes:
    """Return the DER in a body: base64 in any layout, with PEM armour, or raw; raise Malformed.

    RFC 8951 sections 3.1 and 3.2: white space tolerated, base64 whatever the
    Content-Transfer-Encoding says.
    """
    if not body.strip():
        raise Malformed("the body is empty")
    if armour.is_der(body):
        return body
    block = next(armour.blocks(body), None)
    try:
        return armour.from_base64(block.text if block else body)
    except Malformed:
        raise Malformed("the body is neither base64 nor DER") from None


def encode_body(der: bytes, *, one_line: bool = False) -> bytes:
    """Return DER as base64: one line with a line feed while short, else lines of 64 columns.

    Every client measured reads one line under 1 KiB; beyond that libest needs lines and
    strongSwan before 5.9.11 needs none, hence `one_line`.
    """
    text = base64.b64encode(der)
    if one_line or len(text) <= _ONE_LINE_MAX:
        return text + b"\n"
    return in_lines(der)


def in_lines(der: bytes) -> bytes:
    """Return DER as base64 in lines of 64: the one layout of a CSR that every server reads."""
    text = base64.b64encode(der)
    return b"".join(text[i : i + 64] + b"\n" for i in range(0, len(text), 64))


def certs_only(certificates: Sequence[x509.Certificate]) -> bytes:
    """Return a certs-only Simple PKI Response in DER (RFC 7030 section 4.1.3, RFC 5272)."""
    return pkcs7.of_certificates(one.public_bytes(Encoding.DER) for one in certificates)


def parse_certs_only(der: bytes) -> list[x509.Certificate]:
    """Return the certificates of a certs-only PKCS#7 in DER; raise Malformed."""
    try:
        return list(load_der_pkcs7_certificates(der))
    except UNREADABLE as error:
        raise Malformed(f"this is not a certs-only PKCS#7: {why(error)}") from None
