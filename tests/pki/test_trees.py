"""Paths among look-alikes, cross-certificates, rings and many of one name: found, and bounded."""

from __future__ import annotations

import sys
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import FrameType

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec

from cipsec.pki import chain, names
from cipsec.pki.search import Comparable
from tests.pki.trees import NOW, edwards, path, refusal, ring, same_named, short
from tests.support import programs, vendor
from tests.vendors import opinions

ROOT = vendor.ca("Acme Root")
ISSUING = vendor.ca("Acme Devices", ROOT)
DEVICE = vendor.device(ISSUING)
DAY = timedelta(days=1)


def _signatures(act: Callable[[], object]) -> int:
    """Count the checks of signatures while something is done."""
    count = 0

    def profile(_: FrameType, event: str, argument: object) -> None:
        nonlocal count
        if event == "c_call" and "verify" in getattr(argument, "__name__", ""):
            count += 1

    sys.setprofile(profile)
    try:
        act()
    finally:
        sys.setprofile(None)
    return count


def test_a_look_alike_before_the_real_one() -> None:
    """Name, serial number and key ids are the same; only the key is another."""
    alike = vendor.look_alike(ISSUING)
    for others in ([alike, ISSUING], [ISSUING, alike]):
        assert path(DEVICE, others, [ROOT]) == [short(DEVICE), short(ISSUING), short(ROOT)]
    assert "no trusted CA issued" in refusal(DEVICE, [alike], [ROOT])


def test_an_expired_ca_beside_its_renewed_one() -> None:
    """The old certificate of the same key leads nowhere now; the new one does."""
    old = vendor.ca("Acme Devices", ROOT, key=ISSUING.key, end=NOW - DAY)
    assert path(DEVICE, [old, ISSUING], [ROOT])[1] == short(ISSUING)
    assert path(DEVICE, [old, ISSUING], [ROOT], NOW - 2 * DAY)[0] == short(DEVICE)
    assert "expired at 2026-11-22T05:00:00Z" in refusal(DEVICE, [old], [ROOT])


def test_a_forbidden_way_beside_an_open_one() -> None:
    """One certificate of the CA has its path length used up, the other has not: go back, go on."""
    narrow = vendor.ca("Acme Narrow", ROOT, path_length=0)
    wide = vendor.ca("Acme Narrow", ROOT, key=narrow.key)
    low = vendor.ca("Acme Low", wide)
    device = vendor.device(low)
    for others in ([low, narrow, wide], [wide, narrow, low]):
        assert path(device, others, [ROOT]) == [short(one) for one in (device, low, wide, ROOT)]
    assert "may have none below it" in refusal(device, [low, narrow], [ROOT])


def test_what_a_trusted_ca_signed_is_what_is_told() -> None:
    """Not that one of the ways leads to a stranger, when another comes near."""
    bolt = vendor.ca("Bolt Root")
    narrow = vendor.ca("Acme Narrow", ROOT, path_length=0)
    low = vendor.ca("Acme Low", narrow)
    crossed = vendor.ca("Acme Low", bolt, key=low.key)
    device = vendor.device(low)
    for others in ([crossed, low, narrow], [narrow, low, crossed]):
        assert "CN=Acme Low,O=Acme stands below a CA" in refusal(device, others, [ROOT])


def test_cross_certified_both_ways() -> None:
    """Two roots have certified each other; whichever is the anchor is reached."""
    one, other = vendor.ca("One"), vendor.ca("Other")
    crossed = [vendor.ca("One", other, key=one.key), vendor.ca("Other", one, key=other.key)]
    device = vendor.device(one)
    assert path(device, crossed, [one]) == [short(device), short(one)]
    assert path(device, crossed, [other]) == [short(device), short(crossed[0]), short(other)]


def test_a_ring_without_an_anchor() -> None:
    """Nobody in it is trusted, however long one goes round."""
    cas = ring(6)
    assert "no trusted CA issued" in refusal(vendor.device(cas[0]), cas, [ROOT])


def test_a_ring_with_an_anchor() -> None:
    """One of them is trusted: the way round it is found, and no further."""
    cas = ring(6)
    device = vendor.device(cas[0])
    assert path(device, cas, [cas[3]])[-1] == short(cas[3])


@pytest.mark.parametrize("last", [True, False])
def test_fifty_issuers_of_one_name(last: bool) -> None:
    """The one whose key signed is found among them, with a check of a signature for each."""
    twins = same_named(ROOT, 50)
    device = vendor.device(twins[-1 if last else 0])
    assert path(device, twins, [ROOT])[0] == short(device)
    assert _signatures(lambda: path(device, twins, [ROOT])) <= 400


def test_fifty_that_sign_each_other() -> None:
    """Of one name, each certified by the one before: work is bounded, and it says so."""
    twins = same_named(ROOT, 1)
    while len(twins) < 50:
        twins.append(vendor.ca("Acme Twin", twins[-1], ski=False, aki=False))
    device = vendor.device(twins[-1])
    why: list[str] = []
    assert _signatures(lambda: why.append(refusal(device, twins, [ROOT]))) <= 2000
    assert why[0] in {
        "there are too many ways to check the certificate",
        "the path has more than 8 CAs",
    }


def test_p521() -> None:
    """It is verified, though no certificate of ours has it."""
    root = vendor.ca("Acme Other", key=ec.generate_private_key(ec.SECP521R1()))
    device = vendor.device(root)
    assert path(device, [], [root]) == [short(device), short(root)]


@pytest.mark.programs
def test_ed25519(tmp_path: Path) -> None:
    """The same; openssl, whose certificates they are, agrees, and a forged one is none."""
    programs.need("openssl")
    root, device, forged = edwards(tmp_path, "ed25519")
    made = device.certificate.not_valid_before_utc
    assert path(device, [], [root], made) == [short(device), short(root)]
    assert opinions.openssl(tmp_path, [device.der], [root])
    assert "no trusted CA issued" in refusal(forged, [], [root])


@pytest.mark.programs
def test_ed448(tmp_path: Path) -> None:
    """No TLS here speaks it, so it vouches for nothing."""
    programs.need("openssl")
    root, device, _ = edwards(tmp_path, "ed448")
    assert "kind of key that is not served" in refusal(device, [], [root])


@pytest.mark.parametrize(
    "moment",
    [
        datetime(2049, 12, 31, 23, 59, 59, tzinfo=UTC),
        datetime(2050, 1, 1, tzinfo=UTC),
        datetime(2028, 2, 29, 23, 59, 59, tzinfo=UTC),
    ],
    ids=["2049", "2050", "leap day"],
)
def test_the_last_second(moment: datetime) -> None:
    """A certificate that ends there is valid in that second, and not in the next."""
    device = vendor.device(ISSUING, end=moment)
    second = timedelta(seconds=1)
    assert path(device, [ISSUING], [ROOT], moment)[0] == short(device)
    assert "expired at" in refusal(device, [ISSUING], [ROOT], moment + second)
    later = vendor.device(ISSUING, begin=moment)
    assert "valid only from" in refusal(later, [ISSUING], [ROOT], moment - second)
    assert path(later, [ISSUING], [ROOT], moment)[0] == short(later)


def test_each_name_of_a_file_is_read_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """A thousand certificates with long names, each compared with each, would take hours."""
    cas = [vendor.ca("Root")]
    for number in range(6):
        cas.insert(0, vendor.ca(f"CA {number}", cas[0]))
    device, above = vendor.device(cas[0]).certificate, [one.certificate for one in cas]
    original, read = names.comparable, list[x509.Name]()

    def comparable(name: x509.Name) -> Comparable:
        read.append(name)
        return original(name)

    monkeypatch.setattr(names, "comparable", comparable)
    monkeypatch.setattr(chain, "comparable", comparable, raising=False)
    assert chain.leaf_first([*above, *above, device]) == [device, *above, *above]
    assert len(read) <= 2 * 15
    assert chain.leaf_first([above[-1]] * 2) == [above[-1]]
