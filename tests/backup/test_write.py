"""Making a backup: everything is in it, as of one moment, and it appears only when it is good."""

from __future__ import annotations

import errno
import os
import sqlite3
import threading
from contextlib import closing
from datetime import timedelta
from pathlib import Path

import pytest

from cipsec import rollover, times
from cipsec.backup import contents as inside
from cipsec.backup import write
from cipsec.ca_folder import CaFolder
from cipsec.errors import AlreadyExists, LocalState, Locked, UsageError
from cipsec.pki import keys
from cipsec.rollover import Step
from cipsec.store import events
from cipsec.store.codes import Code
from cipsec.store.events import Event
from tests.support import ca, programs
from tests.support.waiting import until

from .saving import PASSPHRASE, bring_back, contents, rows, save


@pytest.fixture
def full(ca_folder: CaFolder) -> CaFolder:
    """A CA with everything that a CA can have."""
    now = times.now()
    ca.ask(ca_folder)
    ca_folder.provisioning_authority(None, now)
    (ca_folder.path / "vendors" / "acme.pem").write_bytes(b"anchor")
    (ca_folder.path / "vendors" / "acme.crl").write_bytes(b"list")
    (ca_folder.path / "chain.pem").write_bytes(b"chain")
    hook = ca_folder.path / "decide"
    hook.write_bytes(b"#!/bin/sh\n")
    hook.chmod(0o755)
    with closing(ca_folder.store()) as database:
        for later in (timedelta(), timedelta(days=400)):
            step = Step(ca_folder, database, "operator", now + later)
            life = timedelta(days=9000)
            rollover.prepare(step, None, key_type=keys.KeyType.EC_P256, validity=life)
            if not later:
                rollover.activate(step, None)
    return ca_folder


def test_everything_comes_back(full: CaFolder, tmp_path: Path) -> None:
    """Files with their modes, rows of the store, and both other roots with their keys."""
    made = save(full, tmp_path / "backup")
    restored = bring_back(tmp_path / "backup", tmp_path / "elsewhere").folder
    assert contents(restored) == contents(full)
    assert rows(restored) == rows(full)
    assert restored.roots() == full.roots()
    assert len(restored.key_files()) == 4
    assert made.left_out == ()
    assert made.files == len(contents(full)) + 1
    assert (restored.path / "decide").stat().st_mode & 0o777 == 0o755
    assert restored.path.stat().st_mode & 0o777 == 0o700


def test_the_file(full: CaFolder, tmp_path: Path) -> None:
    """Private, of the size and SHA-256 that are said; on record; and nothing else is left."""
    before = {path.name for path in full.path.iterdir()}
    made = save(full, tmp_path / "backup")
    seen = (tmp_path / "backup").stat()
    assert (seen.st_mode & 0o777, seen.st_size) == (0o600, made.size)
    digest = programs.run("sha256sum", tmp_path / "backup").stdout.split()[0].decode()
    assert digest == made.sha256
    left = {path.name for path in full.path.iterdir()} - before
    assert left <= {"backup.lock", "store.sqlite3-wal", "store.sqlite3-shm"}
    assert {path.name for path in tmp_path.iterdir()} == {"backup", "ca"}
    with closing(full.store()) as database:
        *_, (number, last) = database.read(lambda db: list(events.after(db, 0)))
    assert (last.event, last.actor) == ("backed-up", "operator")
    assert made.sha256 in str(last.reason)
    assert made.facts.event == number - 1


def test_without_cipsec(full: CaFolder, tmp_path: Path) -> None:
    """openssl and tar open it: a folder that could be served as it is."""
    programs.need("openssl", "tar")
    save(full, tmp_path / "backup")
    opened = programs.run("openssl", "cms", "-decrypt", "-binary", "-inform", "DER", "-in",
                          tmp_path / "backup", "-pwri_password", PASSPHRASE, "-out",
                          tmp_path / "backup.tar")  # fmt: skip
    assert opened.returncode == 0, opened.stderr
    (tmp_path / "out").mkdir()
    unpacked = programs.run("tar", "xf", tmp_path / "backup.tar", "-C", tmp_path / "out")
    assert unpacked.returncode == 0, unpacked.stderr
    assert contents(CaFolder(tmp_path / "out" / "ca")) == contents(full)
    assert (tmp_path / "out" / "backup.json").exists()


def test_never_overwrites_unasked(ca_folder: CaFolder, tmp_path: Path) -> None:
    """The last good backup is not lost by a mistyped name, nor by one that fails."""
    (tmp_path / "backup").write_bytes(b"precious")
    with pytest.raises(AlreadyExists):
        save(ca_folder, tmp_path / "backup")
    assert (tmp_path / "backup").read_bytes() == b"precious"
    save(ca_folder, tmp_path / "backup", overwrite=True)
    assert (tmp_path / "backup").stat().st_mode & 0o777 == 0o600
    (tmp_path / "folder").mkdir()
    with pytest.raises(LocalState):
        save(ca_folder, tmp_path / "folder", overwrite=True)


@pytest.mark.parametrize("passphrase", ["", "short", "11 letters."])
def test_short_passphrase(ca_folder: CaFolder, tmp_path: Path, passphrase: str) -> None:
    """Refused, and nothing written: the file may lie anywhere, for years."""
    with pytest.raises(UsageError, match="12 characters"):
        write.make(ca_folder, tmp_path / "b", passphrase, overwrite=False, by="o", now=times.now())
    assert not (tmp_path / "b").exists()


@pytest.mark.parametrize("name", ["backup", "vendors/backup", "../ca/backup"])
def test_not_into_the_folder_itself(ca_folder: CaFolder, name: str) -> None:
    """It would be lost with what it is of."""
    with pytest.raises(UsageError, match="lost with it"):
        save(ca_folder, ca_folder.path / name)


def test_two_at_once(ca_folder: CaFolder, tmp_path: Path) -> None:
    """The second is told; what a killed one left is removed by the next."""
    left = ca_folder.path / ".backup.0123456789ab"
    left.write_bytes(b"a copy of the store")
    with write._alone(ca_folder), pytest.raises(Locked, match="another backup"):
        save(ca_folder, tmp_path / "backup")
    save(ca_folder, tmp_path / "backup")
    assert not left.exists()


def test_while_others_write(ca_folder: CaFolder, tmp_path: Path) -> None:
    """A copy of one moment: of events that are written in pairs none is there alone."""
    stop, pairs = threading.Event(), [0]

    def both(db: sqlite3.Connection) -> None:
        for _ in range(2):
            events.append(db, Event(at=0, event=Code.TEST, actor="pair"))

    def pair() -> None:
        with closing(ca_folder.store()) as database:
            while not stop.is_set():
                database.write(both)
                pairs[0] += 1

    writers = [threading.Thread(target=pair) for _ in range(2)]
    for writer in writers:
        writer.start()
    try:
        made = []
        for number in range(3):
            before = pairs[0]
            until(lambda before=before: pairs[0] > before)  # type: ignore[misc]  # bound now
            made.append(save(ca_folder, tmp_path / f"backup-{number}"))
    finally:
        stop.set()
        for writer in writers:
            writer.join()
    for number in range(3):
        restored = bring_back(tmp_path / f"backup-{number}", tmp_path / f"ca-{number}").folder
        with closing(restored.store()) as database:
            found = [e for _, e in database.read(lambda db: list(events.after(db, 0)))]
        assert len([e for e in found if e.actor == "pair"]) % 2 == 0
    assert made[0].facts.event < made[-1].facts.event


def test_a_file_that_changes_meanwhile(
    ca_folder: CaFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One root's certificate is never saved with another's key: it begins again, and gives up."""
    find = inside.find
    times_read: list[int] = []

    def found(folder: CaFolder) -> inside.Found:
        times_read.append(1)
        if len(times_read) == 2:  # after the first archive is written
            with closing(ca_folder.store()) as database:
                step = Step(ca_folder, database, "operator", times.now())
                life = timedelta(days=9000)
                rollover.prepare(step, None, key_type=keys.KeyType.EC_P256, validity=life)
        return find(folder)

    monkeypatch.setattr(inside, "find", found)
    save(ca_folder, tmp_path / "backup")
    monkeypatch.undo()
    assert bring_back(tmp_path / "backup", tmp_path / "new").folder.next() is not None

    def changing(folder: CaFolder) -> inside.Found:
        (folder.path / "vendors" / f"{os.urandom(4).hex()}.pem").write_bytes(b"")
        return find(folder)

    monkeypatch.setattr(inside, "find", changing)
    with pytest.raises(LocalState, match="changes all the time"):
        save(ca_folder, tmp_path / "never")
    assert not (tmp_path / "never").exists()


def test_a_log_that_grows(ca_folder: CaFolder, tmp_path: Path) -> None:
    """A channel's file in the folder, written all the time, keeps nobody from a backup."""
    log, stop = ca_folder.path / "events.log", threading.Event()

    def grow() -> None:
        while not stop.is_set():
            with log.open("a") as file:
                file.write("x" * 10_000 + "\n")
            stop.wait(0.001)  # it takes long on a busy machine, and disks are small

    writer = threading.Thread(target=grow)
    writer.start()
    try:
        save(ca_folder, tmp_path / "backup")
    finally:
        stop.set()
        writer.join()
    restored = bring_back(tmp_path / "backup", tmp_path / "new").folder
    assert log.read_bytes().startswith((restored.path / "events.log").read_bytes())


def test_what_cannot_be_saved(ca_folder: CaFolder, tmp_path: Path) -> None:
    """Pipes and links to folders are left out and named; links to files become files."""
    os.mkfifo(ca_folder.path / "pipe")
    (ca_folder.path / "elsewhere").symlink_to(tmp_path)
    (tmp_path / "list.csv").write_text("device\n")
    (ca_folder.path / "allowlists" / "linked.csv").symlink_to(tmp_path / "list.csv")
    (ca_folder.path / "new\nline").write_text("")
    made = save(ca_folder, tmp_path / "backup")
    assert set(made.left_out) == {"pipe", "elsewhere", "new\nline"}
    restored = bring_back(tmp_path / "backup", tmp_path / "new").folder
    linked = restored.path / "allowlists" / "linked.csv"
    assert linked.read_text() == "device\n"
    assert not linked.is_symlink()


@pytest.mark.parametrize("after", [0, 1, 100_000])
def test_full_disk(
    ca_folder: CaFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, after: int
) -> None:
    """Said; no half backup is left, nor a copy of the store."""
    written = 0
    original = write._Sink._out

    def out(sink: write._Sink, data: bytes) -> None:
        nonlocal written
        written += len(data)
        if written > after:
            raise OSError(errno.ENOSPC, "No space left on device")
        original(sink, data)

    monkeypatch.setattr(write._Sink, "_out", out)
    with pytest.raises(LocalState, match="no space left"):
        save(ca_folder, tmp_path / "backup")
    assert {path.name for path in tmp_path.iterdir()} == {"ca"}
    assert not list(ca_folder.path.glob(".*"))


def test_what_was_written_is_read_back(
    ca_folder: CaFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A disk that keeps other bytes than it was given is found out, and no backup appears."""
    original = write._read_back

    def rotten(draft: Path, passphrase: str, sink: write._Sink) -> None:
        data = bytearray(draft.read_bytes())
        data[len(data) // 2] ^= 1
        draft.write_bytes(bytes(data))
        original(draft, passphrase, sink)

    monkeypatch.setattr(write, "_read_back", rotten)
    with pytest.raises(LocalState):
        save(ca_folder, tmp_path / "backup")
    assert not (tmp_path / "backup").exists()


def test_a_damaged_store(ca_folder: CaFolder, tmp_path: Path) -> None:
    """It is not saved as if it were good."""
    ca.ask(ca_folder)
    data = bytearray(ca_folder.store_file.read_bytes())
    data[4096:8192] = os.urandom(4096)
    ca_folder.store_file.write_bytes(bytes(data))
    with pytest.raises(LocalState):
        save(ca_folder, tmp_path / "backup")
    assert not (tmp_path / "backup").exists()
