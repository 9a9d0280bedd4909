"""What a server asks to see in a CSR (csrattrs, RFC 7030 section 4.5); obeying is the caller's."""

from __future__ import annotations

from collections.abc import Iterator

from cipsec.errors import Malformed

CHALLENGE_PASSWORD = "1.2.840.113549.1.9.7"  # noqa: S105  # an OID: the channel binding is wished

_OID, _SEQUENCE = 0x06, 0x30


def parse(der: bytes) -> frozenset[str]:
    """Return the attribute types asked for, as dotted OIDs; raise Malformed.

    CsrAttrs is a SEQUENCE OF either an OID or an Attribute that begins with one; values are left
    unread, since a client is free to ignore what it does not know.
    """
    top = list(_elements(der))
    if len(top) != 1 or top[0][0] != _SEQUENCE:
        raise Malformed("CSR attributes are a SEQUENCE")
    return frozenset(_type(tag, value) for tag, value in _elements(top[0][1]))


def _type(tag: int, value: bytes) -> str:
    if tag == _SEQUENCE:
        tag, value = next(_elements(value), (0, b""))
    if tag != _OID or not value:
        raise Malformed("a CSR attribute begins with its type")
    return _dotted(value)


def _elements(der: bytes) -> Iterator[tuple[int, bytes]]:
    """Yield tag and content of the DER values that follow one another."""
    while der:
        if len(der) < 2:
            raise Malformed("DER ends too early")
        size, start = der[1], 2
        if size > 0x80:
            start = 2 + size - 0x80
            size = int.from_bytes(der[2:start], "big")
        if size == 0x80 or len(der) < start + size:
            raise Malformed("DER ends too early")
        yield der[0], der[start : start + size]
        der = der[start + size :]


def _dotted(content: bytes) -> str:
    arcs, value = [], 0
    for byte in content:
        value = value << 7 | byte & 0x7F
        if not byte & 0x80:
            arcs.append(value)
            value = 0
    if not arcs or content[-1] & 0x80:
        raise Malformed("an OID ends too early")
    first = min(arcs[0] // 40, 2)
    return ".".join(map(str, [first, arcs[0] - 40 * first, *arcs[1:]]))
