"""The odd requests and certificates of cryptography's vectors: for each what is said of it.

Where that differs from what cryptography or openssl say, the reason stands beside it.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import cryptography_vectors
import pytest

from cipsec.errors import Malformed
from cipsec.pki import csr, describe, describe_crl, lint, load
from cipsec.ra import objections
from tests.support import programs

pytestmark = [
    pytest.mark.filterwarnings("ignore:Attribute's length must be:UserWarning"),
    pytest.mark.filterwarnings("ignore:The parsed certificate contains a NULL parameter"),
    pytest.mark.filterwarnings("ignore::cryptography.utils.CryptographyDeprecationWarning"),
]

X509 = Path(cryptography_vectors.__file__).parent / "x509"
NOW = datetime(2026, 6, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Expected:
    """The checks that fail; whether openssl takes the signature; why, where we say otherwise."""

    fails: frozenset[str]
    openssl: bool
    because: str = ""


def _expect(*fails: str, openssl: bool, because: str = "") -> Expected:
    return Expected(frozenset(fails), openssl, because)


_SHA1 = "a signature over SHA-1 proves nothing since 2017 (RFC 9155, NIST SP 800-131A)"
_REFUSED_ANYWAY = "the vectors' signatures are placeholders; it is the parsing that is tried"
REQUESTS = {
    "basic_constraints.pem": _expect(
        "extensions", "hash", "signature", openssl=False, because="it asks to be a CA"
    ),
    "challenge-invalid.der": _expect("signature", openssl=False, because=_REFUSED_ANYWAY),
    "challenge-multi-valued.der": _expect(
        "attributes", "signature", openssl=False, because="challengePassword has one value"
    ),
    "challenge-unstructured.pem": _expect(openssl=True),
    "challenge.pem": _expect(openssl=True),
    "dsa_sha1.der": _expect("hash", "key", "signature", openssl=True, because=_SHA1),
    "dsa_sha1.pem": _expect("hash", "key", "signature", openssl=True, because=_SHA1),
    "ec_sha256.der": _expect(openssl=True),
    "ec_sha256.pem": _expect(openssl=True),
    "ec_sha256_old_header.pem": _expect(openssl=True),
    "freeipa-bad-critical.pem": _expect(
        "extensions",
        openssl=True,
        because="DER leaves out a BOOLEAN that is FALSE by default (X.690 11.5): not read further",
    ),
    "invalid_signature.pem": _expect("key", "signature", openssl=False),
    "long-form-attribute.pem": _expect(
        "attributes", "signature", openssl=False, because="tags of two octets are not read"
    ),
    "rsa_md4.der": _expect("hash", "signature", openssl=False, because="MD4 is broken"),
    "rsa_md4.pem": _expect("hash", "signature", openssl=False, because="MD4 is broken"),
    "rsa_sha1.der": _expect("hash", "signature", openssl=True, because=_SHA1),
    "rsa_sha1.pem": _expect("hash", "signature", openssl=True, because=_SHA1),
    "rsa_sha256.der": _expect(openssl=True),
    "rsa_sha256.pem": _expect(openssl=True),
    "san_rsa_sha1.der": _expect("hash", "signature", openssl=True, because=_SHA1),
    "san_rsa_sha1.pem": _expect("hash", "signature", openssl=True, because=_SHA1),
    "two_basic_constraints.pem": _expect("extensions", "hash", "signature", openssl=False),
    "unsupported_extension.pem": _expect("hash", "signature", openssl=False),
    "unsupported_extension_critical.pem": _expect("hash", "signature", openssl=False),
    "zero-element-attribute.pem": _expect(
        "attributes",
        "extensions",
        openssl=True,
        because="an attribute has a value (RFC 2986 section 4.1: SIZE(1..MAX))",
    ),
}
NOT_READ = {"bad-version.pem": "1 is not a valid CSR version"}


def test_every_vector_has_its_line() -> None:
    """A new one is to be thought about."""
    assert {*REQUESTS, *NOT_READ} == {path.name for path in (X509 / "requests").iterdir()}


@pytest.mark.parametrize("name", REQUESTS)
def test_requests_are_judged(name: str) -> None:
    """The checks that fail are these, and the server refuses exactly where one does."""
    request = _request(name)
    fails = {finding.check for finding in lint.request(request) if finding.verdict == "fail"}
    assert fails == REQUESTS[name].fails
    assert _refused(request) is bool(fails)


@pytest.mark.programs
@pytest.mark.parametrize("name", REQUESTS)
def test_openssl_agrees_on_signatures_or_the_reason_is_known(name: str) -> None:
    """`openssl req -verify` as the second opinion."""
    programs.need("openssl")
    expected = REQUESTS[name]
    verify = ("openssl", "req", "-inform", "DER", "-verify", "-noout")
    said = programs.run(*verify, stdin=_request(name)).stderr
    assert (b"self-signature verify OK" in said) is expected.openssl
    ours = "signature" not in expected.fails
    assert ours is expected.openssl or expected.because


@pytest.mark.parametrize("name", NOT_READ)
def test_some_are_no_requests_at_all(name: str) -> None:
    """With the reason."""
    with pytest.raises(Malformed, match=NOT_READ[name]):
        _request(name)


def _request(name: str) -> bytes:
    return load.request((X509 / "requests" / name).read_bytes(), name)


def _refused(request: bytes) -> bool:
    try:
        return objections.to_request(csr.parse(request), ()) is not None
    except Malformed:
        return True


# What cannot even be parsed, and why; all else in that folder is shown, as far as it can be read.
REFUSED = {
    "crl_bad_version.pem": "a version 3 of CRLs is not defined",
    "crl_inner_outer_mismatch.der": "two algorithms for one signature (RFC 5280 section 5.1.1.2)",
    "crl_invalid_time.der": "a time that is none",
    "crl_issuer_invalid_printable_string.der": "characters no PrintableString has",
    "dsa_null_alg_params.pem": "NULL where DSA has no parameters (RFC 3279 section 2.2.2)",
    "ecdsa_null_alg.pem": "NULL where ECDSA has no parameters (RFC 5758 section 3.2)",
    "invalid_version.pem": "a version 8 of certificates is not defined",
}


def test_odd_certificates_and_lists_are_shown_or_refused() -> None:
    """Nothing else is raised; which are refused is known."""
    refused: dict[str, str] = {}
    for path in sorted((X509 / "custom").rglob("*.*")):
        try:
            found = load.contents(path.read_bytes(), path.name)
        except Malformed as error:
            refused[path.name] = error.message
            continue
        for certificate in found.certificates:
            assert describe.certificate(certificate, NOW)["sha256"]
        for crl in found.crls:
            assert describe_crl.revocation_list(crl, NOW)["sha256"]
        assert found.kinds()
    assert set(refused) == set(REFUSED), refused
