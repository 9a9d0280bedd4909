"""What rules and the entries of lists let become of the certificates that are replaced."""

from __future__ import annotations

import pytest

from tests.support import ca, est, vendor
from tests.support.est import Server

from .replacing import DEVICE, GENUINE, LISTED, OTHER, SLOTS, drive, in_force, with_mac

# What a rule does.


@pytest.mark.parametrize(
    ("mode", "status", "left"), [("ask", 202, 1), ("keep", 200, 2), ("revoke", 200, 1)]
)
def test_what_a_rule_says_becomes_of_the_predecessor(
    mode: str, status: int, left: int, proving: Server, acme: vendor.Pki
) -> None:
    """Asked about, kept, or revoked with the grant, where the device is proved."""
    proving.text = GENUINE + f'replacement = "{mode}"\n'
    proving.enroll(drive(), chain=acme.chain)
    assert proving.enroll(drive(), chain=acme.chain).status == status
    assert len(in_force(proving)) == left


def test_nobody_revokes_by_his_word(plant: Server) -> None:
    """Where the rule revokes, and the device is only claimed, a person is asked."""
    plant.text = LISTED + 'replacement = "revoke"\n' + est.ASK
    plant.enroll(drive())
    assert plant.enroll(drive()).status == 202
    assert len(in_force(plant)) == 1


@pytest.mark.parametrize("name", ["dns:hmi-1.plant", "dns:HMI-1.plant", "ip:192.0.2.7"])
def test_a_device_revokes_nobody_else(name: str, proving: Server, acme: vendor.Pki) -> None:
    """Proved as it is, it asks for a name that another has: that one stays, a person is asked."""
    proving.text = est.LAB
    proving.enroll(drive(OTHER, sans=[name.lower()]))
    proving.text = GENUINE + 'replacement = "revoke"\n' + est.ASK
    assert proving.enroll(drive(name="x", sans=[name]), chain=acme.chain).status == 202
    [row] = proving.requests()
    assert row.reason.endswith(f"of {OTHER}, with another key, is in force")
    assert len(in_force(proving)) == 1


def test_a_rule_that_revokes_says_so(proving: Server, acme: vendor.Pki) -> None:
    """Certificate, reason and successor, in one transaction with the grant."""
    proving.text = GENUINE + 'replacement = "revoke"\n'
    for _ in range(2):
        proving.enroll(drive(), chain=acme.chain)
    old, new = proving.certificates()
    assert (old.revoked_by, old.revocation) == ("rule genuine", "superseded")
    assert new.reason == (
        f"the client certificate was issued to device {DEVICE} by vendor acme;"
        f" replaces certificate {old.serial}"
    )
    revoked, granted = proving.events()[-2:]
    assert (revoked.event, revoked.serial, revoked.actor) == (
        "revoked", old.serial, "rule genuine",
    )  # fmt: skip
    assert revoked.reason == f"superseded: replaced by certificate {new.serial}"
    assert (granted.event, granted.serial) == ("granted", new.serial)


def test_what_is_older_goes_with_it(proving: Server, acme: vendor.Pki) -> None:
    """A device that renewed has two certificates in force: both keys are gone with it."""
    first = est.der(est.certificate(proving.enroll(drive(), chain=acme.chain)))
    proving.enroll(drive(), chain=[first], renewal=True)
    old = in_force(proving)
    assert len(old) == 2
    proving.text = GENUINE + 'replacement = "revoke"\n'
    proving.enroll(drive(), chain=acme.chain)
    [left] = in_force(proving)
    assert left.serial == proving.certificates()[-1].serial
    assert all(row.serial in left.reason for row in old)


def test_a_rule_that_revokes_clears_the_slot(proving: Server, acme: vendor.Pki) -> None:
    """The device that was in the slot is another; that is what the operator wrote."""
    proving.text = SLOTS + 'replacement = "revoke"\n'
    proving.allow("line", f"{OTHER},Mixer 3,,,")
    proving.enroll(drive(OTHER), chain=acme.with_device(OTHER).chain)
    proving.allow("line", f"{DEVICE},Mixer 3,,,")
    assert proving.enroll(drive(), chain=acme.chain).status == 200
    assert [row.device for row in in_force(proving)] == [DEVICE]


def test_the_global_grant_keeps(plant: Server) -> None:
    """In a laboratory everything is replaced all the time; nothing is revoked by strangers."""
    plant.text = est.LAB
    assert [plant.enroll(drive()).status for _ in range(3)] == [200, 200, 200]
    assert len(in_force(plant)) == 3


def test_a_rejection_replaces_nobody(plant: Server) -> None:
    """And looks for nobody."""
    plant.enroll(drive())
    plant.text = '[[rule]]\nname = "closed"\nwhen = { anyone = true }\nthen = "reject"\n'
    assert plant.enroll(drive()).status == 403
    assert len(in_force(plant)) == 1


# Expected entries: "the next one, tonight".


@pytest.mark.parametrize("limit", ["2026-11-24T00:00:00Z,", ",1", "2026-11-24T00:00:00Z,1"])
def test_an_expected_device_replaces_its_predecessor(
    limit: str, proving: Server, acme: vendor.Pki
) -> None:
    """An entry with an end or a count, proved by the device: granted, the old one revoked."""
    proving.text = SLOTS
    proving.allow("line", f"{DEVICE},,,,")
    old = est.certificate(proving.enroll(drive(), chain=acme.chain))
    assert proving.enroll(drive(), chain=acme.chain).status == 202
    proving.allow("line", f"{DEVICE},,{limit},tonight")
    successor = drive()
    assert proving.enroll(successor, chain=acme.chain).status == 200
    [left] = in_force(proving)
    assert left.der != est.der(old)
    # And again the same, when the answer was lost.
    assert est.der(est.certificate(proving.enroll(successor, chain=acme.chain))) == left.der
    assert len(proving.certificates()) == 2


@pytest.mark.parametrize("limit", ["2026-11-24T00:00:00Z,", ",1"])
def test_an_expected_device_in_a_slot_leaves_what_was_there(
    limit: str, proving: Server, acme: vendor.Pki
) -> None:
    """The old one may work on, and the reason names it: nobody wrote that it is to go."""
    proving.text = SLOTS
    proving.allow("line", f"{OTHER},Mixer 3,,,")
    proving.enroll(drive(OTHER), chain=acme.with_device(OTHER).chain)
    proving.allow("line", f"{DEVICE},mixer 3,{limit},tonight")
    assert proving.enroll(drive(), chain=acme.chain).status == 200
    old, new = in_force(proving)
    assert new.reason.endswith(
        f"; certificate {old.serial} of {OTHER}, with another key, is in force"
    )


@pytest.mark.parametrize("mac", ["00:00:bc:12:34:56", None])
def test_an_expected_device_does_not_knock_out_another(
    mac: str | None, proving: Server, acme: vendor.Pki
) -> None:
    """However many names of others it asks for: a person is asked, nobody is revoked."""
    proving.text = est.LAB
    for name in ("safety-plc", "hmi-1"):
        proving.enroll(ca.request(f"CN={name},O=Plant", sans=[f"dns:{name}.plant"]))
    victim = with_mac(f"CN=drive,serialNumber={OTHER}", mac or "00:00:bc:00:00:01")
    proving.enroll(victim)
    before = proving.certificates()
    proving.text = SLOTS + est.ASK
    proving.allow("line", f"{DEVICE},,,1,tonight")
    names = ["dns:safety-plc.plant", "dns:hmi-1.plant"]
    asked = with_mac(f"CN=x,serialNumber={DEVICE}", "00:00:bc:12:34:56", *names)
    assert proving.enroll(asked, chain=acme.chain).status == 202
    assert proving.certificates() == before
    assert [row.revoked_at for row in before] == [None] * 3
    shown = (proving.requests()[0].replaces or "").split()
    # The MAC address is not proved, so it would not be in the certificate: nobody is in its way.
    assert set(shown) == {row.serial for row in before[:2]}


def test_an_expected_entry_is_good_once(proving: Server, acme: vendor.Pki) -> None:
    """The second that comes finds it used up, and waits for a person."""
    proving.text = SLOTS + est.ASK
    proving.allow("line", f"{DEVICE},,,,")
    proving.enroll(drive(), chain=acme.chain)
    proving.allow("line", f"{DEVICE},,,1,")
    answers = [proving.enroll(drive(), chain=acme.chain).status for _ in range(3)]
    assert answers == [200, 202, 202]
    [left] = in_force(proving)
    assert left.serial == proving.certificates()[-1].serial


# Names of slots.


@pytest.mark.parametrize("name", ["Drive", "PowerFlex 525", ""])
def test_a_name_that_entries_share(name: str, proving: Server, acme: vendor.Pki) -> None:
    """Where somebody took the column for the product's name: nobody is revoked."""
    proving.text = SLOTS
    devices = [f"0001:0000000{number}" for number in range(1, 4)]
    proving.allow("line", *[f"{device},{name},2027-01-01T00:00:00Z,," for device in devices])
    for device in devices:
        asked = drive(device, name="PowerFlex 525")
        assert proving.enroll(asked, chain=acme.with_device(device).chain).status == 200
    assert len(in_force(proving)) == 3


@pytest.mark.parametrize("mode", ["", 'replacement = "revoke"\n'])
def test_slots_are_those_of_one_list(mode: str, proving: Server, acme: vendor.Pki) -> None:
    """Each line has its slot 7."""
    rule = SLOTS.replace('"line"', '["line-3", "line-4"]')
    proving.text = rule + mode + est.ASK
    proving.allow("line-3", f"{OTHER},slot 7,,,")
    proving.allow("line-4", f"{DEVICE},slot 7,,,")
    assert proving.enroll(drive(OTHER), chain=acme.with_device(OTHER).chain).status == 200
    assert proving.enroll(drive(), chain=acme.chain).status == 200
    assert len(in_force(proving)) == 2


def test_a_slot_is_no_host_name(plant: Server) -> None:
    """A device cannot name itself into a slot, nor a slot be taken for what it is not."""
    plant.allow("line", f"{DEVICE},dns:hmi-1.plant,,,", f"{OTHER},,,,")
    assert plant.enroll(drive()).status == 200
    asked = drive(OTHER, name="line:dns:hmi-1.plant", sans=["dns:hmi-1.plant", "dns:line"])
    assert plant.enroll(asked).status == 200
