"""A report as one JSON object, written piece by piece: a row at a time, however many there are."""

from __future__ import annotations

from collections.abc import Iterator

from cipsec import safe
from cipsec.report.contents import Report
from cipsec.report.tables import Table


def pieces(report: Report) -> Iterator[bytes]:
    """Yield the document: `report`, with what it says at once first, then each table."""
    head = safe.json_text(report.head, indent=2)
    yield f'{{"report": {head.removesuffix("}").rstrip()}'.encode()
    for table in report.tables:
        yield from _table(table)
    yield b"\n}}\n"


def _table(table: Table) -> Iterator[bytes]:
    yield f',\n  "{table.name}": ['.encode()
    separator = "\n    "
    for row in table.rows():
        yield f"{separator}{safe.json_text(row)}".encode()
        separator = ",\n    "
    yield b"]"
