"""The terminal at which a person sits, also where a stream leads elsewhere; `ask` asks there."""

from __future__ import annotations

import os
import stat
import sys
from typing import TextIO

_PATH = "/dev/tty"


def is_there() -> bool:
    """Tell whether a person can be asked: stdin or stderr is a terminal, and it is ours to read.

    A request may come by a pipe or a file, or a log take stderr. Whoever gives /dev/null as stdin,
    or starts the command behind the shell's back (`&`), wants no question: it would wait for ever.
    """
    hears, sees = _is_terminal(sys.stdin), _is_terminal(sys.stderr)
    if hears and sees:
        return _is_in_front(sys.stdin.fileno())
    return (hears or (sees and _carries_data())) and _can_be_opened()


def write(text: str) -> None:
    """Show a question, or what it is about, to the person."""
    if sys.stderr.isatty():
        sys.stderr.write(text)
        sys.stderr.flush()
        return
    with open(_PATH, "w", encoding="utf-8", errors="backslashreplace") as terminal:  # noqa: PTH123  # a device
        terminal.write(text)


def readline() -> str:
    """Return the line that the person types, empty at its end (Ctrl-D)."""
    if sys.stdin.isatty():
        return sys.stdin.readline()
    with open(_PATH, encoding="utf-8", errors="replace") as terminal:  # noqa: PTH123  # a device
        return terminal.readline()


def _is_terminal(stream: TextIO) -> bool:
    if sys.platform != "win32" or not stream.isatty():
        return stream.isatty()
    # Of NUL, which a scheduled task may have for stdin, Windows says that it is one as well.
    import ctypes
    import msvcrt

    mode = ctypes.c_ulong()
    handle = ctypes.c_void_p(msvcrt.get_osfhandle(stream.fileno()))
    return ctypes.windll.kernel32.GetConsoleMode(handle, ctypes.byref(mode)) != 0


def _carries_data() -> bool:
    mode = os.fstat(sys.stdin.fileno()).st_mode
    return stat.S_ISFIFO(mode) or stat.S_ISREG(mode) or stat.S_ISSOCK(mode)


def _can_be_opened() -> bool:
    """Tell whether there is a controlling terminal; Windows has none."""
    try:
        opened = os.open(_PATH, os.O_RDWR | getattr(os, "O_NOCTTY", 0))
    except OSError:
        return False
    try:
        return _is_in_front(opened)
    finally:
        os.close(opened)


def _is_in_front(descriptor: int) -> bool:
    """Tell whether the terminal waits for us: who reads from behind another is stopped."""
    try:
        return os.tcgetpgrp(descriptor) == os.getpgrp()
    except (AttributeError, OSError):
        return True  # Windows, or a terminal that controls no processes
