"""The one thing a card is to the rest: bytes in, bytes and a status word out."""

from __future__ import annotations

from typing import Protocol


class Transport(Protocol):
    """A connection to one card: a reader's, or a test's."""

    def transmit(self, apdu: bytes) -> tuple[bytes, int]:
        """Send one command APDU; return the data and status word of its response.

        Raise NoCard when the card is gone, and another CardError when it cannot be reached.
        """
        ...
