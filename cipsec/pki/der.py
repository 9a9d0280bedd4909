"""The little DER (X.690) that cryptography does not read or write: elements, strings, identifiers.

What they mean is left to the callers; BER is `ber`'s.
"""

from __future__ import annotations

_LONG_FORM = 0x80
_MAX_LENGTH_OCTETS = 3  # of a length; what is read here has been bounded long before
_MAX_INTEGER = 32  # octets
_OCTET_STRING = 0x04
_INTEGER = 0x02
_STRINGS = {
    0x0C: "utf-8",
    0x12: "ascii",  # NumericString
    0x13: "ascii",  # PrintableString
    0x14: "latin-1",  # TeletexString, as everybody reads it
    0x16: "ascii",  # IA5String
    0x1A: "ascii",  # VisibleString
    0x1E: "utf-16-be",  # BMPString
}

Element = tuple[int, bytes]
"""A tag of one octet and the content."""


def element(tag: int, *content: bytes) -> bytes:
    """Return an element with a tag of one octet; its content may be megabytes, and in parts."""
    size = sum(map(len, content))
    octets = size.to_bytes((size.bit_length() + 7) // 8, "big") if size >= _LONG_FORM else b""
    head = [tag, _LONG_FORM | len(octets)] if octets else [tag, size]
    return b"".join([bytes(head), octets, *content])


def elements(data: bytes) -> list[Element]:
    """Return the elements that stand one after the other in `data`; raise ValueError."""
    found: list[Element] = []
    at = 0
    while at < len(data):
        start, end = _content(data, at)
        found.append((data[at], data[start:end]))
        at = end
    return found


def _content(data: bytes, at: int) -> tuple[int, int]:
    """Return where the content of the element at `at` starts and ends."""
    start, size = at + 2, data[at + 1] if at + 1 < len(data) else len(data)
    if size >= _LONG_FORM:
        count = size - _LONG_FORM
        if not 1 <= count <= _MAX_LENGTH_OCTETS:
            raise ValueError("the length is not definite")
        start, size = start + count, int.from_bytes(data[start : start + count], "big")
    if data[at] & 0x1F == 0x1F or start + size > len(data):
        raise ValueError("an element is cut off, or its tag is long")
    return start, start + size


def content(data: bytes) -> bytes:
    """Return what stands in the element at the head of `data`; raise ValueError."""
    start, end = _content(data, 0)
    return data[start:end]


def only(data: bytes, tag: int) -> bytes:
    """Return the content of the one element in `data`, which has this tag; raise ValueError."""
    found = elements(data)
    if len(found) != 1 or found[0][0] != tag:
        raise ValueError("another element is expected")
    return found[0][1]


def string(tag: int, content: bytes) -> str | None:
    """Return the text of a string type; None for what is no string or does not decode."""
    if tag not in _STRINGS:
        return None
    try:
        return content.decode(_STRINGS[tag])
    except UnicodeDecodeError:
        return None


def text(data: bytes) -> str:
    """Return what one element says as text; never fails.

    Strings as they read, an INTEGER in decimal, an OCTET STRING as `octets` has it, and anything
    else as the hexadecimal of all of `data` after `0x`.
    """
    try:
        [(tag, content)] = elements(data)
    except ValueError:
        return hexadecimal(data)
    if tag == _OCTET_STRING:
        return octets(content)
    if tag == _INTEGER and 0 < len(content) <= _MAX_INTEGER:
        return str(int.from_bytes(content, "big", signed=True))
    found = string(tag, content)
    return hexadecimal(data) if found is None else found


def octets(content: bytes) -> str:
    """Return octets as text where all are printable ASCII, else in hexadecimal after `0x`."""
    read = content.decode("latin-1")
    return read if read.isascii() and read.isprintable() else hexadecimal(content)


def hexadecimal(content: bytes) -> str:
    """Return octets as `0x` and lower-case digits, two for each."""
    return f"0x{content.hex()}"


def dotted(content: bytes) -> str:
    """Return the content of an OBJECT IDENTIFIER as dotted numbers; raise ValueError."""
    arcs, value = [], 0
    for octet in content:
        value = value << 7 | octet & 0x7F
        if not octet & 0x80:
            arcs.append(value)
            value = 0
    if not arcs or content[-1] & 0x80:
        raise ValueError("an object identifier is cut off")
    first = min(arcs[0] // 40, 2)
    return ".".join(map(str, (first, arcs[0] - 40 * first, *arcs[1:])))
