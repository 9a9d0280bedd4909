"""`Vendors`: which vendor proves a chain, how strict each is, and files that change or break."""

from __future__ import annotations

import os
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509

from cipsec.errors import Malformed, Untrusted
from cipsec.pki import fingerprint
from cipsec.pki.search import STRANGER
from cipsec.ra.vendors import Proof, Vendors
from cipsec.ra.vendors import settings as vendor_settings
from cipsec.ra.vendors.settings import Settings, Strictness
from tests.support import vendor
from tests.vendors.cases import ACME, BOLT, NOW
from tests.vendors.conftest import settle

YEAR = timedelta(days=365)


def refusal(folder: Path, chain: tuple[bytes, ...], now: datetime = NOW) -> str:
    """Return why the vendors of a folder do not prove a chain."""
    with pytest.raises(Untrusted) as raised:
        Vendors(folder).verify(chain, now)
    return raised.value.message


def test_a_proof(folder: Path) -> None:
    """It names the vendor, the Vendor IDs it may speak for, and the anchor."""
    vendor.install(folder, "acme", ACME.root, vendor_ids=["0001", "2a"])
    vendor.install(folder, "bolt", BOLT.root)
    vendors = Vendors(folder)
    anchor = fingerprint.sha256(ACME.root.certificate)
    assert vendors.verify(ACME.chain, NOW) == Proof("acme", frozenset({1, 42}), anchor)
    assert vendors.verify(BOLT.chain, NOW).vendor_ids == frozenset()
    assert vendors.names() == ["acme", "bolt"]
    assert vendors.faults() == vendors.warnings(NOW) == []


def test_nobody(folder: Path) -> None:
    """Without vendors, or without their folder, nothing is proved."""
    assert refusal(folder, ACME.chain) == STRANGER
    assert refusal(folder / "missing", ACME.chain) == STRANGER
    assert Vendors(folder / "missing").names() == []
    assert refusal(folder, ()) == refusal(folder, (b"garbage",)) == STRANGER
    vendor.install(folder, "bolt", BOLT.root)
    assert refusal(folder, ACME.chain) == STRANGER
    assert refusal(folder, ()) == "no client certificate was presented"


def test_the_first_by_name(folder: Path) -> None:
    """Where several would prove it, whatever the length of the path."""
    vendor.install(folder, "b", ACME.issuing)
    vendor.install(folder, "a", ACME.root)
    assert Vendors(folder).verify(ACME.chain, NOW).vendor == "a"
    vendor.install(folder, "a", ACME.root, strict={"require_san": True})
    assert Vendors(folder).verify(ACME.chain, NOW).vendor == "b"


FULL = vendor.device(
    ACME.issuing, extensions=[(vendor.SAN, False), (vendor.CLIENT_AUTH, False)], end=NOW + YEAR
)
FOR_SERVERS = vendor.ca("Acme Servers", ACME.root, extensions=[(vendor.SERVER_AUTH, False)])
WRONG_AKI = vendor.device(
    ACME.issuing,
    aki=False,
    extensions=[(x509.AuthorityKeyIdentifier(b"another", None, None), False)],
)
STRICT = [
    ("require_eku", ACME.device, ACME.issuing, "not for TLS clients"),
    (
        "require_eku",
        vendor.device(ACME.issuing, extensions=[(vendor.SERVER_AUTH, False)]),
        ACME.issuing,
        "not for TLS clients",
    ),
    (
        "require_eku",
        vendor.device(FOR_SERVERS, extensions=[(vendor.CLIENT_AUTH, False)]),
        FOR_SERVERS,
        "not for TLS clients",
    ),
    ("require_san", ACME.device, ACME.issuing, "no alternative name"),
    ("require_aki", vendor.device(ACME.issuing, aki=False), ACME.issuing, "its issuer's key"),
    ("require_aki", WRONG_AKI, ACME.issuing, "its issuer's key"),
    (
        "check_expiry",
        vendor.device(ACME.issuing, end=NOW - YEAR),
        ACME.issuing,
        "expired at 2025-11-23T05:00:00Z",
    ),
    (
        "check_expiry",
        vendor.device(ACME.issuing, begin=NOW + YEAR),
        ACME.issuing,
        "valid only from 2027-11-23T05:00:00Z",
    ),
    (
        "check_expiry",
        vendor.device(_old := vendor.ca("Acme Old", ACME.root, end=NOW - YEAR)),
        _old,
        "expired",
    ),
    ("require_fresh_crl", ACME.device, ACME.issuing, "no revocation list covers"),
]


@pytest.mark.parametrize(("switch", "leaf", "issuing", "why"), STRICT)
def test_strictness(
    folder: Path, switch: str, leaf: vendor.Party, issuing: vendor.Party, why: str
) -> None:
    """Each switch refuses what is accepted without it, and by itself refuses no good chain."""
    chain = leaf.der, issuing.der
    vendor.install(folder, "acme", ACME.root)
    assert Vendors(folder).verify(chain, NOW).vendor == "acme"
    vendor.install(folder, "acme", ACME.root, strict={switch: True})
    assert why in refusal(folder, chain)
    if switch != "require_fresh_crl":
        good = FULL.der, ACME.issuing.der
        assert Vendors(folder).verify(good, NOW).vendor == "acme"


def test_an_issuer_that_does_not_say_which_key_it_has(folder: Path) -> None:
    """There is nothing that the device's pointer to its issuer's key could contradict."""
    issuing = vendor.ca("Acme Nameless", ACME.root, ski=False)
    vendor.install(folder, "acme", ACME.root, strict={"require_aki": True})
    chain = vendor.device(issuing).der, issuing.der
    assert Vendors(folder).verify(chain, NOW).vendor == "acme"


def test_what_is_remembered_does_not_stop_the_clock(folder: Path) -> None:
    """The same chain is judged by the time of each question: forward, back, forward."""
    vendor.install(folder, "acme", ACME.root, strict={"check_expiry": True})
    vendors = Vendors(folder)
    chain = FULL.der, ACME.issuing.der
    for _ in range(2):
        assert vendors.verify(chain, NOW).vendor == "acme"
        with pytest.raises(Untrusted, match="expired"):
            vendors.verify(chain, NOW + 2 * YEAR)
        with pytest.raises(Untrusted, match="valid only from"):
            vendors.verify(chain, datetime(1970, 1, 1, tzinfo=UTC))


# Live reload.


def test_changes_take_effect_at_once(folder: Path) -> None:
    """Files that come, go, are replaced or edited in place are seen at the next question."""
    vendors = Vendors(folder)
    with pytest.raises(Untrusted):
        vendors.verify(ACME.chain, NOW)
    for _ in range(5):
        vendor.install(folder, "acme", ACME.root)
        assert vendors.verify(ACME.chain, NOW).vendor_ids == frozenset()
        (folder / "acme.toml").write_text('vendor_ids = ["0001"]\n')
        assert vendors.verify(ACME.chain, NOW).vendor_ids == {1}
        (folder / "acme.toml").write_text('vendor_ids = ["0002"]\n')  # as long, in place
        assert vendors.verify(ACME.chain, NOW).vendor_ids == {2}
        (folder / "acme.crl").write_bytes(vendor.crl(ACME.issuing, ACME.device))
        with pytest.raises(Untrusted, match="revoked"):
            vendors.verify(ACME.chain, NOW)
        (folder / "acme.crl").unlink()
        assert vendors.verify(ACME.chain, NOW).vendor == "acme"
        (folder / "acme.toml").unlink()
        (folder / "acme.pem").rename(folder / "other.pem")
        assert vendors.verify(ACME.chain, NOW).vendor == "other"
        (folder / "other.pem").unlink()
        with pytest.raises(Untrusted):
            vendors.verify(ACME.chain, NOW)


def test_nothing_is_read_while_nothing_changes(folder: Path) -> None:
    """Seen by what is remembered, which goes with what was read."""
    vendor.install(folder, "acme", ACME.root)
    vendors = Vendors(folder)
    settle(vendors)
    before = vendors._current()
    vendors.verify(ACME.chain, NOW)
    assert vendors._current() is before
    os.utime(folder / "acme.pem")
    assert vendors._current() is not before


# Broken files.


def said(toml: bytes) -> Callable[[Path], object]:
    """Return what installs the vendor "b" with settings."""

    def install(folder: Path) -> None:
        vendor.install(folder, "b", BOLT.root)
        (folder / "b.toml").write_bytes(toml)

    return install


BROKEN: list[tuple[str, Callable[[Path], object], str]] = [
    ("pem empty", lambda f: (f / "b.pem").write_bytes(b""), r"vendors/b\.pem is empty"),
    (
        "pem damaged",
        lambda f: (f / "b.pem").write_bytes(BOLT.root.pem.replace(b"MII", b"XXX")),
        r"object 1 \(certificate\) in vendors/b\.pem is damaged",
    ),
    (
        "pem cut off",
        lambda f: (f / "b.pem").write_bytes(BOLT.root.pem[:-40]),
        r"vendors/b\.pem is cut off",
    ),
    ("pem binary", lambda f: (f / "b.pem").write_bytes(b"\0" * 100), r"vendors/b\.pem"),
    ("pem a folder", lambda f: (f / "b.pem").mkdir(), r"vendors/b\.pem is not a file"),
    ("pem a pipe", lambda f: os.mkfifo(f / "b.pem"), r"vendors/b\.pem is not a file"),
    ("pem too large", lambda f: (f / "b.pem").write_bytes(b" " * 2_000_000), r"b\.pem is larger"),
    (
        "no CA",
        lambda f: vendor.install(f, "b", BOLT.root, BOLT.device),
        r"vendors/b\.pem: certificate 2: .*is not a CA",
    ),
    (
        "unknown critical extension",
        lambda f: vendor.install(f, "b", vendor.ca("Bolt X", extensions=[(vendor.UNKNOWN, True)])),
        r"vendors/b\.pem: certificate 1: .*critical extension",
    ),
    ("a name that is none", lambda f: vendor.install(f, "b c", BOLT.root), r"vendors/b c\.pem"),
    (
        "toml damaged",
        said(b"check_expiry = yes"),
        r"vendors/b\.toml is not TOML: .*line 1",
    ),
    (
        "toml not text",
        said(b"\xff"),
        r"vendors/b\.toml is not TOML",
    ),
    (
        "an unknown setting",
        said(b"vendor_id = []"),
        r"vendors/b\.toml: 'vendor_id' is not a setting",
    ),
    (
        "an unknown switch",
        said(b"check = true"),
        "'check' is not",
    ),
    ("no ids", lambda f: vendor.install(f, "b", BOLT.root, vendor_ids=[]), "vendor_ids is empty"),
    ("a bad id", lambda f: vendor.install(f, "b", BOLT.root, vendor_ids=["0"]), "'0' is not a Ven"),
    (
        "ids that are numbers",
        said(b"vendor_ids=[1]"),
        r"b\.toml: vendor_ids is not a list of texts",
    ),
    (
        "a switch that is none",
        said(b"check_expiry=1"),
        r"b\.toml: check_expiry is neither",
    ),
    (
        "crl damaged",
        lambda f: vendor.install(f, "b", BOLT.root, crls=b"-----BEGIN X509 CRL-----\n"),
        r"vendors/b\.crl",
    ),
]


@pytest.mark.parametrize(("what", "spoil", "why"), BROKEN, ids=[what for what, *_ in BROKEN])
def test_broken_files(folder: Path, what: str, spoil: Callable[[Path], object], why: str) -> None:
    """The file is named; that vendor proves nothing, the others still do, none is refused."""
    vendor.install(folder, "acme", ACME.root)
    spoil(folder)
    vendors = Vendors(folder)
    assert vendors.verify(ACME.chain, NOW).vendor == "acme"
    errors = []
    for chain in (BOLT.chain, BOLT.chain, (vendor.device(None).der,)):
        with pytest.raises(Malformed, match=why) as raised:
            vendors.verify(chain, NOW)
        errors.append(raised.value)
    assert errors[0] is not errors[1]
    assert [errors[0].message] == vendors.faults()
    assert len(vendors.names()) == 2


def test_a_mended_file(folder: Path) -> None:
    """The next question finds it well."""
    (folder / "acme.pem").write_bytes(b"")
    vendors = Vendors(folder)
    with pytest.raises(Malformed):
        vendors.verify(ACME.chain, NOW)
    vendor.install(folder, "acme", ACME.root)
    assert vendors.verify(ACME.chain, NOW).vendor == "acme"


def test_files_that_are_no_vendors(folder: Path) -> None:
    """What is on its way, or of no vendor, is not looked at."""
    (folder / ".acme.pem.1234").write_bytes(b"half")
    (folder / ".acme.pem").write_bytes(b"half")
    (folder / "README").write_bytes(b"\xff")
    (folder / "bolt.toml").write_text("nonsense")
    assert refusal(folder, ACME.chain) == STRANGER


@pytest.mark.parametrize(
    "settings",
    [
        Settings(),
        Settings(frozenset({1, 0xFFFF}), Strictness(check_expiry=True, require_fresh_crl=True)),
    ],
)
def test_settings_as_they_are_written(settings: Settings) -> None:
    """What is written for people is read as the same."""
    text = vendor_settings.text(settings)
    assert vendor_settings.parse(text.encode(), "acme.toml") == settings
    assert all(switch in text for switch in vendor_settings.SWITCHES)
