"""stdin, stdout and stderr as they may come: closed, full, without a reader; `talk` uses them."""

from __future__ import annotations

import contextlib
import errno
import os
import select
import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING, TextIO

if TYPE_CHECKING:
    from cipsec.errors import LocalState

# What a full disk says. Whoever writes a file makes LocalState of it, so that what is left is
# stdout's: help that typer prints, say.
FULL = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO})


def complete() -> None:
    """Give a program that was started with a closed stream an empty one in its place.

    Python has None for it, and the next file that is opened would get its number: a key, and what
    some library prints would end up in there.
    """
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        if getattr(sys, name) is not None:
            continue
        opened = os.open(os.devnull, os.O_RDWR)
        if opened != number:
            os.dup2(opened, number)
            os.close(opened)
        os.set_inheritable(number, True)  # what is started gets one as well
        stream = open(number, "w" if number else "r", encoding="utf-8", closefd=False)  # noqa: SIM115  # it lives as long as the program
        setattr(sys, name, stream)


@contextlib.contextmanager
def heard() -> Iterator[None]:
    """Raise LocalState where stdout takes no more; BrokenPipeError where its reader has gone."""
    try:
        yield
    except BrokenPipeError:
        raise
    except OSError as error:
        raise lost(error) from None


def put(text: str, *, at_once: bool = False) -> None:
    """Print a line of the result; raise as `heard` does."""
    with heard():
        line(sys.stdout, text)
        if at_once:
            sys.stdout.flush()


def line(stream: TextIO, text: str) -> None:
    """Write a line; what the stream's encoding does not have is escaped."""
    if not text.isascii():  # there may be a million lines
        encoding = stream.encoding or "utf-8"  # a pipe on Windows, or PYTHONIOENCODING: narrow
        text = text.encode(encoding, "backslashreplace").decode(encoding)
    stream.write(f"{text}\n")


def takes(stream: TextIO) -> bool:
    """Tell whether a line of 4 kB can be written now without waiting for who reads.

    A terminal that was stopped (Ctrl-S), and a pipe whose reader is stuck, take none. True where it
    cannot be told, as on Windows.
    """
    try:
        return bool(select.select([], [stream], [], 0)[1])
    except (OSError, ValueError):
        return True


def lost(error: OSError) -> LocalState:
    """Return what to say of a result that stdout did not take."""
    from cipsec import files  # 40 ms, which `--version` need not spend
    from cipsec.errors import LocalState

    return LocalState(f"stdout cannot be written: {files.reason(error)}", hint="make room: df -h")


def let_go() -> None:
    """Let what stdout and stderr cannot be rid of go nowhere: else Python ends with a complaint."""
    for stream in sys.stdout, sys.stderr:
        try:
            stream.flush()
        except OSError:
            nowhere = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nowhere, stream.fileno())
            os.close(nowhere)
