"""An approval holds for what the administrators were shown, and no further; so does a rejection."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from cipsec.pki import keys
from cipsec.store.requests import State
from tests.support import ca, est, vendor
from tests.support.est import Server

from .replacing import DEVICE, OTHER, SECOND, drive, in_force

TWO = est.ASK + "approvals = 2\n"
STOLEN = (
    '[[rule]]\nname = "stolen"\nwhen = { serial = "stolen" }\nunproved = true\nthen = "reject"\n'
)


@pytest.fixture
def asking(tmp_path: Path) -> Iterator[Server]:
    """A server that asks about everybody."""
    with est.serving(tmp_path, est.ASK) as server:
        server.tick = SECOND
        yield server


# How many have to agree, and to what.


@pytest.mark.parametrize("polled", [True, False])
def test_more_approvals_are_asked_for_meanwhile(polled: bool, asking: Server) -> None:
    """Whether the device asked again before the one approval or not: a second is needed."""
    asked = drive()
    identifier = est.identifier(asking.enroll(asked))
    asking.text = TWO
    if polled:
        asking.enroll(asked)
    decided = asking.decide(identifier, State.APPROVED)
    assert decided.outcome == (State.PENDING if polled else State.APPROVED)
    assert asking.enroll(asked).status == 202
    [row] = asking.requests()
    assert (row.state, row.approvals, row.decided_by) == (State.PENDING, 2, None)
    for by in ("berta", "carla"):
        assert asking.certificates() == []
        asking.decide(identifier, State.APPROVED, by=by)
    assert asking.enroll(asked).status == 200


def test_the_first_of_two_is_on_record(asking: Server) -> None:
    """Who agreed, and how many have to; saying it twice is not two."""
    asking.text = TWO
    identifier = est.identifier(asking.enroll(drive()))
    decided = asking.decide(identifier, State.APPROVED, by="anna")
    assert (decided.changed, decided.reason) == (True, "anna agrees: 1 of 2 administrators")
    assert not asking.decide(identifier, State.APPROVED, by="anna").changed
    _, *agreed = asking.events()
    assert [(event.event, event.actor, event.reason) for event in agreed] == [
        ("agreed", "anna", decided.reason)
    ]


def test_more_approvals_after_the_first_certificate(asking: Server) -> None:
    """What is asked anew, because the certificate was revoked, is asked by today's rules."""
    asked = ca.request("CN=pc")
    identifier = est.identifier(asking.enroll(asked))
    asking.decide(identifier, State.APPROVED)
    asking.revoke(est.certificate(asking.enroll(asked)))
    asking.text = TWO.replace("everyone else", "two persons")
    assert asking.enroll(asked).status == 202
    [row] = asking.requests()
    assert (row.state, row.approvals, row.rule) == (State.PENDING, 2, "two persons")
    asking.decide(identifier, State.APPROVED, by="berta")
    assert asking.enroll(asked).status == 202


def test_fewer_approvals_are_enough_meanwhile(asking: Server) -> None:
    """Two agreed where today one would do: granted."""
    asking.text = TWO
    asked = drive()
    identifier = est.identifier(asking.enroll(asked))
    for by in ("anna", "berta"):
        asking.decide(identifier, State.APPROVED, by=by)
    asking.text = est.ASK
    assert asking.enroll(asked).status == 200


def test_another_label_is_another_request(asking: Server) -> None:
    """Approved by one where one is enough, it is not granted where two have to agree."""
    rule = '[[rule]]\nname = "two"\nwhen = { label = "x" }\nthen = "ask"\napprovals = 2\n'
    asking.text = '[server]\nlabels = ["x"]\n' + rule + est.ASK
    asked = drive()
    plain = est.identifier(asking.enroll(asked))
    asking.decide(plain, State.APPROVED)
    labelled = est.identifier(asking.enroll(asked, label="x"))
    assert labelled != plain
    assert asking.enroll(asked).status == 200
    assert asking.enroll(asked, label="x").status == 202


def test_two_labels_do_not_take_turns(asking: Server) -> None:
    """A device that asks at both is two requests, each asked about once."""
    rule = '[[rule]]\nname = "x"\nwhen = { label = "x" }\nthen = "ask"\napprovals = 2\n'
    asking.text = '[server]\nlabels = ["x"]\n' + rule + est.ASK
    asked = drive()
    for number in range(20):
        assert asking.enroll(asked, label="x" if number % 2 else "").status == 202
    assert est.happened(asking.events()) == ["pending", "pending"]


@pytest.mark.parametrize("said", [(False, True), (True, False)])
def test_administrators_agree_to_the_same(said: tuple[bool, bool], asking: Server) -> None:
    """One would keep the old certificate, the other revoke it: that is no agreement."""
    asking.text = est.LAB
    asking.enroll(drive())
    asking.text = TWO
    asked = drive()
    identifier = est.identifier(asking.enroll(asked))
    asking.decide(identifier, State.APPROVED, by="anna", predecessor=said[0])
    other = asking.decide(identifier, State.APPROVED, by="berta", predecessor=said[1])
    flag = "--replace" if said[0] else "--keep"
    assert (other.changed, other.reason) == (
        False, f"anna agrees with {flag}: say the same, or reject it",
    )  # fmt: skip
    assert asking.enroll(asked).status == 202
    assert len(in_force(asking)) == 1
    assert asking.decide(identifier, State.APPROVED, by="berta", predecessor=said[0]).changed
    assert asking.enroll(asked).status == 200
    assert len(in_force(asking)) == (1 if said[0] else 2)


# What is revoked with the grant.


def test_replace_revokes_what_was_shown_and_nothing_else(asking: Server) -> None:
    """All of it, each named when it is approved, by whom it was approved."""
    asking.text = est.LAB
    names = ("safety-plc", "hmi-1", "hmi-2", "spare")
    for name in names:
        asking.enroll(ca.request(f"CN={name},O=Plant", sans=[f"dns:{name}.plant"]))
    asking.text = est.ASK
    asked = ca.request("CN=spare,O=Plant", sans=["dns:safety-plc.plant", "dns:hmi-1.plant"])
    identifier = est.identifier(asking.enroll(asked))
    by_name = {row.subject: row.serial for row in asking.certificates()}
    meant = [by_name[f"CN={name},O=Plant"] for name in ("spare", "hmi-1", "safety-plc")]
    [row] = asking.requests()
    assert row.replaces == " ".join(meant)  # newest first
    listed = ", ".join(meant)
    assert asking.events()[-1].reason == f"holds for everyone; would replace certificate {listed}"
    decided = asking.decide(identifier, State.APPROVED, predecessor=True)
    assert decided.reason == f"approved by anna; revokes certificate {listed} with the grant"
    assert asking.enroll(asked).status == 200
    gone = [one for one in asking.certificates() if one.revoked_at is not None]
    assert {one.serial for one in gone} == set(meant)
    assert {(one.revoked_by, one.revocation) for one in gone} == {("anna", "superseded")}


def test_a_shared_subject_revokes_nobody_unseen(asking: Server) -> None:
    """Four machines of one name: each is listed where the next would replace them."""
    asking.text = est.LAB
    for number in range(4):
        asking.enroll(ca.request("O=Plant", sans=[f"ip:198.51.100.{number + 1}"]))
    asking.text = est.ASK
    asking.enroll(ca.request("O=Plant", sans=["ip:198.51.100.4"]))
    [row] = asking.requests()
    assert len((row.replaces or "").split()) == 4


def test_what_is_left_of_the_predecessors_is_asked_about(asking: Server) -> None:
    """One of two is gone since the approval: what is revoked is what the last one agreed to."""
    asking.text = est.LAB
    first = est.certificate(asking.enroll(drive(sans=["dns:a"])))
    asking.enroll(drive(OTHER, sans=["dns:b"]))
    asking.text = est.ASK
    asked = drive(sans=["dns:b"])
    identifier = est.identifier(asking.enroll(asked))
    asking.decide(identifier, State.APPROVED, predecessor=True)
    asking.revoke(first)
    assert asking.enroll(asked).status == 202
    assert asking.requests()[0].replaces == asking.certificates()[1].serial
    asking.decide(identifier, State.APPROVED, predecessor=False)
    assert asking.enroll(asked).status == 200
    assert len(in_force(asking)) == 2


# What else they were shown.


def test_an_approval_is_for_what_was_proved_then(asking: Server, acme: vendor.Pki) -> None:
    """Shown as proved by a vendor, who is not trusted any more before it is granted."""
    vendor.install(asking.folder.path / "vendors", "acme", acme.root)
    asked = ca.request()
    identifier = est.identifier(asking.enroll(asked, chain=acme.chain))
    assert asking.requests()[0].proved == f"device {DEVICE} by vendor acme"
    asking.decide(identifier, State.APPROVED)
    (asking.folder.path / "vendors" / "acme.pem").unlink()
    assert asking.enroll(asked, chain=acme.chain).status == 202
    [row] = asking.requests()
    assert (row.state, row.proved) == (State.PENDING, "nothing")
    asking.decide(identifier, State.APPROVED)
    assert asking.enroll(asked, chain=acme.chain).status == 200


def test_what_waits_is_shown_as_it_is_now(asking: Server, acme: vendor.Pki) -> None:
    """Before it is decided too: nobody approves yesterday's proof."""
    vendor.install(asking.folder.path / "vendors", "acme", acme.root)
    asked = ca.request()
    identifier = est.identifier(asking.enroll(asked, chain=acme.chain))
    (asking.folder.path / "vendors" / "acme.pem").unlink()
    assert est.identifier(asking.enroll(asked, chain=acme.chain)) == identifier
    assert asking.requests()[0].proved == "nothing"
    assert [event.event for event in asking.events()] == ["pending", "pending"]
    for _ in range(3):
        asking.enroll(asked, chain=acme.chain)
    assert len(asking.events()) == 2


def test_an_approval_does_not_get_past_a_broken_list(asking: Server) -> None:
    """The rule that would reject cannot be judged: the approved request waits for that."""
    asking.text = STOLEN + est.ASK
    asking.allow("stolen", f"{OTHER},,,,")
    asked = drive()
    asking.decide(est.identifier(asking.enroll(asked)), State.APPROVED)
    asking.allow("stolen", f"{DEVICE},,,,", "typo")
    for _ in range(2):
        assert asking.enroll(asked).status == 202
    assert asking.certificates() == []
    assert asking.requests()[0].state == State.APPROVED
    asking.allow("stolen", f"{OTHER},,,,")
    assert asking.enroll(asked).status == 200


def test_an_approval_does_not_get_past_a_rule_that_rejects(asking: Server) -> None:
    """Listed as stolen since: refused, and nothing is granted however often it asks."""
    asking.text = STOLEN + est.ASK
    asking.allow("stolen", f"{OTHER},,,,")
    asked = drive()
    asking.decide(est.identifier(asking.enroll(asked)), State.APPROVED)
    asking.allow("stolen", f"{DEVICE},,,,")
    assert [asking.enroll(asked).status for _ in range(2)] == [403, 403]
    assert asking.certificates() == []


# Rejections.


@pytest.mark.parametrize("later", [timedelta(), timedelta(days=40)])
def test_who_was_rejected_stays_rejected(later: timedelta, asking: Server) -> None:
    """Though a rule grants to him since: a person said no, and a person has to say yes."""
    asked = drive(key=keys.generate(keys.KeyType.EC_P256))
    identifier = est.identifier(asking.enroll(asked))
    asking.decide(identifier, State.REJECTED, note="stolen device")
    asking.text = est.LAB
    asking.now += later
    for _ in range(2):
        answer = asking.enroll(asked)
        assert answer.status == 403
        assert est.reason(answer) == "rejected by an administrator: stolen device"
    [row] = asking.requests()
    assert (row.state, row.decided_by, row.note) == (State.REJECTED, "anna", "stolen device")
    assert asking.certificates() == []
    assert not asking.decide(identifier, State.APPROVED, by="berta").changed
    assert asking.decide(identifier, State.APPROVED, by="berta", again=True).changed
    assert asking.enroll(asked).status == 200
