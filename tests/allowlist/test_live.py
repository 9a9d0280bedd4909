"""Lists while a server runs: a change counts at the next call, and a broken list grants nothing."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from cipsec.errors import Malformed
from cipsec.pki.device import Identity
from cipsec.ra.allowlist.entries import Entry
from cipsec.ra.allowlist.faults import Broken
from cipsec.ra.allowlist.live import Allowlists

from .lists import DRIVE, MAC, OTHER, found, write


def test_found_with_its_line(folder: Path, lists: Allowlists) -> None:
    """By device, by MAC address, and by the device first where both are listed."""
    write(folder, "line-3", "# the drives", "0001:6040C8F2,Drive 7", "00:00:bc:12:34:56,Port 1")
    assert DRIVE.device is not None
    assert MAC.mac is not None
    listed = lists.find("line-3", DRIVE)
    assert listed is not None
    assert (listed.list, listed.line) == ("line-3", 3)
    assert listed.entry == Entry(DRIVE.device, "Drive 7")
    by_mac = lists.find("line-3", MAC)
    assert by_mac is not None
    assert by_mac.line == 4
    both = Identity(DRIVE.device, MAC.mac)
    assert lists.find("line-3", both) == listed
    assert lists.find("line-3", Identity(OTHER.device, MAC.mac)) == by_mac
    assert lists.find("line-3", OTHER) is None
    assert lists.find("line-3", Identity()) is None


def test_expired_entries_are_returned(folder: Path, lists: Allowlists) -> None:
    """Whether their time is over is judged elsewhere."""
    write(folder, "a", "0001:6040C8F2,,2001-01-01,1")
    assert lists.find("a", DRIVE) is not None


def test_names(folder: Path, lists: Allowlists) -> None:
    """The lists there are now; other files are none."""
    assert Allowlists(folder / "nowhere").names() == []
    for name in ("b.csv", "a.csv", ".hidden.csv", "notes.txt", "a b.csv", "b.csv~", "ü.csv"):
        (folder / name).touch()
    assert lists.names() == ["a", "b"]


def test_every_edit_counts_at_once(folder: Path, lists: Allowlists) -> None:
    """In place and of the same size, fifty times without a pause between them."""
    for number in range(50):
        listed, not_listed = (DRIVE, OTHER) if number % 2 else (OTHER, DRIVE)
        write(folder, "a", f"{listed.device},{number:03}")
        now = lists.find("a", listed)
        assert now is not None
        assert now.entry.name == f"{number:03}"
        assert lists.find("a", not_listed) is None


def test_an_edit_that_leaves_size_and_time_as_they_were(folder: Path, lists: Allowlists) -> None:
    """As rsync and `cp -p` can: the time of the last status change cannot be set."""
    path = write(folder, "a", "0001:6040C8F2")
    was = path.stat()
    assert lists.find("a", DRIVE) is not None
    time.sleep(0.3)  # the list settles
    assert lists.find("a", DRIVE) is not None
    path.write_text(path.read_text().replace("8F2", "8F3"))
    os.utime(path, ns=(was.st_atime_ns, was.st_mtime_ns))
    assert lists.find("a", DRIVE) is None
    assert lists.find("a", OTHER) is not None


def test_a_file_put_in_its_place(folder: Path, lists: Allowlists) -> None:
    """By renaming, as rsync, editors and this package do; and back."""
    write(folder, "a", "0001:6040C8F2")
    assert lists.find("a", DRIVE) is not None
    write(folder, "b", "0001:6040C8F3").replace(folder / "a.csv")
    assert lists.find("a", DRIVE) is None
    assert lists.find("a", OTHER) is not None


def test_a_link_into_a_checkout(folder: Path, lists: Allowlists, tmp_path: Path) -> None:
    """Followed, and looked at again when it leads elsewhere."""
    for name, device in (("one", "0001:6040C8F2"), ("two", "0001:6040C8F3")):
        (tmp_path / name).mkdir()
        write(tmp_path / name, "a", device)
    link = folder / "a.csv"
    link.symlink_to(tmp_path / "one" / "a.csv")
    assert lists.find("a", DRIVE) is not None
    link.unlink()
    link.symlink_to(tmp_path / "two" / "a.csv")
    assert lists.find("a", DRIVE) is None


def test_broken_then_mended(folder: Path, lists: Allowlists) -> None:
    """Nobody is found meanwhile; each time a new error with file and line."""
    write(folder, "line-3", "0001:6040C8F2")
    assert lists.find("line-3", DRIVE) is not None
    write(folder, "line-3", "0001:6040C8F2", "0001:6040C8F", "0001:6040C8")
    errors = []
    for _ in range(2):
        with pytest.raises(Broken) as raised:
            lists.find("line-3", DRIVE)
        errors.append(raised.value)
    assert errors[0] is not errors[1]
    assert errors[0].message == (
        "allowlists/line-3.csv:3: 0001:6040C8F is to be written 0001:06040C8F (and 1 more)"
    )
    assert errors[0].hint == "see all that is wrong with: cipsec allowlist check --list line-3"
    write(folder, "line-3", "0001:6040C8F2")
    assert lists.find("line-3", DRIVE) is not None


def test_removed_and_back(folder: Path, lists: Allowlists) -> None:
    """A list that is not there never grants, and says so."""
    missing = "allowlists/a.csv: there is no such list"
    with pytest.raises(Malformed, match=missing):
        lists.find("a", DRIVE)
    path = write(folder, "a", "0001:6040C8F2")
    assert lists.find("a", DRIVE) is not None
    path.unlink()
    with pytest.raises(Malformed, match=missing):
        lists.find("a", DRIVE)
    write(folder, "a", "0001:6040C8F2")
    assert lists.find("a", DRIVE) is not None


@pytest.mark.parametrize("kind", ["folder", "fifo", "device", "loop", "dangling"])
def test_what_is_no_file(folder: Path, lists: Allowlists, kind: str) -> None:
    """Refused without waiting for anybody to write into it."""
    path = folder / "a.csv"
    match kind:
        case "folder":
            path.mkdir()
        case "fifo":
            os.mkfifo(path)
        case "device":
            path.symlink_to("/dev/zero")
        case "loop":
            path.symlink_to(path)
        case "dangling":
            path.symlink_to(folder / "nowhere")
    with pytest.raises(Malformed, match=r"^allowlists/a\.csv: "):
        lists.find("a", DRIVE)


@pytest.mark.parametrize(
    "name", ["", ".", "..", "../ca", "a/b", "/etc/passwd", ".a", "-a", "a\0", "a\n", "ü", "x" * 65]
)
def test_names_that_lead_elsewhere(lists: Allowlists, name: str) -> None:
    """No list can have such a name."""
    with pytest.raises(Malformed, match="cannot be the name of a list"):
        lists.find(name, DRIVE)


def test_a_gigabyte(folder: Path, lists: Allowlists) -> None:
    """Refused before a byte of it is read."""
    with (folder / "a.csv").open("wb") as file:
        file.truncate(1 << 30)
    with pytest.raises(Malformed, match="larger than 256 MiB"):
        lists.find("a", DRIVE)


def test_what_may_not_be_read(
    folder: Path, lists: Allowlists, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Says so; as soon as it may be read, it counts."""
    path = write(folder, "a", "0001:6040C8F2")

    def forbidden(*_: object) -> int:
        raise PermissionError(13, "Permission denied")

    with monkeypatch.context() as patch:  # root, who runs tests in places, may read everything
        patch.setattr(os, "open", forbidden)
        with pytest.raises(Malformed, match="it cannot be read: permission denied"):
            lists.find("a", DRIVE)
    assert found(lists, "a") is not None
    assert path.exists()


def test_a_clock_that_was_set_back(
    folder: Path, lists: Allowlists, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A file from the future is compared each time, and every edit still counts."""
    behind = time.time_ns() - 10**15
    monkeypatch.setattr(time, "time_ns", lambda: behind)
    for device in (DRIVE, OTHER, DRIVE):
        write(folder, "a", str(device.device))
        for _ in range(3):
            assert lists.find("a", device) is not None


def test_hostile_cells_in_a_list(folder: Path, lists: Allowlists) -> None:
    """A list by hand may hold what `add` refuses: it is data, and shown harmless elsewhere."""
    write(folder, "a", "0001:6040C8F2,=cmd|'/c calc'!A0,,,\u202e[/red]\x1b[2K")
    listed = lists.find("a", DRIVE)
    assert listed is not None
    assert listed.entry.name == "=cmd|'/c calc'!A0"


def test_a_list_from_windows(folder: Path, lists: Allowlists) -> None:
    """Byte order mark, both characters at the end of a line, empty columns."""
    text = "Device,Name,,\r\n0001:6040C8F2,Förderband,,\r\n,,,\r\n"
    (folder / "a.csv").write_bytes(b"\xef\xbb\xbf" + text.encode())
    listed = lists.find("a", DRIVE)
    assert listed is not None
    assert (listed.line, listed.entry.name) == (2, "Förderband")
