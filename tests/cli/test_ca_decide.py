"""`cipsec ca approve|reject` as an administrator runs them."""

from __future__ import annotations

import re

import pytest

from cipsec.ca_folder import CaFolder
from cipsec.ra.answers import Granted, Queued, Refused
from tests.support import ca
from tests.support.terminal import at_terminal

from .conftest import Cipsec

_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ")


def test_approve(on_ca: Cipsec, ca_folder: CaFolder) -> None:
    """The decision is recorded, the device has its certificate at the next poll, and again."""
    asked = ca.request()
    identifier = ca.ask(ca_folder, asked)
    ran = on_ca("ca", "approve", identifier[:12], "--note", "seen on site", "--json")
    assert ran.code == 0
    assert ran.json == {
        "decisions": [
            {
                "id": identifier,
                "outcome": "approved",
                "changed": True,
                "reason": "seen on site",
            }
        ]
    }
    assert ca.receive(ca_folder, asked) == ca.receive(ca_folder, asked)
    [issued] = on_ca("ca", "list", "--json").json["certificates"]
    assert issued["reason"] == "approved by operator: seen on site"


def test_approve_rows(on_ca: Cipsec, ca_folder: CaFolder) -> None:
    """For people a row, and what happens next."""
    identifier = ca.ask(ca_folder)
    ran = on_ca("ca", "approve", identifier)
    assert ran.rows == [[identifier[:12], "approved", "yes", "approved by operator"]]
    assert ran.err == "cipsec: the certificate is issued when the device asks next\n"


def test_reject(on_ca: Cipsec, ca_folder: CaFolder) -> None:
    """The device is told no, with the note."""
    asked = ca.request()
    ran = on_ca("ca", "reject", ca.ask(ca_folder, asked), "--note", "not ours")
    assert ran.code == 0
    assert ca.enroll(ca_folder, asked) == Refused("rejected by an administrator: not ours")


def test_decided_the_same_before(on_ca: Cipsec, ca_folder: CaFolder) -> None:
    """The second administrator reads who decided and when; it is as wanted, hence exit 0."""
    identifier = ca.ask(ca_folder)
    on_ca("ca", "approve", identifier)
    ran = on_ca("ca", "approve", identifier, "--json")
    assert ran.code == 0
    [decision] = ran.json["decisions"]
    assert decision["changed"] is False
    assert re.fullmatch(rf"already approved by operator at {_TIME.pattern}", decision["reason"])
    assert ran.err == ""


def test_decided_otherwise_before(on_ca: Cipsec, ca_folder: CaFolder) -> None:
    """The first decision stands: exit 10, and it is said whose it was."""
    identifier = ca.ask(ca_folder)
    on_ca("ca", "approve", identifier)
    ran = on_ca("ca", "reject", identifier, "--json")
    assert ran.code == 10
    [decision] = ran.json["decisions"]
    assert (decision["outcome"], decision["changed"]) == ("approved", False)
    assert ran.err == ("cipsec: hint: what was decided otherwise before is decided again with -f\n")


def test_force_decides_again(on_ca: Cipsec, ca_folder: CaFolder) -> None:
    """-f changes a decision while no certificate is out."""
    asked = ca.request()
    identifier = ca.ask(ca_folder, asked)
    on_ca("ca", "approve", identifier)
    ran = on_ca("ca", "reject", "-f", identifier, "--json")
    assert ran.code == 0
    assert ran.json["decisions"][0]["changed"] is True
    assert isinstance(ca.enroll(ca_folder, asked), Refused)
    assert on_ca("ca", "approve", "-f", identifier).code == 0
    assert isinstance(ca.enroll(ca_folder, asked), Granted)


def test_granted_is_final(on_ca: Cipsec, ca_folder: CaFolder) -> None:
    """Once the certificate is out neither decision changes anything, with -f or without."""
    asked = ca.request()
    identifier = ca.ask(ca_folder, asked)
    on_ca("ca", "approve", identifier)
    ca.receive(ca_folder, asked)
    approved = on_ca("ca", "approve", identifier, "-f", "--json")
    assert approved.code == 0
    assert approved.json["decisions"][0]["outcome"] == "granted"
    rejected = on_ca("ca", "reject", identifier, "-f")
    assert rejected.code == 10
    assert "already granted: certificate " in rejected.out


def test_several_all_or_nothing(on_ca: Cipsec, ca_folder: CaFolder) -> None:
    """An unknown id among several: exit 3, and none of them is decided."""
    ids = [ca.ask(ca_folder), ca.ask(ca_folder)]
    ran = on_ca("ca", "approve", ids[0], "0123456789abcdef", ids[1])
    assert ran.code == 3
    assert ran.out == ""
    assert ran.err == (
        "cipsec: error: there is no request 0123456789abcdef\n"
        "cipsec: hint: list them with: cipsec ca pending\n"
    )
    assert len(on_ca("ca", "pending").rows) == 2


def test_several(on_ca: Cipsec, ca_folder: CaFolder) -> None:
    """All are reported, one that was decided before too; naming one twice decides it once."""
    ids = [ca.ask(ca_folder) for _ in range(3)]
    on_ca("ca", "reject", ids[1])
    ran = on_ca("ca", "approve", *ids, ids[0][:10], "--json")
    assert ran.code == 10
    shown = {d["id"]: (d["outcome"], d["changed"]) for d in ran.json["decisions"]}
    assert shown == {
        ids[0]: ("approved", True),
        ids[1]: ("rejected", False),
        ids[2]: ("approved", True),
    }


@pytest.mark.parametrize("given", ["Drive 7", "1234567", "0001:6040C8F2", "zzzzzzzz", "%%%%%%%%"])
def test_only_ids_are_acted_on(on_ca: Cipsec, ca_folder: CaFolder, given: str) -> None:
    """A name, a device or too few digits decide nothing: names are chosen by who asks."""
    ca.ask(ca_folder)
    ran = on_ca("ca", "approve", given)
    assert ran.code == 2
    assert "is not a request's id" in ran.err


def test_dry_run(on_ca: Cipsec, ca_folder: CaFolder) -> None:
    """-n tells what would become of it and changes nothing."""
    ids = [ca.ask(ca_folder), ca.ask(ca_folder)]
    on_ca("ca", "reject", ids[1])
    ran = on_ca("ca", "approve", "-n", *ids, "--json")
    assert ran.code == 10
    assert [(d["outcome"], d["changed"]) for d in ran.json["decisions"]] == [
        ("approved", False),
        ("rejected", False),
    ]
    assert ran.err.startswith("cipsec: nothing was changed\n")
    assert [row[0] for row in on_ca("ca", "pending").rows] == [ids[0][:12]]


def test_match_needs_expect(on_ca: Cipsec, ca_folder: CaFolder) -> None:
    """--match alone is refused with the count, which the hint puts into --expect."""
    for number in range(3):
        ca.ask(ca_folder, ca.request(f"CN=Drive {number}"))
    ran = on_ca("ca", "approve", "--match", "drive")
    assert ran.code == 2
    assert ran.err == (
        "cipsec: error: 3 requests wait with 'drive'\n"
        "cipsec: hint: look at them with: cipsec ca pending; then add --expect 3\n"
    )


@pytest.mark.parametrize(("expect", "code"), [(2, 2), (3, 0), (4, 2)])
def test_match_expects_exactly(on_ca: Cipsec, ca_folder: CaFolder, expect: int, code: int) -> None:
    """Only the exact number is decided; else nothing."""
    for number in range(3):
        ca.ask(ca_folder, ca.request(f"CN=Drive {number}"))
    ca.ask(ca_folder, ca.request("CN=Pump"))
    ran = on_ca("ca", "approve", "--match", "Drive", "--expect", expect)
    assert ran.code == code
    assert len(on_ca("ca", "pending").rows) == (1 if code == 0 else 4)


def test_match_finds_nothing(on_ca: Cipsec, ca_folder: CaFolder) -> None:
    """Nothing found is exit 3, whatever was expected."""
    ca.ask(ca_folder)
    assert on_ca("ca", "approve", "--match", "pump").code == 3
    assert on_ca("ca", "reject", "--match", "pump", "--expect", "1").code == 3


@pytest.mark.parametrize(
    "argv",
    [
        [],
        ["0123456789ab", "--match", "x", "--expect", "1"],
        ["--match", "", "--expect", "1"],
        ["--match", "  ", "--expect", "1"],
        ["--expect", "1"],
        ["0123456789ab", "--expect", "1"],
        ["--match", "x", "--expect", "0"],
        ["0123456789ab", "--note", "\udcff"],
    ],
)
def test_wrong_usage(on_ca: Cipsec, argv: list[str]) -> None:
    """What makes no sense, or could mean everybody, is exit 2 and a hint."""
    ran = on_ca("ca", "approve", *argv)
    assert ran.code == 2
    assert ran.out == ""
    assert ran.err.startswith("cipsec: error: ")


def test_match_asks_at_a_terminal(ca_folder: CaFolder) -> None:
    """A person sees who is meant and is asked; no is exit 10 and nothing decided; -y is yes."""
    ca.ask(ca_folder)
    bulk = ["ca", "approve", "--match", "Drive", "--expect", "1", "--ca-dir", str(ca_folder.path)]
    refused = at_terminal(bulk, ("[y/N] ", "n\n"))
    assert refused.code == 10
    assert "CN=Drive 7" in refused.screen
    assert "nothing was decided" in refused.screen
    assert at_terminal(bulk, ("[y/N] ", "\n")).code == 10
    assert at_terminal([*bulk, "-n"]).code == 0
    assert at_terminal(bulk, ("[y/N] ", "y\n")).code == 0
    ca.ask(ca_folder)
    assert at_terminal([*bulk, "-y"]).code == 0


def test_the_queue_survives(on_ca: Cipsec, ca_folder: CaFolder) -> None:
    """A re-signed CSR is the same request; another key is another request under the same name."""
    asked = ca.request()
    identifier = ca.ask(ca_folder, asked)
    on_ca("ca", "approve", identifier)
    impostor = ca.enroll(ca_folder, ca.request())
    assert isinstance(impostor, Queued)
    assert impostor.id != identifier
    ca.receive(ca_folder, asked)
