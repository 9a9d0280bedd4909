"""Bodies on the wire: every layout in, one layout out; and what an answer means, whatever it is."""

from __future__ import annotations

import base64
import contextlib
from datetime import UTC, datetime

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, pkcs7
from hypothesis import example, given
from hypothesis import strategies as st

from cipsec.errors import CipsecError, Malformed
from cipsec.est import answers, attributes, wire
from cipsec.est.answers import Answer
from cipsec.pki.pkcs7 import of_certificates
from tests.support.canned import Plant

NOW = datetime(2027, 1, 31, 6, tzinfo=UTC)
PLANT = Plant()
DER = wire.certs_only([PLANT.certificate])

_headers = st.dictionaries(
    st.sampled_from(["retry-after", "date", "content-type", "location"]), st.text(), max_size=4
)


def _in_lines(der: bytes, columns: int, end: str) -> bytes:
    line = base64.b64encode(der).decode()
    return "".join(line[i : i + columns] + end for i in range(0, len(line), columns)).encode()


@pytest.mark.parametrize(
    "body",
    [
        DER,
        base64.b64encode(DER),
        base64.b64encode(DER).rstrip(b"="),
        _in_lines(DER, 64, "\n"),
        _in_lines(DER, 76, "\r\n"),
        _in_lines(DER, 1, " \t"),
        b"-----BEGIN PKCS7-----\n" + _in_lines(DER, 64, "\n") + b"-----END PKCS7-----\n",
        b"subject=x\n-----BEGIN CMS-----" + base64.b64encode(DER) + b"-----END CMS-----",
    ],
)
def test_every_layout_is_the_same_der(body: bytes) -> None:
    """RFC 8951 section 3.2, and what people send besides."""
    assert wire.decode_body(body) == DER
    assert wire.parse_certs_only(wire.decode_body(body)) == [PLANT.certificate]


@pytest.mark.parametrize("body", [b"", b"  \r\n", b"!!!!", b"MII", "ж".encode(), b"A"])
def test_what_is_neither_is_malformed(body: bytes) -> None:
    """And nothing else is raised."""
    with pytest.raises(Malformed):
        wire.parse_certs_only(wire.decode_body(body))


@pytest.mark.parametrize("count", [1, 2, 5, 300])
def test_certificates_are_enclosed_as_cryptography_does_it(count: int) -> None:
    """Byte by byte, with lengths of one to three octets, whatever the order they come in."""
    others = [Plant().certificate for _ in range(min(count, 5) - 1)]
    held = [PLANT.certificate, *others] * -(-count // 5)
    enclosed = pkcs7.serialize_certificates(held, Encoding.DER)
    assert wire.certs_only(held) == enclosed
    ders = [certificate.public_bytes(Encoding.DER) for certificate in reversed(held)]
    assert of_certificates(ders) == enclosed


@given(st.binary(max_size=3000), st.booleans())
def test_what_is_encoded_is_decoded(data: bytes, one_line: bool) -> None:
    """For every DER there is, in both layouts; the first line feed comes where libest needs it."""
    der = b"\x30\x82" + len(data).to_bytes(2, "big") + data
    body = wire.encode_body(der, one_line=one_line)
    assert wire.decode_body(body) == der
    assert body.endswith(b"\n")
    assert one_line or body.index(b"\n") < 1024


@given(st.binary(max_size=400))
@example(b"0")
@example(b"-----BEGIN CERTIFICATE-----\n-----END CERTIFICATE-----")
def test_bodies_never_break_the_reader(body: bytes) -> None:
    """A body is certificates or an error of the tree."""
    for read in (lambda: wire.decode_body(body), lambda: answers.certificates(_answer(200, body))):
        with contextlib.suppress(CipsecError):
            read()


def _answer(status: int, body: bytes = b"", headers: dict[str, str] | None = None) -> Answer:
    return Answer(status, headers or {}, body)


@given(st.integers(100, 999), st.binary(max_size=200), _headers)
@example(202, b"", {"retry-after": "Fri, 31 Dec 9999 23:59:59 +9999"})
@example(202, b"", {"retry-after": "Mon, 01 Jan 0001 00:00:00 GMT", "date": "-1"})
@example(202, b"", {"retry-after": "٣"})
def test_every_answer_means_something(status: int, body: bytes, headers: dict[str, str]) -> None:
    """One sentence that a terminal can show, and never a negative or endless wait."""
    error = answers.refusal(_answer(status, body, headers), "host", NOW)
    assert error.message.isprintable()
    assert len(error.message) < 500
    assert 0 <= answers.retry_after(headers, NOW) <= 366 * 86400


@given(st.binary(max_size=200))
def test_csr_attributes_never_break_the_reader(der: bytes) -> None:
    """Attributes are dotted OIDs or Malformed."""
    try:
        wished = attributes.parse(der)
    except Malformed:
        return
    for oid in wished:
        assert all(arc.isdecimal() for arc in oid.split("."))


@given(st.lists(st.integers(0, 2**40), min_size=1, max_size=8), st.integers(0, 39))
def test_csr_attributes_are_read_as_cryptography_reads_oids(arcs: list[int], second: int) -> None:
    """An OID in, the same OID out."""
    dotted = ".".join(map(str, [1, second, *arcs]))
    unit = x509.UnrecognizedExtension(x509.ObjectIdentifier(dotted), b"").oid
    extension = x509.ExtendedKeyUsage([unit]).public_bytes()  # a SEQUENCE OF OID, as CsrAttrs is
    assert attributes.parse(extension) == {dotted}
