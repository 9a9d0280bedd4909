"""Rows of a result as text, one by one: there may be a million; `talk` prints them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Generic, TypeVar

from cipsec import safe

_T = TypeVar("_T")
Row = Mapping[str, object]


class Again(Generic[_T]):
    """What can be gone through more than once without being kept: it is made anew each time.

    `is_empty` tells, once it was gone through, whether there was nothing.
    """

    def __init__(self, make: Callable[[], Iterable[_T]]) -> None:
        self._make = make
        self.is_empty = True

    def __iter__(self) -> Iterator[_T]:
        for one in self._make():
            self.is_empty = False
            yield one


def json_lines(key: str, rows: Iterable[Row]) -> Iterator[str]:
    """Yield what one JSON object with all rows under `key` would be, in pieces of whole lines."""
    opening = f"{{\n  {safe.json_text(key)}: ["
    records = iter(rows)
    before = next(records, None)  # if nothing can be read, nothing is printed
    if before is None:
        yield f"{opening}]\n}}"
        return
    yield opening
    for record in records:
        yield f"{_record(before)},"
        before = record
    yield f"{_record(before)}\n  ]\n}}"


def _record(row: Row) -> str:
    return "    " + safe.json_text(row, indent=2).replace("\n", "\n    ")


def cells(columns: Sequence[str], rows: Iterable[Row]) -> Iterator[list[str]]:
    """Yield the cells of each row."""
    return ([cell(row.get(column)) for column in columns] for row in rows)


def cell(value: object) -> str:
    """Return a value as people read it, made harmless."""
    match value:
        case None:
            return "-"
        case bool():
            return "yes" if value else "no"
        case list() | tuple():
            return ", ".join(cell(item) for item in value) or "-"
        case _:
            return safe.text(value) or "-"
