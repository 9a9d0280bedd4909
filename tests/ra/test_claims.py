"""What is only claimed: it rides along with no proof, and no certificate makes it one later."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.name import _ASN1Type
from cryptography.x509.oid import NameOID

from cipsec.pki import csr, keys
from cipsec.pki.csr import CertificateRequest
from cipsec.pki.device import Identity, Mac
from cipsec.pki.identity import of_certificate
from cipsec.pki.names import parse_subject
from cipsec.store.requests import State
from tests.support import ca, est, vendor
from tests.support.est import PASSWORD, Server

from .replacing import DEVICE, GENUINE, OTHER, SECOND, SLOTS, drive, with_mac

MAC = "00:00:bc:12:34:56"
PROVED_ONLY = '[[rule]]\nname = "listed"\nwhen = { serial = "line" }\nthen = "grant"\n'
ANNA = ("anna", PASSWORD)


@pytest.fixture
def users(tmp_path: Path) -> Iterator[Server]:
    """A server that grants to anna, and to listed devices that are proved."""
    with est.serving(tmp_path, est.RENEWAL + PROVED_ONLY + est.USERS + est.ASK) as server:
        server.add_user("anna")
        server.allow("line")
        server.tick = SECOND
        yield server


def nameless(pki: vendor.Pki) -> tuple[bytes, ...]:
    """Return the chain of a genuine device whose certificate does not say which one it is."""
    return vendor.issue("CN=Drive", pki.issuing).der, pki.issuing.der


# Nothing becomes a proof by having been in a certificate.


def test_a_mac_address_is_not_laundered_by_a_renewal(users: Server) -> None:
    """A password buys a certificate, whose renewal adds what the password did not buy."""
    users.allow("line", f"{MAC},slot7,,1,")
    assert users.enroll(with_mac("CN=pc", MAC), login=ANNA).status == 202
    first = est.certificate(users.enroll(ca.request("CN=pc"), login=ANNA))
    more = users.enroll(with_mac("CN=pc", MAC), chain=[est.der(first)], renewal=True)
    assert more.status == 403
    assert est.reason(more).startswith("a renewal must keep the names of certificate ")
    assert users.enroll(with_mac("CN=pc", MAC), chain=[est.der(first)]).status == 202
    assert [row.mac for row in users.certificates()] == [None]


def test_a_device_is_not_laundered_by_a_renewal(users: Server) -> None:
    """Nor one that only the rules of ca.toml read, in a name that no certificate takes over."""
    users.text += (
        '[[identity]]\nname = "u"\nselector = "san:uri"\nbase = "hex"\n'
        'pattern = "urn:dev:(?P<vendor>[0-9A-F]{4}):(?P<serial>[0-9A-F]{8})"\n'
    )
    first = est.certificate(users.enroll(ca.request("CN=pc"), login=ANNA))
    more = ca.request("CN=pc", sans=[f"uri:urn:dev:{DEVICE}"])
    assert users.enroll(more, chain=[est.der(first)], renewal=True).status == 403
    assert [row.device for row in users.certificates()] == [None]


def test_what_only_certificates_are_read_for_is_not_laundered(users: Server) -> None:
    """A password buys CN=7, in which no rule sees a device before it stands in a certificate."""
    users.text += (
        '[[identity]]\nname = "cn"\nsource = "certificate"\nselector = "subject:CN"\n'
        'pattern = "(?P<serial>[0-9]+)"\nbase = "dec"\nvendor = "0001"\n'
    )
    users.allow("line", "0001:00000007,,,,")
    bought = est.certificate(users.enroll(ca.request("CN=7"), login=ANNA))
    assert users.enroll(ca.request("CN=x"), chain=[est.der(bought)]).status == 202


@pytest.mark.parametrize("subject", [f"CN=x,serialNumber={DEVICE}", f"CN={MAC}"])
def test_a_claim_stays_a_claim_however_often_it_is_renewed(subject: str, users: Server) -> None:
    """Taken at its word once, by a rule that does so; a list that asks for proof is not open."""
    users.allow("line", f"{DEVICE},,,,", f"{MAC},,,,")
    proof = users.text
    users.text = est.RENEWAL + est.USERS + "unproved = true\n"
    held = est.certificate(users.enroll(ca.request(subject), login=ANNA))
    for _ in range(2):
        held = est.certificate(users.enroll(ca.request(subject), chain=[est.der(held)]))
    users.text = proof
    other = ca.request(f"{subject},O=Plant", sans=["dns:safety-plc.plant"])
    assert users.enroll(other, chain=[est.der(held)]).status == 202
    assert users.enroll(other, chain=[est.der(held)], login=ANNA).status == 202
    assert {(row.device_proved, row.mac_proved) for row in users.certificates()} == {(0, 0)}


@pytest.mark.parametrize("way", ["vendor", "approval"])
def test_what_was_proved_stays_proved(way: str, users: Server, acme: vendor.Pki) -> None:
    """By a vendor's certificate, or by whoever approved what he was shown; renewed too."""
    asked = drive()
    if way == "vendor":
        users.allow("line", f"{DEVICE},,,,")
        vendor.install(users.folder.path / "vendors", "acme", acme.root)
        held = est.certificate(users.enroll(asked, chain=acme.chain))
    else:
        users.decide(est.identifier(users.enroll(asked)), State.APPROVED)
        held = est.certificate(users.enroll(asked))
        users.allow("line", f"{DEVICE},,,,")
    key = keys.generate(keys.KeyType.EC_P256)
    renewed = est.certificate(users.enroll(drive(key=key), chain=[est.der(held)], renewal=True))
    assert {row.device_proved for row in users.certificates()} == {1}
    more = drive(name="hmi-1.plant", key=key)
    users.enroll(more, chain=[est.der(renewed)])
    reasons = [row.reason for row in users.requests() if row.state == State.PENDING]
    assert reasons[-1].startswith(f"{DEVICE} is listed at line.csv:2; but certificate ")


# Nothing rides along with a vendor's certificate.


@pytest.mark.parametrize("subject", [f"CN=x,serialNumber={OTHER}", f"CN={OTHER}", f"CN={MAC}"])
def test_a_vendors_certificate_without_a_device_buys_no_device(
    subject: str, proving: Server, acme: vendor.Pki
) -> None:
    """It is genuine; which one it is, nobody proved. With `unproved` its word is enough."""
    asked = ca.request(subject)
    assert proving.enroll(asked, chain=nameless(acme)).status == 202
    [row] = proving.requests()
    assert "the vendor's certificate does not prove device " in row.reason
    proving.text = GENUINE + "unproved = true\n"
    assert proving.enroll(asked, chain=nameless(acme)).status == 200
    assert proving.certificates()[0].device_proved == 0


def test_a_listed_mac_address_buys_no_device(proving: Server, acme: vendor.Pki) -> None:
    """The vendor's certificate proves one, the CSR names the other beside it."""
    proving.text = SLOTS
    proving.allow("line", f"{MAC},,,,")
    chain = (vendor.issue(f"CN={MAC}", acme.issuing).der, acme.issuing.der)
    assert proving.enroll(ca.request("CN=y"), chain=chain).status == 200
    asked = ca.request(f"CN=x,serialNumber={OTHER}")
    assert proving.enroll(asked, chain=chain).status == 403


def test_a_listed_device_buys_no_mac_address_in_its_names(
    proving: Server, acme: vendor.Pki
) -> None:
    """Where it stands in the subject a certificate would repeat it."""
    proving.text = SLOTS
    proving.allow("line", f"{DEVICE},,,,", f"{MAC},,,,")
    refused = proving.enroll(ca.request(f"CN={MAC},serialNumber={DEVICE}"), chain=acme.chain)
    assert refused.status == 403
    assert f"the vendor's certificate does not prove device {MAC}" in est.reason(refused)


FOREIGN = ["0x0001:0x00000009", "9", "0001-00000009", f"{OTHER}\0x", f"{OTHER}\u200b"]


@pytest.mark.parametrize("number", FOREIGN)
@pytest.mark.parametrize("rules", [GENUINE, SLOTS])
def test_a_vendors_certificate_buys_no_serial_number_that_nobody_can_read(
    rules: str, number: str, proving: Server, acme: vendor.Pki
) -> None:
    """Somebody else may read it, and find another device in the certificate than was proved."""
    proving.text = rules + est.ASK
    proving.allow("line", f"{DEVICE},,,,")
    asked = numbered(number)
    assert proving.enroll(asked, chain=acme.chain).status == 202
    [row] = proving.requests()
    assert f"the vendor's certificate does not prove serialNumber {number}" in row.reason
    proving.text = rules + "unproved = true\n"
    assert proving.enroll(asked, chain=acme.chain).status == 200


@pytest.mark.parametrize("rules", [GENUINE, SLOTS])
def test_a_serial_number_that_stands_in_the_vendors_certificate(
    rules: str, proving: Server, acme: vendor.Pki
) -> None:
    """It is the device's own, though the rules do not read it; another beside it is not."""
    proving.text = rules + est.ASK
    proving.allow("line", f"{DEVICE},,,,")
    leaf = vendor.issue(f"CN={DEVICE},serialNumber=4711", acme.issuing)
    chain = (leaf.der, acme.issuing.der)
    assert proving.enroll(numbered("4711", "4712"), chain=chain).status == 202
    assert proving.enroll(numbered("4711"), chain=chain).status == 200


def numbered(*numbers: str) -> CertificateRequest:
    """Return a CSR with these in its subject, in an encoding that takes every character."""
    attributes = [
        x509.NameAttribute(NameOID.SERIAL_NUMBER, number, _ASN1Type.UTF8String)
        for number in numbers
    ]
    key = keys.generate(keys.KeyType.EC_P256)
    return csr.parse(csr.build(key, x509.Name(attributes)).public_bytes(Encoding.DER))


# A MAC address outside the names is in the certificate only where somebody judged it.


@pytest.mark.parametrize(
    ("rules", "mac"),
    [(GENUINE, None), (SLOTS, None), (GENUINE + "unproved = true\n", MAC), (est.LAB, MAC)],
)
def test_a_mac_address_that_nothing_proves(
    rules: str, mac: str | None, proving: Server, acme: vendor.Pki
) -> None:
    """It is left out of certificate and record, unless the rule takes claims."""
    proving.text = rules
    proving.allow("line", f"{DEVICE},,,,")
    asked = with_mac(f"CN=x,serialNumber={DEVICE}", MAC)
    certificate = est.certificate(proving.enroll(asked, chain=acme.chain))
    [row] = proving.certificates()
    assert (row.mac, row.mac_proved) == (mac, 0)
    named = of_certificate(certificate).identity
    assert (str(named.device), str(named.mac)) == (DEVICE, str(mac))


def test_a_mac_address_that_is_proved(proving: Server, acme: vendor.Pki) -> None:
    """Then it is in both, and in the next one."""
    chain = (vendor.issue(f"CN={MAC}", acme.issuing).der, acme.issuing.der)
    held = est.certificate(proving.enroll(with_mac("CN=x", MAC), chain=chain))
    again = proving.enroll(with_mac("CN=x", MAC), chain=[est.der(held)], renewal=True)
    for certificate in (held, est.certificate(again)):
        assert of_certificate(certificate).identity == Identity(mac=Mac.parse(MAC))
    assert {(row.mac, row.mac_proved) for row in proving.certificates()} == {(MAC, 1)}


def test_a_mac_address_that_nobody_read(users: Server) -> None:
    """Where the rules of ca.toml do not look at it nobody sees it, and no certificate has it."""
    users.text = '[[identity]]\npreset = "canonical-serialnumber"\n' + users.text
    certificate = est.certificate(users.enroll(with_mac("CN=pc", MAC), login=ANNA))
    assert of_certificate(certificate).identity == Identity()
    key = keys.generate(keys.KeyType.EC_P256)
    users.decide(est.identifier(users.enroll(keyed(key, None))), State.APPROVED)
    certificate = est.certificate(users.enroll(keyed(key, MAC)))
    assert of_certificate(certificate).identity == Identity()


def keyed(key: keys.PrivateKey, mac: str | None) -> CertificateRequest:
    """Return a CSR of this key, with or without a MAC address."""
    parsed = Mac.parse(mac) if mac else None
    built = csr.build(key, parse_subject("CN=drive"), mac=parsed)
    return csr.parse(built.public_bytes(Encoding.DER))


# A password buys no device, however it is written.


@pytest.mark.parametrize(
    "number",
    [
        f"{DEVICE}\\ ", f"\\ {DEVICE}", "0001: 6040C8F2", "0x0001:0x6040C8F2", "1614858482",
        "0001-6040C8F2", "00016040C8F2", "1:6040C8F2", "x", DEVICE.lower(), MAC,
    ],
)  # fmt: skip
def test_a_password_buys_no_serial_number(number: str, users: Server) -> None:
    """What is read is a device that nothing proves; what is not may be one all the same."""
    asked = ca.request(f"CN=Drive 7,serialNumber={number}")
    assert users.enroll(asked, login=ANNA).status == 202
    assert "the password of user anna does not prove " in users.requests()[0].reason
    users.text = est.USERS + "unproved = true\n"
    assert users.enroll(asked, login=ANNA).status == 200
