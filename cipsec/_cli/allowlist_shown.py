"""What the `allowlist` commands share: options, which list is meant, how entries are shown."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from cipsec import times
from cipsec._cli import actor
from cipsec._cli.rows import Again
from cipsec._cli.talk import Talk
from cipsec.errors import NotFound
from cipsec.store.codes import Code

if TYPE_CHECKING:
    import sqlite3

    from cipsec.ca_folder import CaFolder
    from cipsec.pki.device import DeviceId, Mac
    from cipsec.ra.allowlist.entries import Listed
    from cipsec.ra.allowlist.table import Table

DEFAULT = "default"
COLUMNS = ("device", "name", "until", "uses", "note", "list", "line")
COLUMNS_COUNTED = (*COLUMNS, "used")

ListName = Annotated[
    str | None,
    typer.Option("--list", metavar="NAME", help="The list: NAME.csv in the CA's allowlists."),
]
Devices = Annotated[
    list[str], typer.Argument(metavar="DEVICE…", help="VENDOR:SERIAL in hexadecimal, or a MAC.")
]


def lists_of(folder: CaFolder) -> Path:
    """Return the folder that the lists lie in."""
    return folder.allowlists_folder


def chosen(folder: Path, name: str | None) -> str:
    """Return the list that is named, else the only one, else `default`; raise UsageError."""
    from cipsec.ra.allowlist import place

    if name is not None:
        return place.check_name(name)
    there = place.names(folder)
    return there[0] if len(there) == 1 else DEFAULT


def those(folder: Path, name: str | None) -> list[str]:
    """Return the list that is named, else all; raise NotFound for one that is not there."""
    from cipsec.ra.allowlist import place

    there = place.names(folder)
    if name is None:
        return there
    if place.check_name(name) not in there:
        raise NotFound(
            f"there is no list {name}",
            hint=f"make it with: cipsec allowlist add DEVICE --list {name}",
        )
    return [name]


def record(listed: Listed) -> dict[str, object]:
    """Return an entry as the contract has it."""
    entry = listed.entry
    return {
        "device": str(entry.device),
        "name": entry.name or None,
        "until": times.show_time(entry.until) if entry.until else None,
        "uses": entry.uses,
        "note": entry.note or None,
        "list": listed.list,
        "line": listed.line,
    }


def counts(db: sqlite3.Connection, names: Iterable[str]) -> dict[str, int]:
    """Return how often the devices of these lists were used, by `use_key`, where they were."""
    from cipsec.ra.conditions.listed import use_prefix
    from cipsec.store import uses

    return {key: n for name in names for key, n in uses.counts(db, use_prefix(name)).items()}


def counted(used: Mapping[str, int], listed: Listed) -> dict[str, object]:
    """Return an entry with how often it was used, where that is counted."""
    from cipsec.ra.conditions.listed import use_key

    limited = listed.entry.uses is not None
    count = used.get(use_key(listed.list, listed.entry.device), 0) if limited else None
    return {**record(listed), "used": count}


def _used(db: sqlite3.Connection, listed: Listed) -> int:
    from cipsec.ra.conditions.listed import use_key
    from cipsec.store import uses

    return uses.count(db, use_key(listed.list, listed.entry.device))


def warn_of_used(talk: Talk, folder: CaFolder, listed: Iterable[Listed]) -> None:
    """Warn of entries that grant nothing, as their devices got so many certificates by them before.

    Uses are counted for the device and the list, for good: else who edits a note grants anew.
    """
    limited = [one for one in listed if one.entry.uses is not None]
    if not limited:
        return
    with closing(folder.store()) as database:
        used = database.read(lambda db: [_used(db, one) for one in limited])
    for one, count in zip(limited, used, strict=True):
        if one.entry.uses is not None and count >= one.entry.uses:
            had = f"{one.entry.device} had {count} of {one.entry.uses} uses before"
            more = f"to grant one more: --uses {count + 1} -f"
            talk.warn(f"{had} and gets nothing by this entry; {more}")


def show(talk: Talk, listed: Iterable[Listed]) -> None:
    """Print entries."""
    talk.table("entries", COLUMNS, Again(lambda: map(record, listed)))


def entries_of(name: str, table: Table) -> Iterator[Listed]:
    """Yield the entries of a list, in order."""
    from cipsec.ra.allowlist.entries import Listed

    return (Listed(name, line, row.entry()) for line, row in table)


def record_events(
    folder: CaFolder, event: Code, devices: Sequence[DeviceId | Mac | None], reason: str
) -> None:
    """Record what an administrator did, once for each device; None stands for no one device."""
    from cipsec.store import events

    if not devices:
        return
    at, who = int(times.now().timestamp()), actor.name()
    named = [str(device) if device is not None else None for device in devices]

    def work(db: sqlite3.Connection) -> None:
        for device in named:
            events.append(db, events.Event(at, event, who, device=device, reason=reason))

    with closing(folder.store()) as database:
        database.write(work)
