"""A file that somebody names: read whole and bounded, from a pipe as well, as `<(command)` makes.

In folders of our own a pipe makes no sense; they are read by `files`.
"""

from __future__ import annotations

import os
import select
import stat
from pathlib import Path

from cipsec import files, shell
from cipsec.errors import LocalState

_LIMIT = 16 * 1024 * 1024
_PATIENCE = 5.0  # seconds for somebody to write into a pipe


def read(path: Path, *, limit: int = _LIMIT) -> bytes:
    """Return what the file or pipe gives; raise LocalState for what would be waited for in vain.

    That is a pipe that nobody has open for writing, a device, a socket; a folder, and more than
    `limit` bytes, is an error too.
    """
    try:
        mode = path.stat().st_mode
    except OSError:
        mode = stat.S_IFREG  # the error that reading raises says it
    if stat.S_ISFIFO(mode):
        return _read_pipe(path, limit)
    if stat.S_ISDIR(mode):
        hint = f"name a file in it: {shell.command('ls', path, windows='dir')}"
        raise LocalState(f"{path} is a directory", hint=hint)
    if stat.S_ISCHR(mode) or stat.S_ISBLK(mode):
        raise LocalState(f"{path} is a device, not a file", hint="name a file")
    return files.read(path, limit=limit)


def _read_pipe(path: Path, limit: int) -> bytes:
    try:
        data = _piped(path, limit)
    except OSError as error:
        raise LocalState(f"{path} cannot be read: {files.reason(error)}") from None
    if data is None:
        raise LocalState(f"nobody writes into the pipe {path}", hint="name a file")
    if len(data) > limit:
        raise LocalState(f"{path} gives more than {limit} bytes")
    return data


def _piped(path: Path, limit: int) -> bytes | None:
    """Read once somebody has the pipe open for writing, as `<(command)` has; None if nobody does.

    Whoever has it open is waited for: he may have to type a password first.
    """
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    with os.fdopen(descriptor, "rb") as pipe:
        try:
            begun = os.read(descriptor, limit)
        except BlockingIOError:
            begun = b""
        else:
            if not begun and not select.select([descriptor], [], [], _PATIENCE)[0]:
                return None
        os.set_blocking(descriptor, True)
        return begun + pipe.read(limit + 1)
