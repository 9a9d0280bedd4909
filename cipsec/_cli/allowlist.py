"""`cipsec allowlist`: which devices are listed; files and formats are left to `ra.allowlist`."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from datetime import datetime
from functools import partial
from itertools import chain, starmap
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from cipsec import times
from cipsec._cli import exits
from cipsec._cli.allowlist_shown import (
    COLUMNS,
    COLUMNS_COUNTED,
    Devices,
    ListName,
    chosen,
    counted,
    counts,
    entries_of,
    lists_of,
    record_events,
    show,
    those,
    warn_of_used,
)
from cipsec._cli.allowlist_tables import export, import_
from cipsec._cli.options import CaDir, DryRun, Force, command, group
from cipsec._cli.rows import Again
from cipsec._cli.talk import Talk
from cipsec.errors import Malformed, NotFound, UsageError
from cipsec.store.codes import Code

if TYPE_CHECKING:
    from cipsec.pki.device import DeviceId, Mac
    from cipsec.ra.allowlist.entries import Listed
    from cipsec.ra.allowlist.faults import Fault
    from cipsec.ra.allowlist.table import Table

app = group("allowlist", "Keep the lists of devices that may have a certificate.")

Name = Annotated[str, typer.Option("--name", metavar="TEXT", help="What people call the device.")]
Until = Annotated[
    str | None,
    typer.Option("--until", metavar="TIME", help="8h, 2027-01-31 (to its end), or a time in UTC."),
]
Uses = Annotated[
    int | None,
    typer.Option("--uses", metavar="N", min=1, help="How many certificates it may get."),
]
NoteText = Annotated[str, typer.Option("--note", metavar="TEXT", help="A word to colleagues.")]
Wanted = Annotated[
    list[str] | None,
    typer.Argument(metavar="[DEVICE…]", help="VENDOR:SERIAL or MAC: tell whether it is listed."),
]


@command(app, "list")
def listing(talk: Talk, *, list_name: ListName = None, ca_dir: CaDir = None) -> None:
    """List the devices of one list, or of all."""
    from cipsec.ca_folder import open_folder

    ca_folder = open_folder(ca_dir)
    folder = lists_of(ca_folder)
    tables = [(name, _table(folder, name)) for name in those(folder, list_name)]
    if not any(len(table) for _, table in tables):
        talk.say("cipsec: no device is listed; add one with: cipsec allowlist add VENDOR:SERIAL")
    with closing(ca_folder.store()) as database:
        used = database.read(lambda db: counts(db, [name for name, _ in tables]))
    found = Again(lambda: chain.from_iterable(starmap(entries_of, tables)))
    talk.table("entries", COLUMNS_COUNTED, Again(lambda: map(partial(counted, used), found)))


@command(app, "add")
def add(
    talk: Talk,
    devices: Devices,
    *,
    list_name: ListName = None,
    name: Name = "",
    until: Until = None,
    uses: Uses = None,
    note_text: NoteText = "",
    force: Force = False,
    dry_run: DryRun = False,
    ca_dir: CaDir = None,
) -> None:
    """Add devices to a list, which is made where there is none.

    -f replaces what is listed.
    """
    from cipsec.ca_folder import open_folder
    from cipsec.ra.allowlist import edit
    from cipsec.ra.allowlist.entries import Entry, parse_device

    end = _until(until)
    added = [Entry(parse_device(one), name, end, uses, note_text) for one in devices]
    folder = open_folder(ca_dir)
    lists = lists_of(folder)
    to = chosen(lists, list_name)
    done = edit.add(lists, to, added, replace=force, dry_run=dry_run)
    if not dry_run:
        record_events(folder, Code.ALLOWLIST_ADDED, done.new, f"list {to}")
        record_events(
            folder, Code.ALLOWLIST_ADDED, done.replaced, f"list {to}: other values than before"
        )
    _tell(talk, f"added to {to}", [*done.new, *done.replaced], dry_run=dry_run)
    warn_of_used(talk, folder, done.listed)
    show(talk, done.listed)


@command(app, "remove")
def remove(
    talk: Talk,
    devices: Devices,
    *,
    list_name: ListName = None,
    dry_run: DryRun = False,
    ca_dir: CaDir = None,
) -> None:
    """Remove devices from a list, all or none.

    Certificates that were issued stay valid.
    """
    from cipsec.ca_folder import open_folder
    from cipsec.ra.allowlist import edit
    from cipsec.ra.allowlist.entries import parse_device

    folder = open_folder(ca_dir)
    lists = lists_of(folder)
    wanted = list(dict.fromkeys(map(parse_device, devices)))
    of = chosen(lists, list_name)
    try:
        gone = edit.remove(lists, of, wanted, dry_run=dry_run)
    except NotFound as error:
        raise _elsewhere(lists, of, wanted, error) from None
    if not dry_run:
        record_events(folder, Code.ALLOWLIST_REMOVED, wanted, f"list {of}")
    _tell(talk, f"removed from {of}", wanted, dry_run=dry_run)
    show(talk, gone)


@command(app, "check")
def check(
    talk: Talk, devices: Wanted = None, *, list_name: ListName = None, ca_dir: CaDir = None
) -> int:
    """Check the lists, or whether devices are listed.

    Exit code 0, or 10 with all that is wrong.
    """
    from cipsec.ca_folder import open_folder
    from cipsec.ra.allowlist.entries import parse_device

    folder = lists_of(open_folder(ca_dir))
    wanted = [parse_device(one) for one in devices or ()]
    found: list[Listed] = []
    faults: list[dict[str, object]] = []
    for name in those(folder, list_name):
        table = _outcome(folder, name)
        if isinstance(table, tuple):
            faults += [{"list": name, "line": one.line, "error": one.why} for one in table]
        else:
            many = "1 entry" if len(table) == 1 else f"{len(table)} entries"
            talk.say(f"cipsec: {name}: {many}, nothing is wrong")
            found += _those_of(table, name, wanted)
    all_listed = _tell_missing(talk, wanted, found)
    if faults:
        shown = [dict.fromkeys(COLUMNS) | fault for fault in faults]
        talk.table("entries", ["list", "line", "error"], shown)
    else:
        show(talk, found)
    return exits.OK if all_listed and not faults else exits.NO


command(app, "import")(import_)
command(app, "export")(export)


def _until(text: str | None) -> datetime | None:
    """Read a duration from now, a bare date (to its end) or a time; raise UsageError."""
    from cipsec.ra.allowlist.entries import parse_until

    if not text:
        return None
    try:
        end = (times.now() + times.parse_duration(text)).replace(microsecond=0)
    except UsageError:
        try:
            end = parse_until(text) or times.now()
        except Malformed as error:
            raise UsageError(f"--until: {error.message}", hint="or write 8h, 30d") from None
    if end <= times.now():
        raise UsageError(f"--until {text} is over", hint="write 8h, 30d or a date to come")
    return end


def _tell(talk: Talk, what: str, devices: list[DeviceId | Mac], *, dry_run: bool) -> None:
    if not devices:
        talk.say("cipsec: nothing is changed: it is listed so already")
        return
    many = str(devices[0]) if len(devices) == 1 else f"{len(devices)} devices"
    talk.say(f"cipsec: {many} {'would be ' if dry_run else ''}{what}")


def _table(folder: Path, name: str) -> Table:
    """Return a list; raise Malformed."""
    from cipsec.ra.allowlist import load
    from cipsec.ra.allowlist.place import Place

    place = Place(folder, name)
    return load.here(place).table(place)


def _outcome(folder: Path, name: str) -> Table | tuple[Fault, ...]:
    from cipsec.ra.allowlist import load
    from cipsec.ra.allowlist.faults import Fault
    from cipsec.ra.allowlist.place import Place

    place = Place(folder, name)
    try:
        return load.here(place).outcome
    except Malformed as error:  # no file, or not to be read
        return (Fault(0, error.message.removeprefix(f"{place.shown}: ")),)


def _those_of(table: Table, name: str, wanted: list[DeviceId | Mac]) -> Iterator[Listed]:
    from cipsec.ra.allowlist.entries import Listed, key_of_device

    for device in wanted:
        if found := table.find(key_of_device(device)):
            yield Listed(name, found[0], found[1].entry())


def _tell_missing(talk: Talk, wanted: list[DeviceId | Mac], found: list[Listed]) -> bool:
    """Tell which devices are not listed, or no longer; return whether all are."""
    good = True
    for device in wanted:
        ends = [one.entry.until for one in found if one.entry.device == device]
        if not ends:
            talk.say(f"cipsec: {device} is not listed")
        elif all(end is not None and end < times.now() for end in ends):
            talk.say(f"cipsec: {device} is listed no longer: its time is over")
        else:
            continue
        good = False
    return good


def _elsewhere(folder: Path, of: str, wanted: list[DeviceId | Mac], error: NotFound) -> NotFound:
    """Return the error with a hint where one of the devices is listed instead."""
    from cipsec.ra.allowlist import place

    for name in place.names(folder):
        table = _outcome(folder, name) if name != of else ()
        if not isinstance(table, tuple) and (found := next(_those_of(table, name, wanted), None)):
            hint = f"{found.entry.device} is listed in {name}: add --list {name}"
            return NotFound(error.message, hint=hint)
    return error
