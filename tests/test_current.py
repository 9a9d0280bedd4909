"""A file as it is now: whatever happens to it, what it says last is what is known of it."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from cipsec.current import CurrentFile
from cipsec.errors import LocalState, Malformed


class Reader:
    """Reads a file and counts how often."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.count = 0

    def __call__(self) -> str:
        self.count += 1
        text = self.path.read_text()
        if text == "broken":
            raise Malformed("file.txt: broken", hint="mend it")
        if text == "shut":
            raise LocalState("file.txt cannot be read")
        return text


@pytest.fixture
def reader(tmp_path: Path) -> Reader:
    """The reader of a file that is not there."""
    return Reader(tmp_path / "file.txt")


def test_no_file_is_none(reader: Reader) -> None:
    """And is not read."""
    file = CurrentFile(reader.path, reader)
    assert [file(), file()] == [None, None]
    assert reader.count == 0


def test_what_comes_goes_and_changes(reader: Reader) -> None:
    """Each time the answer is that of the moment."""
    file = CurrentFile(reader.path, reader)
    assert file() is None
    reader.path.write_text("one")
    assert file() == "one"
    reader.path.unlink()
    assert file() is None
    reader.path.write_text("two")
    assert file() == "two"


def test_it_is_read_again_only_when_it_has_changed(
    reader: Reader, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Once it has not been touched for a moment."""
    reader.path.write_text("one")
    file = CurrentFile(reader.path, reader)
    monkeypatch.setattr("cipsec.current.STEP_NS", 0)
    assert [file() for _ in range(100)] == ["one"] * 100
    assert reader.count == 1


def test_changes_within_one_step_of_the_clock_are_seen(reader: Reader) -> None:
    """A file of the same length, written in place, many times within a few milliseconds."""
    file = CurrentFile(reader.path, reader)
    for number in range(500):
        reader.path.write_text(f"{number:03}")
        assert file() == f"{number:03}"


def test_a_change_that_hides_is_seen(reader: Reader, monkeypatch: pytest.MonkeyPatch) -> None:
    """The same length and the same time of modification, as some tools copy."""
    reader.path.write_text("one")
    file = CurrentFile(reader.path, reader)
    monkeypatch.setattr("cipsec.current.STEP_NS", 0)
    assert file() == "one"
    before = reader.path.stat()
    while reader.path.stat().st_ctime_ns == before.st_ctime_ns:
        reader.path.write_text("two")
        os.utime(reader.path, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert file() == "two"


def test_what_is_broken_is_said_each_time_anew(
    reader: Reader, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not read again, and no exception that grows with each raise."""
    reader.path.write_text("broken")
    file = CurrentFile(reader.path, reader)
    monkeypatch.setattr("cipsec.current.STEP_NS", 0)
    errors = []
    for _ in range(3):
        with pytest.raises(Malformed) as raised:
            file()
        errors.append(raised.value)
    assert len({id(error) for error in errors}) == 3
    assert {(error.message, error.hint) for error in errors} == {("file.txt: broken", "mend it")}
    assert reader.count == 1


def test_yesterdays_value_does_not_come_back(reader: Reader) -> None:
    """Neither while the file is broken nor while it cannot be read; mended, it counts."""
    reader.path.write_text("one")
    file = CurrentFile(reader.path, reader)
    assert file() == "one"
    for text in ("broken", "shut", "broken"):
        reader.path.write_text(text)
        for _ in range(2):
            with pytest.raises(LocalState):
                file()
    reader.path.write_text("two")
    assert file() == "two"


def test_another_file_in_its_place_is_seen(reader: Reader, tmp_path: Path) -> None:
    """As editors and rsync save: a new file under the old name."""
    reader.path.write_text("one")
    file = CurrentFile(reader.path, reader)
    assert file() == "one"
    draft = tmp_path / "draft"
    draft.write_text("two")
    draft.replace(reader.path)
    assert file() == "two"
