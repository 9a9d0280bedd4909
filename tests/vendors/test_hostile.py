"""Chains made to cost much, to confuse or to break: an answer always, and for bounded work."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from types import FrameType

import pytest
from cryptography import x509
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cipsec.errors import Malformed, Untrusted
from cipsec.pki import keys, path
from cipsec.pki.search import MAX_DER, MAX_PRESENTED, MAX_SIGNATURES, STRANGER, Anchors
from cipsec.ra.vendors import Proof, Vendors
from tests.support import der, vendor
from tests.vendors.cases import ACME, BOLT, NOW
from tests.vendors.conftest import settle

# cryptography warns of serial numbers that are not positive, and of names that are too long.
pytestmark = pytest.mark.filterwarnings("ignore::UserWarning")


def signatures(work: Callable[[], object]) -> int:
    """Return how many signatures were checked."""
    count = 0

    def note(frame: FrameType, event: str, argument: object) -> None:
        nonlocal count
        if event == "c_call" and "verify_directly_issued_by" in repr(argument):
            count += 1

    sys.setprofile(note)
    try:
        work()
    finally:
        sys.setprofile(None)
    return count


def judge(vendors: Vendors, chain: Sequence[bytes]) -> str:
    """Return what is said of a chain; nothing but a proof, Untrusted or Malformed is."""
    try:
        proof = vendors.verify(chain, NOW)
    except (Untrusted, Malformed) as error:
        return error.message
    assert isinstance(proof, Proof)
    return "proved"


@pytest.fixture
def acme(folder: Path) -> Vendors:
    """The vendor Acme, its root the anchor."""
    vendor.install(folder, "acme", ACME.root)
    return Vendors(folder)


def test_a_new_device_costs_one_signature(acme: Vendors) -> None:
    """The issuing CA is verified with its first device, and a poll costs none."""
    settle(acme)
    assert signatures(lambda: acme.verify(ACME.chain, NOW)) == 2
    for number in range(1, 4):
        chain = ACME.with_device(f"0001:{number:08X}").chain
        assert signatures(lambda c=chain: acme.verify(c, NOW)) == 1  # type: ignore[misc]  # bound now; mypy infers no lambda with a default
        assert signatures(lambda c=chain: acme.verify(c, NOW)) == 0  # type: ignore[misc]  # bound now; mypy infers no lambda with a default


def cousins(issuer: vendor.Party, count: int) -> list[vendor.Party]:
    """Return CAs of one name and one key: each has signed each."""
    key = keys.generate(keys.KeyType.EC_P256)
    first = vendor.ca("Acme Cousin", issuer, key=key)
    return [first, *(vendor.ca("Acme Cousin", first, key=key) for _ in range(count - 1))]


@pytest.mark.parametrize("issuer", [ACME.root, BOLT.root])
def test_certificates_that_sign_one_another(acme: Vendors, issuer: vendor.Party) -> None:
    """Nine of them have 986,409 paths among them; work is bounded, and a good chain good."""
    family = cousins(issuer, 9)
    chain = [vendor.device(family[0]).der, *(one.der for one in family)]
    said: list[str] = []
    assert signatures(lambda: said.append(judge(acme, chain))) <= MAX_SIGNATURES + MAX_PRESENTED
    assert said == ["proved" if issuer is ACME.root else STRANGER]


def test_anchors_of_one_name() -> None:
    """Twenty roots of one name and ten look-alikes below: no more than the bound."""
    roots = [vendor.ca("Acme Root") for _ in range(20)]
    false = [vendor.look_alike(vendor.ca("Acme Devices", roots[0])) for _ in range(9)]
    anchors = Anchors(path.anchor(root.certificate) for root in roots)
    chain = [vendor.device(false[0]).der, *(one.der for one in false)]
    assert signatures(lambda: anchors.find(chain)) <= MAX_SIGNATURES + MAX_PRESENTED


def test_strangers_cost_no_signature(acme: Vendors) -> None:
    """Only keys that are trusted check any."""
    assert signatures(lambda: judge(acme, BOLT.chain)) == 0


def test_too_much_is_refused_unread(acme: Vendors) -> None:
    """More certificates, or larger ones, than any device has."""
    assert judge(acme, [ACME.device.der] + [ACME.issuing.der] * (MAX_PRESENTED - 1)) == "proved"
    assert "too many" in judge(acme, [ACME.device.der] + [ACME.issuing.der] * MAX_PRESENTED)
    assert "too large" in judge(acme, [bytes(MAX_DER + 1)])
    assert judge(acme, [*ACME.chain, b"\x30" * (MAX_DER + 1)]) == "proved"


def test_memory_is_bounded(acme: Vendors) -> None:
    """Whatever strangers present, only so many answers are kept, and none of their CAs."""
    settle(acme)
    for number in range(6000):
        judge(acme, (number.to_bytes(4, "big"), b"x"))
    judged = acme._current()
    assert len(judged._answers) <= 4096
    assert not judged._anchors._found


def test_a_certificate_stuffed_with_names(acme: Vendors) -> None:
    """Names times constraints would be millions of comparisons."""
    constraints = x509.NameConstraints([x509.DNSName(f"a{n}.org") for n in range(300)], None)
    issuing = vendor.ca("Acme Busy", ACME.root, extensions=[(constraints, True)])
    sans = x509.SubjectAlternativeName([x509.DNSName(f"{n}.x.org") for n in range(900)])
    device = vendor.device(issuing, extensions=[(sans, False)])
    assert "too many names" in judge(acme, (device.der, issuing.der))


@pytest.mark.parametrize(
    "odd",
    [
        b"",
        b"\x30",
        b"\x30\x80\x00\x00",
        b"-----BEGIN CERTIFICATE-----",
        der.certificate(version=0),
        der.certificate(serial=b"\xff"),
        der.certificate(subject=der.name()),
        der.certificate(subject=der.name((der.COUNTRY, der.UTF8, b"\xff\xfe"))),
        der.certificate(der.extension(der.KEY_USAGE, b"junk")),
        der.certificate(
            der.extension(der.KEY_USAGE, b"\x05\x00"), der.extension(der.KEY_USAGE, b"")
        ),
    ],
)
def test_odd_certificates(acme: Vendors, odd: bytes) -> None:
    """Alone, as a CA or beside a good chain."""
    assert judge(acme, [odd]) != "proved"
    assert judge(acme, [ACME.device.der, odd]) == STRANGER
    assert judge(acme, [ACME.device.der, odd, ACME.issuing.der]) == "proved"


def test_odd_certificates_of_the_vendor(folder: Path) -> None:
    """What the vendor's own key has signed and nobody can read is refused as well."""
    key = der.KEY
    root = vendor.ca("CN=Drive 7", key=key)
    vendor.install(folder, "acme", root)
    vendors = Vendors(folder)
    assert judge(vendors, [der.certificate()]) == "proved"
    twice = der.extension(der.KEY_USAGE, b"\x03\x02\x07\x80")
    for odd in (
        der.certificate(twice, twice),
        der.certificate(der.extension(der.BASIC_CONSTRAINTS, b"junk")),
        der.certificate(der.extension(der.SUBJECT_ALT_NAME, b"\x30\x03\x9f\x01\x00")),
    ):
        assert judge(vendors, [odd]) != "proved"


@settings(max_examples=300, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.integers(0, len(ACME.device.der) * 8 - 1))
def test_flipped_bits_of_a_device(acme: Vendors, bit: int) -> None:
    """No bit of what is signed, and none of the signature, can be changed."""
    changed = bytearray(ACME.device.der)
    changed[bit // 8] ^= 1 << bit % 8
    assert judge(acme, (bytes(changed), ACME.issuing.der)) != "proved"


@settings(max_examples=200, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.integers(0, len(ACME.issuing.der) * 8 - 1))
def test_flipped_bits_of_a_ca(acme: Vendors, bit: int) -> None:
    """Nor of its CA's."""
    changed = bytearray(ACME.issuing.der)
    changed[bit // 8] ^= 1 << bit % 8
    assert judge(acme, (ACME.device.der, bytes(changed))) != "proved"


PIECES = [ACME.device.der, *ACME.chain, ACME.root.der, *BOLT.chain, b"", b"\x30\x00"]


@settings(max_examples=200, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.sampled_from(PIECES) | st.binary(max_size=64), max_size=12))
def test_any_chain(acme: Vendors, chain: list[bytes]) -> None:
    """In whatever order: proved only where the device and its CA are there."""
    good = chain[:1] == [ACME.device.der] and ACME.issuing.der in chain and len(chain) <= 10
    assert (judge(acme, chain) == "proved") == good


@settings(max_examples=100, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.binary(max_size=200), st.sampled_from([".pem", ".toml", ".crl"]))
def test_any_file(folder: Path, data: bytes, suffix: str) -> None:
    """Whatever a vendor's file holds, the answer is one of three."""
    vendor.install(folder, "acme", ACME.root)
    (folder / f"acme{suffix}").write_bytes(data)
    judge(Vendors(folder), ACME.chain)
