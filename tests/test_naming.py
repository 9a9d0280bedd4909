"""Names on Windows are taken patiently, and only there."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from cipsec import files, naming, shell
from cipsec.errors import AlreadyExists, LocalState, UsageError
from cipsec.ra.allowlist import place
from cipsec.ra.vendors import settings


class _Held:
    """A file that somebody has open for the first few tries."""

    def __init__(self, tries: int) -> None:
        self.tries, self._replace = tries, os.replace

    def __call__(self, source: Path, target: Path) -> None:
        self.tries -= 1
        if self.tries >= 0:
            raise PermissionError(13, "The process cannot access the file")
        self._replace(source, target)


@pytest.fixture
def windows(monkeypatch: pytest.MonkeyPatch) -> None:
    """As on Windows, and in a hurry."""
    monkeypatch.setattr(shell, "WINDOWS", True)
    monkeypatch.setattr(naming, "_AGAIN_SECONDS", 0.0)


@pytest.mark.parametrize("name", ["con", "NUL", "com1", "Aux.old"])
def test_names_of_devices(name: str) -> None:
    """What Windows takes for one, names neither a list nor a vendor."""
    for check in place.check_name, settings.check_name:
        with pytest.raises(UsageError):
            check(name)
    assert place.check_name(f"{name[0]}-line") == settings.check_name(f"{name[0]}-line")


@pytest.mark.usefixtures("windows")
def test_whoever_reads_it_is_waited_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The server reads ca.toml for a moment."""
    files.replace(tmp_path / "ca.toml", b"old")
    held = _Held(tries=3)
    monkeypatch.setattr(os, "replace", held)
    files.replace(tmp_path / "ca.toml", b"new")
    assert (held.tries, (tmp_path / "ca.toml").read_bytes()) == (-1, b"new")


@pytest.mark.usefixtures("windows")
def test_whoever_keeps_it_open_is_not(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What was there stays, and nothing is left beside it."""
    monkeypatch.setattr(naming, "_PATIENCE_SECONDS", 0.01)
    files.replace(tmp_path / "list.csv", b"old")
    monkeypatch.setattr(os, "replace", _Held(tries=10**9))
    with pytest.raises(LocalState, match="cannot access the file"):
        files.replace(tmp_path / "list.csv", b"new")
    assert [(p.name, p.read_bytes()) for p in tmp_path.iterdir()] == [("list.csv", b"old")]


def test_elsewhere_it_is_tried_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """There it is no question of time."""
    held = _Held(tries=1)
    monkeypatch.setattr(os, "replace", held)
    with pytest.raises(LocalState):
        files.replace(tmp_path / "ca.toml", b"new")
    assert held.tries == 0


@pytest.mark.usefixtures("windows")
def test_a_name_is_taken_by_rename_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Which refuses what exists, and needs no hard links."""
    rename = os.rename

    def refusing(source: Path, target: Path) -> None:
        if target.exists():
            raise FileExistsError(17, "Cannot create a file when that file already exists")
        rename(source, target)

    monkeypatch.setattr(os, "rename", refusing)
    monkeypatch.delattr(os, "link")
    files.create(tmp_path / "a", b"whole")
    with pytest.raises(AlreadyExists):
        files.create(tmp_path / "a", b"other")
    assert [(p.name, p.read_bytes()) for p in tmp_path.iterdir()] == [("a", b"whole")]
