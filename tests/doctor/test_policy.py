"""ca.toml, its rules, and what they ask: whole, and each way of being not so."""

from __future__ import annotations

import os
from datetime import UTC, datetime
from pathlib import Path

import pytest

from cipsec.ca_folder import CaFolder
from tests.support import vendor

from .looking import ASK, FAIL, OK, WARN, at_ca, brief, rules

_LAB = 'name = "laboratory"\nwhen = { anyone = true }\nthen = "grant"\nlab = true'
_HEADER = "device,name,until,uses,note\n"


def test_configuration(ca_folder: CaFolder) -> None:
    """The one that `ca init` writes is whole."""
    assert brief(at_ca(ca_folder, "configuration")) == [(OK, "ca.toml is whole, with 3 rules")]


@pytest.mark.parametrize(
    ("text", "detail"),
    [
        (b"name = ", "ca.toml: this is not TOML"),
        (b"\xff\xfe\x00", "ca.toml: this is not TOML"),
        (b'name = "a"', "ca.toml: there is no [[rule]]"),
        (b'[[rule]]\nname = "a\\u001b[2K"\nthen = "ask"', "ca.toml: rule 1 (a\x1b[2K)"),
        (b"a = " + b"[" * 5000, ""),
    ],
)
def test_broken_configuration(ca_folder: CaFolder, text: bytes, detail: str) -> None:
    """The error is that of every command; what depends on the rules says nothing more."""
    ca_folder.config_file.write_bytes(text)
    [found] = at_ca(ca_folder, "configuration")
    assert found.verdict is FAIL
    assert detail in found.detail
    for check in ("rules", "global grant", "programs", "channels"):
        assert at_ca(ca_folder, check) == []
    for check in ("allowlists", "vendors", "users", "provisioning", "requests", "expiring"):
        assert [one.verdict for one in at_ca(ca_folder, check)] == [OK]


def test_shadowed_rules(ca_folder: CaFolder) -> None:
    """A rule that never decides is named with the one that does."""
    assert [one.verdict for one in at_ca(ca_folder, "rules")] == [OK]
    late = 'name = "late"\nwhen = { user = true }\nthen = "grant"'
    rules(ca_folder, ASK, late)
    [found] = at_ca(ca_folder, "rules")
    assert found.verdict is WARN
    assert found.detail == "the rule late never decides: everyone else does before it"
    assert found.hint == "cipsec policy show"


@pytest.mark.parametrize(
    "table",
    [
        'name = "no"\nwhen = { anyone = true }\nthen = "reject"',
        'name = "over"\nwhen = { anyone = true }\nthen = "grant"\nuntil = "2020-01-01"',
    ],
)
def test_rules_that_grant_nothing(ca_folder: CaFolder, table: str) -> None:
    """A table that can only say no fails: whoever wrote it meant something else."""
    rules(ca_folder, table)
    assert brief(at_ca(ca_folder, "rules")) == [(FAIL, "no rule can ever lead to a certificate")]


def test_labels(ca_folder: CaFolder) -> None:
    """A rule for a label that is not served can never hold."""
    table = 'name = "three"\nwhen = { label = "line-3" }\nthen = "ask"'
    rules(ca_folder, table)
    [found] = at_ca(ca_folder, "rules")
    assert (found.verdict, found.hint) == (WARN, 'labels = ["line-3"] below [server] in ca.toml')
    rules(ca_folder, table, head='[server]\nlabels = ["line-3"]')
    assert [one.verdict for one in at_ca(ca_folder, "rules")] == [OK]


def test_global_grant(ca_folder: CaFolder) -> None:
    """It fails while it is on, with the rule and its end, and no longer."""
    assert brief(at_ca(ca_folder, "global grant")) == [(OK, "no rule grants to everybody")]
    rules(ca_folder, _LAB)
    [found] = at_ca(ca_folder, "global grant")
    assert found.verdict is FAIL
    assert found.detail == "the rule laboratory grants a certificate to everybody, without an end"
    rules(ca_folder, _LAB.replace("lab = true", 'until = "2099-01-01"'))
    [found] = at_ca(ca_folder, "global grant")
    assert found.detail.endswith("to everybody, until 2099-01-01T00:00:00Z")
    over = datetime(2099, 1, 1, tzinfo=UTC) - datetime.now(UTC)
    assert [one.verdict for one in at_ca(ca_folder, "global grant", later=over)] == [OK]


def _list(folder: CaFolder, name: str, *lines: str) -> Path:
    path = folder.path / "allowlists" / f"{name}.csv"
    path.write_text(_HEADER + "".join(f"{line}\n" for line in lines))
    return path


def test_allowlists(ca_folder: CaFolder) -> None:
    """Whole ones are counted; a broken one is named with its line."""
    _list(ca_folder, "line-3", "0001:6040C8F2,Drive 7,,,")
    assert brief(at_ca(ca_folder, "allowlists")) == [(OK, "2 lists: nothing is wrong")]
    _list(ca_folder, "line-4", "0001:6040C8F2,Drive 7,,,", "12345678,=HYPERLINK(1),,,", "x,,,,")
    [found] = at_ca(ca_folder, "allowlists")
    assert found.verdict is FAIL
    assert found.detail.startswith("allowlists/line-4.csv:3: ")
    assert found.hint == "cipsec allowlist check --list line-4"


def test_entries_that_are_over(ca_folder: CaFolder) -> None:
    """They are counted, and where to see them is said."""
    _list(ca_folder, "line-3", "0001:00000001,,2020-01-01,,", "0001:00000002,,2099-01-01,,")
    [found] = at_ca(ca_folder, "allowlists")
    assert found.verdict is WARN
    assert found.detail == "line-3: 1 of 2 entries are over"
    assert found.hint == "cipsec allowlist list --list line-3"


def test_missing_list(ca_folder: CaFolder) -> None:
    """A rule whose list is not there cannot be judged."""
    rules(ca_folder, 'name = "r"\nwhen = { serial = ["default", "line-9"] }\nthen = "grant"')
    [found] = at_ca(ca_folder, "allowlists")
    assert found.verdict is FAIL
    assert found.detail == "the rule r asks the list line-9, and there is none"
    assert found.hint == "cipsec allowlist add DEVICE --list line-9"


def test_no_folder_of_lists(ca_folder: CaFolder) -> None:
    """Without the folder there is no list, which is no fault where no rule asks one."""
    (ca_folder.path / "allowlists" / "default.csv").unlink()
    (ca_folder.path / "allowlists").rmdir()
    assert brief(at_ca(ca_folder, "allowlists")) == [(OK, "0 lists: nothing is wrong")]


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs pipes")
def test_strange_lists(ca_folder: CaFolder) -> None:
    """A pipe, a folder and a link to nothing are said, and not waited for."""
    lists = ca_folder.path / "allowlists"
    os.mkfifo(lists / "a.csv")
    (lists / "b.csv").mkdir()
    (lists / "c.csv").symlink_to(lists / "nowhere")
    found = at_ca(ca_folder, "allowlists")
    assert [one.verdict for one in found] == [FAIL, FAIL, FAIL]
    assert [one.detail.partition(":")[0] for one in found] == [
        f"allowlists/{name}.csv" for name in "abc"
    ]


def test_many_broken_lists(ca_folder: CaFolder) -> None:
    """A thousand broken lists do not fill the screen."""
    for number in range(1000):
        _list(ca_folder, f"l{number}", "x,,,,")
    found = at_ca(ca_folder, "allowlists")
    assert len(found) == 21
    assert found[-1].detail == "and 980 more"


def test_vendors(ca_folder: CaFolder, tmp_path: Path) -> None:
    """A rule that asks for vendors needs one; broken files are named."""
    assert brief(at_ca(ca_folder, "vendors")) == [(OK, "0 vendors: nothing is wrong")]
    rules(ca_folder, 'name = "r"\nwhen = { vendor = true }\nthen = "grant"')
    [found] = at_ca(ca_folder, "vendors")
    assert (found.verdict, found.hint) == (WARN, "cipsec vendor add FILE --name NAME")
    root = vendor.ca("Acme root")
    (ca_folder.path / "vendors" / "acme.pem").write_bytes(root.pem)
    assert brief(at_ca(ca_folder, "vendors")) == [(OK, "1 vendor: nothing is wrong")]
    (ca_folder.path / "vendors" / "bolt.pem").write_bytes(b"\0")
    [found] = at_ca(ca_folder, "vendors")
    assert (found.verdict, found.hint) == (FAIL, "cipsec vendor list")
    assert "vendors/bolt.pem" in found.detail


def test_unknown_vendor(ca_folder: CaFolder) -> None:
    """A rule that names a vendor who is not there."""
    rules(ca_folder, 'name = "r"\nwhen = { vendor = ["acme"] }\nthen = "grant"')
    [found] = at_ca(ca_folder, "vendors")
    assert found.verdict is WARN
    assert found.detail == "the rule r asks for the vendor acme, and there is none"
    assert found.hint == "cipsec vendor add FILE --name acme"


def test_vendors_out_of_date(ca_folder: CaFolder) -> None:
    """A revocation list whose time is over, beside its vendor's anchor."""
    root = vendor.ca("Acme root")
    vendors = ca_folder.path / "vendors"
    (vendors / "acme.pem").write_bytes(root.pem)
    (vendors / "acme.crl").write_bytes(vendor.crl(root, until=datetime(2199, 1, 1, tzinfo=UTC)))
    [found] = at_ca(ca_folder, "vendors", later=datetime(2200, 1, 1, tzinfo=UTC) - _now())
    assert found.verdict is WARN
    assert "vendors/acme.crl is out of date since" in found.detail


def test_vendors_with_a_forged_list(ca_folder: CaFolder) -> None:
    """A list that the CA it names did not sign: no device of this CA is granted."""
    root = vendor.ca("Acme root")
    vendors = ca_folder.path / "vendors"
    (vendors / "acme.pem").write_bytes(root.pem)
    (vendors / "acme.crl").write_bytes(vendor.crl(root, signer=vendor.ca("Bolt root").key))
    [found] = at_ca(ca_folder, "vendors")
    assert (found.verdict, found.hint) == (FAIL, "cipsec vendor list")
    assert found.detail.startswith("vendors/acme.crl is not signed by CN=Acme root")


def _now() -> datetime:
    return datetime.now(UTC)


@pytest.mark.skipif(os.name == "nt", reason="Windows has no mode for programs")
def test_programs(ca_folder: CaFolder, tmp_path: Path) -> None:
    """A program that a rule asks is there and can be run, or is not."""
    assert at_ca(ca_folder, "programs") == []
    program = tmp_path / "decide"
    rules(ca_folder, f'name = "r"\nwhen = {{ exec = ["{program}", "-x"] }}\nthen = "grant"')
    [found] = at_ca(ca_folder, "programs")
    assert (found.verdict, found.hint) == (FAIL, f"ls -l {program}")
    program.write_text("#!/bin/sh\n")
    assert [one.verdict for one in at_ca(ca_folder, "programs")] == [FAIL]
    program.chmod(0o755)
    assert brief(at_ca(ca_folder, "programs")) == [(OK, "1 program: can be run")]
