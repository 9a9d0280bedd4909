"""What of a CA's folder goes into a backup, and which names may come out of one."""

from __future__ import annotations

import os
import re
import tarfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from cipsec import files
from cipsec.ca_folder import CaFolder
from cipsec.current import Stamp, stamp
from cipsec.errors import LocalState, Malformed

FACTS = "backup.json"
ROOT = "ca"
_DEEPEST = 6
_LONGEST_FACTS = 64 * 1024
# Of the server that runs, or not yet whole; the store comes as a copy.
_LEFT_OUT = re.compile(r"\..*|.*\.lock|store\.sqlite3(-wal|-shm|-journal)?")
_PART = re.compile(r"[^/\\\x00-\x1f\x7f]{1,255}")


@dataclass(frozen=True, slots=True)
class Found:
    """The files to back up, by their names in the folder, and what cannot be."""

    files: dict[str, Path]
    left_out: tuple[str, ...]

    def stamps(self) -> dict[str, Stamp | None]:
        """Return what changes when a key or a certificate does; a log may grow all the time."""
        names = (name for name in self.files if name.endswith((".pem", ".key")))
        return {name: stamp(str(self.files[name])) for name in names}


def find(folder: CaFolder) -> Found:
    """Return what is in the folder; links lead to what they name, folders behind them do not.

    Raises LocalState where one may not look.
    """
    found: dict[str, Path] = {}
    strange: list[str] = []
    for path in _walk(folder.path):
        name = path.relative_to(folder.path).as_posix()
        if path.is_file() and all(map(_is_name, name.split("/"))):
            found[name] = path
        else:
            strange.append(name)
    return Found(found, tuple(strange))


def _walk(where: Path, depth: int = 0) -> Iterator[Path]:
    """Yield everything that is not a plain folder, in the order of names; raise LocalState."""
    try:
        with os.scandir(where) as entries:
            inside = sorted(entries, key=lambda entry: entry.name)
    except OSError as error:  # left out, it would be missed when it is needed
        hint = "run it as the user whose server it is"
        raise LocalState(f"{where} cannot be read: {files.reason(error)}", hint=hint) from None
    for entry in inside:
        if depth == 0 and _LEFT_OUT.fullmatch(entry.name):
            continue
        if entry.name.startswith("."):
            continue
        if entry.is_dir(follow_symlinks=False) and depth < _DEEPEST - 2:
            yield from _walk(Path(entry.path), depth + 1)
        else:
            yield Path(entry.path)


def place_of(member: tarfile.TarInfo) -> PurePosixPath | None:
    """Return where in the folder a member of an archive belongs; None for the facts.

    Raises Malformed for what none of our backups has: a path that leads out, a link, a device.
    """
    name = member.name
    is_plain = member.type in (tarfile.REGTYPE, tarfile.AREGTYPE) and not member.issparse()
    if name == FACTS and is_plain and member.size <= _LONGEST_FACTS:
        return None
    parts = name.split("/")
    fits = parts[0] == ROOT and 2 <= len(parts) <= _DEEPEST
    if not is_plain or not fits or not all(map(_is_name, parts)):
        raise Malformed(f"the backup holds {name!r}, which no backup of cipsec does")
    return PurePosixPath(*parts[1:])


def _is_name(part: str) -> bool:
    return bool(_PART.fullmatch(part)) and not part.startswith(".") and part.isprintable()
