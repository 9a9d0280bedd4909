"""A list that is read: its text with an index of keys, compact enough for millions of lines.

The image is one block of bytes, so that a child process can make it and the server map it: the
file's text; then, from an offset divisible by eight, the sorted keys (8 bytes each), the number of
the row each belongs to (4), and for each row offset and line (4 each); then `_END`. What is wrong
with the list comes out instead, line by line.
"""

from __future__ import annotations

import struct
from bisect import bisect_left
from collections.abc import Iterator
from itertools import islice
from typing import BinaryIO

from cipsec.errors import Malformed
from cipsec.ra.allowlist.entries import Header, Row
from cipsec.ra.allowlist.faults import LIMIT, Fault
from cipsec.ra.allowlist.index import Index
from cipsec.ra.allowlist.lines import LINE_LIMIT, Unreadable, cells_of, raw_lines, text_of

_END = struct.Struct("=8sQQQ")  # magic, rows, bytes of text, offset of the header
_MAGIC = b"cipsec\x01\n"


class Table:
    """Looks entries up in an image; details are read from the text when they are wanted."""

    def __init__(self, image: bytes | memoryview) -> None:
        """Take an image as `build` writes it; raise Malformed when it is not whole."""
        view = memoryview(image)
        size = len(view)
        if size < _END.size:
            raise Malformed("the index is not whole")
        magic, self._rows, self._text_size, header = _END.unpack(view[size - _END.size :])
        start = _aligned(self._text_size)
        if magic != _MAGIC or size != start + self._rows * 20 + _END.size:
            raise Malformed("the index is not whole")
        self._view = view
        self._keys = view[start : start + self._rows * 8].cast("Q")
        rest = view[start + self._rows * 8 : size - _END.size].cast("I")
        self._row_of, self._offsets, self._lines = (
            rest[n * self._rows : (n + 1) * self._rows] for n in range(3)
        )
        self.header_line = 1 + bytes(view[:header]).count(b"\n")
        self.header = Header.parse(cells_of(self._text(header, self.header_line)))

    def __len__(self) -> int:
        """Return the number of rows, repeated ones included."""
        return len(self._keys)

    @property
    def text(self) -> memoryview:
        """The file's bytes."""
        return self._view[: self._text_size]

    def find(self, key: int) -> tuple[int, Row] | None:
        """Return the first line that lists a key, and what it says."""
        place = bisect_left(self._keys, key)
        if place == self._rows or self._keys[place] != key:
            return None
        return self._read(self._row_of[place])

    def lines(self, key: int) -> list[int]:
        """Return all lines that list a key; they say the same."""
        place = bisect_left(self._keys, key)
        found = []
        while place < self._rows and self._keys[place] == key:
            found.append(self._lines[self._row_of[place]])
            place += 1
        return found

    def __iter__(self) -> Iterator[tuple[int, Row]]:
        """Yield line and content of every row, in the order of the file."""
        return map(self._read, range(self._rows))

    def firsts(self) -> Iterator[tuple[int, Row]]:
        """Yield the first row of every device, in the order of the file."""
        again = {
            self._row_of[n] for n in range(1, self._rows) if self._keys[n] == self._keys[n - 1]
        }
        return map(self._read, (row for row in range(self._rows) if row not in again))

    def _read(self, row: int) -> tuple[int, Row]:
        line = self._lines[row]
        return line, self.header.row(cells_of(self._text(self._offsets[row], line)))

    def _text(self, offset: int, line: int) -> str:
        raw = bytes(self._view[offset : min(offset + LINE_LIMIT, self._text_size)])
        return text_of(raw.partition(b"\n")[0], line)


def build(source: BinaryIO, sink: BinaryIO) -> list[Fault]:
    """Read a list and write its image to `sink`; return what is wrong, at most LIMIT faults.

    `source` must be able to seek. With faults, what was written is of no use.
    """
    draft = _Draft(source, sink)
    draft.read()
    if not draft.faults:
        draft.compare()
    if not draft.faults:
        write_index(sink, draft.index, size=draft.size, header=draft.header_offset)
    return sorted(draft.faults)[:LIMIT]


def write_index(sink: BinaryIO, index: Index, *, size: int, header: int) -> None:
    """Write what follows a text of `size` bytes, whose header begins at an offset."""
    sink.write(bytes(_aligned(size) - size))
    index.write(sink)
    sink.write(_END.pack(_MAGIC, len(index), size, header))


class _Draft:
    """An image being made."""

    def __init__(self, source: BinaryIO, sink: BinaryIO) -> None:
        self._source, self._sink = source, sink
        self._header: Header | None = None
        self.header_offset = self.size = 0
        self.index = Index()
        self.faults: list[Fault] = []

    def read(self) -> None:
        """Copy the text and note key, offset and line of every row."""
        number, raw = 1, b""
        for number, offset, raw in raw_lines(self._source):
            self._sink.write(raw)
            self.size = offset + len(raw)
            try:
                cells = cells_of(text_of(raw, number))
                if cells:
                    self._take(cells, number, offset, ended=raw.endswith(b"\n"))
            except Malformed as error:
                self.faults.append(Fault(number, error.message))
                if isinstance(error, Unreadable) or self._header is None:
                    return  # without a header every line would be wrong
            if len(self.faults) >= LIMIT:
                return
        if self._header is None:
            self.faults.append(Fault(number, "the list is empty: not even a header is there"))

    def _take(self, cells: list[str], number: int, offset: int, *, ended: bool) -> None:
        if self._header is None:
            self._header, self.header_offset = Header.parse(cells), offset
            return
        key = self._header.key(cells)
        if not ended and len(cells) < len(self._header.columns):
            # What an editor or a copy has written of a line so far could list more than is meant.
            raise Malformed("the last line is cut short: it has fewer cells and no end of line")
        self.index.add(key, offset=offset, line=number)

    def compare(self) -> None:
        """Find devices that are listed twice and not alike."""
        self.faults += islice(self._contradictions(), LIMIT)

    def _contradictions(self) -> Iterator[Fault]:
        for one, other in self.index.repeated():
            if self._row(one) != self._row(other):
                first = self.index.lines[one]
                why = f"the device is listed with other values in line {first}"
                yield Fault(self.index.lines[other], why)

    def _row(self, row: int) -> Row:
        self._source.seek(self.index.offsets[row])
        raw = self._source.readline(LINE_LIMIT + 1)
        assert self._header is not None  # rows come after it
        return self._header.row(cells_of(text_of(raw, self.index.lines[row])))


def _aligned(size: int) -> int:
    return (size + 7) // 8 * 8
