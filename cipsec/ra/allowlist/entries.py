"""One line of a list as a value: device, name, until, uses, note; files are left to the others."""

from __future__ import annotations

import functools
import operator
import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time
from typing import NamedTuple

from cipsec import safe, times
from cipsec.errors import Malformed, UsageError
from cipsec.pki.device import DeviceId, Mac

COLUMNS = ("device", "name", "until", "uses", "note")

_CANONICAL = re.compile(r"[0-9A-Fa-f]{4}:[0-9A-Fa-f]{8}")
_IS_MAC = 1 << 48  # tells keys of MAC addresses from those of Vendor ID and serial number
_USES = re.compile(r"[0-9]{1,9}")
USES_LIMIT = 999_999_999
_SHOWN = 60
_NAME_LIMIT, _NOTE_LIMIT = 200, 1000
_RUN_BY_SPREADSHEETS = ("=", "+", "-", "@", "\t", "\r")


@dataclass(frozen=True, slots=True)
class Entry:
    """A device that is listed; `until` is its last second, `uses` how many certificates it gets."""

    device: DeviceId | Mac
    name: str = ""
    until: datetime | None = None
    uses: int | None = None
    note: str = ""


@dataclass(frozen=True, slots=True)
class Listed:
    """An entry and where it stands: the list's name and the line, from 1."""

    list: str
    line: int
    entry: Entry


class Row(NamedTuple):
    """An entry as lists hold it by the million: the device is a number, see `key_of`."""

    key: int
    name: str
    until: datetime | None
    uses: int | None
    note: str

    def entry(self) -> Entry:
        """Return the row as the value that leaves this package."""
        return Entry(device_of(self.key), *self[1:])


class Header:
    """The first line: which columns there are, in which order."""

    def __init__(self, columns: Sequence[str]) -> None:
        self.columns = tuple(columns)
        # A cell behind the last stands for all columns that this header does not have.
        self._width = len(columns) + (len(columns) < len(COLUMNS))
        places = (columns.index(name) if name in columns else -1 for name in COLUMNS)
        self._pick = operator.itemgetter(*places)

    @classmethod
    def parse(cls, cells: Sequence[str]) -> Header:
        """Read the header; raise Malformed where a column is unknown, twice there, or missing."""
        columns = [cell.strip().lower() for cell in cells]
        while columns and not columns[-1]:  # a spreadsheet's empty columns
            columns.pop()
        expected = f"the header is {','.join(COLUMNS)}; only device must be there"
        unknown = next((column for column in columns if column not in COLUMNS), None)
        if unknown is not None:
            raise Malformed(f"there is no column {_shown(unknown)}: {expected}")
        if len(set(columns)) < len(columns):
            raise Malformed(f"a column is there twice: {expected}")
        if "device" not in columns:
            raise Malformed(f"the column device is missing: {expected}")
        return cls(columns)

    def key(self, cells: list[str]) -> int:
        """Check one line's cells and return the key of its device; raise Malformed."""
        device, _, until, uses, _ = self._pick(self._filled(cells))
        parse_until(until.strip())
        parse_uses(uses.strip())
        return key_of(device.strip())

    def row(self, cells: list[str]) -> Row:
        """Read one line's cells, of which the last may be left out; raise Malformed."""
        device, name, until, uses, note = map(str.strip, self._pick(self._filled(cells)))
        return Row(key_of(device), name, parse_until(until), parse_uses(uses), note)

    def _filled(self, cells: list[str]) -> list[str]:
        if len(cells) == self._width:
            return cells
        count = len(self.columns)
        if any(cell.strip() for cell in cells[count:]):
            raise Malformed(
                f"there are {len(cells)} cells for {count} columns:"
                " a cell with a comma stands in quotation marks"
            )
        return [*cells[:count], *[""] * (self._width - len(cells[:count]))]

    def cells(self, entry: Entry) -> list[str]:
        """Return the entry's cells in the order of this header."""
        written = dict(zip(COLUMNS, texts_of(entry), strict=True))
        return [written[column] for column in self.columns]


def texts_of(entry: Entry) -> list[str]:
    """Return the entry as text in the order of COLUMNS."""
    until = times.show_time(entry.until) if entry.until else ""
    uses = str(entry.uses) if entry.uses is not None else ""
    return [str(entry.device), entry.name, until, uses, entry.note]


def key_of(text: str) -> int:
    """Return the number a device is kept under; raise Malformed unless in the canonical form.

    Shorter forms, which `DeviceId.parse` takes, are refused here: in a file they are what a
    spreadsheet makes of leading zeros, or a line that is cut short.
    """
    if _CANONICAL.fullmatch(text):
        key = int(text.replace(":", ""), 16)
        if key >> 32 and key & 0xFFFFFFFF:
            return key
        raise Malformed(f"{text}: neither Vendor ID nor serial number can be zero")
    try:
        return Mac.parse(text).value | _IS_MAC
    except UsageError as error:
        raise Malformed(_why_no_device(text, error)) from None


def _why_no_device(text: str, error: UsageError) -> str:
    if not text:
        return "there is no device"
    if error.hint is None:  # the form of a MAC address, and not one that a device can have
        return f"{text}: {error.message}"
    try:
        return f"{text} is to be written {DeviceId.parse(text)}"
    except UsageError:
        return (
            f"{_shown(text)} is neither VENDOR:SERIAL in hexadecimal, such as 0001:6040C8F2,"
            " nor a MAC address"
        )


def key_of_device(device: DeviceId | Mac) -> int:
    """Return the number that `key_of` gives for the device's text."""
    if isinstance(device, Mac):
        return device.value | _IS_MAC
    return device.vendor << 32 | device.serial


def device_of(key: int) -> DeviceId | Mac:
    """Return the device that is kept under a number."""
    if key & _IS_MAC:
        return Mac(key ^ _IS_MAC)
    return DeviceId(key >> 32, key & 0xFFFFFFFF)


def parse_device(text: str) -> DeviceId | Mac:
    """Read a device as people type it, `VENDOR:SERIAL` or MAC; raise UsageError."""
    try:
        return Mac.parse(text)
    except UsageError as error:
        if error.hint is None:
            raise
    try:
        return DeviceId.parse(text)
    except UsageError as error:
        if "is not VENDOR:SERIAL" not in error.message:
            raise
    raise UsageError(
        f"{_shown(text)} is neither VENDOR:SERIAL in hexadecimal nor a MAC address",
        hint="write e.g. 0001:6040C8F2 or 00:00:bc:12:34:56",
    )


@functools.lru_cache(maxsize=1024)  # the same few dates stand in a million lines
def parse_until(text: str) -> datetime | None:
    """Read a time, or a bare date as the last second of that day in UTC; raise Malformed."""
    if not text:
        return None
    try:
        return datetime.combine(date.fromisoformat(text), time(23, 59, 59), tzinfo=UTC)
    except ValueError:
        pass  # no bare date
    try:
        return times.parse_time(text).replace(microsecond=0)
    except UsageError:
        raise Malformed(
            f"{_shown(text)} is not a time; write 2027-01-31 or 2027-01-31T06:00:00Z"
        ) from None


@functools.lru_cache(maxsize=1024)
def parse_uses(text: str) -> int | None:
    """Read how many times, at least once; raise Malformed."""
    if not text:
        return None
    if not _USES.fullmatch(text) or not int(text):
        raise Malformed(f"{_shown(text)} is not a number of uses, 1 to {USES_LIMIT}")
    return int(text)


def check(entry: Entry) -> Entry:
    """Return an entry that may be written; raise UsageError where sheets or eyes misread it."""
    for what, text, limit in (
        ("name", entry.name, _NAME_LIMIT),
        ("note", entry.note, _NOTE_LIMIT),
    ):
        if len(text) > limit:
            raise UsageError(f"the {what} has more than {limit} characters")
        if is_formula(text):
            raise UsageError(f"the {what} {_shown(text)} is a formula to a spreadsheet")
        if safe.text(text, limit=limit) != text:
            raise UsageError(f"the {what} {_shown(text)} holds characters that cannot be seen")
        if text != text.strip():
            raise UsageError(f"the {what} {_shown(text)} begins or ends with a space")
    if entry.uses is not None and not 1 <= entry.uses <= USES_LIMIT:
        raise UsageError(f"the uses are 1 to {USES_LIMIT}")
    return entry


def is_formula(text: str) -> bool:
    """Tell what a spreadsheet would run, or take for a number, instead of showing it."""
    return text.startswith(_RUN_BY_SPREADSHEETS)


def neutral(text: str) -> str:
    """Return a cell that a spreadsheet shows and does not run."""
    return f"'{text}" if is_formula(text) else text


def _shown(text: str) -> str:
    return f"'{safe.text(text, limit=_SHOWN)}'"
