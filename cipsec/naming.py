"""Names on disk, given and taken in one step; on Windows patiently.

There neither the name nor the file can be taken from whoever has it open: the server that reads
ca.toml, a scanner for viruses that looks at what is new. What is written is left to `files`.
"""

from __future__ import annotations

import os
import re
import shutil
import time
from collections.abc import Callable
from pathlib import Path

from cipsec import shell

_DEVICE = re.compile(r"(con|prn|aux|nul|com[0-9]|lpt[0-9])(\..*)?", re.IGNORECASE)
_PATIENCE_SECONDS, _AGAIN_SECONDS = 3.0, 0.02


def is_device(name: str) -> bool:
    """Tell whether Windows takes a file's name for that of a device: what is written there is lost.

    To be refused everywhere: a CA's folder is copied to another machine one day.
    """
    return _DEVICE.fullmatch(name) is not None


def rename(path: Path, to: Path) -> None:
    """Give a file or a folder another name; raise OSError."""
    _patiently(lambda: path.rename(to))


def replace(path: Path, other: Path) -> None:
    """Give a file the name that another may have had; raise OSError."""
    _patiently(lambda: path.replace(other))


def take_free(path: Path, name: Path) -> None:
    """Give a file a name that nothing has; raise FileExistsError where something does, OSError."""
    if shell.WINDOWS:  # where rename does
        rename(path, name)
        return
    try:
        os.link(path, name)
    except FileExistsError:
        raise
    except OSError:  # a file system without hard links, such as FAT on a USB stick
        os.close(os.open(name, os.O_WRONLY | os.O_CREAT | os.O_EXCL))
        path.replace(name)


def remove_unused(path: Path) -> None:
    """Remove a file or folder; raise OSError, but on Windows leave what somebody has open.

    A program that still serves with an old key does not keep a new one from coming into use.
    """
    try:
        shutil.rmtree(path) if path.is_dir() and not path.is_symlink() else path.unlink()
    except PermissionError:
        if not shell.WINDOWS:
            raise


def _patiently(take: Callable[[], object]) -> None:
    until = time.monotonic() + _PATIENCE_SECONDS
    while True:
        try:
            take()
        except PermissionError:
            if not shell.WINDOWS or time.monotonic() > until:
                raise
            time.sleep(_AGAIN_SECONDS)
        else:
            return
