"""Channels on this machine: commands, and files of lines."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

import pytest

from cipsec.errors import LocalState, Unreachable
from tests.support.asking import hurry
from tests.support.waiting import until

from .happening import send, told


def command(*argv: str) -> str:
    """Return a channel of type command."""
    return f'type = "command"\ncommand = {json.dumps(list(argv))}\n'


def test_command_gets_json(folder: Path) -> None:
    """On its stdin, in the CA folder, without a shell."""
    send(command("/usr/bin/tee", "got $(id).json"), folder)
    document = json.loads((folder / "got $(id).json").read_text())
    assert document["events"][0]["event"] == "pending"


def test_command_that_fails(folder: Path) -> None:
    """Its exit code and its last line say why, harmlessly."""
    script = "echo first >&2; printf 'no \\033[2K paper\\n' >&2; exit 3"
    with pytest.raises(Unreachable) as caught:
        send(command("sh", "-c", script), folder)
    assert caught.value.message == "sh: it ended with 3: no \\x1b[2K paper"


def test_command_that_is_not_there(folder: Path) -> None:
    """It is said which."""
    with pytest.raises(Unreachable, match="/nowhere/notify: it cannot be started"):
        send(command("/nowhere/notify"), folder)


def test_command_that_never_ends(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is ended in time with all it started."""
    hurry(monkeypatch, folder / "pid")
    with pytest.raises(Unreachable, match="it did not end in time"):
        send(command("sh", "-c", "echo $$ > pid; sleep 600 & sleep 600"), folder)
    _is_over(folder)


def test_command_that_never_stops_talking(folder: Path) -> None:
    """It is ended as well."""
    with pytest.raises(Unreachable, match="it wrote more than 64 KiB"):
        send(command("sh", "-c", "echo $$ > pid; yes"), folder)
    _is_over(folder)


def _is_over(folder: Path) -> None:
    group = int((folder / "pid").read_text())
    until(lambda: not _is_there(group))


def _is_there(group: int) -> bool:
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return False
    return True


def test_command_that_does_not_listen(folder: Path) -> None:
    """A program may ignore its stdin."""
    send(command("true"), folder, *(told(number=n, reason="x" * 900) for n in range(200)))


def lines(path: str = "events.jsonl") -> str:
    """Return a channel of type file."""
    return f'type = "file"\npath = "{path}"\n'


def test_lines(folder: Path) -> None:
    """One line for each event; private; appended to; made anew after it was rotated."""
    path = folder / "events.jsonl"
    send(lines(), folder, told(), told("granted", number=2))
    send(lines(), folder, told(number=3))
    written = [json.loads(line) for line in path.read_text().splitlines()]
    assert [one["number"] for one in written] == [1, 2, 3]
    assert path.stat().st_mode & 0o777 == 0o600
    path.rename(folder / "events.1")
    send(lines(), folder, told(number=4))
    assert json.loads(path.read_text())["number"] == 4


def test_lines_after_a_crash(folder: Path) -> None:
    """A line without end is ended, so that the next one is whole."""
    path = folder / "events.jsonl"
    path.write_text('{"number": 1}\n{"numb')
    send(lines(), folder, told(number=2))
    assert json.loads(path.read_text().splitlines()[-1])["number"] == 2


def test_newlines_in_names(folder: Path) -> None:
    """A device's name makes no line of its own."""
    send(lines(), folder, told(subject='CN=x\n{"event": "granted"}\u2028'))
    assert len((folder / "events.jsonl").read_text().splitlines()) == 1


@pytest.mark.parametrize("content", [b"-----BEGIN PRIVATE KEY-----\n", b"SQLite format 3\0", b"#"])
def test_lines_into_another_file(folder: Path, content: bytes) -> None:
    """A slip of the pen does not write into a key or the store."""
    path = folder / "events.jsonl"
    path.write_bytes(content)
    with pytest.raises(LocalState, match="not a file of events"):
        send(lines(), folder)
    assert path.read_bytes() == content


def test_lines_by_way_of_a_link(folder: Path) -> None:
    """No link is followed."""
    (folder / "events.jsonl").symlink_to(folder / "elsewhere")
    with pytest.raises(LocalState, match="cannot be written"):
        send(lines(), folder)
    assert not (folder / "elsewhere").exists()


def test_lines_into_what_is_no_file(folder: Path) -> None:
    """A folder, a pipe that nobody reads, a device: said, and not waited for."""
    (folder / "folder").mkdir()
    os.mkfifo(folder / "pipe")
    for path in ("folder", "pipe", "/dev/null", "missing/events"):
        with pytest.raises(LocalState):
            send(lines(path), folder)


def test_lines_on_a_full_disk(folder: Path) -> None:
    """It is said, and tried again later by whoever sends."""
    with pytest.raises(LocalState):
        send(lines("/dev/full"), folder)


def test_python_is_a_command_too(folder: Path) -> None:
    """What is counted arrives whole, however much it is."""
    script = "import json, sys; assert len(json.load(sys.stdin)['events']) == 200"
    many = [told(number=n, reason="x" * 900) for n in range(200)]
    send(command(sys.executable, "-c", script), folder, *many)
