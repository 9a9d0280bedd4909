"""Revocation lists: byte for byte what cryptography's own builder makes; openssl takes them."""

from __future__ import annotations

import subprocess
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding
from hypothesis import given
from hypothesis import strategies as st

from cipsec.ca import crl
from cipsec.ca.authority import Authority
from cipsec.ca.crl import Entry
from cipsec.pki import keys
from cipsec.pki.keys import KeyType
from cipsec.ra.revocation import REASONS
from tests.support import programs

from .test_tbs import NOW, authority, ca_key, key, outer_algorithm

WEEK = timedelta(days=7)
_FLAGS = {
    "keyCompromise": x509.ReasonFlags.key_compromise,
    "affiliationChanged": x509.ReasonFlags.affiliation_changed,
    "superseded": x509.ReasonFlags.superseded,
    "cessationOfOperation": x509.ReasonFlags.cessation_of_operation,
    "privilegeWithdrawn": x509.ReasonFlags.privilege_withdrawn,
}


@pytest.mark.parametrize(
    ("url", "other"),
    [
        ("http://crl.example/ca.crl", "http://crl.example/ca-0a1b.crl"),
        ("http://crl.example:8080/a.b/c.d.crl", "http://crl.example:8080/a.b/c.d-0a1b.crl"),
        ("http://[fd00::5]:8080/list", "http://[fd00::5]:8080/list-0a1b"),
        ("http://crl.example", "http://crl.example/ca-0a1b.crl"),
        ("http://crl.example/x/", "http://crl.example/x/ca-0a1b.crl"),
        ("http://crl.example//ca.crl", "http://crl.example//ca-0a1b.crl"),
    ],
)
def test_place(url: str, other: str) -> None:
    """The list of a root after a roll-over has a URL beside the plain one, on the same host."""
    assert crl.place(url, "") == url
    assert crl.place(url, "0a1b") == other


def by_builder(
    ca: Authority, entries: Sequence[Entry], terms: crl.Terms
) -> x509.CertificateRevocationList:
    """Return what the builder makes of the same: the oracle."""
    own_key = next(k for t in KeyType if (k := key(t, 1)).public_key() == ca_key(ca))
    own = ca.certificate.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value
    builder = (
        x509.CertificateRevocationListBuilder()
        .issuer_name(ca.certificate.subject)
        .last_update(terms.this_update)
        .next_update(terms.next_update)
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(own), critical=False
        )
        .add_extension(x509.CRLNumber(terms.number), critical=False)
    )
    for one in entries:
        revoked = x509.RevokedCertificateBuilder(one.serial, one.revoked_at)
        if one.reason in _FLAGS:
            revoked = revoked.add_extension(x509.CRLReason(_FLAGS[one.reason]), critical=False)
        builder = builder.add_revoked_certificate(revoked.build())
    return builder.sign(own_key, keys.signing_hash(own_key))


def check_against_builder(
    ca: Authority, entries: Sequence[Entry], number: int = 1, now: datetime = NOW
) -> x509.CertificateRevocationList:
    """Sign, compare with the builder's bytes, verify the signature; return the list."""
    terms = ca.terms(number, now=now, validity=WEEK)
    made = ca.revocation_list(crl.encoded(entries), terms)
    found = x509.load_der_x509_crl(made)
    oracle = by_builder(ca, entries, terms)
    assert found.public_bytes(Encoding.DER) == made
    assert found.tbs_certlist_bytes == oracle.tbs_certlist_bytes
    algorithm = outer_algorithm(ca.certificate)
    assert made[made.index(found.tbs_certlist_bytes) + len(found.tbs_certlist_bytes) :].startswith(
        algorithm
    )
    if isinstance(ca_key(ca), rsa.RSAPublicKey):  # PKCS#1 v1.5 has no randomness
        assert made == oracle.public_bytes(Encoding.DER)
    assert found.is_signature_valid(ca_key(ca))
    return found


def some(count: int) -> list[Entry]:
    """Return entries with every reason, their serial numbers of every length."""
    return [
        Entry(1 << n % 128 | n, NOW - timedelta(hours=n), REASONS[n % len(REASONS)])
        for n in range(count)
    ]


@pytest.mark.parametrize("count", [0, 1, 7, 249, 250, 251, 1000])
@pytest.mark.parametrize("own_key", [KeyType.EC_P256, KeyType.EC_P384, KeyType.RSA_2048])
def test_bytes_are_the_builders(own_key: KeyType, count: int) -> None:
    """Every CA key and any number of entries, none among them, encode as the builder's do."""
    found = check_against_builder(authority(own_key), some(count))
    assert len(found) == count


serials = st.integers(1, (1 << 159) - 1)
times = st.datetimes(datetime(1970, 1, 1), datetime(2120, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001  # hypothesis adds the zone


@given(
    st.lists(st.builds(Entry, serials, times, st.sampled_from(REASONS)), max_size=20),
    st.integers(1, 1 << 48),
)
def test_bytes_are_the_builders_for_any_entries(entries: list[Entry], number: int) -> None:
    """Whatever was revoked when and why, before 2050 and after, the two encoders agree."""
    whole = [Entry(e.serial, e.revoked_at.replace(microsecond=0), e.reason) for e in entries]
    check_against_builder(authority(KeyType.EC_P256), whole, number)


@pytest.mark.parametrize("year", [2049, 2050])
def test_utc_time_ends_with_2049(year: int) -> None:
    """Both times of a list that reaches over the end of 2049 (RFC 5280 section 5.1.2.4)."""
    now = datetime(year, 12, 30, tzinfo=UTC)
    found = check_against_builder(authority(KeyType.EC_P256), some(3), now=now)
    assert (found.last_update_utc, found.next_update_utc) == (now, now + WEEK)


def test_unspecified_is_left_out() -> None:
    """No reason code stands for it (RFC 5280 section 5.3.1), and nothing for invalidity."""
    found = check_against_builder(authority(KeyType.EC_P256), [Entry(5, NOW, "unspecified")])
    assert list(found[0].extensions) == []


def test_never_beyond_the_cas_own_end() -> None:
    """A list ends with its CA, which signs no other after it."""
    ca = authority(KeyType.EC_P256, days=10)
    terms = ca.terms(1, now=NOW + timedelta(days=9), validity=WEEK)
    assert terms.next_update == ca.certificate.not_valid_after_utc


@pytest.mark.programs
@pytest.mark.parametrize("own_key", [KeyType.EC_P256, KeyType.EC_P384, KeyType.RSA_2048])
def test_openssl_accepts_100_000_entries(own_key: KeyType, tmp_path: Path) -> None:
    """`openssl crl` finds the signature good, and every entry."""
    programs.need("openssl")
    ca = authority(own_key)
    serial = int.from_bytes(b"\x01" * 16, "big")
    entries = [Entry(serial + n, NOW, "keyCompromise") for n in range(100_000)]
    made = ca.revocation_list(crl.encoded(entries), ca.terms(7, now=NOW, validity=WEEK))
    (tmp_path / "ca.pem").write_bytes(ca.certificate.public_bytes(Encoding.PEM))
    (tmp_path / "ca.crl").write_bytes(made)
    done = subprocess.run(
        ["openssl", "crl", "-inform", "DER", "-in", tmp_path / "ca.crl", "-noout", "-text",
         "-CAfile", tmp_path / "ca.pem"], capture_output=True, text=True, check=True)  # fmt: skip
    assert "verify OK" in done.stderr
    assert done.stdout.count("Serial Number: 0101010101010101010101010") == 100_000
