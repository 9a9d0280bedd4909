"""What is acted on and not only judged: a spoilt certificate is taken whole, or refused."""

from __future__ import annotations

import functools
from collections.abc import Callable
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from cipsec import founding
from cipsec._cli.ca_intermediate import certificates
from cipsec.endpoint.trust import read_anchors
from cipsec.pki import bundle, keys
from cipsec.pki.faults import UNREADABLE
from cipsec.ra.vendors import load
from cipsec.tls.client import client_context
from tests.support import der

from .mutating import CA, CRL, NOW, ROOT, flipped, survives

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning")

_KEY = keys.to_pem(ROOT.key, None)


def _adopted(data: bytes, place: Path) -> None:
    """As `ca init --import` with --certificate, and with --chain."""
    place.write_bytes(data)
    given = certificates(place)
    founding.chain_of(ROOT.key, given, NOW)
    founding.chain_of(CA.key, [CA.certificate, *given], NOW)


def _adopted_from_one_file(data: bytes, place: Path) -> None:
    """As `ca init --import` of a key with its certificate beside it."""
    found = bundle.read(_KEY + data, str(place))
    founding.chain_of(found.key, found.certificates, NOW)


def _trusted(data: bytes, place: Path) -> None:
    """As `enroll --trust`."""
    place.write_bytes(data)
    client_context(read_anchors(place), by_name=True)


def _vendor(data: bytes, place: Path) -> None:
    """As `vendor add`, and what a server says of vendors when it starts."""
    place.with_suffix(load.ANCHORS).write_bytes(data)
    place.with_suffix(load.LISTS).write_bytes(CRL)
    load.warnings([load.vendor(place.parent, place.stem)], NOW)


@pytest.mark.parametrize(
    "act",
    [_adopted, _adopted_from_one_file, _trusted, _vendor],
    ids=lambda act: act.__name__.strip("_"),
)
def test_every_bit_of_a_root_flipped(act: Callable[[bytes, Path], None], tmp_path: Path) -> None:
    """One in three; also names, which are read only when somebody asks for them."""
    place = tmp_path / "acme"
    act(ROOT.certificate.public_bytes(Encoding.PEM), place)
    taken = [
        survives(lambda data: act(data, place), der.pem("CERTIFICATE", changed))
        for changed in flipped(ROOT.der, step=3)
    ]
    assert not all(taken)


def test_what_openssl_cannot_read() -> None:
    """And cryptography can: a word of the tree, not of the parser."""
    refused = 0
    for changed in flipped(ROOT.der):
        try:
            anchor = x509.load_der_x509_certificate(changed)
        except UNREADABLE:
            continue
        refused += not survives(functools.partial(_context, anchor), changed)
    assert refused


def _context(anchor: x509.Certificate, _: bytes) -> None:
    client_context([anchor], by_name=True)
