"""Revocation lists beside a vendor's anchors: what they revoke, and which cannot be used."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding

from cipsec.errors import Malformed, Untrusted
from cipsec.pki import keys, path, revocation
from cipsec.ra.vendors import Vendors
from tests.support import vendor
from tests.vendors.cases import ACME, BOLT, NOW

DAY = timedelta(days=1)
OTHER = ACME.with_device("0001:00000002")


def point(
    *,
    users: bool = False,
    indirect: bool = False,
    attributes: bool = False,
    reasons: frozenset[x509.ReasonFlags] | None = None,
) -> x509.IssuingDistributionPoint:
    """Return an issuingDistributionPoint."""
    name = [x509.UniformResourceIdentifier("http://acme.invalid/crl")]
    return x509.IssuingDistributionPoint(name, None, users, False, reasons, indirect, attributes)


@pytest.mark.parametrize("encoding", [Encoding.PEM, Encoding.DER])
@pytest.mark.parametrize("reason", [None, x509.ReasonFlags.certificate_hold])
def test_a_revoked_device(
    folder: Path, encoding: Encoding, reason: x509.ReasonFlags | None
) -> None:
    """It proves nothing, whatever the reason; its neighbour still does."""
    lists = vendor.crl(ACME.issuing, ACME.device, 4711, reason=reason, encoding=encoding)
    vendor.install(folder, "acme", ACME.root, crls=lists)
    vendors = Vendors(folder)
    with pytest.raises(Untrusted, match=r"0001:6040C8F2.* is revoked"):
        vendors.verify(ACME.chain, NOW)
    assert vendors.verify(OTHER.chain, NOW).vendor == "acme"


def test_a_revoked_ca(folder: Path) -> None:
    """All devices below it prove nothing."""
    vendor.install(folder, "acme", ACME.root, crls=vendor.crl(ACME.root, ACME.issuing))
    for chain in (ACME.chain, OTHER.chain):
        with pytest.raises(Untrusted, match=r"Acme Devices.* is revoked"):
            Vendors(folder).verify(chain, NOW)


def test_a_revoked_anchor(folder: Path) -> None:
    """An intermediate that is the anchor, revoked by its root, which need not be there."""
    lists = vendor.crl(ACME.root, ACME.issuing)
    vendor.install(folder, "acme", ACME.issuing, crls=lists)
    vendors = Vendors(folder)
    with pytest.raises(Untrusted):
        vendors.verify(ACME.chain, NOW)
    [warning] = vendors.warnings(NOW)
    assert "Acme Devices" in warning
    assert "is revoked" in warning


def test_several_lists(folder: Path) -> None:
    """One file may hold those of root and issuing CA, and of the vendor's other CAs."""
    foreign = vendor.crl(vendor.ca("Acme Elsewhere"), ACME.device)
    lists = foreign + vendor.crl(ACME.root) + vendor.crl(ACME.issuing, ACME.device)
    vendor.install(folder, "acme", ACME.root, crls=lists)
    vendors = Vendors(folder)
    with pytest.raises(Untrusted, match="revoked"):
        vendors.verify(ACME.chain, NOW)
    assert vendors.verify(OTHER.chain, NOW).vendor == "acme"


def test_a_list_counts_for_all_vendors(folder: Path) -> None:
    """A device revoked by the CA that made it is revoked, whoever else has an anchor above it."""
    vendor.install(folder, "acme", ACME.root, crls=vendor.crl(ACME.issuing, ACME.device))
    vendor.install(folder, "copy", ACME.issuing)
    with pytest.raises(Untrusted, match="revoked"):
        Vendors(folder).verify(ACME.chain, NOW)


def test_another_ca_of_the_same_name_revokes_nothing(folder: Path) -> None:
    """A list says by whose key it is: the vendor's CA may have had two."""
    twin = vendor.ca("Acme Devices", ACME.root)
    aki = vendor._aki(twin)
    lists = vendor.crl(twin, ACME.device, extensions=[(aki, False)])
    vendor.install(folder, "acme", ACME.root, crls=lists)
    assert Vendors(folder).verify(ACME.chain, NOW).vendor == "acme"


def test_an_old_list(folder: Path) -> None:
    """It still revokes, and does not stop the others, but for who insists on a current one."""
    old = vendor.crl(ACME.issuing, ACME.device, at=NOW - 9 * DAY, until=NOW - 2 * DAY)
    lists = old + vendor.crl(ACME.root, at=NOW - DAY, until=NOW + DAY)
    vendor.install(folder, "acme", ACME.root, crls=lists)
    vendors = Vendors(folder)
    with pytest.raises(Untrusted, match="revoked"):
        vendors.verify(ACME.chain, NOW)
    assert vendors.verify(OTHER.chain, NOW).vendor == "acme"
    assert vendors.warnings(NOW) == [
        "vendors/acme.crl: list 1 is out of date since 2026-11-21T05:00:00Z"
    ]
    vendor.install(folder, "acme", ACME.root, crls=lists, strict={"require_fresh_crl": True})
    with pytest.raises(Untrusted, match="no current revocation list"):
        vendors.verify(OTHER.chain, NOW)


def test_current_lists(folder: Path) -> None:
    """Who insists on lists gets them for each certificate below the anchor, as time goes by."""
    issuing = vendor.crl(ACME.issuing, at=NOW - DAY, until=NOW + DAY)
    both = issuing + vendor.crl(ACME.root, at=NOW - 2 * DAY, until=NOW + 2 * DAY)
    vendor.install(folder, "acme", ACME.root, crls=issuing, strict={"require_fresh_crl": True})
    vendors = Vendors(folder)
    with pytest.raises(Untrusted, match="no revocation list covers"):
        vendors.verify(ACME.chain, NOW)
    vendor.install(folder, "acme", ACME.root, crls=both, strict={"require_fresh_crl": True})
    for moment, holds in [(0, True), (2, False), (0.5, True), (-2, False)]:
        if holds:
            assert vendors.verify(ACME.chain, NOW + moment * DAY).vendor == "acme"
        else:
            with pytest.raises(Untrusted, match="no current revocation list"):
                vendors.verify(ACME.chain, NOW + moment * DAY)


FORGED = [
    ("of the right name, by another key", {"signer": BOLT.root.key}),
    (
        "that says it is by the right key",
        {"signer": BOLT.root.key, "extensions": [(vendor._aki(ACME.issuing), False)]},
    ),
]


@pytest.mark.parametrize(("what", "options"), FORGED)
@pytest.mark.parametrize("revoked", [(), (ACME.device,)])
def test_a_forged_list(
    folder: Path, what: str, options: dict[str, object], revoked: tuple[vendor.Party, ...]
) -> None:
    """It neither revokes nor lets pass: the file is broken, and says so."""
    lists = vendor.crl(ACME.issuing, *revoked, **options)  # type: ignore[arg-type]  # each test gives what fits
    vendor.install(folder, "acme", ACME.root, crls=lists)
    with pytest.raises(Malformed, match=r"vendors/acme\.crl is not signed by .*Acme Devices"):
        Vendors(folder).verify(ACME.chain, NOW)


def test_a_ca_that_may_not_sign_lists(folder: Path) -> None:
    """Its list is none."""
    issuing = vendor.ca("Acme Mute", ACME.root, usage=vendor.signs(crls=False))
    device = vendor.device(issuing)
    vendor.install(folder, "acme", ACME.root, crls=vendor.crl(issuing))
    with pytest.raises(Malformed, match="not signed by"):
        Vendors(folder).verify((device.der, issuing.der), NOW)


UNUSABLE = [
    (vendor.crl(ACME.issuing, extensions=[(point(indirect=True), True)]), "of other CAs"),
    (vendor.crl(ACME.issuing, extensions=[(point(attributes=True), True)]), "only attribute"),
    (
        vendor.crl(
            ACME.issuing,
            extensions=[(point(reasons=frozenset({x509.ReasonFlags.key_compromise})), True)],
        ),
        "only some",
    ),
    (vendor.crl(ACME.issuing, extensions=[(x509.DeltaCRLIndicator(1), True)]), "what changed"),
    (vendor.crl(ACME.issuing, extensions=[(vendor.UNKNOWN, True)]), r"extension 1\.3\.6\.1"),
    (
        vendor.crl(
            ACME.issuing,
            4711,
            entry_extensions=[(x509.CertificateIssuer([x509.DNSName("x")]), True)],
        ),
        "an entry has the critical extension",
    ),
    (b"", "is empty"),
    (b"hello", "neither PEM, DER, PKCS#7 nor base64"),
    (ACME.root.pem, "holds no revocation list, only: certificate"),
    (vendor.crl(ACME.root) + ACME.root.pem, "and something else as well"),
    (vendor.crl(ACME.root).replace(b"\nMI", b"\n!!"), "not base64"),
    (vendor.crl(ACME.root)[:-30], "is cut off"),
    (b"\x30\x03\x02\x01\x00", "no revocation list that can be used"),
]


@pytest.mark.parametrize(("lists", "why"), UNUSABLE)
def test_lists_that_cannot_be_used(folder: Path, lists: bytes, why: str) -> None:
    """The vendor proves nothing until its file is mended."""
    vendor.install(folder, "acme", ACME.root, crls=lists)
    with pytest.raises(Malformed, match=why) as raised:
        Vendors(folder).verify(ACME.chain, NOW)
    assert "vendors/acme.crl" in raised.value.message


def test_a_ca_that_says_little(folder: Path) -> None:
    """Without key usage it may sign lists, and without key id any list of its name is meant."""
    basic = x509.BasicConstraints(ca=True, path_length=None)
    root = vendor.issue("CN=Acme Plain", constraints=basic, ski=False)
    device, other = vendor.device(root), vendor.device(root)
    vendor.install(folder, "acme", root, crls=vendor.crl(root, device))
    vendors = Vendors(folder)
    with pytest.raises(Untrusted, match="revoked"):
        vendors.verify((device.der,), NOW)
    assert vendors.verify((other.der,), NOW).vendor == "acme"


def test_a_list_of_devices_only(folder: Path) -> None:
    """A list that covers less than it might still revokes what is on it."""
    lists = vendor.crl(ACME.issuing, ACME.device, extensions=[(point(users=True), True)])
    vendor.install(folder, "acme", ACME.root, crls=lists)
    with pytest.raises(Untrusted, match="revoked"):
        Vendors(folder).verify(ACME.chain, NOW)


def test_key_kinds() -> None:
    """Lists signed by RSA and P-384 keys are checked as well."""
    for key in (keys.generate(keys.KeyType.RSA_2048), ec.generate_private_key(ec.SECP384R1())):
        root = vendor.ca("Acme Other", key=key)
        device = vendor.device(root)
        found = path.device(path.anchor(root.certificate), device.certificate)
        read = revocation.Revocations(revocation.read(vendor.crl(root, device), "x.crl"))
        with pytest.raises(Untrusted, match="revoked"):
            read.check(found)
