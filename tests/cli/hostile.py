"""Values of a name that try to act on whoever shows them."""

from __future__ import annotations

HOSTILE = {
    "escape": b"\x1b[2K\x1b]0;title\x07",
    "markup": b"[/red][link=http://x]",
    "right to left": "a\u202eb\u2066".encode(),
    "lines": b"a\nsubject  CN=other\tok\r",
    "long": b"A" * 65_000,
}
