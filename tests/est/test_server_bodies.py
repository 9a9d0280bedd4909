"""Bodies of enrollments: every layout of a CSR is read, whatever is wrong with one is said."""

from __future__ import annotations

import base64
import functools
import math
from collections.abc import Iterator

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding

from cipsec.pki import keys
from cipsec.pki.csr import CertificateRequest
from cipsec.pki.names import parse_subject
from tests.support import ca, der, est
from tests.support.est import Server, post, reason


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server that asks about everybody but users and its own devices."""
    with est.serving(tmp_path_factory.mktemp("bodies")) as server:
        yield server


@functools.cache
def asked() -> CertificateRequest:
    """One device's CSR; making keys takes time."""
    return ca.request()


def layouts() -> dict[str, bytes]:
    """Return one CSR as different clients send it."""
    raw = asked().der
    line = base64.b64encode(raw)
    lines = base64.encodebytes(raw)
    return {
        "lines": lines,
        "CRLF": lines.replace(b"\n", b"\r\n"),
        "one line": line,
        "one line, LF": line + b"\n",
        "blanks": line.replace(b"M", b" \tM"),
        "PEM": asked().parsed.public_bytes(Encoding.PEM),
        "PEM as NEW": der.pem("NEW CERTIFICATE REQUEST", raw),
        "DER": raw,
    }


@pytest.mark.parametrize("layout", layouts())
@pytest.mark.parametrize(
    "kind", ["application/pkcs10", "Application/PKCS10; charset=us-ascii", "application/pkcs10 ;x"]
)
def test_every_layout_of_a_csr_is_read(layout: str, kind: str, server: Server) -> None:
    """And all of them are the same request."""
    response = server.answer(post(layouts()[layout], content_type=kind))
    assert est.identifier(response) == est.identifier(server.enroll(asked()))


@pytest.mark.parametrize(
    "kind",
    [
        None,
        "",
        "application/pkcs7-mime",
        "text/plain",
        "application/pkcs10x",
        "x; application/pkcs10",
    ],
)
def test_other_media_types(kind: str | None, server: Server) -> None:
    """415, with the one that is taken; also without any."""
    response = server.answer(post(asked().der, content_type=kind))
    said = "send the CSR with Content-Type: application/pkcs10"
    assert (response.status, reason(response)) == (415, said)


def signed(
    key: ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey | ed25519.Ed25519PrivateKey,
) -> bytes:
    """Return a CSR for a key that no endpoint should have."""
    builder = x509.CertificateSigningRequestBuilder().subject_name(parse_subject("CN=Drive 7"))
    algorithm = None if isinstance(key, ed25519.Ed25519PrivateKey) else hashes.SHA256()
    return builder.sign(key, algorithm).public_bytes(Encoding.DER)


def over_sha1() -> bytes:
    """Return a CSR whose good signature is over SHA-1."""
    info = asked_by_hand()
    signature = der.KEY.sign(info, ec.ECDSA(hashes.SHA1()))
    return der.sequence(
        info, der.sequence(der.oid("1.2.840.10045.4.1")), der.tlv(0x03, b"\0", signature)
    )


def asked_by_hand() -> bytes:
    """Return the signed part of the CSR that tests/support/der.py makes."""
    return x509.load_der_x509_csr(der.request()).tbs_certrequest_bytes


def stolen_key() -> bytes:
    """Return a CSR for somebody else's key: signed, but not with it."""
    other = ec.generate_private_key(ec.SECP256R1()).public_key()
    return der.request().replace(keys.spki(der.KEY.public_key()), keys.spki(other))


def with_large_exponent() -> rsa.RSAPrivateKey:
    """Return a key whose signatures take fifty times as long to check as others."""
    numbers = rsa.generate_private_key(65537, 2048).private_numbers()
    p, q = numbers.p, numbers.q
    public = rsa.RSAPublicNumbers((1 << 2040) + 1, p * q)
    while math.gcd(public.e, (p - 1) * (q - 1)) != 1:
        public = rsa.RSAPublicNumbers(public.e + 2, public.n)
    d = pow(public.e, -1, (p - 1) * (q - 1))
    private = rsa.RSAPrivateNumbers(p, q, d, d % (p - 1), d % (q - 1), numbers.iqmp, public)
    return private.private_key()


BAD_BODIES = {
    "empty": (b"", "the body is empty"),
    "blank": (b" \r\n", "the body is empty"),
    "text": (b"please", "this is not a certificate signing request: its DER does not decode"),
    "not base64": (b"%%%%", "the body is neither base64 nor DER"),
    "HTML": (b"<html></html>", "the body is neither base64 nor DER"),
    "UTF-8": ("ж".encode() * 8, "the body is neither base64 nor DER"),
    "cut": (asked().der[:-1], "this is not a certificate signing request: its DER does not"),
    "more": (asked().der + b"\0", "this is not a certificate signing request: its DER does not"),
    "certificate": (der.certificate(), "this is not a certificate signing request"),
    "version": (der.request(version=1), "this is not a certificate signing request: 1 is not a"),
    "oversized": (
        der.sequence(b"\0" * 70_000),
        "a CSR of 70005 bytes is too large",
    ),
    "signature": (
        asked().der[:-1] + bytes([asked().der[-1] ^ 1]),
        "the CSR's signature is not made with its own key",
    ),
    "stolen key": (stolen_key(), "the CSR's signature is not made with its own key"),
    "SHA-1": (over_sha1(), "the CSR is signed with a hash that is not served; use SHA-256"),
    "P-521": (
        signed(ec.generate_private_key(ec.SECP521R1())),
        "keys on the curve secp521r1 are not served; use P-256",
    ),
    "secp256k1": (
        signed(ec.generate_private_key(ec.SECP256K1())),
        "keys on the curve secp256k1 are not served; use P-256",
    ),
    "RSA-1024": (
        signed(rsa.generate_private_key(65537, 1024)),
        "an RSA key of 1024 bits is not served; use 2048 or more",
    ),
    "RSA, large exponent": (
        signed(with_large_exponent()),
        "an RSA key with so large an exponent is not served; use 65537",
    ),
    "Ed25519": (
        signed(ed25519.Ed25519PrivateKey.generate()),
        "keys of the kind ed25519 are not served; use EC P-256",
    ),
    "attributes twice": (
        der.request(der.attribute(der.CHALLENGE, b"\x0c\x01a", b"\x0c\x01b")),
        "this is not a certificate signing request",
    ),
    "extensions twice": (
        der.request(der.requested(*[der.extension(der.KEY_USAGE, b"\x03\x02\x07\x80")] * 2)),
        "this is not a certificate signing request",
    ),
    "name": (
        der.request(subject=der.name((der.COMMON_NAME, der.UTF8, b"\xff"))),
        "this is not a certificate signing request",
    ),
}


@pytest.mark.parametrize("body", BAD_BODIES)
@pytest.mark.parametrize("encode", [bytes, base64.encodebytes], ids=["raw", "base64"])
def test_what_is_no_good_csr(body: str, encode: type[bytes], server: Server) -> None:
    """400 with the reason in one line, whatever is wrong with it; nothing is recorded."""
    content, expected = BAD_BODIES[body]
    if encode is not bytes and body in ("empty", "blank", "text", "not base64", "HTML", "UTF-8"):
        expected = "the body is empty" if not content else "this is not a certificate signing"
    before = len(server.requests()), len(server.events())
    response = server.answer(post(encode(content)))
    assert response.status == 400
    assert reason(response).startswith(expected)
    assert (len(server.requests()), len(server.events())) == before
