"""Text from outside made harmless to show; what to show, and where, is left to the caller."""

from __future__ import annotations

import unicodedata

# Cc controls (ESC, newline), Cf formats (bidirectional marks, zero width), line and
# paragraph separators, surrogates, private use and unassigned code points: each can move the
# cursor, reorder the line or hide text, and none is needed to read a name.
_INVISIBLE = frozenset({"Cc", "Cf", "Zl", "Zp", "Cs", "Co", "Cn"})
_LIMIT = 512


def text(value: object, *, limit: int = _LIMIT) -> str:
    """Return `value` as one printable line of at most `limit` characters, escapes made visible."""
    raw = str(value)
    cut = raw[:limit]
    shown = "".join(c if _printable(c) else _escape(c) for c in cut)
    return shown if len(raw) <= limit else f"{shown}… ({len(raw)} characters)"


def _printable(char: str) -> bool:
    return " " <= char <= "~" or unicodedata.category(char) not in _INVISIBLE


def _escape(char: str) -> str:
    code = ord(char)
    if code <= 0xFF:
        return f"\\x{code:02x}"
    return f"\\u{code:04x}" if code <= 0xFFFF else f"\\U{code:08x}"
