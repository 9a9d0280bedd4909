"""Vendor IDs and serial numbers as foreign tables write them: read where nothing is guessed."""

from __future__ import annotations

import re
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


class Padding:
    """Whether a column of serial numbers is evidently written with eight hexadecimal digits.

    Either one begins with a zero, or all that a spreadsheet could not take for decimal numbers, and
    shorten, have eight.
    """

    def __init__(self) -> None:
        self._zero = self._lettered = False
        self._all_eight = True

    def take(self, text: str) -> None:
        """Look at the column's next serial number."""
        digits = _bare(text)
        self._zero |= len(digits) == 8 and digits.startswith("0")
        if not _DIGITS.fullmatch(digits):
            self._lettered = True
            self._all_eight &= len(digits) == 8

    def __bool__(self) -> bool:
        """Tell whether what was looked at is padded."""
        return self._zero or (self._lettered and self._all_eight)


def check_padded(text: str) -> None:
    """Raise Malformed for a serial number with fewer than eight digits in such a column."""
    if len(_bare(text)) < 8:
        raise Malformed(
            f"{safe.text(text, limit=_SHOWN)}: leading zeros are gone, which the others have:"
            " see what else a spreadsheet has changed"
        )


def _bare(text: str) -> str:
    return text[2:] if text[:2].lower() == "0x" else text
