"""The slots of a PIV card and the algorithms of their keys (SP 800-73-5, SP 800-78-5)."""

from __future__ import annotations

import re
from dataclasses import dataclass

from cipsec.errors import UsageError
from cipsec.pki.keys import KeyType

# SP 800-78-5 table 6-2.
ALGORITHMS = {
    KeyType.EC_P256: 0x11,
    KeyType.EC_P384: 0x14,
    KeyType.RSA_2048: 0x07,
    KeyType.RSA_3072: 0x05,
}
BLOCK_BYTES = {
    KeyType.EC_P256: 32,
    KeyType.EC_P384: 48,
    KeyType.RSA_2048: 256,
    KeyType.RSA_3072: 384,
}

_OBJECTS = {0x9A: 0x5FC105, 0x9C: 0x5FC10A, 0x9D: 0x5FC10B}
_CARD_AUTHENTICATION = 0x9E
_RETIRED = range(0x82, 0x96)
_FIRST_RETIRED_OBJECT = 0x5FC10D
_NAME = re.compile(r"[0-9A-Fa-f]{2}")


@dataclass(frozen=True, slots=True)
class Slot:
    """A place for a key and its certificate, by the key's reference."""

    reference: int

    @classmethod
    def parse(cls, text: str) -> Slot:
        """Read `9a`; raise UsageError."""
        reference = int(text, 16) if _NAME.fullmatch(text) else 0
        if reference == _CARD_AUTHENTICATION:
            raise UsageError(
                "the key in slot 9e signs without a PIN for whoever finds the card",
                hint="use --slot 9a",
            )
        if reference not in _OBJECTS and reference not in _RETIRED:
            raise UsageError(
                f"{text!r} is not a slot of a PIV card", hint="use --slot 9a, 9c, 9d or 82 to 95"
            )
        return cls(reference)

    @property
    def certificate_object(self) -> int:
        """The tag of the data object with the certificate."""
        retired = _FIRST_RETIRED_OBJECT + self.reference - _RETIRED.start
        return _OBJECTS.get(self.reference, retired)

    def __str__(self) -> str:
        return f"{self.reference:02x}"


AUTHENTICATION = Slot(0x9A)  # the PIN once a session; in 9c it is asked at each use
NAMED = tuple(Slot(reference) for reference in _OBJECTS)
