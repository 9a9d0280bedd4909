"""A person at a terminal: `cipsec` on a pseudo-terminal, what it asks and what is typed."""

from __future__ import annotations

import codecs
import os
import pty
import select
import subprocess
import sys
import termios
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import IO, Any

_PATIENCE_SECONDS = 120.0
# getpass talks to the controlling terminal, which a new session has to take first.
_TAKE = "import fcntl, sys, termios; fcntl.ioctl(int(sys.argv.pop(1)), termios.TIOCSCTTY, 0)\n"
_RUN = "from cipsec._cli import run; run()"


@dataclass(frozen=True, slots=True)
class Session:
    """How it ended, everything that was on the screen, and whether the terminal is as it was."""

    code: int
    screen: str
    restored: bool


def at_terminal(
    argv: Sequence[str],
    *typed: tuple[str, str | Callable[[], str]],
    env: Mapping[str, str] | None = None,
    size: tuple[int, int] = (40, 200),
    started: Callable[[subprocess.Popen[bytes]], None] = lambda _: None,
    patience: float = _PATIENCE_SECONDS,
    elsewhere: Mapping[str, IO[bytes]] | None = None,
    program: str = _RUN,
) -> Session:
    """Run `cipsec`; for each pair wait until the first is on the screen and type the second.

    A function in the place of the second is called, and what it returns is typed. `started` is
    given the process. One that says nothing for `patience` seconds hangs. `elsewhere` are files in
    place of stdin, stdout and stderr; `program` is Python that runs in place of `cipsec`.
    """
    master, slave = pty.openpty()
    termios.tcsetwinsize(slave, size)
    before = termios.tcgetattr(slave)
    streams: dict[str, Any] = dict.fromkeys(("stdin", "stdout", "stderr"), slave) | dict(
        elsewhere or {}
    )
    running = subprocess.Popen(
        [sys.executable, "-c", _TAKE + program, str(slave), *argv],
        **streams,
        pass_fds=(slave,),
        start_new_session=True,
        env={**_environment(), "TERM": "xterm", **(env or {})},
    )
    os.close(slave)
    started(running)
    try:
        screen, shown = "", _shown(master, patience)
        for wanted, answer in typed:
            seen = len(screen)
            while wanted not in screen[seen:]:
                more = next(shown, None)
                assert more is not None, f"{wanted!r} was not asked: {screen}"
                screen += more
            os.write(master, (answer if isinstance(answer, str) else answer()).encode())
        screen += "".join(shown)
        code = running.wait(patience)
        return Session(code, screen.replace("\r\n", "\n"), termios.tcgetattr(master) == before)
    finally:
        os.close(master)
        running.kill()
        running.wait()


def _environment() -> dict[str, str]:
    """The terminal has the size that is asked for, not that of whoever runs the tests."""
    return {name: value for name, value in os.environ.items() if name not in ("COLUMNS", "LINES")}


def _shown(master: int, patience: float) -> Iterator[str]:
    """Yield what appears until the program ends; a character may come in two pieces."""
    decoder = codecs.getincrementaldecoder("utf-8")("replace")
    while piece := _read(master, patience):
        yield decoder.decode(piece)


def _read(master: int, patience: float) -> bytes:
    """Return what appears next; empty when the program ended."""
    deadline = time.monotonic() + patience
    while time.monotonic() < deadline:
        if select.select([master], [], [], 0.5)[0]:
            try:
                return os.read(master, 65536)
            except OSError:  # EIO: the other end is closed
                return b""
    raise AssertionError("the program neither ended nor said anything")
