"""Files: whole or not at all, never overwritten unasked, private from birth."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from cipsec import files
from cipsec.errors import AlreadyExists, LocalState


def _mode(path: Path) -> int:
    return path.stat().st_mode & 0o777


def test_a_file_is_made_private_and_whole(tmp_path: Path) -> None:
    """Mode 0600 unless asked otherwise, and nothing is left beside it."""
    files.create(tmp_path / "key.pem", b"secret")
    files.create(tmp_path / "certificate.pem", b"public", mode=files.PUBLIC)
    assert files.read(tmp_path / "key.pem") == b"secret"
    assert (_mode(tmp_path / "key.pem"), _mode(tmp_path / "certificate.pem")) == (0o600, 0o644)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["certificate.pem", "key.pem"]


def test_what_exists_is_not_overwritten(tmp_path: Path) -> None:
    """Neither a file, nor a folder, nor a link that leads nowhere."""
    (tmp_path / "file").write_bytes(b"old")
    (tmp_path / "folder").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "nowhere")
    for name in ("file", "folder", "link"):
        with pytest.raises(AlreadyExists):
            files.create(tmp_path / name, b"new")
    assert (tmp_path / "file").read_bytes() == b"old"
    assert len(list(tmp_path.iterdir())) == 3


def test_files_are_made_where_there_are_no_hard_links(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """FAT on the USB stick that goes to the plant; what exists is safe there too."""

    def refuse(*_: object) -> None:
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(os, "link", refuse)
    files.create(tmp_path / "a.csr", b"whole")
    with pytest.raises(AlreadyExists):
        files.create(tmp_path / "a.csr", b"other")
    assert [(p.name, p.read_bytes()) for p in tmp_path.iterdir()] == [("a.csr", b"whole")]


def test_a_file_is_replaced_whole(tmp_path: Path) -> None:
    """With the new content's mode, not the old one's."""
    path = tmp_path / "file"
    path.write_bytes(b"old")
    files.replace(path, b"new")
    assert (path.read_bytes(), _mode(path), len(list(tmp_path.iterdir()))) == (b"new", 0o600, 1)


def test_what_is_no_file_is_not_replaced(tmp_path: Path) -> None:
    """Root could rename over /dev/null."""
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "folder").mkdir()
    for name in ("pipe", "folder"):
        with pytest.raises(LocalState, match="not a file that can be replaced"):
            files.replace(tmp_path / name, b"new")
    assert len(list(tmp_path.iterdir())) == 2


@pytest.mark.parametrize("name", ["file/x", "missing/x", "n" * 300, "", "/", "."])
def test_places_where_nothing_can_be_are_said_so(tmp_path: Path, name: str) -> None:
    """Under a file, in no folder, with too long a name or none."""
    (tmp_path / "file").write_bytes(b"")
    path = tmp_path / name if name not in ("", "/", ".") else Path(name)
    for write in (files.create, files.replace):
        with pytest.raises(LocalState):
            write(path, b"x")


@pytest.mark.parametrize("name", ["missing", "folder", "file/x", "n" * 300])
def test_what_cannot_be_read_is_said_so(tmp_path: Path, name: str) -> None:
    """One sentence with the path."""
    (tmp_path / "folder").mkdir()
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(LocalState) as caught:
        files.read(tmp_path / name)
    assert str(tmp_path / name) in caught.value.message


def test_a_file_over_the_limit_is_not_read_to_its_end(tmp_path: Path) -> None:
    """Of a terabyte that holds nothing only the beginning is looked at."""
    with (tmp_path / "large").open("wb") as file:
        file.truncate(1 << 40)
    with pytest.raises(LocalState, match="larger than 1000 bytes"):
        files.read(tmp_path / "large", limit=1000)


def test_what_is_no_file_is_not_read(tmp_path: Path) -> None:
    """A device has no end, and a pipe nobody may ever write into."""
    os.mkfifo(tmp_path / "pipe")
    for path in (tmp_path, tmp_path / "pipe", Path("/dev/zero")):
        with pytest.raises(LocalState, match="is not a file") as caught:
            files.read(path)
        assert caught.value.hint == f"see what it is: file {path}"
    (tmp_path / "line 4").mkdir()
    with pytest.raises(LocalState) as caught:
        files.read(tmp_path / "line 4")
    assert caught.value.hint == f"see what it is: file '{tmp_path / 'line 4'}'"


def test_whether_a_name_is_taken_is_told_or_said_to_be_hidden(tmp_path: Path) -> None:
    """A name too long to exist is an error, not a no."""
    assert files.exists(tmp_path)
    assert not files.exists(tmp_path / "missing")
    with pytest.raises(LocalState):
        files.exists(tmp_path / ("n" * 300))


def test_a_folder_appears_whole_or_not_at_all(tmp_path: Path) -> None:
    """What was put in before the failure is gone."""
    with files.new_directory(tmp_path / "ca") as draft:
        assert not (tmp_path / "ca").exists()
        files.create(draft / "key", b"x")
    assert _mode(tmp_path / "ca") == 0o700

    def fill_and_fail() -> None:
        with files.new_directory(tmp_path / "other") as draft:
            files.create(draft / "key", b"x")
            raise LocalState("power failed")

    with pytest.raises(LocalState, match="power failed"):
        fill_and_fail()
    assert [p.name for p in tmp_path.iterdir()] == ["ca"]


def test_an_empty_folder_is_filled_and_a_full_one_is_not(tmp_path: Path) -> None:
    """A mount point is an empty folder."""
    (tmp_path / "empty").mkdir()
    with files.new_directory(tmp_path / "empty") as draft:
        files.create(draft / "key", b"x")
    with pytest.raises(AlreadyExists), files.new_directory(tmp_path / "empty"):
        raise AssertionError("not reached")
    assert files.read(tmp_path / "empty" / "key") == b"x"


def test_folders_of_its_own_are_beneath_the_users_data(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where none is named."""
    monkeypatch.setenv("XDG_DATA_HOME", "/data")
    assert files.default_ca() == Path("/data/cipsec/ca")
    assert files.default_identity() == Path("/data/cipsec/identity")


def test_lines_are_appended(tmp_path: Path) -> None:
    """To a private file, made with its folder; one that was cut off stays a line of its own."""
    path = tmp_path / "new" / "journal"
    files.append_line(path, b"one")
    assert path.stat().st_mode & 0o777 == 0o600
    with path.open("ab") as file:
        file.write(b"tw")
    files.append_line(path, b"three")
    assert path.read_bytes() == b"one\ntw\nthree\n"
    with pytest.raises(LocalState, match="cannot be written"):
        files.append_line(tmp_path, b"four")
