"""What the `allowlist` commands share: options, which list is meant, how entries are shown."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from cipsec import times
from cipsec._cli import actor
from cipsec._cli.talk import Talk
from cipsec.errors import NotFound
from cipsec.store.codes import Code

if TYPE_CHECKING:
    import sqlite3

    from cipsec.ca_folder import CaFolder
    from cipsec.pki.device import DeviceId, Mac
    from cipsec.ra.allowlist.entries import Listed

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


def counted(db: sqlite3.Connection, listed: Listed) -> dict[str, object]:
    """Return an entry with how often it was used, where that is counted."""
    from cipsec.ra.conditions.listed import use_key
    from cipsec.store import uses

    limited = listed.entry.uses is not None
    key = use_key(listed.list, listed.entry.device)
    return {**record(listed), "used": uses.count(db, key) if limited else None}


def show(talk: Talk, listed: Iterable[Listed]) -> None:
    """Print entries."""
    talk.table("entries", COLUMNS, map(record, listed))


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
