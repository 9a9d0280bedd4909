"""Who has a certificate already, under whichever name: he is found, and asked about."""

from __future__ import annotations

from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from cipsec.pki import csr, keys, names
from cipsec.pki.csr import CertificateRequest
from cipsec.store.requests import State
from tests.support import ca, est
from tests.support.est import NOW, PASSWORD, Server

from .replacing import DAY, DEVICE, LISTED, OTHER, drive, in_force


def final_dot(host: str) -> CertificateRequest:
    """Return a CSR for a host name as it is, with the dot that ends it."""
    key = keys.generate(keys.KeyType.EC_P256)
    built = csr.build(key, names.parse_subject("CN=b"), sans=[x509.DNSName(host)])
    return csr.parse(built.public_bytes(Encoding.DER))


def test_a_known_device_with_another_key_is_asked_about(plant: Server) -> None:
    """Though the rule grants: the old certificate is named, and stays for now."""
    assert plant.enroll(drive()).status == 200
    [old] = plant.certificates()
    waits = plant.enroll(drive())
    identifier = est.identifier(waits)
    assert est.reason(waits).endswith(f"{est.header(waits, 'Retry-After')} s")  # lists are secret
    [row] = plant.requests()
    assert (row.id, row.state, row.rule) == (identifier, State.PENDING, "listed")
    assert row.replaces == old.serial
    assert row.reason == (
        f"{DEVICE} is listed at line.csv:2; but certificate {old.serial} of {DEVICE},"
        " with another key, is in force"
    )
    event = plant.events()[-1]
    assert event.event == "replacement"
    assert f"would replace certificate {old.serial}" in (event.reason or "")
    assert in_force(plant) == [old]


@pytest.mark.parametrize(
    ("first", "second", "known"),
    [
        (drive(sans=["dns:drive-7"]), drive(OTHER, name="x", sans=["dns:DRIVE-7"]), True),
        (drive(sans=["ip:192.0.2.7"]), drive(OTHER, name="x", sans=["ip:192.0.2.7"]), True),
        (drive(), drive(name="x"), True),
        (ca.request("CN=pc"), ca.request("CN=PC"), True),
        (
            ca.request("CN=00:00:bc:12:34:56"),
            ca.request("CN=00-00-BC-12-34-56,O=x"),
            True,
        ),
        (drive(), drive(OTHER), False),
        (drive(sans=["dns:a"]), drive(OTHER, sans=["dns:b"]), False),
        (drive(sans=["uri:urn:a"]), drive(OTHER, sans=["uri:urn:a"]), False),
        # However it is written.
        (ca.request("CN=hmi 1,O=Plant"), ca.request("CN=hmi  1,O=Plant"), True),
        (ca.request("CN=hmi 1,O=Plant"), ca.request("CN=\\ hmi 1\\ ,O=Plant"), True),
        (ca.request("CN=hmi 1,O=Plant"), ca.request("CN=hmi1,O=Plant"), False),
        (ca.request("CN=a", sans=["dns:hmi-1.plant"]), ca.request("CN=hmi-1.plant"), True),
        (ca.request("CN=a", sans=["dns:hmi-1.plant"]), ca.request("CN=HMI-1.plant.,O=x"), True),
        (ca.request("CN=hmi-1.plant"), ca.request("CN=b", sans=["dns:hmi-1.plant"]), True),
        (ca.request("CN=a", sans=["ip:192.0.2.7"]), ca.request("CN=192.0.2.7,O=x"), True),
        (ca.request("CN=a", sans=["ip:2001:db8::7"]), drive(name="2001:DB8:0::7"), True),
        (ca.request("CN=a", sans=["dns:hmi-1.plant"]), drive(name="hmi-1.plant"), True),
        (ca.request("CN=a", sans=["dns:hmi-1.plant"]), final_dot("hmi-1.plant."), True),
        (ca.request("CN=a", sans=["dns:hmi-1.plant"]), ca.request("CN=hmi-1"), False),
        # Drives of one make may all ask for its name.
        (drive(name="PowerFlex 755"), drive(OTHER, name="PowerFlex 755"), False),
        (drive(name="1756-EN2TR"), drive(OTHER, name="1756-EN2TR"), False),
        (ca.request("CN=PowerFlex 755"), ca.request("CN=PowerFlex 755"), True),
    ],
)
def test_under_which_names_somebody_is_known(
    first: CertificateRequest, second: CertificateRequest, known: bool, tmp_path: Path
) -> None:
    """Device, MAC address, host names, addresses, the whole subject; not what is not taken over."""
    with est.serving(tmp_path, est.ASK) as server:
        identifier = est.identifier(server.enroll(first))
        server.decide(identifier, State.APPROVED)
        server.enroll(first)
        server.enroll(second)
        [old] = server.certificates()
        replaces = {row.id: row.replaces for row in server.requests() if row.id != identifier}
        assert list(replaces.values()) == [old.serial if known else None]


def test_the_same_key_replaces_nobody(plant: Server) -> None:
    """A device that changes a name, or lost its certificate, and kept its key."""
    key = keys.generate(keys.KeyType.EC_P256)
    assert plant.enroll(drive(key=key)).status == 200
    assert plant.enroll(drive(key=key, sans=["dns:drive-7"])).status == 200


def test_a_renewal_with_a_new_key_replaces_nobody(plant: Server) -> None:
    """The certificate that is presented vouches for the new key."""
    old = est.der(est.certificate(plant.enroll(drive())))
    assert plant.enroll(drive(), chain=[old], renewal=True).status == 200
    assert len(in_force(plant)) == 2


def test_what_is_not_in_force_is_not_replaced(plant: Server) -> None:
    """A certificate that is revoked or has expired stands in nobody's way."""
    plant.revoke(est.certificate(plant.enroll(drive())))
    assert plant.enroll(drive()).status == 200
    plant.now = NOW + 731 * DAY
    assert plant.enroll(drive()).status == 200


def test_a_users_own_machine_replaces_nobody(server: Server) -> None:
    """Whoever logs in as before may set up his machine anew; another user may not take it over."""
    for name in ("anna", "berta"):
        server.add_user(name)
    for _ in range(2):
        assert server.enroll(ca.request("CN=pc"), login=("anna", PASSWORD)).status == 200
    taken = server.enroll(ca.request("CN=pc"), login=("berta", PASSWORD))
    assert taken.status == 202
    assert server.events()[-1].event == "replacement"
    assert server.enroll(ca.request("CN=pc")).status == 202


@pytest.mark.parametrize("subject", [f"CN=a,serialNumber={DEVICE}", "CN=00:00:bc:12:34:56"])
def test_a_device_is_no_users_own_machine(subject: str, server: Server) -> None:
    """Where a rule lets users enroll any device, a second key for it is asked about."""
    server.add_user("anna")
    server.text = est.USERS + "unproved = true\n"
    statuses = [
        server.enroll(ca.request(subject), login=("anna", PASSWORD)).status for _ in range(2)
    ]
    assert statuses == [200, 202]


def test_many_of_the_same_name_hide_nobody(plant: Server) -> None:
    """Who holds a device's number is found among hundreds who share its host name."""
    assert plant.enroll(drive(sans=["dns:shared"])).status == 200
    [old] = plant.certificates()
    plant.text = est.LAB
    key = keys.generate(keys.KeyType.EC_P256)
    for number in range(60):
        other = drive(f"0002:{number + 1:08X}", key=key, sans=["dns:shared"])
        assert plant.enroll(other).status == 200
    plant.text = LISTED
    plant.enroll(drive(name="new", key=key, sans=["dns:shared"]))
    assert [row.replaces for row in plant.requests()] == [old.serial]


def test_the_slot_of_a_list(plant: Server) -> None:
    """A new serial number in a slot that has a certificate: asked about, as what it is."""
    plant.allow("line", f"{DEVICE},Mixer 3,,,")
    plant.enroll(drive())
    [old] = plant.certificates()
    plant.allow("line", f"{OTHER},mixer 3,,,")
    plant.enroll(drive(OTHER))
    [row] = plant.requests()
    assert (row.device, row.replaces) == (OTHER, old.serial)
