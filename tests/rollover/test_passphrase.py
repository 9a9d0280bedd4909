"""A roll-over and a change of the passphrase: one beside the other, and after one was cut off."""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import timedelta
from pathlib import Path

import pytest

from cipsec import files, passphrase, rollover, times
from cipsec.ca_folder import CaFolder, keyed
from cipsec.errors import LocalState, Locked, StoreFailed
from cipsec.pki import keys
from cipsec.rollover import Step
from cipsec.store.database import Database
from tests.doctor.looking import WARN, at_ca
from tests.support import ca

from .test_steps import on_record, prepare

OLD, NEW = "old horse", "new horse"


@pytest.fixture
def step(tmp_path: Path) -> Iterator[Step]:
    """The operator at a CA under the old passphrase, with the next root prepared."""
    folder = ca.make(tmp_path / "ca", passphrase=OLD)
    folder.provisioning_authority(OLD, times.now())
    with closing(folder.store()) as database:
        found = Step(folder, database, "operator", times.now() + timedelta(seconds=2))
        prepare(found, passphrase=OLD)
        yield found


def change(folder: CaFolder, old: str = OLD, new: str = NEW) -> None:
    """Change the passphrase of all keys."""
    passphrase.change(folder, old, new, by="operator", now=times.now())


@contextlib.contextmanager
def cut_off(monkeypatch: pytest.MonkeyPatch, file: Path) -> Iterator[None]:
    """Let what is done inside the block end just before it replaces `file`, as if killed there."""
    replace = files.replace

    def until(path: Path, data: bytes, *, mode: int = files.PRIVATE) -> None:
        if path == file:
            raise LocalState("cut off")
        replace(path, data, mode=mode)

    with monkeypatch.context() as broken:
        broken.setattr(files, "replace", until)
        with pytest.raises(LocalState, match="cut off"):
            yield


@contextlib.contextmanager
def full_disk(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Let all that is written to the store inside the block fail at the very last moment."""

    def write(database: Database, work: Callable[[sqlite3.Connection], object]) -> None:
        with database.transaction() as connection:
            before = connection.total_changes
            work(connection)
            if connection.total_changes != before:
                raise StoreFailed("the store cannot be used: database or disk is full")

    with monkeypatch.context() as broken:
        broken.setattr(Database, "write", write)
        with pytest.raises(StoreFailed):
            yield


def open_all(folder: CaFolder, secret: str) -> bool:
    """Tell whether a passphrase opens every key; one that opens only some is a failure."""
    found = set()
    for file in folder.key_files():
        try:
            keys.from_either_pem(file.read_bytes(), secret)
            found.add(True)
        except Locked:
            found.add(False)
    assert len(found) == 1
    return found.pop()


def test_after_a_change_that_was_cut_off(step: Step, monkeypatch: pytest.MonkeyPatch) -> None:
    """What opens the present key alone activates, and opens all keys afterwards, once each."""
    folder = step.folder
    with cut_off(monkeypatch, folder.key_file):
        change(folder)
    assert keys.is_twice(folder.successor.key_file.read_bytes())
    with pytest.raises(Locked):
        rollover.activate(step, NEW)  # what is kept of the old key would not open with it
    assert folder.next() is not None
    rollover.activate(step, OLD)
    assert not any(keys.is_twice(file.read_bytes()) for file in folder.key_files())
    assert (open_all(folder, OLD), open_all(folder, NEW)) == (True, False)
    assert len(folder.authorities(OLD, step.now)) == 2


def test_not_finished_beside_a_change(step: Step, monkeypatch: pytest.MonkeyPatch) -> None:
    """A change would put back the old key as ca.key, and the new one would be gone."""
    folder = step.folder
    with cut_off(monkeypatch, folder.key_file):
        rollover.activate(step, OLD)
    monkeypatch.setattr(keyed, "_PATIENCE_SECONDS", 0)
    with folder.keys_held(), pytest.raises(Locked, match="at work on the keys"):
        rollover.activate(step, OLD)
    assert rollover.is_interrupted(folder)
    change(folder)
    rollover.activate(step, NEW)
    assert (open_all(folder, NEW), open_all(folder, OLD)) == (True, False)
    assert len(folder.authorities(NEW, step.now)) == 2


def test_the_copy_of_an_activation_that_was_cut_off(
    step: Step, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is the present key under the present passphrase: it changes along, and goes at last."""
    folder = step.folder
    with cut_off(monkeypatch, folder.certificate_file):
        rollover.activate(step, OLD)
    copy = folder.predecessor(folder.certificate())
    change(folder)
    with pytest.raises(Locked):
        copy.private_key(OLD)
    rollover.cancel(step)
    assert not copy.path.exists()
    assert folder.authority(NEW).certificate == folder.certificate()


def test_a_change_that_cannot_be_recorded(step: Step, monkeypatch: pytest.MonkeyPatch) -> None:
    """Who is told that it failed has the old passphrase, which opens everything; doctor says so."""
    folder = step.folder
    with full_disk(monkeypatch):
        change(folder)
    with pytest.raises(Locked):
        folder.authority(NEW)
    folder.authority(OLD)
    assert on_record(step) == ["rollover-prepared"]
    said = [remark.detail for remark in at_ca(folder, "ca key") if remark.verdict is WARN]
    assert [str(folder.successor.key_file) in one for one in said] == [True]
    passphrase.settle(folder, OLD)
    assert (open_all(folder, OLD), open_all(folder, NEW)) == (True, False)


def test_a_next_root_that_cannot_be_recorded(step: Step, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is not handed out either."""
    rollover.cancel(step)
    with full_disk(monkeypatch):
        prepare(step, passphrase=OLD)
    assert step.folder.next() is None
    prepare(step, passphrase=OLD)


def test_a_key_behind_a_link(step: Step, tmp_path: Path) -> None:
    """A key on a disk of its own stays there: none comes into the folder, none is left behind."""
    folder, disk = step.folder, tmp_path / "disk"
    disk.mkdir()
    before = folder.key_file.read_bytes()
    folder.key_file.rename(disk / "ca.key")
    folder.key_file.symlink_to(disk / "ca.key")
    change(folder)
    assert folder.key_file.is_symlink()
    assert (disk / "ca.key").read_bytes() != before
    rollover.activate(step, NEW)
    assert folder.key_file.is_symlink()
    assert folder.authority(NEW).certificate == folder.certificate()
    assert [path.name for path in disk.iterdir()] == ["ca.key"]
