"""Changes to a list: whole, one at a time, and no line touched that is not meant."""

from __future__ import annotations

import contextlib
import os
import stat
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from cipsec import files
from cipsec.errors import AlreadyExists, Locked, NotFound, UsageError
from cipsec.pki.device import DeviceId, Mac
from cipsec.ra.allowlist import entries, lines, load
from cipsec.ra.allowlist.entries import COLUMNS, Entry, Header, Listed
from cipsec.ra.allowlist.place import Place
from cipsec.ra.allowlist.table import Table

_T = TypeVar("_T")

_LOCK_SECONDS = 10
_ATTEMPTS = 3  # where somebody edits the file by hand meanwhile
_NEW = (",".join(COLUMNS) + "\n").encode()


@dataclass(frozen=True, slots=True)
class Added:
    """What `add` did: the entries as they are listed now, and which devices are new or changed."""

    listed: tuple[Listed, ...]
    new: tuple[DeviceId | Mac, ...]
    replaced: tuple[DeviceId | Mac, ...]


def add(
    folder: Path, name: str, added: Sequence[Entry], *, replace: bool = False, dry_run: bool = False
) -> Added:
    """List devices; the list is made where there is none. All entries are taken, or none.

    Raises AlreadyExists when a device is listed with other values and `replace` is false,
    UsageError for an entry that should not be written, Malformed when the list is broken.
    """
    wanted = _by_key(added)

    def change(table: Table) -> tuple[bytes, Added]:
        new = [key for key in wanted if table.find(key) is None]
        others = [key for key, entry in wanted.items() if _differs(table, key, entry)]
        if others and not replace:
            raise _listed_already(name, table, others)
        text = _with(table, {key: wanted[key] for key in (*others, *new)})
        done = Added(
            _written(name, text, wanted),
            tuple(map(entries.device_of, new)),
            tuple(map(entries.device_of, others)),
        )
        return text, done

    return _change(Place(folder, name), change, make=True, dry_run=dry_run)


def remove(
    folder: Path, name: str, devices: Sequence[DeviceId | Mac], *, dry_run: bool = False
) -> tuple[Listed, ...]:
    """Take devices off a list, all or none, and return what was listed; raise NotFound."""
    keys = dict.fromkeys(map(entries.key_of_device, devices))

    def change(table: Table) -> tuple[bytes, tuple[Listed, ...]]:
        gone = tuple(_listed(name, table, key) for key in keys)
        raw = bytes(table.text).splitlines(keepends=True)
        for number in (number for key in keys for number in table.lines(key)):
            raw[number - 1] = b""
        return b"".join(raw), gone

    return _change(Place(folder, name), change, make=False, dry_run=dry_run)


def _by_key(added: Sequence[Entry]) -> dict[int, Entry]:
    wanted: dict[int, Entry] = {}
    for entry in map(entries.check, added):
        if wanted.setdefault(entries.key_of_device(entry.device), entry) != entry:
            raise UsageError(f"{entry.device} is given twice, and not alike")
    return wanted


def _differs(table: Table, key: int, entry: Entry) -> bool:
    found = table.find(key)
    return found is not None and found[1].entry() != entry


def _listed_already(name: str, table: Table, keys: Sequence[int]) -> AlreadyExists:
    first = _listed(name, table, keys[0])
    more = f", and {len(keys) - 1} more are too" if len(keys) > 1 else ""
    return AlreadyExists(
        f"{first.entry.device} is listed with other values in line {first.line} of {name}{more}",
        hint="add -f to replace what is listed",
    )


def _listed(name: str, table: Table, key: int) -> Listed:
    found = table.find(key)
    if found is None:
        device = entries.device_of(key)
        raise NotFound(
            f"{device} is not listed in {name}", hint=f"cipsec allowlist list --list {name}"
        )
    return Listed(name, found[0], found[1].entry())


def _with(table: Table, put: Mapping[int, Entry]) -> bytes:
    """Return the list with entries replaced where they stand, and new ones at the end."""
    raw = bytes(table.text).splitlines(keepends=True)
    head = raw[table.header_line - 1]
    end = b"\r\n" if head.endswith(b"\r\n") else b"\n"
    header = _widened(table.header, put.values())
    if header is not table.header:
        mark = lines.BOM if head.startswith(lines.BOM) else b""
        raw[table.header_line - 1] = mark + ",".join(header.columns).encode() + end
    if not raw[-1].endswith(b"\n"):
        raw[-1] += end
    for key, entry in put.items():
        line = lines.line_of(header.cells(entry)).encode() + end
        numbers = table.lines(key)
        for number in numbers:
            raw[number - 1] = b""  # a device may be listed twice, alike
        if numbers:
            raw[numbers[0] - 1] = line
        else:
            raw.append(line)
    return b"".join(raw)


def _widened(header: Header, added: Iterable[Entry]) -> Header:
    """Return the header with the columns it lacks for what is to be written."""
    filled = {
        column
        for entry in added
        for column, text in zip(COLUMNS, entries.texts_of(entry), strict=True)
        if text
    }
    missing = [column for column in COLUMNS if column in filled - set(header.columns)]
    return Header([*header.columns, *missing]) if missing else header


def _written(name: str, text: bytes, wanted: Mapping[int, Entry]) -> tuple[Listed, ...]:
    """Read back what is about to be written; raise UsageError unless every entry is there."""
    table = load.parsed(text)
    if isinstance(table, Table) and not any(
        table.find(key) is None or _differs(table, key, entry) for key, entry in wanted.items()
    ):
        return tuple(_listed(name, table, key) for key in wanted)
    raise UsageError(f"the list {name} cannot hold these values", hint="leave out --name or --note")


def _change(
    place: Place, change: Callable[[Table], tuple[bytes, _T]], *, make: bool, dry_run: bool
) -> _T:
    with _alone(place):
        for _ in range(_ATTEMPTS):
            before = _read(place, make=make)
            text, result = change(before.table)
            if dry_run or text == before.table.text or _replace(place, before, text):
                return result
    raise Locked(f"{place.shown} is being changed by somebody else", hint="try it again")


@dataclass(frozen=True, slots=True)
class _Before:
    """A list as it was read; `stamp` is None where there is none yet."""

    table: Table
    stamp: tuple[int, ...] | None


def _read(place: Place, *, make: bool) -> _Before:
    if os.path.lexists(place.path):
        loaded = load.here(place)
        return _Before(loaded.table(place), loaded.stamp)
    table = load.parsed(_NEW)
    if not make or not isinstance(table, Table):
        raise NotFound(f"there is no list {place.name}", hint="cipsec allowlist list")
    return _Before(table, None)


def _replace(place: Place, before: _Before, text: bytes) -> bool:
    """Write the list whole; return False where somebody else has written it meanwhile."""
    if before.stamp is None:
        place.path.parent.mkdir(exist_ok=True)
        try:
            files.create(place.path, text, mode=files.PUBLIC)
        except AlreadyExists:
            return False
        return True
    if place.look() != before.stamp:
        return False
    target = place.path.resolve()  # where a link leads: a checkout keeps its file
    was = target.stat()
    files.replace(target, text, mode=stat.S_IMODE(was.st_mode))
    _restore(target, was)
    return True


def _restore(target: Path, was: os.stat_result) -> None:
    """Give the new file the old one's owner and mode, else the server might not read it."""
    with contextlib.suppress(OSError):  # who may write the folder need not be the owner
        target.chmod(stat.S_IMODE(was.st_mode))
        now = target.stat()
        if (now.st_uid, now.st_gid) != (was.st_uid, was.st_gid) and hasattr(os, "chown"):
            os.chown(target, was.st_uid, was.st_gid)


@contextlib.contextmanager
def _alone(place: Place) -> Iterator[None]:
    """Hold the lock of all lists of a folder; raise Locked, or LocalState where there is none.

    It lies beside the folder, which may be a checkout of its own.
    """
    folder = place.path.parent
    lock = folder.with_name(f"{folder.name}.lock")
    busy = "somebody else changes the lists"
    with files.held(lock, patience=_LOCK_SECONDS, busy=busy, hint="try it again"):
        yield
