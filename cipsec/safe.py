"""Text from outside made harmless to show; what to show, and where, is left to the caller."""

from __future__ import annotations

import unicodedata

# Cc controls (ESC, newline), Cf formats (bidirectional marks, zero width), line and
# paragraph separators, surrogates, private use and unassigned code points: each can move the
# cursor, reorder the line or hide text, and none is needed to read a name.
_INVISIBLE = frozenset({"Cc", "Cf", "Zl", "Zp", "Cs", "Co", "Cn"})
# Letters and marks to Unicode that print as nothing (Default_Ignorable_Code_Point, and the empty
# Braille cell): they too can hide text in a name.
_BLANK = frozenset(
    map(
        chr,
        (
            *(0x034F, 0x115F, 0x1160, 0x17B4, 0x17B5, 0x2800, 0x3164, 0xFFA0),
            *range(0x180B, 0x1810),
            *range(0xFE00, 0xFE10),
            *range(0xE0100, 0xE01F0),
        ),
    )
)
_LIMIT = 512


def text(value: object, *, limit: int = _LIMIT) -> str:
    """Return `value` as one printable line of at most `limit` characters, escapes made visible."""
    raw = str(value)
    cut = raw[:limit]
    if cut.isascii() and cut.isprintable():
        shown = cut  # nearly always, and 20 us sooner: each poll is answered with a line of text
    else:
        shown = "".join(c if _printable(c) else _escape(c) for c in cut)
    return shown if len(raw) <= limit else f"{shown}… ({len(raw)} characters)"


def json_text(value: object, *, indent: int | None = None) -> str:
    """Return `value` as JSON in printable ASCII alone; `json` leaves DEL (0x7F) as it is."""
    import json  # 2 ms, which text for people need not spend

    return json.dumps(value, indent=indent).replace("\x7f", "\\u007f")


def _printable(char: str) -> bool:
    if " " <= char <= "~":
        return True
    return unicodedata.category(char) not in _INVISIBLE and char not in _BLANK


def _escape(char: str) -> str:
    code = ord(char)
    if code <= 0xFF:
        return f"\\x{code:02x}"
    return f"\\u{code:04x}" if code <= 0xFFFF else f"\\U{code:08x}"
