"""PIN, PUK and management key: values that hold the card's rules and never show themselves."""

from __future__ import annotations

import re
import secrets
from dataclasses import dataclass, field

from cipsec.errors import UsageError

_WIDTH = 8  # SP 800-73-5 part 2, section 2.4.3: padded with FF
_PIN = re.compile(r"[0-9]{6,8}")
_PUK = re.compile(r"[!-~]{6,8}")  # the standard's has 8 bytes; cards with 6 are about
_HEX = re.compile(r"(?:[0-9A-Fa-f]{2})+")
_KEY_LENGTHS = (16, 24, 32)


@dataclass(frozen=True, slots=True)
class Pin:
    """A PIN of 6 to 8 digits: shorter ones some cards take, so the rule is kept here."""

    digits: str = field(repr=False)

    @classmethod
    def parse(cls, text: str) -> Pin:
        """Read a PIN as people type it; raise UsageError, which does not repeat it."""
        if not _PIN.fullmatch(text):
            raise UsageError("a PIN has 6 to 8 digits")
        return cls(text)

    @property
    def padded(self) -> bytes:
        """The eight bytes that the card compares."""
        return _padded(self.digits)

    @property
    def is_default(self) -> bool:
        """Whether this is the PIN that cards are sold with."""
        return self.digits == "123456"


@dataclass(frozen=True, slots=True)
class Puk:
    """A PUK, which unblocks the PIN, of 6 to 8 characters."""

    characters: str = field(repr=False)

    @classmethod
    def parse(cls, text: str) -> Puk:
        """Read a PUK as people type it; raise UsageError, which does not repeat it."""
        if not _PUK.fullmatch(text):
            raise UsageError("a PUK has 6 to 8 characters, digits for preference")
        return cls(text)

    @property
    def padded(self) -> bytes:
        """The eight bytes that the card compares."""
        return _padded(self.characters)

    @property
    def is_default(self) -> bool:
        """Whether this is the PUK that cards are sold with."""
        return self == DEFAULT_PUK


@dataclass(frozen=True, slots=True)
class ManagementKey:
    """The key that protects the card's content: 3DES or AES, which of them the card knows."""

    key: bytes = field(repr=False)

    @classmethod
    def parse(cls, text: str) -> ManagementKey:
        """Read a key in hex; raise UsageError, which does not repeat it."""
        digits = "".join(text.split()).replace(":", "")
        if not _HEX.fullmatch(digits) or len(digits) // 2 not in _KEY_LENGTHS:
            raise UsageError("a management key has 32, 48 or 64 hexadecimal digits")
        return cls(bytes.fromhex(digits))

    @classmethod
    def random(cls, size: int) -> ManagementKey:
        """Make a key of so many bytes."""
        return cls(secrets.token_bytes(size))

    @property
    def is_default(self) -> bool:
        """Whether this is the key that cards are sold with."""
        return self == DEFAULT_MANAGEMENT_KEY


DEFAULT_PUK = Puk("12345678")
DEFAULT_MANAGEMENT_KEY = ManagementKey(bytes.fromhex("0102030405060708" * 3))


def _padded(text: str) -> bytes:
    return text.encode("ascii").ljust(_WIDTH, b"\xff")
