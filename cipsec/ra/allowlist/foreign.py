"""Entries out of tables that others made: an ERP's export, an engineer's spreadsheet.

All errors are gathered, with their lines, and nothing comes out unless everything is good.
"""

from __future__ import annotations

import contextlib
import csv
import io
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial

from cipsec import safe
from cipsec.errors import Malformed, UsageError
from cipsec.pki.device import DeviceId, Mac
from cipsec.ra.allowlist import entries, load, numbers
from cipsec.ra.allowlist.entries import Entry
from cipsec.ra.allowlist.faults import LIMIT, Broken, Fault
from cipsec.ra.allowlist.lines import BOM
from cipsec.ra.allowlist.numbers import Base
from cipsec.ra.allowlist.table import Table

_DELIMITERS = (",", ";", "\t")
_SEP = re.compile(r"\Asep=.(?=[\r\n])", re.IGNORECASE)  # what some write above for Excel to read
_VENDOR_LIMIT, _SERIAL_LIMIT = 0xFFFF, 0xFFFFFFFF


@dataclass(frozen=True, slots=True)
class Mapping:
    """Which columns hold what; a serial number column needs a vendor, in a column or for all.

    Where serial number and MAC address are both mapped, the serial number is taken, and the MAC
    address in lines without one.
    """

    vendor_column: str | None = None
    vendor: str | None = None
    vendor_base: Base | None = None
    serial_column: str | None = None
    serial_base: Base | None = None
    mac_column: str | None = None
    name_column: str | None = None
    note_column: str | None = None

    def __bool__(self) -> bool:
        """Tell whether anything is mapped."""
        return bool(self.columns())

    def check(self) -> None:
        """Raise UsageError where columns are mapped and do not make a device."""
        if not self.columns() and not self.vendor:
            return
        if bool(self.serial_column) != bool(self.vendor_column or self.vendor):
            raise UsageError(
                "a serial number belongs to a vendor: the pair is the device",
                hint="add --serial-column, and --vendor-column or --vendor",
            )
        if self.vendor_column and self.vendor:
            raise UsageError("the vendor comes from a column, or is one for all")
        if self.vendor:
            self._check_vendor()
        if not self.serial_column and not self.mac_column:
            raise UsageError("no column holds the device", hint="add --serial-column")

    def _check_vendor(self) -> None:
        try:
            self.vendor_for_all()
        except Malformed as error:
            hint = "write four hexadecimal digits, or add --vendor-base"
            raise UsageError(f"--vendor: {error.message}", hint=hint) from None

    def vendor_for_all(self) -> int:
        """Return the vendor of every line: four hexadecimal digits, else by `vendor_base`."""
        text = self.vendor or ""
        canonical = re.fullmatch(r"[0-9A-Fa-f]{4}", text) and self.vendor_base is None
        return numbers.read(text, "hex" if canonical else self.vendor_base, _VENDOR_LIMIT)

    def columns(self) -> list[str]:
        """Return the columns that must be there."""
        all_of = (self.vendor_column, self.serial_column, self.mac_column, self.name_column)
        return [column for column in (*all_of, self.note_column) if column]


def read(data: bytes, mapping: Mapping, file: str) -> list[Entry]:
    """Return the entries of a table; raise Broken with all that is wrong, UsageError for `mapping`.

    Without a mapping the table is a list as this package writes it.
    """
    mapping.check()
    draft = _Draft(mapping)
    if mapping:
        draft.take_foreign(_records(_text(data, file), mapping, file))
    else:
        draft.take_native(_own_table(data, file))
    if draft.faults:
        raise _broken(file, sorted(draft.faults)[:LIMIT])
    return list(draft.found.values())


def _broken(file: str, faults: Sequence[Fault]) -> Broken:
    if any(fault.why.endswith(numbers.AMBIGUOUS) for fault in faults):
        hint = "say how numbers are written with --serial-base, and --vendor-base"
        return Broken(file, faults, hint=hint)
    return Broken(file, faults)


@dataclass(frozen=True, slots=True)
class _Record:
    """One record of the table: the line it begins at, and the cells of the columns mapped."""

    line: int
    cells: dict[str, str]

    def __getitem__(self, column: str | None) -> str:
        return self.cells.get(column, "").strip() if column else ""


class _Draft:
    """What was read so far, by device, and what is wrong with the rest."""

    def __init__(self, mapping: Mapping) -> None:
        self._mapping = mapping
        self._lines: dict[DeviceId | Mac, int] = {}
        self.found: dict[DeviceId | Mac, Entry] = {}
        self.faults: list[Fault] = []

    def take_native(self, table: Table) -> None:
        for line, row in table:
            self._take(line, row.entry)

    def take_foreign(self, records: Iterable[_Record | Fault]) -> None:
        serials: list[tuple[int, str]] = []
        for record in records:
            if isinstance(record, Fault):
                self.faults.append(record)
                continue
            self._take(record.line, partial(self._entry, record))
            serials.append((record.line, record[self._mapping.serial_column]))
        if self._mapping.serial_base != "dec":
            self._check_padded([(line, serial) for line, serial in serials if serial])

    def _take(self, line: int, make: Callable[[], Entry]) -> None:
        if len(self.faults) > LIMIT:
            return
        try:
            entry = entries.check(make())
        except (UsageError, Malformed) as error:
            self.faults.append(Fault(line, error.message))
            return
        first = self._lines.setdefault(entry.device, line)
        if self.found.setdefault(entry.device, entry) != entry:
            self.faults.append(Fault(line, f"{entry.device} has other values in line {first}"))

    def _entry(self, record: _Record) -> Entry:
        mapping = self._mapping
        return Entry(
            self._device(record),
            name=record[mapping.name_column],
            note=record[mapping.note_column],
        )

    def _device(self, record: _Record) -> DeviceId | Mac:
        mapping, serial = self._mapping, record[self._mapping.serial_column]
        if serial:
            number = numbers.read(serial, mapping.serial_base, _SERIAL_LIMIT)
            return DeviceId(self._vendor(record), number)
        if mac := record[mapping.mac_column]:
            return Mac.parse(mac)
        raise Malformed("there is no device")

    def _vendor(self, record: _Record) -> int:
        if self._mapping.vendor:
            return self._mapping.vendor_for_all()
        return numbers.read(
            record[self._mapping.vendor_column], self._mapping.vendor_base, _VENDOR_LIMIT
        )

    def _check_padded(self, serials: Sequence[tuple[int, str]]) -> None:
        if not numbers.is_padded(serial for _, serial in serials):
            return
        for line, serial in serials:
            try:
                numbers.check_padded(serial)
            except Malformed as error:
                self.faults.append(Fault(line, error.message))


def _own_table(data: bytes, file: str) -> Table:
    table = load.parsed(data)
    if isinstance(table, Table):
        return table
    raise Broken(file, table, hint="name the columns of a foreign table: --serial-column …")


def _text(data: bytes, file: str) -> str:
    if b"\0" in data or data.startswith((b"\xff\xfe", b"\xfe\xff")):
        raise Broken(file, [Fault(0, 'this is no text, or UTF-16; save it as "CSV UTF-8"')])
    try:
        return _SEP.sub("", data.removeprefix(BOM).decode("utf-8"))
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        why = 'this is not UTF-8; save the table as "CSV UTF-8"'
        raise Broken(file, [Fault(line, why)]) from None


def _records(text: str, mapping: Mapping, file: str) -> Iterator[_Record | Fault]:
    delimiter, places, width = _layout(text, mapping.columns(), file)
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    is_header = True
    while True:
        line = reader.line_num + 1
        try:
            cells = next(reader, None)
        except csv.Error:
            yield Fault(line, "the quotation marks in this line do not match")
            continue
        if cells is None:
            return
        if not any(cell.strip() for cell in cells):
            continue
        if is_header:
            is_header = False
        elif any(cell.strip() for cell in cells[width:]):
            yield Fault(line, f"there are {len(cells)} cells for {width} columns")
        else:
            yield _Record(line, {name: cells[at] for name, at in places.items() if at < len(cells)})


def _layout(text: str, columns: Sequence[str], file: str) -> tuple[str, dict[str, int], int]:
    """Return the delimiter, where each column stands, and how many there are.

    The delimiter is the one that makes all the columns appear in the header; a guess from what the
    cells look like would take decimal commas for it.
    """
    headers = {delimiter: _header(text, delimiter) for delimiter in _DELIMITERS}
    for delimiter, header in headers.items():
        places = {column: _places(header, column) for column in columns}
        if all(len(found) == 1 for found in places.values()):
            return delimiter, {column: found[0] for column, found in places.items()}, len(header)
    raise _no_column(max(headers.values(), key=len), columns, file)


def _no_column(header: Sequence[str], columns: Sequence[str], file: str) -> UsageError:
    wrong = next((name for name in columns if len(_places(header, name)) != 1), columns[0])
    how = "more than one column" if _places(header, wrong) else "no column"
    shown = ", ".join(safe.text(cell, limit=40) for cell in header[:20])
    return UsageError(f"{file} has {how} {wrong!r}; there are: {shown}")


def _header(text: str, delimiter: str) -> list[str]:
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    with contextlib.suppress(csv.Error):
        for cells in reader:
            if any(cell.strip() for cell in cells):
                return [cell.strip() for cell in cells]
    return []


def _places(header: Sequence[str], column: str) -> list[int]:
    wanted = column.strip().casefold()
    return [place for place, name in enumerate(header) if name.casefold() == wanted]
