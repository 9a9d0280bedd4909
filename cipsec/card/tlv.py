"""BER-TLV as cards speak it: tags of up to three bytes, definite lengths (ISO/IEC 8825-1)."""

from __future__ import annotations

from collections.abc import Iterator

from cipsec.errors import WrongCard

_MAX_TAG = 3
_MAX_LENGTH_BYTES = 3


def encode(tag: int, value: bytes) -> bytes:
    """Return one TLV, its length as short as it can be."""
    return _encode_number(tag) + _encode_length(len(value)) + value


def _encode_number(number: int) -> bytes:
    return number.to_bytes((number.bit_length() + 7) // 8 or 1, "big")


def _encode_length(length: int) -> bytes:
    if length < 0x80:
        return bytes([length])
    number = _encode_number(length)
    return bytes([0x80 | len(number)]) + number


def decode(data: bytes) -> dict[int, bytes]:
    """Read a card's TLVs, of each tag the first; raise WrongCard."""
    found: dict[int, bytes] = {}
    for tag, value in _each(data):
        found.setdefault(tag, value)
    return found


def inside(data: bytes, tag: int) -> dict[int, bytes]:
    """Return what the TLV `tag` of a card's answer consists of; raise WrongCard."""
    return decode(value(decode(data), tag))


def value(found: dict[int, bytes], tag: int) -> bytes:
    """Return one value; raise WrongCard when the card left it out."""
    if tag not in found:
        raise WrongCard(f"the card's answer lacks the part {tag:02X}")
    return found[tag]


def _each(data: bytes) -> Iterator[tuple[int, bytes]]:
    at = 0
    while at < len(data):
        tag, at = _tag(data, at)
        length, at = _length(data, at)
        if at + length > len(data):
            raise _damaged()
        yield tag, data[at : at + length]
        at += length


def _tag(data: bytes, at: int) -> tuple[int, int]:
    end = at + 1
    if data[at] & 0x1F == 0x1F:  # more bytes follow, and the last has no high bit
        while end < len(data) and data[end] & 0x80:
            end += 1
        end += 1
    if end > len(data) or end - at > _MAX_TAG:
        raise _damaged()
    return int.from_bytes(data[at:end], "big"), end


def _length(data: bytes, at: int) -> tuple[int, int]:
    if at >= len(data):
        raise _damaged()
    first = data[at]
    if first < 0x80:
        return first, at + 1
    count = first & 0x7F
    end = at + 1 + count
    if not 1 <= count <= _MAX_LENGTH_BYTES or end > len(data):
        raise _damaged()
    return int.from_bytes(data[at + 1 : end], "big"), end


def _damaged() -> WrongCard:
    return WrongCard("the card's answer is damaged: its parts and lengths do not fit")
