"""The files of PKITS as `cryptography-vectors` has them: read once, all of them together."""

from __future__ import annotations

import functools
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import cryptography_vectors
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from cipsec.errors import Malformed
from cipsec.pki import load, revocation
from cipsec.pki.revocation import RevocationList

AT = datetime(2026, 11, 23, 5, 0, tzinfo=UTC)  # the certificates end with 2030
FILES = Path(cryptography_vectors.__file__).parent / "x509" / "PKITS_data"
ROOT = FILES / "certs" / "TrustAnchorRootCertificate.crt"


def certificate(name: str) -> x509.Certificate:
    """Return the end entity's certificate of a test; raise Malformed for what is not read."""
    path = FILES / "certs" / f"{name}EE.crt"
    return load.certificates(path.read_bytes(), path.name)[0]


@functools.cache
def root() -> x509.Certificate:
    """Return the trust anchor of all tests."""
    return x509.load_der_x509_certificate(ROOT.read_bytes())


@functools.cache
def authorities() -> list[x509.Certificate]:
    """Return all CAs of all tests: the right ones have to be found among them."""
    return list(_authorities())


def _authorities() -> Iterator[x509.Certificate]:
    for path in sorted((FILES / "certs").iterdir()):
        if not path.stem.endswith("EE"):
            try:
                yield from load.certificates(path.read_bytes(), path.name)
            except Malformed:  # one has a DSA key without parameters
                continue


@functools.cache
def lists() -> list[RevocationList | Malformed]:
    """Return the revocation lists of all tests, and why some are not used."""
    return [one for path in crls() for one in revocation.each(path.read_bytes(), path.name)]


def crls() -> list[Path]:
    """Return the files of the revocation lists."""
    return sorted((FILES / "crls").iterdir())


def pem_of_authorities() -> bytes:
    """Return the CAs in one file."""
    return b"".join(one.public_bytes(Encoding.PEM) for one in authorities())


def pem_of_lists() -> bytes:
    """Return the revocation lists in one file."""
    found = (x509.load_der_x509_crl(path.read_bytes()) for path in crls())
    return b"".join(one.public_bytes(Encoding.PEM) for one in found)
