"""Vendor IDs and serial numbers as foreign tables write them: read where nothing is guessed."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Literal

from cipsec import safe
from cipsec.errors import Malformed

Base = Literal["hex", "dec"]

_HEX = re.compile(r"(0[xX])?([0-9A-Fa-f]{1,16})")
_DIGITS = re.compile(r"[0-9]+")
# What spreadsheets make of long numbers; a plain "12E34567" is hexadecimal and has no sign.
_ROUNDED = re.compile(r"[0-9]+(?:[.,][0-9]+[eE][+-]?|[eE][+-])[0-9]+")
_SHOWN = 40
AMBIGUOUS = "can be hexadecimal or decimal: say the base"


def read(text: str, base: Base | None, limit: int) -> int:
    """Return the number, 1 to `limit`; raise Malformed for what could be two, or none."""
    shown = safe.text(text, limit=_SHOWN)
    if _ROUNDED.fullmatch(text):
        raise Malformed(f"a spreadsheet has rounded this number: {shown}")
    match = _HEX.fullmatch(text)
    if not match:
        raise Malformed(f"{shown or 'an empty cell'} is not a number")
    prefix, digits = match.groups()
    chosen = _base(shown, prefix, digits, base)
    value = int(digits, 16 if chosen == "hex" else 10)
    if not 1 <= value <= limit:
        raise Malformed(f"{shown} is not within 1 to {limit:X} (hexadecimal), {limit} (decimal)")
    return value


def _base(shown: str, prefix: str | None, digits: str, base: Base | None) -> Base:
    is_decimal = _DIGITS.fullmatch(digits) is not None and not prefix
    if base == "dec" and not is_decimal:
        raise Malformed(f"{shown} is hexadecimal, and the column is said to be decimal")
    if base is None and is_decimal and len(digits.lstrip("0")) > 1:
        raise Malformed(f"{shown} {AMBIGUOUS}")
    return base or "hex"


def is_padded(column: Iterable[str]) -> bool:
    """Tell a column of serial numbers that are evidently written with eight hexadecimal digits.

    Either one begins with a zero, or all that a spreadsheet could not take for decimal numbers, and
    shorten, have eight.
    """
    digits = [text[2:] if text[:2].lower() == "0x" else text for text in column]
    lettered = [text for text in digits if not _DIGITS.fullmatch(text)]
    eight = bool(lettered) and all(len(text) == 8 for text in lettered)
    return eight or any(len(text) == 8 and text.startswith("0") for text in digits)


def check_padded(text: str) -> None:
    """Raise Malformed for a serial number with fewer than eight digits in such a column."""
    digits = text[2:] if text[:2].lower() == "0x" else text
    if len(digits) < 8:
        raise Malformed(
            f"{safe.text(text, limit=_SHOWN)}: leading zeros are gone, which the others have:"
            " see what else a spreadsheet has changed"
        )
