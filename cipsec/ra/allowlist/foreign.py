"""Entries out of tables that others made: an ERP's export, an engineer's spreadsheet.

All errors are gathered, with their lines, and nothing comes out unless everything is good.
"""

from __future__ import annotations

import heapq
import io
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import chain, islice

from cipsec.errors import Malformed, UsageError
from cipsec.pki.device import DeviceId, Mac
from cipsec.ra.allowlist import entries, lines, load, numbers
from cipsec.ra.allowlist.entries import Entry
from cipsec.ra.allowlist.faults import LIMIT, Broken, Fault
from cipsec.ra.allowlist.index import Index
from cipsec.ra.allowlist.numbers import Base
from cipsec.ra.allowlist.records import Record, records
from cipsec.ra.allowlist.table import Table, write_index

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


def read(data: bytes, mapping: Mapping, file: str) -> Table:
    """Return the entries of a table; raise Broken with all that is wrong, UsageError for `mapping`.

    Without a mapping the table is a list as this package writes it. What comes out is a list in
    any case, whose lines are numbered as those that the entries come from.
    """
    mapping.check()
    if not mapping:
        return _checked(_own_table(data, file), file)
    draft = _Draft(mapping)
    for record in records(data, mapping.columns(), file):
        draft.take(record)
    if faults := draft.all_faults():
        raise _broken(file, faults)
    return draft.table()


def _checked(table: Table, file: str) -> Table:
    """Return a list that may be written; raise Broken."""
    faults = list(islice(_objections(table), LIMIT))
    if faults:
        raise Broken(file, faults)
    return table


def _objections(table: Table) -> Iterator[Fault]:
    for line, row in table:
        try:
            entries.check(row.entry())
        except UsageError as error:
            yield Fault(line, error.message)


def _broken(file: str, faults: Sequence[Fault]) -> Broken:
    if any(fault.why.endswith(numbers.AMBIGUOUS) for fault in faults):
        hint = "say how numbers are written with --serial-base, and --vendor-base"
        return Broken(file, faults, hint=hint)
    return Broken(file, faults)


class _Draft:
    """The list that is being made of a table, and what is wrong with the rest of it.

    As text with an index, because a million entries as values take a gigabyte.
    """

    def __init__(self, mapping: Mapping) -> None:
        self._mapping = mapping
        self._text, self._index = io.BytesIO(), Index()
        self._text.write(lines.line_of(list(entries.COLUMNS)).encode() + b"\n")
        self._faults: list[Fault] = []
        self._padding = numbers.Padding()
        self._shortened: list[Fault] = []  # which count where the column is padded

    def take(self, record: Record | Fault) -> None:
        """Take over one record, or note what is wrong with it."""
        if len(self._faults) < LIMIT:
            self._take(record)
        if isinstance(record, Fault):
            return
        serial = record[self._mapping.serial_column]
        if serial and self._mapping.serial_base != "dec":
            self._note_padding(record.line, serial)

    def _take(self, record: Record | Fault) -> None:
        if isinstance(record, Fault):
            self._faults.append(record)
            return
        try:
            self._write(record.line, entries.check(self._entry(record)))
        except (UsageError, Malformed) as error:
            self._faults.append(Fault(record.line, error.message))

    def _write(self, line: int, entry: Entry) -> None:
        key = entries.key_of_device(entry.device)
        self._index.add(key, offset=self._text.tell(), line=line)
        self._text.write(lines.line_of(entries.texts_of(entry)).encode() + b"\n")

    def _note_padding(self, line: int, serial: str) -> None:
        self._padding.take(serial)
        if len(self._shortened) < LIMIT:
            try:
                numbers.check_padded(serial)
            except Malformed as error:
                self._shortened.append(Fault(line, error.message))

    def all_faults(self) -> list[Fault]:
        """Return what is wrong, sorted, at most LIMIT faults."""
        shortened = self._shortened if self._padding else []
        return heapq.nsmallest(LIMIT, chain(self._faults, shortened, self._contradictions()))

    def _contradictions(self) -> Iterator[Fault]:
        for one, other in self._index.repeated():
            text = self._line(one)
            if self._line(other) != text:
                device, first = text.partition(",")[0], self._index.lines[one]
                yield Fault(self._index.lines[other], f"{device} has other values in line {first}")

    def _line(self, row: int) -> str:
        self._text.seek(self._index.offsets[row])
        return self._text.readline().decode()

    def table(self) -> Table:
        """Return the list; nothing is wrong with it."""
        size = self._text.seek(0, io.SEEK_END)
        write_index(self._text, self._index, size=size, header=0)
        return Table(self._text.getbuffer())

    def _entry(self, record: Record) -> Entry:
        mapping = self._mapping
        return Entry(
            self._device(record),
            name=record[mapping.name_column],
            note=record[mapping.note_column],
        )

    def _device(self, record: Record) -> DeviceId | Mac:
        mapping, serial = self._mapping, record[self._mapping.serial_column]
        if serial:
            number = numbers.read(serial, mapping.serial_base, _SERIAL_LIMIT)
            return DeviceId(self._vendor(record), number)
        if mac := record[mapping.mac_column]:
            return Mac.parse(mac)
        raise Malformed("there is no device")

    def _vendor(self, record: Record) -> int:
        if self._mapping.vendor:
            return self._mapping.vendor_for_all()
        return numbers.read(
            record[self._mapping.vendor_column], self._mapping.vendor_base, _VENDOR_LIMIT
        )


def _own_table(data: bytes, file: str) -> Table:
    table = load.parsed(data)
    if isinstance(table, Table):
        return table
    raise Broken(file, table, hint="name the columns of a foreign table: --serial-column …")
