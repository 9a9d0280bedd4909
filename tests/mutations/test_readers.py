"""Every reader of bytes on spoilt files: an answer, or an error of this package, never another."""

from __future__ import annotations

import base64
import functools
from collections.abc import Callable

import pytest
from cryptography import x509
from hypothesis import given, settings
from hypothesis import strategies as st

from cipsec.card import content
from cipsec.est import attributes, wire
from cipsec.pki import armour, csr, describe, describe_crl, lint, load, pkcs12, revocation
from tests.support import der

from .mutating import (
    CONSTRAINED,
    CRL,
    CSR_ATTRS,
    LEAF,
    NOW,
    PASSPHRASE,
    PKCS7,
    PKCS12,
    REQUEST,
    flipped,
    spoilt,
    survives,
)

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning")

_SMALL = 800  # bytes
Reader = Callable[[bytes], object]


def _loaded(data: bytes) -> None:
    """Load whatever it is, and show all that is in it."""
    found = load.contents(data, "x")
    for certificate in found.certificates:
        describe.certificate(certificate, NOW)
    for crl in found.crls:
        describe_crl.revocation_list(crl, NOW)
    for request in found.requests:
        describe.request(x509.load_der_x509_csr(request))
        lint.request(request)


def _opened(data: bytes) -> None:
    for word in (None, PASSPHRASE):
        survives(functools.partial(pkcs12.read, source="x", passphrase=word), data)
    _loaded(data)


def _from_card(data: bytes) -> None:
    inner = der.tlv(0x70, data) + der.tlv(0x71, b"\0") + der.tlv(0xFE)
    found = content.decode(der.tlv(0x53, inner))
    if found is not None:
        describe.certificate(found, NOW)


def _body(data: bytes) -> None:
    wire.parse_certs_only(wire.decode_body(base64.encodebytes(data)))


FORMS: dict[str, tuple[bytes, tuple[Reader, ...]]] = {
    "certificate": (LEAF.der, (_loaded, _from_card)),
    "constrained CA": (CONSTRAINED.der, (_loaded,)),
    "request": (REQUEST, (_loaded, csr.parse, lint.request)),
    "list": (CRL, (_loaded, lambda data: revocation.read(data, "x"))),
    "certs-only": (PKCS7, (_loaded, wire.parse_certs_only, _body)),
    "csrattrs": (CSR_ATTRS, (attributes.parse,)),
    "card object": (content.encode(LEAF.certificate), (content.decode,)),
    "armoured certificate": (der.pem("CERTIFICATE", LEAF.der), (_loaded, wire.decode_body)),
    "armoured request": (
        der.pem("CERTIFICATE REQUEST", REQUEST),
        (_loaded, wire.decode_body, lambda data: list(armour.blocks(data))),
    ),
    "armoured list": (
        der.pem("X509 CRL", CRL),
        (_loaded, lambda data: revocation.read(data, "x")),
    ),
}


@pytest.mark.parametrize("form", FORMS)
def test_every_bit_flipped(form: str) -> None:
    """Most of them are refused, and some change nothing that matters here."""
    data, readers = FORMS[form]
    assert all(survives(read, data) for read in readers)
    step = 1 if len(data) < _SMALL else 5  # all of what is large takes a minute
    read = [survives(read, changed) for changed in flipped(data, step=step) for read in readers]
    assert not all(read)


@pytest.mark.parametrize("form", FORMS)
@settings(max_examples=150, derandomize=True)
@given(data=st.data())
def test_spoilt(form: str, data: st.DataObject) -> None:
    """Cut off, doubled, pieces replaced."""
    original, readers = FORMS[form]
    changed = data.draw(spoilt(original))
    for read in readers:
        survives(read, changed)


def test_pkcs12_with_bits_flipped() -> None:
    """One in five: each try of a passphrase takes its milliseconds."""
    assert survives(_opened, PKCS12)
    for changed in flipped(PKCS12, step=5):
        survives(_opened, changed)


@settings(max_examples=100, derandomize=True)
@given(spoilt(PKCS12))
def test_pkcs12_spoilt(changed: bytes) -> None:
    """A number of rounds that has become huge is not begun."""
    survives(_opened, changed)


@settings(max_examples=300, derandomize=True)
@given(st.binary(max_size=200))
def test_any_bytes(data: bytes) -> None:
    """Also such as begin like something."""
    for begin in (b"", b"\x30\x80", b"\x30\x82\x01\x00", b"-----BEGIN X509 CRL-----\n"):
        for read in (_opened, _body, _from_card, csr.parse, attributes.parse):
            survives(read, begin + data)
        survives(lambda given: revocation.read(given, "x"), begin + data)
