"""The index of a list while it is made: every row's key, offset and line; `table` reads it."""

from __future__ import annotations

from array import array
from collections.abc import Iterator
from typing import BinaryIO

_ROW_BITS = 32  # a key and its row's number are sorted as one number
_ROW = (1 << _ROW_BITS) - 1


class Index:
    """Rows by the million, numbered from 0 in the order of the file."""

    def __init__(self) -> None:
        self._packed: list[int] = []
        self.offsets, self.lines = array("I"), array("I")

    def __len__(self) -> int:
        """Return the number of rows."""
        return len(self.offsets)

    def add(self, key: int, *, offset: int, line: int) -> None:
        """Take the next row: its key, where its text begins, and the line to name for it."""
        self._packed.append(key << _ROW_BITS | len(self.offsets))
        self.offsets.append(offset)
        self.lines.append(line)

    def repeated(self) -> Iterator[tuple[int, int]]:
        """Sort the rows; yield each that has the key of one before it, behind the first of them."""
        self._packed.sort()
        key = first = -1
        for packed in self._packed:
            if packed >> _ROW_BITS == key:
                yield first, packed & _ROW
            else:
                key, first = packed >> _ROW_BITS, packed & _ROW

    def write(self, sink: BinaryIO) -> None:
        """Write keys, rows, offsets and lines; the rows are sorted already."""
        sink.write(array("Q", (packed >> _ROW_BITS for packed in self._packed)).tobytes())
        sink.write(array("I", (packed & _ROW for packed in self._packed)).tobytes())
        sink.write(self.offsets.tobytes())
        sink.write(self.lines.tobytes())
