"""`cipsec allowlist import` and `export`: tables of others in, tables for spreadsheets out."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cipsec import files, named
from cipsec._cli.allowlist_shown import (
    ListName,
    chosen,
    entries_of,
    lists_of,
    record_events,
    show,
    those,
)
from cipsec._cli.options import CaDir, DryRun, Force, Output, one_of
from cipsec._cli.rows import Again
from cipsec._cli.talk import Talk
from cipsec.errors import LocalState, Malformed, UsageError
from cipsec.store.codes import Code

if TYPE_CHECKING:
    from cipsec.ra.allowlist.foreign import Mapping
    from cipsec.ra.allowlist.numbers import Base
    from cipsec.ra.allowlist.table import Table

Given = Annotated[str, typer.Argument(metavar="FILE.csv|-", help="A table, or - for stdin.")]


def _column(option: str, what: str) -> Any:  # what typer makes of an option has no type
    return typer.Option(option, metavar="COLUMN", help=f"The column that holds {what}.")


def _base_option(option: str, what: str) -> Any:
    return typer.Option(
        option,
        metavar="hex|dec",
        autocompletion=one_of("hex", "dec"),
        help=f"The number base of {what}.",
    )


VendorColumn = Annotated[str | None, _column("--vendor-column", "the Vendor ID")]
Vendor = Annotated[
    str | None, typer.Option("--vendor", metavar="ID", help="One Vendor ID for all, as in 0001.")
]
VendorBase = Annotated[str | None, _base_option("--vendor-base", "the Vendor IDs")]
SerialColumn = Annotated[str | None, _column("--serial-column", "the serial number")]
SerialBase = Annotated[str | None, _base_option("--serial-base", "the serial numbers")]
MacColumn = Annotated[str | None, _column("--mac-column", "the MAC address")]
NameColumn = Annotated[str | None, _column("--name-column", "the device's name")]
NoteColumn = Annotated[str | None, _column("--note-column", "a note")]


def import_(
    talk: Talk,
    file: Given,
    *,
    list_name: ListName = None,
    vendor_column: VendorColumn = None,
    vendor: Vendor = None,
    vendor_base: VendorBase = None,
    serial_column: SerialColumn = None,
    serial_base: SerialBase = None,
    mac_column: MacColumn = None,
    name_column: NameColumn = None,
    note_column: NoteColumn = None,
    force: Force = False,
    dry_run: DryRun = False,
    ca_dir: CaDir = None,
) -> None:
    """Add the devices of a table to a list.

    All of them, or none where anything is in doubt.

    Without columns named, the table is one as `export` writes it.

    For example: cipsec allowlist import drives.csv --vendor 0001 --serial-column "Serial no."
    --serial-base hex
    """
    from cipsec.ca_folder import open_folder
    from cipsec.ra.allowlist import edit
    from cipsec.ra.allowlist.foreign import Mapping

    mapping = Mapping(
        vendor_column=vendor_column,
        vendor=vendor,
        vendor_base=_base(vendor_base, "--vendor-base"),
        serial_column=serial_column,
        serial_base=_base(serial_base, "--serial-base"),
        mac_column=mac_column,
        name_column=name_column,
        note_column=note_column,
    )
    folder = open_folder(ca_dir)
    to = chosen(lists_of(folder), list_name)
    wanted = _read(talk, file, mapping)
    done = edit.merge(lists_of(folder), to, wanted, replace=force, dry_run=dry_run)
    told = f"{len(done.new)} new, {len(done.replaced)} with other values"
    if not dry_run and (done.new or done.replaced):
        source = "stdin" if file == "-" else Path(file).name
        record_events(folder, Code.ALLOWLIST_IMPORTED, [None], f"list {to}: {told}, from {source}")
    talk.say(f"cipsec: {to}: {told}{' would be listed' if dry_run else ''}")
    show(talk, Again(done.listed))


def export(
    talk: Talk,
    *,
    list_name: ListName = None,
    output: Output = None,
    force: Force = False,
    ca_dir: CaDir = None,
) -> None:
    """Write a list as CSV for a spreadsheet.

    Complete, and with no cell that it would run.
    """
    from cipsec.ca_folder import open_folder
    from cipsec.ra.allowlist import load
    from cipsec.ra.allowlist.place import Place

    folder = lists_of(open_folder(ca_dir))
    [name] = those(folder, chosen(folder, list_name))
    place = Place(folder, name)
    table = load.here(place).table(place)
    if output not in (None, "-"):
        target = Path(str(output)).absolute()
        with files.writing(target, overwrite=force, mode=files.PUBLIC) as file:
            file.writelines(_sheet(table))
        talk.say(f"cipsec: wrote {target}: {len(table)} entries")
    if talk.json:
        show(talk, Again(partial(entries_of, name, table)))
    elif output in (None, "-"):
        talk.pieces(_sheet(table))


def _sheet(table: Table) -> Iterator[bytes]:
    """Yield the lines of a list as a spreadsheet may read them."""
    from cipsec.ra.allowlist import entries, lines

    yield (lines.line_of(list(entries.COLUMNS)) + "\n").encode()
    for _, row in table:
        cells = map(entries.neutral, entries.texts_of(row.entry()))
        yield (lines.line_of(list(cells)) + "\n").encode()


def _base(text: str | None, option: str) -> Base | None:
    match text:
        case None | "hex" | "dec":
            return text
    raise UsageError(f"{option} is hex or dec, not {text!r}")


def _read(talk: Talk, file: str, mapping: Mapping) -> Table:
    """Return the table as a list; tell all that is wrong and raise Malformed."""
    from cipsec.ra.allowlist import foreign
    from cipsec.ra.allowlist.faults import Broken

    shown = "stdin" if file == "-" else file
    try:
        return foreign.read(_bytes(file), mapping, shown)
    except Broken as error:
        for fault in error.faults:
            talk.warn(f"{shown}:{fault.line}: {fault.why}" if fault.line else fault.why)
        many = "1 error" if len(error.faults) == 1 else f"{len(error.faults)} errors"
        raise Malformed(f"{shown}: {many}; nothing was imported", hint=error.hint) from None


def _bytes(file: str) -> bytes:
    from cipsec.ra.allowlist.lines import FILE_LIMIT

    if file != "-":
        return named.read(Path(file), limit=FILE_LIMIT)
    data = sys.stdin.buffer.read(FILE_LIMIT + 1)
    if len(data) > FILE_LIMIT:
        raise LocalState(f"stdin gives more than {FILE_LIMIT} bytes")
    return data
