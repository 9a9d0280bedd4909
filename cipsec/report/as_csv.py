"""One table of a report as CSV (RFC 4180), which no spreadsheet takes for anything but text."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator

from cipsec import safe
from cipsec.report.tables import Table

# Spreadsheets run a cell that begins so; the last four are what some fold into the first.
_BEGINS_A_FORMULA = ("=", "+", "-", "@", "\uff1d", "\uff0b", "\uff0d", "\uff20")
_LONGEST = 1_000  # characters of a cell


def pieces(table: Table) -> Iterator[bytes]:
    """Yield header and rows, in UTF-8, each line ending in CR LF."""
    yield _line(table.columns)
    for row in table.rows():
        yield _line([cell(row.get(column)) for column in table.columns])


def cell(value: object) -> str:
    """Return a value as a cell: harmless, and behind an apostrophe where it begins like a formula.

    Tabs and line breaks, with which some spreadsheets find a formula too, come as `\\x09`, `\\x0a`.
    """
    if value is None:
        return ""
    if isinstance(value, list):
        return cell("; ".join(map(str, value)))
    text = safe.text(value, limit=_LONGEST)
    return f"'{text}" if text.lstrip().startswith(_BEGINS_A_FORMULA) else text


def _line(cells: list[str] | tuple[str, ...]) -> bytes:
    written = io.StringIO(newline="")
    csv.writer(written).writerow(cells)
    return written.getvalue().encode()
