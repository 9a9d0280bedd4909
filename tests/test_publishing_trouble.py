"""The revocation list when something is in the way: damage, a full disk, a crash, a rival."""

from __future__ import annotations

import contextlib
import os
import resource
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import filelock
import pytest

from cipsec import files, publishing
from cipsec.ca_folder import CaFolder
from cipsec.errors import LocalState, Locked
from cipsec.store import crls
from tests.support import ca, listed
from tests.support.listed import Plant

NOW, WEEK, HOUR = listed.NOW, listed.WEEK, listed.HOUR


@pytest.fixture
def plant(ca_folder: CaFolder) -> Iterator[Plant]:
    """A CA three years old, and its store."""
    with listed.opened(ca_folder) as plant:
        yield plant


@pytest.mark.parametrize("clock", [timedelta(), -WEEK], ids=["right", "set back"])
def test_a_restored_backup_repeats_no_number(plant: Plant, clock: timedelta) -> None:
    """The store is yesterday's, the list is newer, the clock may be wrong besides."""
    plant.publish()
    saved = plant.folder.path.parent / "saved"
    plant.store.write(lambda db: db.execute("SELECT 1"))
    with plant.store.transaction():
        shutil.copy(plant.folder.store_file, saved)
    wal = Path(f"{plant.folder.store_file}-wal")
    shutil.copy(wal, f"{saved}-wal")
    for _ in range(5):
        plant.publish(anyway=True)
    last = plant.number()
    plant.store.close()
    for path in plant.folder.path.glob("store.sqlite3*"):
        path.unlink()
    shutil.copy(saved, plant.folder.store_file)
    shutil.copy(f"{saved}-wal", wal)
    plant.store = plant.folder.store()
    assert plant.due() == f"{plant.folder.crl_file} is not the list that was published"
    plant.publish(NOW + clock)
    assert plant.number() == last + 1


@pytest.mark.parametrize("damage", ["gone", "empty", "garbage", "cut off", "another CA's"])
def test_what_lies_in_the_folder_is_made_good(plant: Plant, tmp_path: Path, damage: str) -> None:
    """Removed, damaged or exchanged: another is signed, higher by one."""
    plant.publish()
    number, file = plant.number(), plant.folder.crl_file
    other = Plant(ca.make(tmp_path / "other"))
    other.publish(NOW + WEEK)
    other.store.close()
    match damage:
        case "gone":
            file.unlink()
        case "empty":
            file.write_bytes(b"")
        case "garbage":
            file.write_bytes(b"\x30\x82" * 1000)
        case "cut off":
            file.write_bytes(file.read_bytes()[:-9])
        case _:
            shutil.copy(other.folder.crl_file, file)
    assert plant.due() is not None
    plant.publish()
    assert plant.number() == number + 1
    assert plant.due() is None


def test_a_number_beyond_all_bounds_is_not_taken_over(plant: Plant) -> None:
    """A list by the CA's key, but not by us, with the highest number that there is."""
    authority = plant.folder.authority(None)
    highest = (1 << 159) - 1
    terms = authority.terms(highest, now=NOW, validity=WEEK)
    plant.folder.crl_file.write_bytes(authority.revocation_list(b"", terms))
    plant.publish()
    assert plant.number() == int(NOW.timestamp())


def test_what_cannot_be_written_leaves_the_list_of_before(
    plant: Plant, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No half file, nothing left over; the next one has a number of its own."""
    plant.publish()
    before, there = plant.folder.crl_file.read_bytes(), set(plant.folder.path.iterdir())
    plant.revoke(plant.issue())
    with (
        _full_disk(monkeypatch, len(before) - 1),
        pytest.raises(LocalState, match="cannot be written"),
    ):
        plant.publish()
    assert plant.folder.crl_file.read_bytes() == before
    assert set(plant.folder.path.iterdir()) == there
    assert plant.due() == "something was revoked since"
    plant.publish()
    assert plant.number() > int(NOW.timestamp()) + 1
    assert len(plant.listed()) == 1


@contextlib.contextmanager
def _full_disk(monkeypatch: pytest.MonkeyPatch, size: int) -> Iterator[None]:
    """Let no list grow beyond `size`, as on a disk that is full; the store has its room."""
    write, before = files.replace, resource.getrlimit(resource.RLIMIT_FSIZE)

    def replace(path: Path, data: bytes, *, mode: int) -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
        write(path, data, mode=mode)

    ignored = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    try:
        with monkeypatch.context() as patch:
            patch.setattr(files, "replace", replace)
            yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, ignored)


def test_a_folder_in_the_place_of_the_file(plant: Plant) -> None:
    """Said, and nothing is harmed."""
    plant.folder.crl_file.mkdir()
    with pytest.raises(LocalState, match="is not a file that can be replaced"):
        plant.publish()
    plant.folder.crl_file.rmdir()
    plant.folder.crl_lock_file.unlink()
    plant.folder.crl_lock_file.mkdir()
    with pytest.raises(LocalState, match=r"crl\.lock cannot be locked"):
        plant.publish()


def test_a_pipe_in_the_place_of_the_file(plant: Plant) -> None:
    """Nobody waits for its other end."""
    os.mkfifo(plant.folder.crl_file)
    with pytest.raises(LocalState, match="is not a file that can be replaced"):
        plant.publish()
    plant.folder.crl_file.unlink()
    plant.publish()
    plant.folder.crl_file.unlink()
    os.mkfifo(plant.folder.crl_file)
    assert plant.due() == f"{plant.folder.crl_file} is not the list that was published"


@pytest.mark.parametrize("step", ["before the file", "behind the file"])
def test_a_crash_in_the_middle(plant: Plant, monkeypatch: pytest.MonkeyPatch, step: str) -> None:
    """The list is the old one or the new one; the next has a higher number."""
    plant.publish()
    plant.revoke(plant.issue())
    at = (files, "replace") if step == "before the file" else (crls, "record")

    def crash(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(*at, crash)
        with pytest.raises(KeyboardInterrupt):
            plant.publish()
    assert len(plant.listed()) == (0 if step == "before the file" else 1)
    plant.publish()
    assert plant.number() == int(NOW.timestamp()) + 2
    assert len(plant.listed()) == 1
    assert plant.due() is None


def test_somebody_else_signs_and_does_not_get_done(
    plant: Plant, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After a while it is said."""
    monkeypatch.setattr(publishing, "_PATIENCE_SECONDS", 0.1)
    with filelock.FileLock(plant.folder.crl_lock_file), pytest.raises(Locked):
        plant.publish()


_PUBLISHER = """
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from cipsec import publishing
from cipsec.ca_folder import CaFolder

publishing._PATIENCE_SECONDS = 600  # four on a busy machine do not take turns
folder = CaFolder(Path(sys.argv[1]))
store = folder.store()
issuers = folder.crl_issuers([folder.authority(None)])
for _ in range(20):
    now, day = datetime.now(UTC), timedelta(days=1)
    made = publishing.publish(
        folder, store, issuers, now=now, validity=7 * day, backdate=day, anyway=True
    )
    print(made[0].published.number)
"""


def test_processes_at_once(plant: Plant) -> None:
    """Four sign twenty each: no number twice, and the highest is the one that stays."""
    plant.revoke(plant.issue())
    command = [sys.executable, "-c", _PUBLISHER, str(plant.folder.path)]
    running = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(4)]
    printed = [process.communicate()[0] for process in running]
    assert all(process.returncode == 0 for process in running)
    numbers = [int(line) for text in printed for line in text.splitlines()]
    assert len(numbers) == len(set(numbers)) == 80
    assert plant.number() == max(numbers)


def test_who_is_slow_does_not_bring_an_older_list_back(
    plant: Plant, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One hangs between number and file; the other one waits for it, and has the higher number."""
    begun, done, write = threading.Event(), threading.Event(), files.replace

    def replace(path: Path, data: bytes, *, mode: int) -> None:
        if threading.current_thread() is slow:
            begun.set()
            done.wait(2)
        write(path, data, mode=mode)

    slow = threading.Thread(target=lambda: plant.publish(anyway=True))
    monkeypatch.setattr(files, "replace", replace)
    slow.start()
    assert begun.wait(180)
    [made] = plant.publish(anyway=True)
    done.set()
    slow.join()
    assert plant.number() == made.published.number == int(NOW.timestamp()) + 1
