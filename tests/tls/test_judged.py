"""What is said of what servers present: each fault by name, and nothing of good ones."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding
from hypothesis import given
from hypothesis import strategies as st

from cipsec.tls import judged
from tests.support import der
from tests.support.vendor import CLIENT_AUTH, SAN, SERVER_AUTH, Party, ca, issue, weakly_signed

NOW = datetime(2026, 6, 1, tzinfo=UTC)
DAY = timedelta(days=1)
HOST = "drive7.plant.local"
IS_CA = x509.BasicConstraints(ca=True, path_length=None)
_USAGES = [False, False, False, False, False, True, False, False, False]
SIGNS_CERTIFICATES = x509.KeyUsage(*_USAGES)

ROOT = issue("CN=Root", constraints=IS_CA)
MIDDLE = issue("CN=Issuing", ROOT, constraints=IS_CA)
GOOD = issue("CN=Drive", MIDDLE, extensions=[(SAN, False), (SERVER_AUTH, False)])
BAD_TIME = issue("CN=Old CA", ROOT, constraints=IS_CA, end=NOW - DAY)
WEAK = issue("CN=Weak CA", ROOT, constraints=IS_CA, key=rsa.generate_private_key(65537, 1024))


def _found(
    chain: Sequence[Party],
    host: str = HOST,
    version: str = "TLSv1.3",
    anchors: Sequence[Party] | None = None,
) -> list[tuple[str, str, str]]:
    trusted = None if anchors is None else [party.certificate for party in anchors]
    shown = [party.certificate for party in chain]
    found = judged.findings(shown, host, version, trusted, NOW)
    return [(f.check, f.verdict, f.detail) for f in found]


def _against(
    chain: Sequence[Party], host: str = HOST, version: str = "TLSv1.3"
) -> list[tuple[str, str, str]]:
    return [f for f in _found(chain, host, version) if f[1] != "ok"]


@pytest.mark.parametrize("chain", [[GOOD, MIDDLE, ROOT], [GOOD, MIDDLE], [GOOD]])
def test_nothing_is_against_a_good_chain(chain: list[Party]) -> None:
    """With its root or without, and every check says what it saw."""
    assert not _against(chain)
    checks = ["validity", "name", "usage", "key", "signature", "chain", "tls"]
    assert [check for check, _, _ in _found(chain)] == checks


def _leaf(**options: object) -> list[Party]:
    return [issue("CN=Drive", MIDDLE, **{"extensions": [(SAN, False)], **options}), MIDDLE]  # type: ignore[arg-type]  # as given


@pytest.mark.parametrize(
    ("chain", "finding"),
    [
        (_leaf(end=NOW - DAY), ("validity", "fail", "expired at 2026-05-31T00:00:00Z")),
        (_leaf(begin=NOW + DAY), ("validity", "fail", "not valid before 2026-06-02T00:00:00Z")),
        (_leaf(extensions=()), ("name", "warn", "there is no alternative name in it")),
        (
            _leaf(extensions=[(SAN, False), (CLIENT_AUTH, False)]),
            ("usage", "fail", "its extended key usage has no serverAuth"),
        ),
        (
            _leaf(usage=SIGNS_CERTIFICATES),
            ("usage", "fail", "its key usage has no digitalSignature, which TLS needs of a server"),
        ),
        (
            _leaf(constraints=IS_CA),
            ("usage", "warn", "it is a CA certificate, which a server should not use"),
        ),
        (
            _leaf(key=rsa.generate_private_key(65537, 1024)),
            ("key", "fail", "an RSA key of 1024 bits is not served; use 2048 or more"),
        ),
        (
            [issue("CN=a", extensions=[(SAN, False)])],
            ("chain", "warn", "self-signed: nobody vouches for it"),
        ),
        (
            [issue("CN=a", BAD_TIME, extensions=[(SAN, False)]), BAD_TIME],
            ("validity", "fail", "certificate 2: expired at 2026-05-31T00:00:00Z"),
        ),
        (
            [issue("CN=a", WEAK, extensions=[(SAN, False)]), WEAK],
            (
                "key",
                "fail",
                "certificate 2: an RSA key of 1024 bits is not served; use 2048 or more",
            ),
        ),
        (
            [GOOD, ROOT, MIDDLE],
            (
                "chain",
                "warn",
                "out of order: certificate 2 issued certificate 3, and does not follow it",
            ),
        ),
        (
            [GOOD, MIDDLE, BAD_TIME],
            ("chain", "warn", "certificate 3 issued none of the others"),
        ),
        ([GOOD, MIDDLE, ROOT, ROOT], ("chain", "warn", "a certificate is sent twice")),
        (
            [GOOD, MIDDLE, *[ROOT] * 30],
            ("chain", "warn", "32 certificates are sent; the first 16 were looked at"),
        ),
    ],
)
def test_each_fault_is_named(chain: list[Party], finding: tuple[str, str, str]) -> None:
    """In words, among everything else that is wrong."""
    assert finding in _against(chain)


@pytest.mark.parametrize(
    ("host", "verdict"),
    [
        ("drive7.plant.local", "ok"),
        ("DRIVE7.plant.local.", "ok"),
        ("drive8.plant.local", "fail"),
        ("192.168.1.5", "fail"),
        ("::1", "fail"),
    ],
)
def test_the_name_is_compared_as_clients_do(host: str, verdict: str) -> None:
    """An address is not in it, and the case does not matter."""
    assert [v for check, v, _ in _found([GOOD], host) if check == "name"] == [verdict]


def test_old_versions_of_tls_fail() -> None:
    """RFC 8996."""
    assert _against([GOOD], version="TLSv1.1") == [("tls", "fail", "TLSv1.1 is not safe any more")]


def test_trust_is_judged_where_asked() -> None:
    """With the CA that issued it, and with one that did not; incomplete it leads nowhere."""
    assert ("path", "ok", "leads to CN=Root") in _found([GOOD, MIDDLE], anchors=[ROOT])
    for chain, anchors in (([GOOD, MIDDLE], [WEAK]), ([GOOD], [ROOT])):
        paths = [f for f in _found(chain, anchors=anchors) if f[0] == "path"]
        assert [verdict for _, verdict, _ in paths] == ["fail"]
        assert "no trusted CA issued" in paths[0][2]


_LEAF = GOOD.certificate.public_bytes(Encoding.DER)


@pytest.mark.filterwarnings("ignore::UserWarning")
@given(st.integers(0, len(_LEAF) * 8 - 1), st.booleans())
def test_mutated_certificates_are_judged(bit: int, alone: bool) -> None:
    """Whatever parses is judged, and nothing is raised."""
    changed = bytearray(_LEAF)
    changed[bit // 8] ^= 1 << bit % 8
    try:
        leaf = x509.load_der_x509_certificate(bytes(changed))
    except (ValueError, x509.InvalidVersion):
        return
    chain = [leaf] if alone else [leaf, MIDDLE.certificate, leaf]
    assert judged.findings(chain, HOST, "TLSv1.3", [ROOT.certificate], NOW)


def test_unreadable_parts_are_findings() -> None:
    """A subject that is not UTF-8, extensions twice, a curve that nobody knows."""
    broken = der.certificate(subject=der.name((der.COMMON_NAME, der.UTF8, b"\xff")))
    twice = der.certificate(*[der.extension(der.SUBJECT_ALT_NAME, der.sequence())] * 2)
    for made in (broken, twice):
        leaf = x509.load_der_x509_certificate(made)
        found = judged.findings([leaf, leaf], HOST, "TLSv1.3", [leaf], NOW)
        assert any(f.verdict == "fail" and "cannot be read" in f.detail for f in found)


def test_a_weak_hash_fails_but_on_a_root() -> None:
    """SHA-1 under an issuer's name can be forged; under its own name nobody relies on it."""
    root = ca("Old", key=rsa.generate_private_key(65537, 2048))
    leaf = issue("CN=Drive", root, extensions=[(SAN, False)])
    forged = ("signature", "fail", "sha1WithRSAEncryption: its hash can be forged")
    assert forged in _against([weakly_signed(leaf, root), root])
    old = weakly_signed(root, root)
    assert "signature" not in {check for check, _, _ in _against([leaf, old])}
