"""Changes to a list: whole, only what is meant, and nobody's edit is lost."""

from __future__ import annotations

import os
import threading
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cipsec.errors import AlreadyExists, Locked, Malformed, NotFound, UsageError
from cipsec.pki.device import DeviceId, Mac
from cipsec.ra.allowlist import edit, lines, load
from cipsec.ra.allowlist.entries import Entry
from cipsec.ra.allowlist.live import Allowlists
from cipsec.ra.allowlist.place import Place

from .lists import DRIVE, HEADER, write

_DRIVE, _OTHER = DeviceId(1, 0x6040C8F2), DeviceId(1, 0x6040C8F3)
_MAC = Mac.parse("00:00:bc:12:34:56")
_END = datetime(2027, 1, 31, 6, tzinfo=UTC)


def test_a_new_list(folder: Path, lists: Allowlists) -> None:
    """Made with its header; every value comes back."""
    entry = Entry(_DRIVE, 'Drive "7", hall 2', _END, 3, "spare")
    done = edit.add(folder, "line-3", [entry, Entry(_MAC)])
    assert done.new == (_DRIVE, _MAC)
    assert [(one.line, one.entry) for one in done.listed] == [(2, entry), (3, Entry(_MAC))]
    assert (folder / "line-3.csv").read_text() == (
        f'{HEADER}0001:6040C8F2,"Drive ""7"", hall 2",2027-01-31T06:00:00Z,3,spare\n'
        "00:00:bc:12:34:56,,,,\n"
    )
    assert lists.find("line-3", DRIVE) == done.listed[0]
    assert [path.name for path in folder.iterdir()] == ["line-3.csv"]


def test_other_lines_stay_byte_for_byte(folder: Path) -> None:
    """Comments, odd spacing, capitals, ends of line, a byte order mark."""
    path = folder / "a.csv"
    before = b"\xef\xbb\xbf# hall 2\r\nDevice , NAME\r\n\r\n 0001:6040c8f2 ,  Drive 7\r\n,\r\n# end"
    path.write_bytes(before)
    edit.add(folder, "a", [Entry(_OTHER, "Drive 8")])
    added = b"\r\n0001:6040C8F3,Drive 8\r\n"
    assert path.read_bytes() == before + added
    edit.add(folder, "a", [Entry(_DRIVE, "Drive 9")], replace=True)
    replaced = before.replace(b" 0001:6040c8f2 ,  Drive 7", b"0001:6040C8F2,Drive 9")
    assert path.read_bytes() == replaced + added
    edit.remove(folder, "a", [_OTHER])
    assert path.read_bytes() == replaced + b"\r\n"
    edit.remove(folder, "a", [_DRIVE])
    assert path.read_bytes() == before.replace(b" 0001:6040c8f2 ,  Drive 7\r\n", b"") + b"\r\n"


def test_columns_that_were_not_there(folder: Path) -> None:
    """The header gets those that are needed; lines that are there stay as they are."""
    path = folder / "a.csv"
    path.write_text("note,device\nspare,0001:6040C8F2")
    edit.add(folder, "a", [Entry(_OTHER, uses=1)])
    assert path.read_text() == "note,device,uses\nspare,0001:6040C8F2\n,0001:6040C8F3,1\n"


def test_listed_already(folder: Path) -> None:
    """The same again changes nothing; other values only where that is asked for."""
    path = write(folder, "a", "0001:6040C8F2,Drive 7", "0001:6040C8F2, Drive 7", "0001:6040C8F3")
    before = (path.read_bytes(), path.stat().st_mtime_ns)
    done = edit.add(folder, "a", [Entry(_DRIVE, "Drive 7")])
    assert (done.new, done.replaced) == ((), ())
    with pytest.raises(AlreadyExists, match="in line 2 of a, and 1 more are too"):
        edit.add(folder, "a", [Entry(_MAC), Entry(_DRIVE), Entry(_OTHER, "Drive 8")])
    assert (path.read_bytes(), path.stat().st_mtime_ns) == before
    done = edit.add(folder, "a", [Entry(_DRIVE, uses=1)], replace=True)
    assert (done.new, done.replaced) == ((), (_DRIVE,))
    assert path.read_text() == f"{HEADER}0001:6040C8F2,,,1,\n0001:6040C8F3\n"


def test_remove(folder: Path) -> None:
    """Every line of the device, all devices or none."""
    path = write(folder, "a", "0001:6040C8F2", "0001:6040C8F3", "0001:6040C8F2", "# end")
    with pytest.raises(NotFound, match="00:00:bc:12:34:56 is not listed in a"):
        edit.remove(folder, "a", [_DRIVE, _MAC])
    [gone] = edit.remove(folder, "a", [_DRIVE, _DRIVE], dry_run=True)
    assert (gone.line, gone.entry.device) == (2, _DRIVE)
    assert path.read_text().count("C8F2") == 2
    edit.remove(folder, "a", [_DRIVE])
    assert path.read_text() == f"{HEADER}0001:6040C8F3\n# end\n"
    with pytest.raises(NotFound, match="there is no list b"):
        edit.remove(folder, "b", [_DRIVE])


def test_a_broken_list_is_not_edited(folder: Path) -> None:
    """It stays as it is, for somebody to mend."""
    path = write(folder, "a", "0001:6040C8F2", "x")
    for change in (
        lambda: edit.add(folder, "a", [Entry(_OTHER)]),
        lambda: edit.remove(folder, "a", [_DRIVE]),
    ):
        with pytest.raises(Malformed, match=r"allowlists/a\.csv:3: "):
            change()
    assert path.read_text() == f"{HEADER}0001:6040C8F2\nx\n"


@pytest.mark.parametrize(
    "entry",
    [
        Entry(_DRIVE, name="=1"),
        Entry(_DRIVE, note="a\nb"),
        Entry(_DRIVE, uses=0),
        Entry(_DRIVE, until=_END.replace(microsecond=1)),
    ],
)
def test_entries_that_are_not_written(folder: Path, entry: Entry) -> None:
    """Nothing is made or changed."""
    with pytest.raises(UsageError):
        edit.add(folder, "a", [Entry(_OTHER), entry])
    assert not list(folder.iterdir())
    with pytest.raises(UsageError, match="given twice"):
        edit.add(folder, "a", [Entry(_OTHER), Entry(_OTHER, "b")])


def test_a_name_that_would_be_a_comment(folder: Path) -> None:
    """What cannot be read back is not written."""
    path = folder / "a.csv"
    path.write_text("name,device\n")
    with pytest.raises(UsageError, match="cannot hold these values"):
        edit.add(folder, "a", [Entry(_DRIVE, "#7")])
    assert path.read_text() == "name,device\n"


def test_dry_run(folder: Path) -> None:
    """Says what would be, makes nothing."""
    done = edit.add(folder, "a", [Entry(_DRIVE)], dry_run=True)
    assert (done.new, done.listed[0].line) == ((_DRIVE,), 2)
    assert not list(folder.iterdir())


def test_mode_and_link_stay(folder: Path, tmp_path: Path) -> None:
    """The file that a link leads to is replaced, not the link; whoever could read it still can."""
    (tmp_path / "checkout").mkdir()
    path = write(tmp_path / "checkout", "a", "0001:6040C8F2")
    path.chmod(0o664)
    if os.geteuid() == 0:
        os.chown(path, 1234, 1234)
    was = path.stat()
    (folder / "a.csv").symlink_to(path)
    edit.add(folder, "a", [Entry(_OTHER)])
    now = path.stat()
    assert (folder / "a.csv").is_symlink()
    assert (now.st_mode, now.st_uid, now.st_gid) == (was.st_mode, was.st_uid, was.st_gid)
    assert "C8F3" in path.read_text()


def test_many_administrators_at_once(folder: Path) -> None:
    """Twenty edits in parallel, and every one is there."""
    devices = [DeviceId(2, number) for number in range(1, 21)]
    threads = [
        threading.Thread(target=edit.add, args=(folder, "a", [Entry(device)])) for device in devices
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    text = (folder / "a.csv").read_text()
    assert sorted(text.splitlines()[1:]) == [f"{device},,,," for device in devices]


def test_edited_by_hand_meanwhile(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An editor takes no lock: what it saved while we read is read again, and kept."""
    write(folder, "a", "0001:6040C8F2")
    parsed, saved = load.parsed, iter(["0001:6040C8F2", "00:00:bc:12:34:56"])

    def save_and_parse(data: bytes) -> object:
        if (more := next(saved, None)) is not None:
            with (folder / "a.csv").open("a") as file:
                file.write(f"{more}\n")
        return parsed(data)

    monkeypatch.setattr(load, "parsed", save_and_parse)
    edit.add(folder, "a", [Entry(_OTHER)])
    lines = (folder / "a.csv").read_text().splitlines()[1:]
    assert lines == ["0001:6040C8F2", "0001:6040C8F2", "00:00:bc:12:34:56", "0001:6040C8F3,,,,"]


def test_somebody_holds_the_lock(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Said after a while; nothing hangs."""
    monkeypatch.setattr(edit, "_LOCK_SECONDS", 0.1)
    with edit._alone(Place(folder, "a")), pytest.raises(Locked, match="somebody else"):
        edit.add(folder, "b", [Entry(_DRIVE)])


def test_a_list_that_would_be_too_large(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Is not written: it could not be read again."""
    path = write(folder, "a", "0001:6040C8F2,Drive 7")
    monkeypatch.setattr(lines, "FILE_LIMIT", path.stat().st_size + 10)
    before = path.read_bytes()
    with pytest.raises(UsageError, match="would be larger than"):
        edit.add(folder, "a", [Entry(_OTHER)])
    assert path.read_bytes() == before


@settings(max_examples=50)
@given(st.lists(st.tuples(st.integers(1, 6), st.booleans(), st.text("ab", max_size=2))))
def test_any_sequence_of_edits(tmp_path_factory: pytest.TempPathFactory, steps: object) -> None:
    """The list says what a dictionary would."""
    folder = tmp_path_factory.mktemp("edits") / "allowlists"
    folder.mkdir()
    (folder / "a.csv").write_text("# ours\ndevice\n")
    expected: dict[DeviceId, str] = {}
    assert isinstance(steps, list)
    for serial, is_added, name in steps:
        device = DeviceId(1, serial)
        if is_added:
            edit.add(folder, "a", [Entry(device, name)], replace=True)
            expected[device] = name
        elif device in expected:
            edit.remove(folder, "a", [device])
            del expected[device]
    place = Place(folder, "a")
    rows = [row.entry() for _, row in load.here(place).table(place)]
    assert {row.device: row.name for row in rows} == expected
    assert len(rows) == len(expected)
