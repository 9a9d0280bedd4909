"""Changes to a list: whole, one at a time, and no line touched that is not meant."""

from __future__ import annotations

import contextlib
import os
import stat
from array import array
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from cipsec import files
from cipsec.errors import AlreadyExists, Locked, NotFound, UsageError
from cipsec.pki.device import DeviceId, Mac
from cipsec.ra.allowlist import amend, entries, load
from cipsec.ra.allowlist.entries import Entry, Listed
from cipsec.ra.allowlist.place import Place
from cipsec.ra.allowlist.table import Table

_T = TypeVar("_T")

_LOCK_SECONDS = 10
_ATTEMPTS = 3  # where somebody edits the file by hand meanwhile


@dataclass(frozen=True, slots=True)
class Added:
    """What `add` did: the entries as they are listed now, and which devices are new or changed."""

    listed: tuple[Listed, ...]
    new: tuple[DeviceId | Mac, ...]
    replaced: tuple[DeviceId | Mac, ...]


@dataclass(frozen=True, slots=True)
class Merged:
    """What `merge` did, by the million: keys of `entries`, and where each device is listed now."""

    name: str
    wanted: Table
    lines: array[int]
    new: array[int]
    replaced: array[int]

    def listed(self) -> Iterator[Listed]:
        """Yield the entries that were wanted as they are listed now."""
        for (_, row), line in zip(self.wanted.firsts(), self.lines, strict=True):
            yield Listed(self.name, line, row.entry())


def add(
    folder: Path, name: str, added: Sequence[Entry], *, replace: bool = False, dry_run: bool = False
) -> Added:
    """List devices; the list is made where there is none. All entries are taken, or none.

    Raises AlreadyExists when a device is listed with other values and `replace` is false,
    UsageError for an entry that should not be written, Malformed when the list is broken.
    """
    wanted = amend.table_of(name, _once(added))
    done = merge(folder, name, wanted, replace=replace, dry_run=dry_run)
    new, replaced = (tuple(map(entries.device_of, keys)) for keys in (done.new, done.replaced))
    return Added(tuple(done.listed()), new, replaced)


def merge(
    folder: Path, name: str, wanted: Table, *, replace: bool = False, dry_run: bool = False
) -> Merged:
    """List what another list has, as `add` does; what may not be written, its author has refused.

    For entries by the million.
    """

    def change(table: Table) -> tuple[bytes | None, Merged]:
        new, others = amend.sorted_out(table, wanted)
        if others and not replace:
            raise _listed_already(name, table, others)
        if not new and not others:
            return None, Merged(name, wanted, amend.places(name, table, wanted), new, others)
        text = amend.with_entries(table, wanted, others, new)
        return text, Merged(name, wanted, amend.read_back(name, text, wanted), new, others)

    return _change(Place(folder, name), change, make=True, dry_run=dry_run)


def remove(
    folder: Path, name: str, devices: Sequence[DeviceId | Mac], *, dry_run: bool = False
) -> tuple[Listed, ...]:
    """Take devices off a list, all or none, and return what was listed; raise NotFound."""
    keys = dict.fromkeys(map(entries.key_of_device, devices))

    def change(table: Table) -> tuple[bytes | None, tuple[Listed, ...]]:
        gone = tuple(_listed(name, table, key) for key in keys)
        raw = bytes(table.text).splitlines(keepends=True)
        for number in (number for key in keys for number in table.lines(key)):
            raw[number - 1] = b""
        return (b"".join(raw) if gone else None), gone

    return _change(Place(folder, name), change, make=False, dry_run=dry_run)


def _once(added: Iterable[Entry]) -> list[Entry]:
    once: dict[DeviceId | Mac, Entry] = {}
    for entry in map(entries.check, added):
        if once.setdefault(entry.device, entry) != entry:
            raise UsageError(f"{entry.device} is given twice, and not alike")
    return list(once.values())


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


def _change(
    place: Place,
    change: Callable[[Table], tuple[bytes | None, _T]],
    *,
    make: bool,
    dry_run: bool,
) -> _T:
    with _alone(place):
        for _ in range(_ATTEMPTS):
            before = _read(place, make=make)
            text, result = change(before.table)
            if text is None or dry_run or _replace(place, before, text):
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
    table = load.parsed(amend.EMPTY)
    if not make or not isinstance(table, Table):
        raise NotFound(f"there is no list {place.name}", hint="cipsec allowlist list")
    return _Before(table, None)


def _replace(place: Place, before: _Before, text: bytes) -> bool:
    """Write the list whole; return False where somebody else has written it meanwhile."""
    if before.stamp is None:
        place.path.parent.mkdir(exist_ok=True)
        try:
            files.create(place.path, text, mode=files.PUBLIC, inherit=True)
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
