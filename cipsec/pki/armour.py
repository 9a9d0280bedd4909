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

_BEGIN, _END, _DASHES = b"-----BEGIN ", b"-----END ", b"-----"
_LABEL = re.compile(rb"[A-Z0-9 ]+")
_WHITE_SPACE = bytes.maketrans(b"", b""), b" \t\r\n\x0b\x0c"
_SEQUENCE = 0x30


@dataclass(frozen=True, slots=True)
class Block:
    """One armoured object: its label, such as `CERTIFICATE`, and the text between the lines."""

    label: str
    text: bytes


def blocks(data: bytes) -> Iterator[Block]:
    """Yield the armoured objects in a text, in order; what stands around them is skipped.

    By searching, not by one pattern: patterns that read this either take cubic time for white space
    or need possessive quantifiers, which Python before 3.11.4 gets wrong.
    """
    at = data.find(_BEGIN)
    while at >= 0:
        label, text = _line(data, at, _BEGIN)
        end = data.find(_DASHES, text)
        closing, after = _line(data, end, _END) if data.startswith(_END, end) else (None, end)
        if label and closing and 0 <= text <= end:
            yield Block(label.decode("ascii"), data[text:end])
        at = data.find(_BEGIN, max(after, at + 1)) if end >= 0 else -1


def _line(data: bytes, at: int, start: bytes) -> tuple[bytes | None, int]:
    """Return the label of the line that begins at `at` with `start`, and where it ends."""
    begin = at + len(start)
    end = data.find(_DASHES, begin)
    if end < 0 or not _LABEL.fullmatch(data, begin, end):
        return None, begin
    return data[begin:end], end + len(_DASHES)


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
