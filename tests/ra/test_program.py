"""A program run once: hangs, floods, crashes, children, and pipes that nobody reads."""

from __future__ import annotations

import functools
import signal
import sys
import threading
from pathlib import Path

import pytest

from cipsec.ra import pipes, program
from cipsec.ra.pipes import Polled, Threaded
from cipsec.ra.program import Ended
from tests.support.asking import Command, Script, hurry
from tests.support.waiting import LONG, is_dead, until

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="the programs are shell scripts")

HANG = """
trap '' TERM HUP INT
(trap '' TERM HUP INT; exec sleep 300) &
echo $! >$0.child
echo $$ >$0.parent
"""


def run(command: Command, folder: Path, seconds: float = LONG, document: bytes = b"{}\n") -> Ended:
    """Run a program once, in this thread."""
    return program.run(command, document, folder, seconds=seconds, stop=threading.Event())


def test_a_long_document_is_not_read(script: Script, tmp_path: Path) -> None:
    """A program may end, or talk, without having read it."""
    for text in ("exit 0", "exec <&-; sleep 0.2; exit 0", "head -c 10000 /dev/zero; exit 0"):
        assert run(script(text), tmp_path, document=b"x" * 1_000_000).status == 0


def test_a_long_document_is_read_while_it_talks(script: Script, tmp_path: Path) -> None:
    """Neither side waits for the other."""
    ended = run(script("head -c 50000"), tmp_path, document=b"x" * 1_000_000)
    assert ended == Ended(0, output=b"x" * 50_000)


def test_without_its_folder(script: Script, tmp_path: Path) -> None:
    """A CA folder that is gone is no opinion either."""
    command = script("exit 0")
    assert run(command, tmp_path / "gone").trouble.startswith("it cannot be started: ")


@pytest.mark.parametrize(
    "text",
    [
        "wait",
        "exec >&- 2>&- <&-; sleep 300",  # with all pipes closed
        "exit 0",  # and a child that holds them
    ],
)
def test_a_hang_ends_with_all_its_children(
    script: Script, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str
) -> None:
    """They are killed, whatever they ignore."""
    command = script(HANG + text)
    if text != "exit 0":
        hurry(monkeypatch, Path(command[0] + ".parent"))
    ended = run(command, tmp_path)
    assert ended.trouble == ("" if text == "exit 0" else "it did not end in time")
    for whose in (".parent", ".child"):
        pid = int(Path(command[0] + whose).read_text())
        until(functools.partial(is_dead, pid))


def test_a_hang_ends_with_other_groups_of_its_session(
    script: Script, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As timeout(1) makes them."""
    command = script("timeout 300 sh -c 'echo $$ >$0.pid; exec sleep 300' $0")
    hurry(monkeypatch, Path(command[0] + ".pid"))
    assert run(command, tmp_path).trouble == "it did not end in time"
    pid = int(Path(command[0] + ".pid").read_text())
    until(functools.partial(is_dead, pid))


@pytest.mark.parametrize("where", ["", ">&2"])
@pytest.mark.parametrize("end", ["", "| head -c 70000"])
def test_a_flood_is_ended(script: Script, tmp_path: Path, where: str, end: str) -> None:
    """At 64 KiB, on either output, also where the program would have ended well."""
    ended = run(script(f"(yes {end}) {where}; exit 0"), tmp_path)
    assert ended.status is None
    assert ended.trouble == "it wrote more than 64 KiB"
    assert len(ended.output) + len(ended.errors) < 128 * 1024


def test_just_no_flood(script: Script, tmp_path: Path) -> None:
    """64 KiB on each are allowed, also where all of it is read after the end."""
    ended = run(script("yes | head -c 65536 | tee /dev/stderr"), tmp_path)
    assert (ended.status, len(ended.output), len(ended.errors)) == (0, 65_536, 65_536)


def test_what_it_wrote_last_is_read(script: Script, tmp_path: Path) -> None:
    """Also where it had ended before anything was read."""
    process = program._start(script("head -c 60000 /dev/zero; exit 1"), tmp_path)
    until(lambda: program._status(process) is not None)
    pipes = Polled(process, b"{}")
    assert program._watch(process, pipes, 0.0, threading.Event()) == (1, "")
    assert len(pipes.output) == 60_000
    program._end(process, whole=False)
    pipes.close()


def test_the_status_of_another_is_not_taken(script: Script, tmp_path: Path) -> None:
    """Where SIGCHLD is ignored the kernel forgets it, and Popen would say 0, which grants."""
    before = signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    try:
        ended = run(script("exit 1"), tmp_path)
    finally:
        signal.signal(signal.SIGCHLD, before)
    assert (ended.status, ended.trouble) == (None, "its exit status was lost")


@pytest.mark.parametrize(
    ("text", "ended"),
    [
        ("cat; echo no >&2; exit 1", Ended(1, "", b"{}\n", b"no\n")),
        ("kill -SEGV $$", Ended(None, "it was ended by signal 11")),
        ("echo on >$0.on; exec sleep 300", Ended(None, "it did not end in time")),
    ],
)
def test_with_threads(
    script: Script, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str, ended: Ended
) -> None:
    """As Windows needs it: no pipe is polled."""
    monkeypatch.setattr(program, "Polled", Threaded)
    monkeypatch.setattr(pipes, "_JOIN_SECONDS", LONG)
    command = script(text)
    hurry(monkeypatch, Path(command[0] + ".on"))
    assert run(command, tmp_path) == ended


def test_a_flood_with_threads(
    script: Script, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is bounded there too, and a document that is not read harms nobody."""
    monkeypatch.setattr(program, "Polled", Threaded)
    before = threading.active_count()
    ended = run(script("yes"), tmp_path, document=b"x" * 1_000_000)
    assert ended.trouble == "it wrote more than 64 KiB"
    assert len(ended.output) <= 64 * 1024 + 16 * 1024
    until(lambda: threading.active_count() <= before)
