"""Every odd certificate of `cryptography-vectors`, by both profiles: findings, or Malformed."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

import cryptography_vectors
import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from cipsec.errors import Malformed
from cipsec.pki import cip, load, rfc5280, verify
from cipsec.pki.anatomy import one_by_one
from tests.pki import specimens
from tests.pki.trees import NOW
from tests.support import der

# cryptography warns of what it reads all the same.
pytestmark = pytest.mark.filterwarnings(
    "ignore::UserWarning",
    "ignore::DeprecationWarning",
    "ignore::cryptography.utils.CryptographyDeprecationWarning",
)

ROOT = Path(cryptography_vectors.__file__).parent / "x509"
FOLDERS = [ROOT, *(ROOT / name for name in ("custom", "ed25519", "ed448", "ocsp", "requests"))]
FILES = [path for folder in FOLDERS for path in sorted(folder.iterdir()) if path.is_file()]


def _read(path: Path) -> Iterator[x509.Certificate]:
    with contextlib.suppress(Malformed):
        yield from load.certificates(path.read_bytes(), path.name)


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_an_answer(path: Path) -> None:
    """Whatever it is, and whatever is asked of it."""
    for one in _read(path):
        name = x509.DNSName("drive-7.plant.local")
        for purpose in verify.PURPOSES:
            expected = verify.Expected([one], [one], [], name=name, purpose=purpose)
            assert verify.certificate(one, expected, NOW)
        if path.name == "long-form-name-attribute.pem":
            with pytest.raises(Malformed, match="its tag is long"):
                rfc5280.certificate(one)
            continue
        for found in (rfc5280.certificate(one), cip.certificate(one, [one], NOW)):
            assert {finding.verdict for finding in found} <= {"ok", "warn", "fail"}
            assert all(finding.detail for finding in found)


def test_they_are_there() -> None:
    """More than a hundred of them can be read."""
    assert sum(1 for path in FILES for _ in _read(path)) > 120


@pytest.mark.parametrize(
    ("file", "check", "detail"),
    [
        ("v1_cert.pem", "version", "version 1"),
        ("wosign-bc-invalid.pem", "extensions", "basicConstraints cannot be read"),
        ("custom/malformed-san.pem", "extensions", "subjectAltName cannot be read"),
        ("custom/two_basic_constraints.pem", "extensions", "basicConstraints is there 2 times"),
        ("custom/unsupported_extension_critical.pem", "criticality", "is critical and not known"),
        ("custom/bad_country.pem", "subject", "the country has 8 characters, not 2"),
        ("custom/negative_serial.pem", "serial number", "it is negative"),
        (
            "custom/mismatch_inner_outer_sig_algorithm.der",
            "signature algorithm",
            "is signed is not",
        ),
        ("verisign_md2_root.pem", "signature algorithm", "not known here"),
    ],
)
def test_what_they_are_odd_for(file: str, check: str, detail: str) -> None:
    """The check that is for it says so."""
    [one] = load.certificates((ROOT / file).read_bytes(), file)
    said = [f.detail for f in rfc5280.certificate(one) if f.check == check and f.verdict != "ok"]
    assert any(detail in one for one in said), said


def test_extensions_read_one_by_one_do_not_bring_the_rest_along() -> None:
    """Else a long name beside a hundred thousand extensions is copied as often."""
    twice = (specimens.NO_CA, specimens.NO_CA, specimens.SIGNS)
    subject = der.name((der.COMMON_NAME, der.UTF8, b"x" * 10_000))
    found = list(one_by_one(specimens.make(twice, subject=subject)))
    kinds = [type(extension.value) for _, alone in found for extension in alone.extensions]
    assert kinds == [x509.BasicConstraints, x509.BasicConstraints, x509.KeyUsage]
    assert max(len(alone.public_bytes(Encoding.DER)) for _, alone in found) < 200
