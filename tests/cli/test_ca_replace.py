"""`cipsec ca approve --replace|--keep`, and requests that need two administrators."""

from __future__ import annotations

import pytest

from cipsec.ca_folder import CaFolder
from cipsec.pki import keys
from cipsec.ra.answers import Queued, Refused
from tests.support import administrator, ca

from .conftest import Cipsec

_NAMED = "dns:drive7.plant.example"
_ANYONE = '[[rule]]\nname = "lab"\nwhen = { anyone = true }\nthen = "grant"\nlab = true\n'
_TWO = '[[rule]]\nname = "four eyes"\nwhen = { anyone = true }\nthen = "ask"\napprovals = 2\n'


@pytest.fixture
def old(on_ca: Cipsec, ca_folder: CaFolder) -> str:
    """The serial number of a certificate that drive 7 has."""
    asked = ca.request()
    on_ca("ca", "approve", ca.ask(ca_folder, asked))
    ca.receive(ca_folder, asked)
    [issued] = on_ca("ca", "list", "--json").json["certificates"]
    return str(issued["serial"])


@pytest.fixture
def two(on_ca: Cipsec, ca_folder: CaFolder, old: str) -> list[str]:
    """The serial numbers of what drive 7 and a gateway with its host name have, newest first."""
    asked = ca.request("CN=Gateway", sans=[_NAMED])
    on_ca("ca", "approve", ca.ask(ca_folder, asked))
    ca.receive(ca_folder, asked)
    listed = on_ca("ca", "list", "--json").json["certificates"]
    return [str(one["serial"]) for one in reversed(listed)]


def rules(ca_folder: CaFolder, text: str) -> None:
    """Write the rules anew, as an editor would."""
    head = ca_folder.config_file.read_text().split("[[rule]]")[0]
    ca_folder.config_file.write_text(head + text)


def status_of(on_ca: Cipsec, serial: str) -> str:
    """Return the status of a certificate as `ca list` has it."""
    listed = on_ca("ca", "list", "--json").json["certificates"]
    return str(next(one["status"] for one in listed if one["serial"] == serial))


def test_a_replacement_is_shown_old_beside_new(
    on_ca: Cipsec, ca_folder: CaFolder, old: str
) -> None:
    """The same drive with another key: the list says so, `ca show` shows both keys."""
    successor = ca.request()
    identifier = ca.ask(ca_folder, successor)
    [listed] = on_ca("ca", "pending", "--json").json["requests"]
    assert (listed["state"], listed["replaces"]) == ("pending", old)
    assert on_ca("ca", "pending").rows[0][-1] == old[:16]
    shown = on_ca("ca", "show", identifier, "--json").json["request"]
    assert shown["spki_sha256"] == keys.spki_sha256(successor.public_key)
    assert shown["predecessor"]["serial"] == old
    assert shown["predecessor"]["status"] == "valid"
    assert shown["predecessor"]["spki_sha256"] != shown["spki_sha256"]
    last = on_ca("ca", "log", "--json").json["events"][-1]
    assert (last["event"], last["request"]) == ("replacement", identifier)
    assert old in last["reason"]


def test_approving_wants_a_word_about_the_old_one(
    on_ca: Cipsec, ca_folder: CaFolder, old: str
) -> None:
    """Without --replace or --keep nothing is decided, and the answer is no, with what to say."""
    identifier = ca.ask(ca_folder, ca.request())
    for extra in ([], ["-n"]):
        ran = on_ca("ca", "approve", identifier, *extra, "--json")
        assert ran.code == 10
        [decided] = ran.json["decisions"]
        assert (decided["outcome"], decided["changed"]) == ("pending", False)
        assert decided["reason"] == f"it would replace certificate {old}: say --replace or --keep"
    assert on_ca("ca", "approve", identifier, "--replace", "--keep").code == 2


def test_replace_revokes_with_the_grant(on_ca: Cipsec, ca_folder: CaFolder, old: str) -> None:
    """Not before: should the device never ask again, the old certificate stays in force."""
    successor = ca.request()
    identifier = ca.ask(ca_folder, successor)
    ran = on_ca("ca", "approve", identifier, "--replace", "--note", "new drive", "--json")
    assert ran.code == 0
    assert status_of(on_ca, old) == "valid"
    ca.receive(ca_folder, successor)
    assert status_of(on_ca, old) == "revoked"
    events = on_ca("ca", "log", "--json").json["events"]
    assert [event["event"] for event in events[-2:]] == ["revoked", "granted"]
    assert events[-2]["serial"] == old
    revoked = on_ca("ca", "show", old, "--json").json["certificate"]
    assert revoked["revocation"] == "superseded"
    assert revoked["status"] == "revoked"


def test_keep_leaves_both(on_ca: Cipsec, ca_folder: CaFolder, old: str) -> None:
    """A device with two interfaces has two certificates."""
    successor = ca.request()
    assert on_ca("ca", "approve", ca.ask(ca_folder, successor), "--keep").code == 0
    ca.receive(ca_folder, successor)
    listed = on_ca("ca", "list", "--json").json["certificates"]
    assert [one["status"] for one in listed] == ["valid", "valid"]


def test_several_are_shown(on_ca: Cipsec, ca_folder: CaFolder, two: list[str]) -> None:
    """The newest beside the request, the others by serial number and whose they are."""
    identifier = ca.ask(ca_folder, ca.request(sans=[_NAMED]))
    [listed] = on_ca("ca", "pending", "--json").json["requests"]
    assert listed["replaces"] == two[0]
    shown = on_ca("ca", "show", identifier, "--json").json["request"]
    assert [one["serial"] for one in shown["predecessors"]] == two
    assert [one["subject"] for one in shown["predecessors"]] == [
        "CN=Gateway",
        "CN=Drive 7,serialNumber=0001:6040C8F2",
    ]
    assert len({one["spki_sha256"] for one in shown["predecessors"]}) == 2
    assert shown["predecessor"] == shown["predecessors"][0]
    assert shown["also_replaces"] == [f"{two[1]} 0001:6040C8F2"]
    people = on_ca("ca", "show", identifier).out
    assert f"{two[1]} 0001:6040C8F2" in people
    assert "predecessors" not in people
    last = on_ca("ca", "log", "--json").json["events"][-1]
    assert last["reason"].endswith(f"would replace certificate {', '.join(two)}")


def test_several_are_replaced_together(on_ca: Cipsec, ca_folder: CaFolder, two: list[str]) -> None:
    """The answer names them all, and so does the record, with who approved it."""
    successor = ca.request(sans=[_NAMED])
    identifier = ca.ask(ca_folder, successor)
    both = ", ".join(two)
    [unsaid] = on_ca("ca", "approve", identifier, "--json").json["decisions"]
    assert unsaid["reason"] == f"it would replace certificate {both}: say --replace or --keep"
    ran = on_ca("ca", "approve", identifier, "--replace")
    reason = f"approved by operator; revokes certificate {both} with the grant"
    assert ran.rows == [[identifier[:12], "approved", "yes", reason]]
    issued = ca.receive(ca_folder, successor)
    for serial in two:
        gone = on_ca("ca", "show", serial, "--json").json["certificate"]
        assert (gone["status"], gone["revocation"]) == ("revoked", "superseded")
        assert gone["revoked_by"] == "operator"
    assert ca.receive(ca_folder, successor) == issued
    events = on_ca("ca", "log", "--json").json["events"]
    assert [event["event"] for event in events[-3:]] == ["revoked", "revoked", "granted"]


def test_several_are_kept_together(on_ca: Cipsec, ca_folder: CaFolder, two: list[str]) -> None:
    """All stay in force beside the new one."""
    successor = ca.request(sans=[_NAMED])
    assert on_ca("ca", "approve", ca.ask(ca_folder, successor), "--keep").code == 0
    ca.receive(ca_folder, successor)
    assert [status_of(on_ca, serial) for serial in two] == ["valid", "valid"]


def test_an_approval_is_for_what_was_shown(on_ca: Cipsec, ca_folder: CaFolder, old: str) -> None:
    """Where another certificate is there by now, the request waits again; nothing is revoked."""
    successor, other = ca.request(), ca.request()
    first, second = ca.ask(ca_folder, successor), ca.ask(ca_folder, other)
    on_ca("ca", "approve", first, "--replace")
    on_ca("ca", "approve", second, "--keep")
    ca.receive(ca_folder, other)
    assert isinstance(ca.enroll(ca_folder, successor), Queued)
    assert status_of(on_ca, old) == "valid"
    shown = on_ca("ca", "show", first, "--json").json["request"]
    assert (shown["state"], shown["decided_by"], shown["note"]) == ("pending", None, None)
    assert [one["serial"] for one in shown["predecessors"]][1:] == [old]
    assert on_ca("ca", "log", "--json").json["events"][-1]["event"] == "replacement"


def test_a_gone_predecessor_is_replaced_all_the_same(
    on_ca: Cipsec, ca_folder: CaFolder, old: str
) -> None:
    """What was revoked meanwhile stays revoked for the reason it was."""
    successor = ca.request()
    on_ca("ca", "approve", ca.ask(ca_folder, successor), "--replace")
    assert on_ca("ca", "revoke", old, "--reason", "keyCompromise", "-y").code == 0
    ca.receive(ca_folder, successor)
    gone = on_ca("ca", "show", old, "--json").json["certificate"]
    assert gone["revocation"] == "keyCompromise"


@pytest.mark.parametrize(
    "subject", ["CN=drive  7,O=PLANT", "CN=\\ Drive 7,O=Plant", "CN=Drive\u00a07,O=Plant\\ "]
)
def test_white_space_hides_no_predecessor(on_ca: Cipsec, ca_folder: CaFolder, subject: str) -> None:
    """Nor does letter case: it is the same name to whoever compares names."""
    first = ca.request("CN=Drive 7,O=Plant")
    on_ca("ca", "approve", ca.ask(ca_folder, first))
    ca.receive(ca_folder, first)
    ca.ask(ca_folder, ca.request(subject))
    [waiting] = on_ca("ca", "pending", "--json").json["requests"]
    assert waiting["replaces"] is not None


def test_a_rejected_request_stays_rejected(on_ca: Cipsec, ca_folder: CaFolder) -> None:
    """Also when a rule would grant it by now; until it is decided again with -f."""
    asked = ca.request()
    identifier = ca.ask(ca_folder, asked)
    on_ca("ca", "reject", identifier, "--note", "not ours")
    rules(ca_folder, _ANYONE)
    for _ in range(2):
        told = ca.enroll(ca_folder, asked)
        assert told == Refused("rejected by an administrator: not ours")
    ca.receive(ca_folder, ca.request("CN=Drive 8,serialNumber=0001:6040C8F3"))
    assert on_ca("ca", "approve", "-f", identifier).code == 0
    ca.receive(ca_folder, asked)


def test_two_administrators(
    on_ca: Cipsec, ca_folder: CaFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first is told that another is needed, exit 11; the same once more changes nothing."""
    rules(ca_folder, _TWO)
    asked = ca.request()
    identifier = ca.ask(ca_folder, asked)
    first = on_ca("ca", "approve", identifier, "--json")
    assert first.code == 11
    [decided] = first.json["decisions"]
    assert (decided["outcome"], decided["changed"]) == ("pending", True)
    assert decided["reason"] == "operator agrees: 1 of 2 administrators"
    again = on_ca("ca", "approve", identifier, "--json")
    assert again.code == 10
    assert again.json["decisions"][0]["changed"] is False
    assert on_ca("ca", "show", identifier, "--json").json["request"]["agreed"] == ["operator"]
    administrator.be(monkeypatch, "zoe")
    assert on_ca("ca", "approve", identifier).code == 0
    ca.receive(ca_folder, asked)
    [issued] = on_ca("ca", "list", "--json").json["certificates"]
    assert issued["reason"] == "approved by operator, zoe"


def test_two_administrators_agree_to_the_same(
    on_ca: Cipsec, ca_folder: CaFolder, old: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One who would revoke and one who would keep do not; nothing is decided by the second."""
    rules(ca_folder, _TWO)
    successor = ca.request()
    identifier = ca.ask(ca_folder, successor)
    assert on_ca("ca", "approve", identifier, "--keep").code == 11
    administrator.be(monkeypatch, "zoe")
    other = on_ca("ca", "approve", identifier, "--replace", "--json")
    assert other.code == 10
    [decided] = other.json["decisions"]
    assert (decided["outcome"], decided["changed"]) == ("pending", False)
    assert decided["reason"] == "operator agrees with --keep: say the same, or reject it"
    assert on_ca("ca", "show", identifier, "--json").json["request"]["agreed"] == ["operator"]
    assert on_ca("ca", "approve", identifier, "--keep").code == 0
    ca.receive(ca_folder, successor)
    assert status_of(on_ca, old) == "valid"


def test_an_approval_by_one_is_none_by_two(
    on_ca: Cipsec, ca_folder: CaFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where the rule wants two by now, the request waits for both of them."""
    asked = ca.request()
    identifier = ca.ask(ca_folder, asked)
    assert on_ca("ca", "approve", identifier).code == 0
    rules(ca_folder, _TWO)
    assert isinstance(ca.enroll(ca_folder, asked), Queued)
    shown = on_ca("ca", "show", identifier, "--json").json["request"]
    assert (shown["state"], shown["approvals"], shown["agreed"]) == ("pending", 2, [])
    assert on_ca("ca", "approve", identifier).code == 11
    administrator.be(monkeypatch, "zoe")
    assert on_ca("ca", "approve", identifier).code == 0
    ca.receive(ca_folder, asked)
