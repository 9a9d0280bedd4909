"""What is proved and what only claimed: names, devices, users, in values and in words."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.name import _ASN1Type
from cryptography.x509.oid import NameOID

from cipsec.pki import csr, keys
from cipsec.pki.csr import CertificateRequest
from cipsec.pki.device import DeviceId, Identity, Mac
from cipsec.pki.names import parse_subject, show_serial
from tests.support import ca, der, est, vendor
from tests.support.est import Server
from tests.support.evidence import about

from .replacing import with_mac

DEVICE = DeviceId(1, 0x6040C8F2)
MAC = Mac.parse("00:00:bc:12:34:56")


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A CA with a record, and a vendor."""
    with est.serving(tmp_path_factory.mktemp("evidence")) as server:
        yield server


@pytest.fixture(scope="module")
def acme(server: Server) -> vendor.Pki:
    """A vendor who is trusted."""
    pki = vendor.make()
    vendor.install(server.folder.path / "vendors", "acme", pki.root)
    return pki


def test_nothing(server: Server) -> None:
    """Without certificate and login nothing is claimed and nothing proved."""
    found = about(server, ca.request("CN=a"))
    assert (found.proved, found.claimed) == ("nothing", "nothing")
    assert (found.identity, found.proved_identity) == (Identity(), Identity())
    assert not found.same_names


def test_what_a_csr_says_is_a_claim(server: Server) -> None:
    """Nobody but the applicant says so, also where the applicant logged in."""
    for user, proved in ((None, "nothing"), ("anna", "user anna")):
        found = about(server, user=user)
        assert (found.identity, found.claimed_identity) == (Identity(DEVICE), Identity(DEVICE))
        assert found.proved_identity == Identity()
        assert (found.proved, found.claimed) == (proved, f"device {DEVICE}")


def test_an_own_certificate_proves_its_device(server: Server) -> None:
    """And its names are compared with those that the CSR asks for."""
    certificate = server.record(ca.request(sans=["dns:drive-7"]))
    serial = show_serial(certificate.serial_number)
    chain = [est.der(certificate)]
    same = about(server, ca.request(sans=["dns:DRIVE-7"]), chain=chain, renewal=True)
    assert same.same_names
    assert (same.proved_identity, same.claimed_identity) == (Identity(DEVICE), Identity())
    assert (same.proved, same.claimed) == (f"certificate {serial} of this CA", "nothing")
    other = about(server, ca.request(), chain=chain, user="anna", renewal=True)
    assert not other.same_names
    assert other.proved == f"certificate {serial} of this CA, user anna"


def test_a_revoked_certificate_of_this_ca_claims(server: Server) -> None:
    """What it says of its device is what its holder says."""
    certificate = server.record(ca.request())
    server.revoke(certificate)
    found = about(server, ca.request("CN=a"), chain=[est.der(certificate)])
    serial = show_serial(certificate.serial_number)
    assert found.proved == "nothing"
    kind = f"certificate {serial} of this CA (is revoked)"
    assert found.claimed == f"device {DEVICE}, {kind}"
    assert not found.same_names


def test_a_vendors_certificate_proves_its_device(server: Server, acme: vendor.Pki) -> None:
    """What the CSR says beyond that is claimed still."""
    found = about(server, ca.request(f"CN={MAC}"), chain=acme.chain)
    assert found.proved == f"device {DEVICE} by vendor acme"
    assert found.claimed == f"device {MAC}"
    assert (found.proved_identity, found.claimed_identity) == (Identity(DEVICE), Identity(mac=MAC))
    assert found.identity == Identity(DEVICE, MAC)


def test_a_vendors_certificate_without_a_device_proves_none(
    server: Server, acme: vendor.Pki
) -> None:
    """It is a genuine device of the vendor; which one, only the CSR says."""
    leaf = vendor.issue("CN=Drive", acme.issuing)
    found = about(server, chain=[leaf.der, acme.issuing.der])
    assert (found.proved, found.claimed) == ("by vendor acme", f"device {DEVICE}")
    assert found.proved_identity == Identity()


def test_a_provisioning_certificate_proves_no_device(server: Server) -> None:
    """It stands for whoever holds it."""
    found = about(server, chain=server.card())
    assert (found.proved, found.claimed) == (
        "provisioning certificate card-1", f"device {DEVICE}",
    )  # fmt: skip


def test_a_self_signed_certificate_is_a_claim(server: Server) -> None:
    """It names a device, proves nothing, and what it names is said to be claimed."""
    subject = der.name(
        (der.COMMON_NAME, der.UTF8, b"Drive 7"),
        (der.SERIAL_NUMBER, der.PRINTABLE, b"0001:6040C8F2"),
    )
    found = about(server, ca.request("CN=a"), chain=[der.certificate(subject=subject)])
    assert found.proved == "nothing"
    assert found.claimed == (
        "device 0001:6040C8F2, self-signed certificate of serialNumber=0001:6040C8F2,CN=Drive 7"
    )


def test_who_was_authenticated_is_part_of_the_id(server: Server) -> None:
    """Users and presented certificates tell applicants apart; no text can pose as another."""
    asked = ca.request("CN=a")
    chains: list[tuple[bytes, ...]] = [(), (b"garbage",), server.card("card-2")]
    chains += [(est.der(server.record(asked)),) for _ in range(2)]
    users = (None, "anna", "no user", "user:anna")
    ids = {about(server, asked, chain=chain, user=user).id for chain in chains for user in users}
    # What cannot be read is taken for no certificate.
    assert len(ids) == (len(chains) - 1) * len(users)


def test_the_label_is_part_of_the_id_and_the_address_is_not(server: Server) -> None:
    """A device that polls through another interface keeps its place; another label is a new one."""
    asked = ca.request()
    ids = {
        label: {
            about(server, asked, label=label, address=address, renewal=renewal).id
            for address in ("192.0.2.7", "192.0.2.8")
            for renewal in (False, True)
        }
        for label in ("", "line-3")
    }
    assert [len(found) for found in ids.values()] == [1, 1]
    assert ids[""] != ids["line-3"]


def retyped(text: str, kind: _ASN1Type) -> CertificateRequest:
    """Return a CSR whose common name has that string type."""
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text, kind)])
    return csr.parse(
        csr.build(keys.generate(keys.KeyType.EC_P256), name).public_bytes(Encoding.DER)
    )


@pytest.mark.parametrize(
    ("text", "kind", "same"),
    [
        ("Drive 7", _ASN1Type.UTF8String, True),
        ("Drive 7", _ASN1Type.PrintableString, True),
        ("Drive 7", _ASN1Type.BMPString, True),
        ("  drive   7 ", _ASN1Type.UTF8String, True),
        ("Drive7", _ASN1Type.UTF8String, False),
        ("Drive 8", _ASN1Type.UTF8String, False),
    ],
)
def test_names_are_compared_by_value(
    text: str, kind: _ASN1Type, same: bool, server: Server
) -> None:
    """String type, case and white space do not make another name (RFC 5280 section 7.1)."""
    certificate = server.record(retyped("Drive 7", _ASN1Type.UTF8String))
    found = about(server, retyped(text, kind), chain=[est.der(certificate)], renewal=True)
    assert found.presented.own
    assert found.same_names is same


def test_names_that_no_certificate_takes_over_do_not_count(server: Server) -> None:
    """A device that asks for a URI each time, and never gets it, may renew all the same."""
    sans = ["dns:drive-7", "uri:urn:drive-7", "email:anna@plant"]
    certificate = server.record(ca.request(sans=sans))
    for asked, same in (
        (sans, True),
        (["dns:drive-7"], True),
        ([*sans, "ip:192.0.2.7"], False),
        (["uri:urn:drive-7"], False),
    ):
        found = about(server, ca.request(sans=asked), chain=[est.der(certificate)])
        assert found.same_names is same


def test_identity_joins_both(server: Server) -> None:
    """The CSR's device comes first, the certificate's fills what the CSR leaves open."""
    certificate = server.record(ca.request(parse_subject(f"CN={MAC}")))
    found = about(server, chain=[est.der(certificate)])
    assert found.identity == Identity(DEVICE, MAC)
    assert (found.proved_identity, found.claimed_identity) == (Identity(mac=MAC), Identity(DEVICE))


def test_the_names_that_rules_look_at(server: Server) -> None:
    """Common names, user ids, mail, hosts, addresses; not what no certificate takes over."""
    asked = ca.request(
        "CN=Drive 7,O=Plant,CN=other",
        sans=["dns:drive-7", "ip:192.0.2.7", "uri:urn:x", "email:a@b"],
    )
    assert about(server, asked).names() == ["other", "Drive 7", "drive-7", "192.0.2.7"]
    person = ca.request("CN=a.office.plant,OU=Safety,UID=safety-plc,emailAddress=root@plant")
    assert set(about(server, person).names()) == {"a.office.plant", "safety-plc", "root@plant"}
    assert about(server, ca.request("O=Plant")).names() == []


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        (ca.request("CN=a"), Identity()),
        (ca.request(f"CN=a,serialNumber={DEVICE}"), Identity(DEVICE)),
        (ca.request(f"CN={MAC}"), Identity(mac=MAC)),
        (with_mac("CN=a", str(MAC)), Identity()),
        (with_mac(f"CN={MAC}", str(MAC)), Identity(mac=MAC)),
    ],
)
def test_what_a_certificate_would_repeat(
    asked: CertificateRequest, said: Identity, server: Server, acme: vendor.Pki
) -> None:
    """What is claimed in its names; a MAC address elsewhere is left out by itself."""
    assert about(server, asked).said_in_names == said
    vouched = about(server, asked, chain=acme.chain)
    assert vouched.said_in_names == Identity(mac=said.mac)


@pytest.mark.parametrize(
    ("number", "unproved"),
    [("0001:6040C8F2", None), ("0x0001:0x6040C8F2", True), ("4711", True), ("0001:6040C8F", True)],
)
def test_a_serial_number_that_nobody_can_read(
    number: str, unproved: bool | None, server: Server
) -> None:
    """It may be a device's all the same."""
    found = about(server, ca.request(f"CN=a,serialNumber={number}"))
    assert found.unproved_number == (number if unproved else None)
    assert about(server, ca.request("CN=a")).unproved_number is None


def test_a_claim_in_an_own_certificate_is_none_of_its_proofs(server: Server) -> None:
    """This CA took its holder's word when it was issued; it may be renewed, and proves nothing."""
    chain = [est.der(server.record(ca.request(), proved=False))]
    found = about(server, chain=chain)
    assert found.same_names
    assert (found.proved_identity, found.claimed_identity) == (Identity(), Identity(DEVICE))
    assert found.claimed == f"device {DEVICE}"


def test_what_the_certificate_does_not_name_is_another_name(server: Server) -> None:
    """A MAC address in the directory attributes, which the subject does not tell."""
    bare = [est.der(server.record(ca.request("CN=a")))]
    assert not about(server, with_mac("CN=a", str(MAC)), chain=bare).same_names
    named = [est.der(server.record(ca.request(f"CN={MAC}")))]
    assert about(server, with_mac(f"CN={MAC}", str(MAC)), chain=named).same_names
    assert about(server, ca.request(f"CN={MAC}"), chain=named).same_names


def test_no_secret_is_shown(server: Server) -> None:
    """Evidence ends up in tracebacks: a channel binding does not."""
    found = about(server, ca.request(challenge=b"c2VjcmV0LWJpbmRpbmc="), user="anna")
    assert "c2VjcmV0" not in repr(found).replace("\\", "")
