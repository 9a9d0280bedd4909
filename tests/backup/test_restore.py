"""Restoring: whole or nothing, never mixed, nothing in the archive believed; the gap is said."""

from __future__ import annotations

import functools
import shutil
import tarfile
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

import filelock
import pytest

from cipsec import times
from cipsec.backup import read
from cipsec.backup.facts import Facts
from cipsec.backup.restore import prefix, restore
from cipsec.ca.authority import new_serial
from cipsec.ca_folder import CaFolder, fingerprint
from cipsec.errors import AlreadyExists, LocalState, Locked, Malformed
from cipsec.pki.names import show_serial
from cipsec.store import credentials, events, users
from cipsec.store.credentials import CredentialRow
from cipsec.store.users import UserRow
from tests.support import ca

from .saving import PASSPHRASE, bring_back, contents, forge, rows, save, seal


@pytest.fixture
def backup(ca_folder: CaFolder, tmp_path: Path) -> Path:
    """A backup of the CA "Line 4"."""
    ca.ask(ca_folder)
    return save(ca_folder, tmp_path / "backup").path


def nothing_but(folder: Path, *names: str) -> bool:
    """Tell whether that is all there is: no draft either."""
    return {path.name for path in folder.iterdir()} == set(names)


def test_the_event(backup: Path, tmp_path: Path) -> None:
    """The restored record says that it was, and what it does not know."""
    done = bring_back(backup, tmp_path / "new")
    with closing(done.folder.store()) as database:
        *_, (_, last) = database.read(lambda db: list(events.after(db, 0)))
    assert (last.event, last.actor) == ("restored", "operator")
    for part in (times.show_time(done.facts.made_at), done.unknown_from, done.unknown_to):
        assert part in str(last.reason)


def test_serial_numbers_tell_the_gap() -> None:
    """What was issued at a moment has a serial number that begins with its prefix."""
    for moment in (datetime(2026, 11, 29, tzinfo=UTC), times.now()):
        assert show_serial(new_serial(moment)).startswith(prefix(moment))
    early, late = times.now(), times.now() + timedelta(hours=8)
    between = show_serial(new_serial(early + timedelta(hours=3)))
    assert prefix(early) < between < prefix(late)


def test_what_may_be_used_up(ca_folder: CaFolder, tmp_path: Path) -> None:
    """Provisioning certificates in force and users good for a number of times; no others."""
    end = int(times.now().timestamp())
    rows = [
        CredentialRow(str(number), f"card-{number}", 1, end + left, 0, "operator")
        for number, left in enumerate((1000, -1000))
    ]
    with closing(ca_folder.store()) as database:
        for row in rows:
            database.write(functools.partial(credentials.insert, row=row))
        for name, count in (("alice", None), ("bob", 1)):
            user = UserRow(name, "x", 0, 0, uses=count)
            database.write(functools.partial(users.insert, row=user))
    save(ca_folder, tmp_path / "backup")
    done = bring_back(tmp_path / "backup", tmp_path / "new")
    assert done.credentials == ("card-0",)
    assert done.users == ("bob",)


def test_a_place_that_is_taken(backup: Path, ca_folder: CaFolder) -> None:
    """Refused; with force it is set aside whole, and the restored one is not mixed with it."""
    with pytest.raises(AlreadyExists) as caught:
        bring_back(backup, ca_folder.path)
    assert "-f" in (caught.value.hint or "")
    (ca_folder.path / "vendors" / "new.pem").write_bytes(b"later")
    before = contents(ca_folder)
    done = bring_back(backup, ca_folder.path, force=True)
    assert done.replaced is not None
    assert contents(CaFolder(done.replaced)) == before
    assert not (ca_folder.path / "vendors" / "new.pem").exists()
    assert nothing_but(backup.parent, "backup", "ca", done.replaced.name)


def test_an_empty_place(backup: Path, tmp_path: Path) -> None:
    """A folder that an administrator prepared is used."""
    (tmp_path / "new").mkdir()
    for force in (False, True):
        shutil.rmtree(tmp_path / "new")
        (tmp_path / "new").mkdir()
        assert bring_back(backup, tmp_path / "new", force=force).replaced is None


def test_not_under_a_server(backup: Path, ca_folder: CaFolder) -> None:
    """A server that runs on the folder is never pulled from under it."""
    before = contents(ca_folder)
    with filelock.FileLock(ca_folder.lock_file), pytest.raises(Locked, match="server is running"):
        bring_back(backup, ca_folder.path, force=True)
    assert contents(ca_folder) == before


def test_a_file_in_the_place(backup: Path, tmp_path: Path) -> None:
    """Force or not, a file is left alone."""
    (tmp_path / "new").write_text("precious")
    for force in (False, True):
        with pytest.raises(LocalState):
            bring_back(backup, tmp_path / "new", force=force)
    assert (tmp_path / "new").read_text() == "precious"


@pytest.mark.parametrize("passphrase", ["", "correct horse batterz", PASSPHRASE + " "])
def test_wrong_passphrase(backup: Path, tmp_path: Path, passphrase: str) -> None:
    """Said as such, and nothing is made."""
    with pytest.raises(Locked):
        restore(backup, tmp_path / "new", passphrase, force=False, by="operator", now=times.now())
    assert nothing_but(tmp_path, "backup", "ca")


def test_damage_everywhere(backup: Path, tmp_path: Path) -> None:
    """A flipped bit in any region, or an end that is missing: an error of ours, and no folder."""
    whole = backup.read_bytes()
    places = [*range(0, 300, 7), *range(300, len(whole), 4099), *range(len(whole) - 30, len(whole))]
    for place in places:
        data = bytearray(whole)
        data[place] ^= 1 << (place % 8)
        (tmp_path / "bad").write_bytes(bytes(data))
        with pytest.raises((Malformed, Locked)):
            bring_back(tmp_path / "bad", tmp_path / "new")
    for size in (0, 1, 249, 250, 1000, len(whole) // 2, len(whole) - 1):
        (tmp_path / "bad").write_bytes(whole[:size])
        with pytest.raises(Malformed) as caught:
            bring_back(tmp_path / "bad", tmp_path / "new")
        assert caught.value.hint
    (tmp_path / "bad").unlink()
    assert nothing_but(tmp_path, "backup", "ca")


def test_damage_leaves_what_is_there(backup: Path, ca_folder: CaFolder) -> None:
    """With force too: the old folder keeps its name until the new one is good."""
    data = bytearray(backup.read_bytes())
    data[-20] ^= 1
    backup.write_bytes(bytes(data))
    before = contents(ca_folder), rows(ca_folder)
    with pytest.raises(Malformed):
        bring_back(backup, ca_folder.path, force=True)
    assert (contents(ca_folder), rows(ca_folder)) == before
    assert nothing_but(backup.parent, "backup", "ca")


def _facts(folder: CaFolder) -> Facts:
    now = times.now().replace(microsecond=0)
    return Facts(now, "0", "CN=Line 4", fingerprint(folder.certificate()), 0, None, 0)


def _member(name: str, kind: bytes = tarfile.REGTYPE, link: str = "") -> tarfile.TarInfo:
    member = tarfile.TarInfo(name)
    member.type, member.linkname = kind, link
    return member


HOSTILE = [
    _member("../escaped"),
    _member("ca/../escaped"),
    _member("ca/../../escaped"),
    _member("/tmp/escaped"),
    _member("ca//etc/escaped"),
    _member("ca"),
    _member("ca/"),
    _member("escaped"),
    _member("ca/.hidden"),
    _member("ca/a\\..\\b"),
    _member("ca/a\nb"),
    _member("ca/a\x1b[2Jb"),
    _member("ca/\u202ea"),
    _member("ca/1/2/3/4/5/6/7"),
    _member("ca/" + "x" * 256),
    _member("ca/link", tarfile.SYMTYPE, "/etc/passwd"),
    _member("ca/vendors", tarfile.SYMTYPE, "/tmp"),
    _member("ca/hard", tarfile.LNKTYPE, "ca/ca.key"),
    _member("ca/device", tarfile.CHRTYPE),
    _member("ca/block", tarfile.BLKTYPE),
    _member("ca/pipe", tarfile.FIFOTYPE),
    _member("ca/folder", tarfile.DIRTYPE),
    _member("ca/sparse", tarfile.GNUTYPE_SPARSE),
    _member("backup.json"),
]


@pytest.mark.parametrize("member", HOSTILE, ids=lambda member: repr(member.name))
def test_hostile_members(ca_folder: CaFolder, tmp_path: Path, member: tarfile.TarInfo) -> None:
    """Whoever has the passphrase writes nothing outside, no link and no device, all the same."""
    forge(tmp_path / "backup", [(member, b"")], _facts(ca_folder))
    with pytest.raises(Malformed) as caught:
        bring_back(tmp_path / "backup", tmp_path / "new")
    assert "\n" not in repr(caught.value.message)[1:-1].replace("\\n", "")
    assert nothing_but(tmp_path, "backup", "ca")
    assert not Path("/tmp/escaped").exists()


def test_a_member_twice(ca_folder: CaFolder, tmp_path: Path) -> None:
    """Also under another spelling of its letters: on some disks that is the same file."""
    for second in ("ca/ca.pem", "ca/CA.pem"):
        members = [(_member("ca/ca.pem"), b"1"), (_member(second), b"2")]
        forge(tmp_path / "backup", members, _facts(ca_folder))
        with pytest.raises(Malformed, match="twice"):
            bring_back(tmp_path / "backup", tmp_path / "new")


@pytest.mark.parametrize(
    "data", [b"", b"x" * 511, b"x" * 5120, bytes(10240), b'{"format": 1}', b"[" * 100_000]
)
def test_no_archive_inside(tmp_path: Path, data: bytes) -> None:
    """A stream that opens and is something else."""
    seal(tmp_path / "backup", data)
    with pytest.raises(Malformed):
        bring_back(tmp_path / "backup", tmp_path / "new")
    assert not (tmp_path / "new").exists()


@pytest.mark.parametrize("missing", ["ca.pem", "ca.key", "store.sqlite3"])
def test_something_is_missing(ca_folder: CaFolder, tmp_path: Path, missing: str) -> None:
    """A CA without its key or its record is not given a name."""
    names = [n for n in ("ca.pem", "ca.key", "ca.toml", "store.sqlite3") if n != missing]
    members = [(_member(f"ca/{n}"), (ca_folder.path / n).read_bytes()) for n in names]
    forge(tmp_path / "backup", members, _facts(ca_folder))
    with pytest.raises(LocalState):
        bring_back(tmp_path / "backup", tmp_path / "new")
    assert not (tmp_path / "new").exists()


def test_another_ca_inside(ca_folder: CaFolder, tmp_path: Path) -> None:
    """What it says of itself is what is in it."""
    other = ca.make(tmp_path / "other")
    names = ("ca.pem", "ca.key", "ca.toml", "store.sqlite3")
    members = [(_member(f"ca/{n}"), (other.path / n).read_bytes()) for n in names]
    forge(tmp_path / "backup", members, _facts(ca_folder))
    with pytest.raises(Malformed, match="not the one that it says"):
        bring_back(tmp_path / "backup", tmp_path / "new")


def test_of_a_later_cipsec(ca_folder: CaFolder, tmp_path: Path) -> None:
    """A format that is not known is said, with the version that made it."""
    data = _facts(ca_folder).to_json().replace(b'"format": 1', b'"format": 2')
    with pytest.raises(Malformed, match="made by cipsec 0"):
        Facts.from_json(data)


def test_verified_without_being_restored(backup: Path, tmp_path: Path) -> None:
    """Read to its end; nothing is written."""
    facts = read.verify(backup, PASSPHRASE)
    assert facts.certificates == 0
    assert nothing_but(tmp_path, "backup", "ca")
    data = bytearray(backup.read_bytes())
    data[-20] ^= 1
    backup.write_bytes(bytes(data))
    with pytest.raises(Malformed):
        read.verify(backup, PASSPHRASE)


@pytest.mark.parametrize("source", ["nothing", "ca", "/dev/null"])
def test_no_file(backup: Path, tmp_path: Path, source: str) -> None:
    """A name that is nobody's, a folder, a device."""
    with pytest.raises(LocalState):
        bring_back(tmp_path / source, tmp_path / "new")
