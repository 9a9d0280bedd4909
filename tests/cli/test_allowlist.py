"""`cipsec allowlist`: which devices are listed."""

from __future__ import annotations

import io
import re
import sys
from contextlib import closing
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from cipsec import times
from cipsec.ca_folder import CaFolder
from cipsec.ra.allowlist.entries import parse_device
from cipsec.ra.conditions.listed import use_key
from cipsec.store import uses

from .conftest import Cipsec, Ran

HEADER = "device,name,until,uses,note\n"
KEYS = ["device", "name", "until", "uses", "note", "list", "line"]


@pytest.fixture
def lists(ca_folder: CaFolder) -> Path:
    """The folder of the CA's lists, without any list."""
    folder = ca_folder.path / "allowlists"
    for path in folder.iterdir():
        path.unlink()
    return folder


def _events(on_ca: Cipsec) -> list[tuple[str, str | None, str]]:
    events = on_ca("ca", "log", "--json").json["events"]
    mine = [event for event in events if event["event"].startswith("allowlist-")]
    assert {event["actor"] for event in mine} <= {"operator"}
    return [(event["event"], event["device"], event["reason"]) for event in mine]


def test_nobody(on_ca: Cipsec, lists: Path) -> None:
    """An empty list is no error; the key is there."""
    ran = on_ca("allowlist", "list")
    assert (ran.code, ran.out) == (0, "")
    assert ran.err == (
        "cipsec: no device is listed; add one with: cipsec allowlist add VENDOR:SERIAL\n"
    )
    assert on_ca("allowlist", "list", "--json").json == {"entries": []}
    assert on_ca("allowlist", "check", "--json").json == {"entries": []}
    assert not list(lists.iterdir())


def test_a_devices_life(on_ca: Cipsec, lists: Path) -> None:
    """Added with all it can have, listed, changed, removed; each with its event and actor."""
    options = ["--name", "Drive 7", "--until", "2099-01-31", "--uses", "1", "--note", "spare"]
    added = on_ca("allowlist", "add", "1:6040c8f2", *options, "--json")
    assert added.code == 0
    assert added.err == "cipsec: 0001:6040C8F2 added to default\n"
    [entry] = added.json["entries"]
    assert list(entry) == KEYS
    end = "2099-01-31T23:59:59Z"
    assert list(entry.values()) == ["0001:6040C8F2", "Drive 7", end, 1, "spare", "default", 2]
    row = ["0001:6040C8F2", "Drive 7", end, "1", "spare", "default", "2"]
    assert on_ca("allowlist", "list").rows == [[*row, "0"]]
    text = f"{HEADER}0001:6040C8F2,Drive 7,{end},1,spare\n"
    assert (lists / "default.csv").read_text() == text

    again = on_ca("allowlist", "add", "0001:6040C8F2", *options)
    assert (again.code, again.rows) == (0, [row])
    assert again.err == "cipsec: nothing is changed: it is listed so already\n"

    other = on_ca("allowlist", "add", "0001:6040C8F2")
    assert (other.code, other.out) == (6, "")
    assert other.err == (
        "cipsec: error: 0001:6040C8F2 is listed with other values in line 2 of default\n"
        "cipsec: hint: add -f to replace what is listed\n"
    )
    assert (lists / "default.csv").read_text() == text
    assert on_ca("allowlist", "add", "0001:6040C8F2", "-f").code == 0
    assert (lists / "default.csv").read_text() == f"{HEADER}0001:6040C8F2,,,,\n"

    removed = on_ca("allowlist", "remove", "0001:6040C8F2", "--json")
    assert removed.code == 0
    assert [one["device"] for one in removed.json["entries"]] == ["0001:6040C8F2"]
    assert (lists / "default.csv").read_text() == HEADER
    assert _events(on_ca) == [
        ("allowlist-added", "0001:6040C8F2", "list default"),
        ("allowlist-added", "0001:6040C8F2", "list default: other values than before"),
        ("allowlist-removed", "0001:6040C8F2", "list default"),
    ]


def test_an_entry_that_is_used_up(on_ca: Cipsec, ca_folder: CaFolder) -> None:
    """Pre-approved once more as it was the last time: that nothing comes of it is said at once."""
    once = ["allowlist", "add", "1:1", "1:2", "--uses", "1"]
    assert "warning" not in on_ca(*once).err
    key = use_key("default", parse_device("0001:00000001"))
    with closing(ca_folder.store()) as database:
        database.write(lambda db: uses.spend(db, key, "ab" * 32, serial="01", at=0))
    ran = on_ca(*once, "--until", "8h", "-f")
    assert ran.code == 0
    assert ran.err == (
        "cipsec: 2 devices added to default\n"
        "cipsec: warning: 0001:00000001 had 1 of 1 uses before and gets nothing by this entry;"
        " to grant one more: --uses 2 -f\n"
    )
    assert "warning" not in on_ca("allowlist", "add", "1:1", "--uses", "2", "-f").err


def test_a_duration(on_ca: Cipsec, lists: Path) -> None:
    """`--until 8h` is a time, in whole seconds."""
    [entry] = on_ca("allowlist", "add", "1:1", "--until", "8h", "--json").json["entries"]
    end = datetime.fromisoformat(entry["until"])
    assert timedelta(hours=7, minutes=59) < end - times.now() <= timedelta(hours=8)
    assert entry["until"] in (lists / "default.csv").read_text()


@pytest.mark.parametrize("until", ["2001-01-31", "0s", "2001-01-31T06:00:00Z"])
def test_a_time_that_is_over(on_ca: Cipsec, lists: Path, until: str) -> None:
    """Nothing useful can be meant."""
    ran = on_ca("allowlist", "add", "1:1", "--until", until)
    assert (ran.code, ran.out) == (2, "")
    assert "is over" in ran.err
    assert not list(lists.iterdir())


def test_dry_run(on_ca: Cipsec, lists: Path) -> None:
    """Shows what would be, changes and records nothing."""
    ran = on_ca("allowlist", "add", "1:1", "00:00:bc:12:34:56", "-n")
    assert (ran.code, len(ran.rows)) == (0, 2)
    assert ran.err == "cipsec: 2 devices would be added to default\n"
    (lists / "default.csv").write_text(f"{HEADER}0001:00000001\n")
    ran = on_ca("allowlist", "remove", "1:1", "-n")
    assert ran.err == "cipsec: 0001:00000001 would be removed from default\n"
    assert (lists / "default.csv").read_text() == f"{HEADER}0001:00000001\n"
    assert _events(on_ca) == []


def test_which_list(on_ca: Cipsec, lists: Path) -> None:
    """The one that is named, else the only one, else `default`; `list` shows all."""
    on_ca("allowlist", "add", "1:1", "--list", "line-3")
    assert on_ca("allowlist", "add", "1:2").rows[0][-2:] == ["line-3", "3"]
    on_ca("allowlist", "add", "1:3", "--list", "line-4")
    assert on_ca("allowlist", "add", "1:4").rows[0][-2:] == ["default", "2"]
    places = [row[-3:-1] for row in on_ca("allowlist", "list").rows]
    assert places == [["default", "2"], ["line-3", "2"], ["line-3", "3"], ["line-4", "2"]]
    assert len(on_ca("allowlist", "list", "--list", "line-3").rows) == 2


def test_remove_what_is_not_listed(on_ca: Cipsec, lists: Path) -> None:
    """Exit 3; where it is in another list, the hint says in which."""
    ran = on_ca("allowlist", "remove", "1:1")
    assert (ran.code, ran.out) == (3, "")
    for name in ("line-3", "line-4"):
        on_ca("allowlist", "add", f"1:{name[-1]}", "--list", name)
    ran = on_ca("allowlist", "remove", "1:3", "1:4", "--list", "line-3")
    assert ran.code == 3
    assert ran.err == (
        "cipsec: error: 0001:00000004 is not listed in line-3\n"
        "cipsec: hint: 0001:00000004 is listed in line-4: add --list line-4\n"
    )
    assert "00000003" in (lists / "line-3.csv").read_text()
    assert on_ca("allowlist", "remove", "1:5", "--list", "line-3", "--json").json["error"] == {
        "kind": "not_found",
        "message": "0001:00000005 is not listed in line-3",
        "hint": "cipsec allowlist list --list line-3",
    }


def test_no_such_list(on_ca: Cipsec, lists: Path) -> None:
    """Exit 3, wherever a list must be there."""
    for verb in ("list", "check", "export"):
        ran = on_ca("allowlist", verb, "--list", "line-9")
        assert (verb, ran.code, ran.out) == (verb, 3, "")
        assert ran.err.startswith("cipsec: error: there is no list line-9\n")


@pytest.mark.parametrize("name", ["", "..", "../ca", "a/b", "a\x1b[2K", "-x", "a.csv/..", "x" * 65])
def test_list_names_that_cannot_be(on_ca: Cipsec, lists: Path, name: str) -> None:
    """Wrong usage; nothing is written anywhere."""
    for argv in (["add", "1:1"], ["remove", "1:1"], ["list"], ["check"], ["export"]):
        ran = on_ca("allowlist", *argv, f"--list={name}")
        assert (ran.code, ran.out) == (2, "")
        assert "\x1b" not in ran.err
    assert not list(lists.iterdir())


@pytest.mark.parametrize(
    "argv",
    [
        ["6040C8F2"],
        ["0:1"],
        ["1:0"],
        ["\x1b[2K"],
        [],
        ["1:1", "--uses", "0"],
        ["1:1", "--uses", "9999999999"],
        ["1:1", "--until", "tomorrow"],
        ["1:1", "--name", "=1+1"],
        ["1:1", "--name", "a\u202eb"],
        ["1:1", "--note", "-1"],
        ["1:1", "--note", "x" * 65536],
        ["1:1", "--name", "two\nlines"],
        ["1:1", "--name", "\udcff"],
    ],
)
def test_what_cannot_be_added(on_ca: Cipsec, lists: Path, argv: list[str]) -> None:
    """Wrong usage, shown harmless and short; no list is made."""
    ran = on_ca("allowlist", "add", *argv)
    assert (ran.code, ran.out) == (2, "")
    assert not set("\x1b\u202e\udcff") & set(ran.err)
    assert len(ran.err) < 500
    assert not list(lists.iterdir())


def test_check(on_ca: Cipsec, lists: Path) -> None:
    """0 where every list is fine, 10 with every fault of every list."""
    (lists / "good.csv").write_text(f"{HEADER}0001:00000001\n")
    ran = on_ca("allowlist", "check")
    assert (ran.code, ran.out) == (0, "")
    assert ran.err == "cipsec: good: 1 entry, nothing is wrong\n"
    (lists / "bad.csv").write_text("device,until\n0001:6040C8F\n0001:00000001,\x1b[2K\n")
    (lists / "worse.csv").mkdir()
    ran = on_ca("allowlist", "check")
    assert ran.code == 10
    assert ran.rows == [
        ["bad", "2", "0001:6040C8F is to be written 0001:06040C8F"],
        ["bad", "3", "'\\x1b[2K' is not a time; write 2027-01-31 or 2027-01-31T06:00:00Z"],
        ["worse", "0", "this is not a file"],
    ]
    faults = on_ca("allowlist", "check", "--list", "bad", "--json").json["entries"]
    assert [list(fault) for fault in faults] == [[*KEYS, "error"]] * 2
    assert on_ca("allowlist", "check", "--list", "good").code == 0


def test_a_broken_list(on_ca: Cipsec, lists: Path) -> None:
    """Neither shown nor changed; the hint leads to all that is wrong."""
    path = lists / "line-3.csv"
    path.write_text(f"{HEADER}0001:00000001\nx\n")
    for argv in (["list"], ["add", "1:2"], ["remove", "1:1"], ["export"]):
        ran = on_ca("allowlist", *argv)
        assert (ran.code, ran.out) == (6, "")
        assert ran.err.startswith("cipsec: error: allowlists/line-3.csv:3: 'x' is neither")
        assert ran.err.endswith("cipsec allowlist check --list line-3\n")
    assert path.read_text() == f"{HEADER}0001:00000001\nx\n"


def test_check_devices(on_ca: Cipsec, lists: Path) -> None:
    """Whether they are listed, where, and whether their time is over."""
    (lists / "a.csv").write_text(f"{HEADER}0001:00000001\n0001:00000002,,2001-01-01\n")
    ran = on_ca("allowlist", "check", "1:1", "-q")
    assert (ran.code, ran.rows[0][0], ran.err) == (0, "0001:00000001", "")
    ran = on_ca("allowlist", "check", "1:1", "1:2", "1:3")
    assert ran.code == 10
    assert [row[0] for row in ran.rows] == ["0001:00000001", "0001:00000002"]
    assert "cipsec: 0001:00000002 is listed no longer: its time is over\n" in ran.err
    assert "cipsec: 0001:00000003 is not listed\n" in ran.err


def test_hostile_cells_are_shown_harmless(on_ca: Cipsec, lists: Path) -> None:
    """What somebody wrote into the file by hand does nothing to a terminal or a spreadsheet."""
    line = "0001:00000001,=HYPERLINK(1),,,\u202e[/red]\x1b[2K"
    (lists / "a.csv").write_text(f"{HEADER}{line}\n", encoding="utf-8")
    shown = on_ca("allowlist", "list")
    assert shown.rows[0][4] == "\\u202e[/red]\\x1b[2K"
    exported = on_ca("allowlist", "export").out
    assert "0001:00000001,'=HYPERLINK(1),," in exported


def test_export_and_import(on_ca: Cipsec, lists: Path, tmp_path: Path) -> None:
    """What is written can be read again, into another list."""
    on_ca("allowlist", "add", "1:1", "--name", 'Drive "7", hall 2', "--uses", "2")
    on_ca("allowlist", "add", "00:00:bc:12:34:56", "--until", "2099-01-31")
    text = on_ca("allowlist", "export").out
    assert text == (lists / "default.csv").read_text()
    target = tmp_path / "out.csv"
    written = on_ca("allowlist", "export", "-o", target)
    assert (written.code, written.out, target.read_text()) == (0, "", text)
    assert on_ca("allowlist", "export", "-o", target).code == 6
    assert on_ca("allowlist", "export", "-o", target, "-f", "--json").json["entries"]
    ran = on_ca("allowlist", "import", target, "--list", "copy")
    assert ran.code == 0
    assert ran.err == "cipsec: copy: 2 new, 0 with other values\n"
    assert (lists / "copy.csv").read_text() == text
    assert _events(on_ca)[-1] == (
        "allowlist-imported",
        None,
        "list copy: 2 new, 0 with other values, from out.csv",
    )
    assert on_ca("allowlist", "import", target, "--list", "copy").code == 0
    assert len(_events(on_ca)) == 3


def _foreign(on_ca: Cipsec, path: Path, *more: object) -> Ran:
    columns = ("--vendor-column", "Hersteller", "--serial-column", "SNr", "--name-column", "Name")
    return on_ca("allowlist", "import", path, *columns, *more)


def test_import_a_foreign_table(on_ca: Cipsec, lists: Path, tmp_path: Path) -> None:
    """Columns by name, numbers by the base that is stated."""
    path = tmp_path / "plant.csv"
    path.write_text("\ufeffName;SNr;Hersteller\nDrive 7;1614858482;283\nDrive 8;12345678;1\n")
    bases = ("--serial-base", "dec", "--vendor-base", "dec")
    dry = _foreign(on_ca, path, *bases, "-n")
    assert (dry.code, dry.err) == (
        0,
        "cipsec: default: 2 new, 0 with other values would be listed\n",
    )
    assert not list(lists.iterdir())
    ran = _foreign(on_ca, path, *bases)
    assert [row[:2] for row in ran.rows] == [
        ["011B:6040C8F2", "Drive 7"],
        ["0001:00BC614E", "Drive 8"],
    ]
    path.write_text("Name;SNr;Hersteller\nDrive 9;12345678;1\n")
    assert _foreign(on_ca, path, *bases).code == 6
    assert _foreign(on_ca, path, *bases, "-f").err.endswith("0 new, 1 with other values\n")


def test_import_nothing_unless_everything_is_good(
    on_ca: Cipsec, lists: Path, tmp_path: Path
) -> None:
    """All doubts at once, each with its line."""
    path = tmp_path / "plant.csv"
    path.write_text("Name,SNr,Hersteller\na,C8F2,1\nb,12345678,1\nc,1.23E+08,1\n=1,C8F3,1\n")
    ran = _foreign(on_ca, path)
    assert (ran.code, ran.out) == (6, "")
    told = re.findall(rf"cipsec: warning: {re.escape(str(path))}:(\d): (.*)", ran.err)
    assert told == [
        ("3", "12345678 can be hexadecimal or decimal: say the base"),
        ("4", "a spreadsheet has rounded this number: 1.23E+08"),
        ("5", "the name '=1' is a formula to a spreadsheet"),
    ]
    assert ran.err.splitlines()[-2:] == [
        f"cipsec: error: {path}: 3 errors; nothing was imported",
        "cipsec: hint: say how numbers are written with --serial-base, and --vendor-base",
    ]
    assert not list(lists.iterdir())


def test_import_from_stdin(on_ca: Cipsec, lists: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`-`, as everywhere."""
    table = io.TextIOWrapper(io.BytesIO(b"mac\n0000.bc12.3456\n"))
    monkeypatch.setattr(sys, "stdin", table)
    ran = on_ca("allowlist", "import", "-", "--mac-column", "mac")
    assert [row[0] for row in ran.rows] == ["00:00:bc:12:34:56"]
    assert _events(on_ca)[0][2].endswith("from stdin")


@pytest.mark.parametrize(
    "more",
    [
        ["--serial-base", "octal"],
        ["--vendor-base", "16"],
        ["--mac-column", "nothing"],
        ["--vendor", "1"],
    ],
)
def test_import_wrong_usage(on_ca: Cipsec, lists: Path, tmp_path: Path, more: list[str]) -> None:
    """Told before anything is changed."""
    path = tmp_path / "plant.csv"
    path.write_text("Name,SNr,Hersteller\na,C8F2,1\n")
    ran = _foreign(on_ca, path, *more)
    assert (ran.code, ran.out) == (2, "")
    assert not list(lists.iterdir())
