"""The records of a table that others made: its encoding, its delimiter, which columns are where.

What the cells mean is left to `foreign`. The table is never there as text: by a character outside
of Latin-1 it would take four times its bytes.
"""

from __future__ import annotations

import contextlib
import csv
import io
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from cipsec import safe
from cipsec.errors import UsageError
from cipsec.ra.allowlist.faults import Broken, Fault
from cipsec.ra.allowlist.lines import BOM

_DELIMITERS = (",", ";", "\t")
_SEP = re.compile(r"\Asep=.(?=[\r\n])", re.IGNORECASE)  # what some write above for Excel to read
_SEP_BYTES = 9  # of which four may be the delimiter


@dataclass(frozen=True, slots=True)
class Record:
    """One record of the table: the line it begins at, and the cells of the columns mapped."""

    line: int
    cells: dict[str, str]

    def __getitem__(self, column: str | None) -> str:
        return self.cells.get(column, "").strip() if column else ""


def records(data: bytes, columns: Sequence[str], file: str) -> Iterator[Record | Fault]:
    """Yield the records below the header, and what is none; raise Broken for what is no text.

    Raises UsageError where one of `columns` is not there, or there twice.
    """
    _require_text(data, file)
    delimiter, places, width = _layout(data, columns, file)
    reader = csv.reader(_text(data), delimiter=delimiter, strict=True)
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
            yield Record(line, {name: cells[at] for name, at in places.items() if at < len(cells)})


def _require_text(data: bytes, file: str) -> None:
    if b"\0" in data or data.startswith((b"\xff\xfe", b"\xfe\xff")):
        raise Broken(file, [Fault(0, 'this is no text, or UTF-16; save it as "CSV UTF-8"')])
    for line, raw in enumerate(io.BytesIO(data), start=1):
        try:
            raw.decode("utf-8")
        except UnicodeDecodeError:
            why = 'this is not UTF-8; save the table as "CSV UTF-8"'
            raise Broken(file, [Fault(line, why)]) from None


def _text(data: bytes) -> io.TextIOWrapper:
    """Return the text, decoded by and by, without what is not part of the table at its begin."""
    begin = len(data) - len(data.removeprefix(BOM))
    if found := _SEP.match(data[begin : begin + _SEP_BYTES].decode("utf-8", "replace")):
        begin += len(found[0].encode())
    source = io.BytesIO(data)  # no copy
    source.seek(begin)
    return io.TextIOWrapper(source, encoding="utf-8", newline="")


def _layout(data: bytes, columns: Sequence[str], file: str) -> tuple[str, dict[str, int], int]:
    """Return the delimiter, where each column stands, and how many there are.

    The delimiter is the one that makes all the columns appear in the header; a guess from what the
    cells look like would take decimal commas for it.
    """
    headers = {delimiter: _header(data, delimiter) for delimiter in _DELIMITERS}
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


def _header(data: bytes, delimiter: str) -> list[str]:
    with contextlib.suppress(csv.Error):
        for cells in csv.reader(_text(data), delimiter=delimiter, strict=True):
            if any(cell.strip() for cell in cells):
                return [cell.strip() for cell in cells]
    return []


def _places(header: Sequence[str], column: str) -> list[int]:
    wanted = column.strip().casefold()
    return [place for place, name in enumerate(header) if name.casefold() == wanted]
