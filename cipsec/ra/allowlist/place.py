"""Where lists lie and how they are opened: names without tricks, files and nothing else."""

from __future__ import annotations

import os
import re
import stat
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO

from cipsec import files, naming
from cipsec.errors import Malformed, UsageError
from cipsec.ra.allowlist.lines import FILE_LIMIT

SUFFIX = ".csv"
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
# Without it, opening a FIFO would wait for somebody to write into it.
_FLAGS = (
    os.O_RDONLY
    | getattr(os, "O_NONBLOCK", 0)
    | getattr(os, "O_CLOEXEC", 0)
    | getattr(os, "O_BINARY", 0)
)

Stamp = tuple[int, ...]


def check_name(name: str) -> str:
    """Return the name of a list; raise UsageError when no list can have it."""
    if not _NAME.fullmatch(name):
        raise UsageError(
            f"{name!r} cannot be the name of a list",
            hint="letters, digits, dots, dashes and underscores, at most 64; without .csv",
        )
    if naming.is_device(name):
        raise UsageError(f"{name!r} is a device on Windows", hint="choose another name")
    return name


def names(folder: Path) -> list[str]:
    """Return the names of the lists in a folder, sorted; none where there is no folder."""
    with suppress(OSError):
        found = (path.name for path in folder.iterdir() if path.name.endswith(SUFFIX))
        return sorted(filter(_NAME.fullmatch, (name.removesuffix(SUFFIX) for name in found)))
    return []


class Place:
    """One list's file: `folder/NAME.csv`."""

    def __init__(self, folder: Path, name: str) -> None:
        """Raise UsageError when no list can have the name."""
        self.name = check_name(name)
        self.path = folder / f"{name}{SUFFIX}"
        self.shown = f"{folder.name}/{name}{SUFFIX}"
        self._text = str(self.path)  # a Path costs as much as the look itself

    def look(self) -> Stamp:
        """Return what changes whenever the file does; raise Malformed when it is no usable file.

        Links are followed: a git checkout or a deployment may put them there.
        """
        try:
            return self._checked(os.stat(self._text))  # noqa: PTH116  # a Path costs as much again
        except OSError as error:
            raise self.unusable(error) from None

    def open(self) -> BinaryIO:
        """Open the file for reading without ever waiting; raise Malformed."""
        self.look()  # to open a device file can already do something
        try:
            file = os.fdopen(os.open(self._text, _FLAGS), "rb")
        except OSError as error:
            raise self.unusable(error) from None
        try:
            self.stamp_of(file)
        except Malformed:
            file.close()
            raise
        return file

    def stamp_of(self, file: BinaryIO) -> Stamp:
        """Return the stamp of the file that is open; raise Malformed."""
        try:
            return self._checked(os.fstat(file.fileno()))
        except OSError as error:
            raise self.unusable(error) from None

    def unusable(self, error: OSError) -> Malformed:
        """Return the error that says why the list cannot be read."""
        if isinstance(error, FileNotFoundError):
            return Malformed(
                f"{self.shown}: there is no such list",
                hint=f"make it with: cipsec allowlist add DEVICE --list {self.name}",
            )
        return Malformed(f"{self.shown}: it cannot be read: {files.reason(error)}")

    def _checked(self, seen: os.stat_result) -> Stamp:
        if not stat.S_ISREG(seen.st_mode):
            raise Malformed(f"{self.shown}: this is not a file")
        if seen.st_size > FILE_LIMIT:
            raise Malformed(f"{self.shown}: it is larger than {FILE_LIMIT >> 20} MiB")
        return (seen.st_ctime_ns, seen.st_mtime_ns, seen.st_size, seen.st_ino, seen.st_dev)
