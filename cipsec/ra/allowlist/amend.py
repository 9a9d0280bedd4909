"""A list's text with other entries in it, and what came of it; files are left to `edit`.

The entries come as a list of their own. A million of them as values would take a gigabyte: they
stay text, and each is a value for a moment.
"""

from __future__ import annotations

import io
from array import array
from collections.abc import Iterable, Sequence
from itertools import chain, islice, starmap

from cipsec.errors import UsageError
from cipsec.ra.allowlist import entries, lines, load
from cipsec.ra.allowlist.entries import COLUMNS, Entry, Header
from cipsec.ra.allowlist.table import Table

EMPTY = (",".join(COLUMNS) + "\n").encode()


def table_of(name: str, added: Sequence[Entry]) -> Table:
    """Return entries as a list of their own; raise UsageError where one does not come back."""
    rows = (lines.line_of(entries.texts_of(entry)) + "\n" for entry in added)
    table = load.parsed(EMPTY + "".join(rows).encode())
    if isinstance(table, Table) and [row.entry() for _, row in table] == list(added):
        return table
    raise _cannot_hold(name)


def sorted_out(table: Table, wanted: Table) -> tuple[array[int], array[int]]:
    """Return the keys that a list does not have yet, and those it has with other values."""
    new, others = array("Q"), array("Q")
    for _, row in wanted.firsts():
        found = table.find(row.key)
        if found is None:
            new.append(row.key)
        elif found[1] != row:
            others.append(row.key)
    return new, others


def with_entries(table: Table, wanted: Table, others: Sequence[int], new: Sequence[int]) -> bytes:
    """Return the list with entries replaced where they stand, and new ones at the end."""
    source = io.BytesIO(table.text)
    head = next(islice(source, table.header_line - 1, None))
    end = b"\r\n" if head.endswith(b"\r\n") else b"\n"
    header = _widened(table.header, (_entry(wanted, key) for key in chain(others, new)))
    standing = _standing(table, others)

    def line(number: int, raw: bytes) -> bytes:
        if number == table.header_line and header is not table.header:
            return _head(header, raw) + end
        if number not in standing:
            return raw
        key = standing[number]
        return b"" if key is None else _line(header, wanted, key) + end

    source.seek(0)
    text = io.BytesIO()
    text.writelines(starmap(line, enumerate(source, start=1)))
    text.seek(-1, io.SEEK_END)
    if text.read() != b"\n":
        text.write(end)
    text.writelines(_line(header, wanted, key) + end for key in new)
    return text.getvalue()


def _standing(table: Table, keys: Iterable[int]) -> dict[int, int | None]:
    """Return the lines that list these keys; a device may be listed again, alike: None."""
    standing: dict[int, int | None] = {}
    for key in keys:
        first, *again = table.lines(key)
        standing[first] = key
        standing.update(dict.fromkeys(again))
    return standing


def _head(header: Header, before: bytes) -> bytes:
    mark = lines.BOM if before.startswith(lines.BOM) else b""
    return mark + ",".join(header.columns).encode()


def _line(header: Header, wanted: Table, key: int) -> bytes:
    return lines.line_of(header.cells(_entry(wanted, key))).encode()


def _entry(wanted: Table, key: int) -> Entry:
    found = wanted.find(key)
    assert found is not None  # the key is of this table
    return found[1].entry()


def _widened(header: Header, added: Iterable[Entry]) -> Header:
    """Return the header with the columns it lacks for what is to be written."""
    lacking = set(COLUMNS) - set(header.columns)
    if not lacking:
        return header
    filled = {
        column
        for entry in added
        for column, text in zip(COLUMNS, entries.texts_of(entry), strict=True)
        if text
    }
    missing = [column for column in COLUMNS if column in filled & lacking]
    return Header([*header.columns, *missing]) if missing else header


def read_back(name: str, text: bytes, wanted: Table) -> array[int]:
    """Read back what is about to be written; raise UsageError unless every entry is there."""
    if len(text) > lines.FILE_LIMIT:
        raise UsageError(
            f"the list {name} would be larger than {lines.FILE_LIMIT >> 20} MiB",
            hint="put some of it into another: add --list NAME",
        )
    table = load.parsed(text)
    if not isinstance(table, Table):
        raise _cannot_hold(name)
    return places(name, table, wanted)


def places(name: str, table: Table, wanted: Table) -> array[int]:
    """Return the line of each device that is wanted; raise UsageError unless it is listed so."""
    found = array("I")
    for _, row in wanted.firsts():
        line, listed = table.find(row.key) or (0, None)
        if listed != row:
            raise _cannot_hold(name)
        found.append(line)
    return found


def _cannot_hold(name: str) -> UsageError:
    return UsageError(
        f"the list {name} cannot hold these values", hint="leave out --name or --note"
    )
