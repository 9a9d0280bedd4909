"""BER (X.690) as some programs write PKCS#7 and PKCS#12: found, not understood.

Lengths may be indefinite and strings in pieces; what the elements mean is left to the callers.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

INTEGER, OCTETS, OCTETS_IN_PIECES = 0x02, 0x04, 0x24
_CONSTRUCTED = 0x20
_LONG_FORM = 0x80
_MAX_LENGTH_OCTETS = 4
_MAX_DEPTH = 12  # of elements without length, each of which is gone through
_END = b"\0\0"  # of an element of indefinite length (8.1.5)


@dataclass(frozen=True, slots=True)
class Element:
    """Where an element stands in the data: its tag of one octet, content, and what follows it."""

    tag: int
    at: int
    start: int
    end: int
    after: int

    @property
    def constructed(self) -> bool:
        """Whether its content is elements."""
        return bool(self.tag & _CONSTRUCTED)


def elements(data: bytes, start: int = 0, end: int | None = None) -> Iterator[Element]:
    """Yield the elements that stand one after the other; raise ValueError where they end."""
    end = len(data) if end is None else end
    while start < end:
        found = _element(data, start, end, 0)
        yield found
        start = found.after


def inside(data: bytes, outer: Element) -> Iterator[Element]:
    """Yield the elements in a constructed one; raise ValueError."""
    return elements(data, outer.start, outer.end)


def octets(data: bytes, string: Element) -> bytes:
    """Return the content of an OCTET STRING, also of one in pieces; raise ValueError."""
    if not string.constructed:
        return data[string.start : string.end]
    pieces = list(inside(data, string))
    if any(piece.tag != OCTETS for piece in pieces):
        raise ValueError("a string is in pieces that are none")
    return b"".join(data[piece.start : piece.end] for piece in pieces)


def _element(data: bytes, at: int, end: int, depth: int) -> Element:
    if at + 2 > end or data[at] & 0x1F == 0x1F or depth > _MAX_DEPTH:
        raise ValueError("an element is cut off, its tag is long, or it lies too deep")
    tag, size, start = data[at], data[at + 1], at + 2
    if size == _LONG_FORM:
        return _indefinite(data, at, end, depth)
    if size > _LONG_FORM:
        count = size - _LONG_FORM
        if count > _MAX_LENGTH_OCTETS:
            raise ValueError("a length is too long")
        start, size = start + count, int.from_bytes(data[start : start + count], "big")
    if start + size > end:
        raise ValueError("an element is cut off")
    return Element(tag, at, start, start + size, start + size)


def _indefinite(data: bytes, at: int, end: int, depth: int) -> Element:
    """Find the end of an element by going through what is in it."""
    if not data[at] & _CONSTRUCTED:
        raise ValueError("a primitive element has no indefinite length")
    inner = at + 2
    while data[inner : inner + 2] != _END:
        inner = _element(data, inner, end, depth + 1).after
    if inner + 2 > end:
        raise ValueError("an element is cut off")
    return Element(data[at], at, at + 2, inner, inner + 2)
