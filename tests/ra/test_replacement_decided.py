"""What administrators let become of the certificates that are replaced."""

from __future__ import annotations

import pytest

from cipsec.errors import Rejected
from cipsec.ra import byhand
from cipsec.store.certificates import CertificateRow
from cipsec.store.requests import State
from tests.support import ca, est
from tests.support.est import NOW, Server

from .replacing import DAY, DEVICE, LISTED, OTHER, drive, in_force


def replaced(server: Server, *, predecessor: bool) -> tuple[CertificateRow, CertificateRow]:
    """Let a device be replaced with an administrator's approval; return old and new."""
    server.enroll(drive())
    successor = drive()
    identifier = est.identifier(server.enroll(successor))
    assert not server.decide(identifier, State.APPROVED).changed
    assert server.decide(identifier, State.APPROVED, predecessor=predecessor).changed
    certificate = est.certificate(server.enroll(successor))
    assert est.certificate(server.enroll(successor)) == certificate  # and again
    old, new = server.certificates()
    assert new.der == est.der(certificate)
    return old, new


def test_an_approval_that_replaces(plant: Server) -> None:
    """The predecessor is revoked with the grant, not with the approval."""
    old, new = replaced(plant, predecessor=True)
    assert (old.revocation, new.revoked_at) == ("superseded", None)
    assert est.happened(plant.events()) == [
        "granted", "replacement", "approved", "revoked", "granted",
    ]  # fmt: skip


def test_an_approval_that_keeps(plant: Server) -> None:
    """Two certificates for one device, as somebody wanted it; and no further question."""
    old, new = replaced(plant, predecessor=False)
    assert (old.revoked_at, new.revoked_at) == (None, None)
    assert est.happened(plant.events()) == ["granted", "replacement", "approved", "granted"]


def test_an_approval_does_not_cover_a_newer_predecessor(plant: Server) -> None:
    """What got a certificate after the approval was not shown: asked again, with that one too."""
    plant.enroll(drive())
    [first] = plant.certificates()
    successor = drive()
    identifier = est.identifier(plant.enroll(successor))
    plant.decide(identifier, State.APPROVED, predecessor=True)
    plant.text = LISTED + 'replacement = "keep"\n'
    assert plant.enroll(drive()).status == 200
    newest = plant.certificates()[-1]
    plant.text = LISTED
    assert est.identifier(plant.enroll(successor)) == identifier
    [row] = plant.requests()
    assert (row.state, row.replaces, row.revokes) == (
        State.PENDING, f"{newest.serial} {first.serial}", 0,
    )  # fmt: skip
    assert len(in_force(plant)) == 2
    plant.decide(identifier, State.APPROVED, predecessor=True)
    assert plant.enroll(successor).status == 200
    [left] = in_force(plant)
    assert left.serial == plant.certificates()[-1].serial


def test_a_predecessor_that_is_gone_needs_no_approval(plant: Server) -> None:
    """Revoked while the request waits: the rule that grants grants."""
    old = est.certificate(plant.enroll(drive()))
    successor = drive()
    plant.enroll(successor)
    plant.revoke(old)
    assert plant.enroll(successor).status == 200
    assert plant.requests()[0].state == State.GRANTED


def test_a_predecessor_that_comes_later_is_shown(plant: Server) -> None:
    """A request that waited for another reason becomes a replacement, and says so."""
    plant.text = est.ASK
    waiting = drive()
    identifier = est.identifier(plant.enroll(waiting))
    plant.text = est.LAB
    plant.enroll(drive())
    [old] = plant.certificates()
    plant.text = est.ASK
    assert est.identifier(plant.enroll(waiting)) == identifier
    [row] = plant.requests()
    assert (row.state, row.replaces) == (State.PENDING, old.serial)
    assert est.happened(plant.events()) == ["pending", "granted", "replacement"]
    for _ in range(3):  # once
        plant.enroll(waiting)
    assert est.happened(plant.events()) == ["pending", "granted", "replacement"]


def test_an_approval_is_forgotten_where_the_predecessor_changes(plant: Server) -> None:
    """Where two have to agree, both agree to what is shown now."""
    plant.text = est.ASK + "approvals = 2\n"
    waiting = drive()
    identifier = est.identifier(plant.enroll(waiting))
    plant.decide(identifier, State.APPROVED)
    plant.text = est.LAB
    plant.enroll(drive())
    plant.text = est.ASK + "approvals = 2\n"
    plant.enroll(waiting)
    for by in ("berta", "carla"):
        assert plant.enroll(waiting).status == 202
        plant.decide(identifier, State.APPROVED, by=by, predecessor=False)
    assert plant.requests()[0].decided_by == "berta, carla"
    assert plant.enroll(waiting).status == 200


def test_what_is_signed_by_hand_is_known(plant: Server) -> None:
    """An operator's certificate is a predecessor like any other."""
    order = byhand.Order(
        request=drive(),
        by="anna",
        note=None,
        validity=DAY,
        config=plant.config(),
        sources=plant.sources,
        now=NOW,
    )
    row = byhand.sign(order, plant.authority, frozenset())
    plant.database.write(lambda db: byhand.keep(db, order, row))
    plant.enroll(drive())
    assert [request.replaces for request in plant.requests()] == [row.serial]
    assert (row.device_proved, row.mac_proved) == (1, 0)  # he who signed vouches for it


def test_by_hand_too_a_csr_names_one_device(plant: Server) -> None:
    """What no rule can allow, no operator signs by mistake."""
    order = byhand.Order(
        request=ca.request(f"CN={OTHER},serialNumber={DEVICE}"),
        by="anna",
        note=None,
        validity=DAY,
        config=plant.config(),
        sources=plant.sources,
        now=NOW,
    )
    with pytest.raises(Rejected, match="the CSR names 0001:6040C8F2 in "):
        byhand.sign(order, plant.authority, frozenset())
