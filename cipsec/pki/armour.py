"""PEM armour and base64 around DER: found and undone in time linear in the text.

What the bytes mean is left to `pki.load` and to `est.wire`.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Iterator
from dataclasses import dataclass

from cipsec.errors import Malformed

# Possessive all through: a pattern that can give back white space took minutes for 8 kB of it.
_BLOCK = re.compile(
    rb"-----BEGIN ([A-Z0-9 ]++)-----((?:[^-]++|-(?!----))*+)-----END [A-Z0-9 ]++-----"
)
_WHITE_SPACE = bytes.maketrans(b"", b""), b" \t\r\n\x0b\x0c"
_SEQUENCE = 0x30


@dataclass(frozen=True, slots=True)
class Block:
    """One armoured object: its label, such as `CERTIFICATE`, and the text between the lines."""

    label: str
    text: bytes


def blocks(data: bytes) -> Iterator[Block]:
    """Yield the armoured objects in a text, in order; what stands around them is skipped."""
    for found in _BLOCK.finditer(data):
        yield Block(found[1].decode("ascii"), found[2])


def from_base64(text: bytes) -> bytes:
    """Return the bytes behind base64 in any layout, padded or not; raise Malformed."""
    packed = text.translate(*_WHITE_SPACE)
    try:
        return base64.b64decode(packed + b"=" * (-len(packed) % 4), validate=True)
    except binascii.Error:
        raise Malformed("this is not base64") from None


def is_der(data: bytes) -> bool:
    """Tell a DER SEQUENCE, whose length byte follows, from text that happens to begin with "0"."""
    if not data or data[0] != _SEQUENCE:
        return False
    return not (len(data) > 1 and data[1] < 0x80 and chr(data[1]).isalnum() and data.isascii())
