"""Revocation lists as EST hands them out (RFC 8295 section 4.2): a crls-only PKCS#7 in base64.

A list may be megabytes long. It is put into base64 once, piece by piece, by a thread of its own,
and not for each client; which list, and when it has changed, is left to `serve`.
"""

from __future__ import annotations

import binascii
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from cipsec.pki import pkcs7

_LINE = 48  # octets: 64 columns
_PIECE = _LINE * 1024
_REST_SECONDS = 0.0002


@dataclass(frozen=True, slots=True)
class Bodies:
    """The same in two layouts: lines of 64 columns, and one line."""

    lines: bytes
    one_line: bytes


def bodies(lists: Sequence[bytes]) -> Bodies:
    """Return the bodies of answers; rests between pieces, so that other threads have their turn."""
    whole = pkcs7.of_lists(lists)
    return Bodies(b"".join(_lines(whole)), b"".join([*_one_line(whole), b"\n"]))


def _lines(whole: bytes) -> Iterator[bytes]:
    for piece in _pieces(whole):
        yield b"".join(
            binascii.b2a_base64(piece[start : start + _LINE])
            for start in range(0, len(piece), _LINE)
        )


def _one_line(whole: bytes) -> Iterator[bytes]:
    return (binascii.b2a_base64(piece, newline=False) for piece in _pieces(whole))


def _pieces(whole: bytes) -> Iterator[bytes]:
    """Yield pieces of whole lines, so that there is padding at the end only."""
    for at in range(0, len(whole), _PIECE):
        yield whole[at : at + _PIECE]
        time.sleep(_REST_SECONDS)
