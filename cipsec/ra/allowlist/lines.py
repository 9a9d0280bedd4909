"""Lines of a CSV file as cells: one record a line, UTF-8; what the cells mean is `entries`'s."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from functools import partial
from typing import BinaryIO

from cipsec.errors import Malformed

LINE_LIMIT = 8192  # bytes: no name and no note is that long
FILE_LIMIT = 256 * 1024 * 1024  # five million lines; also what four bytes of an offset can hold
BOM = b"\xef\xbb\xbf"
_UTF_16 = (b"\xff\xfe", b"\xfe\xff")
_SAVE_AS = 'save the list as "CSV UTF-8"'


class Unreadable(Malformed):
    """A line after which nothing more of the file can be made sense of."""


def raw_lines(source: BinaryIO) -> Iterator[tuple[int, int, bytes]]:
    """Yield number (from 1), offset and bytes of each line; raise nothing but OSError.

    A line above the limit comes in pieces, the first of which `text_of` refuses.
    """
    offset = 0
    read = partial(source.readline, LINE_LIMIT + 1)
    for number, raw in enumerate(iter(read, b""), start=1):
        yield number, offset, raw
        offset += len(raw)


def text_of(raw: bytes, number: int) -> str:
    """Return one line as text without its end; raise Malformed, or Unreadable."""
    if number == 1:
        raw = _without_bom(raw)
    if len(raw) > LINE_LIMIT:
        raise Unreadable(f"the line is longer than {LINE_LIMIT} bytes")
    if b"\0" in raw:
        raise Unreadable(f"there is a NUL byte: this is no text, or not UTF-8; {_SAVE_AS}")
    try:
        text = raw.decode("utf-8").removesuffix("\n").removesuffix("\r")
    except UnicodeDecodeError:
        raise Malformed(f"this is not UTF-8; {_SAVE_AS}") from None
    if "\r" in text:
        raise Malformed("there is a carriage return within the line")
    return text


def _without_bom(raw: bytes) -> bytes:
    if raw.startswith(_UTF_16):
        raise Unreadable(f"this is UTF-16; {_SAVE_AS}")
    return raw.removeprefix(BOM)


def cells_of(text: str) -> list[str]:
    """Return the cells of one line; none where it is empty or a comment; raise Malformed."""
    if '"' not in text:  # nearly always, and four times faster
        cells = text.split(",")
    elif text.lstrip().startswith("#"):
        return []
    else:
        try:
            cells = next(csv.reader([text], strict=True))
        except csv.Error:
            raise Malformed("the quotation marks in this line do not match") from None
    # A spreadsheet writes blank lines as ",,," and quotes comments that hold a comma.
    first = cells[0].lstrip()
    if first.startswith("#") or (not first and not any(cell.strip() for cell in cells)):
        return []
    return cells


def line_of(cells: list[str]) -> str:
    """Return cells as one line, without its end."""
    return ",".join(map(_quoted, cells))


def _quoted(cell: str) -> str:
    if any(char in cell for char in ',"'):
        return '"' + cell.replace('"', '""') + '"'
    return cell
