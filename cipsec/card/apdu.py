"""One command to the card, whole: chained when long, its answer collected when it comes in pieces.

What a status word means is left to the caller (ISO/IEC 7816-4 sections 5.1 to 5.3).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Protocol

from cipsec.card.transport import Transport
from cipsec.errors import WrongCard

OK = 0x9000

_PIECE = 255  # of data in a short APDU
_CHAINED = 0x10
_GET_RESPONSE = 0xC0
_MORE = 0x61
_OTHER_LENGTH = 0x6C
# No PIV object has more (SP 800-73-5 part 1, table 7), and no card may hold us for ever.
_MAX_ANSWER = 1 << 16
_MAX_PIECES = 1024


@dataclass(frozen=True, slots=True)
class Command:
    """A command of class 00; its data, a PIN perhaps, never shows."""

    ins: int
    p1: int
    p2: int
    data: bytes = field(default=b"", repr=False)

    def apdus(self) -> list[bytes]:
        """Return the APDUs that carry it; the last is without Le, the others are done."""
        pieces = [self.data[at : at + _PIECE] for at in range(0, len(self.data), _PIECE)] or [b""]
        last = len(pieces) - 1
        return [self._apdu(piece, chained=at < last) for at, piece in enumerate(pieces)]

    def _apdu(self, piece: bytes, *, chained: bool) -> bytes:
        head = bytes([_CHAINED if chained else 0, self.ins, self.p1, self.p2])
        return head + (bytes([len(piece)]) + piece if piece else b"")


@dataclass(frozen=True, slots=True)
class Answer:
    """What the card answered; its data may be anything."""

    data: bytes
    sw: int


class Send(Protocol):
    """`send` bound to one card."""

    def __call__(self, command: Command, *, once: bool = False) -> Answer:
        """Send a command and return its answer."""
        ...


def send(transport: Transport, command: Command, *, once: bool = False) -> Answer:
    """Send a command and return its answer; raise WrongCard when that does not end.

    Many cards want Le in every command. `once` keeps a command that carries a PIN from being
    repeated whatever the card answers.
    """
    *chained, last = command.apdus()
    for apdu in chained:
        data, sw = transport.transmit(apdu)
        if sw != OK:
            return Answer(data, sw)
    return Answer(*_collect(transport, *_exchange(transport, last, 0, once=once)))


def _exchange(
    transport: Transport, apdu: bytes, le: int, *, once: bool = False
) -> tuple[bytes, int]:
    data, sw = transport.transmit(apdu + bytes([le]))
    if sw >> 8 == _OTHER_LENGTH and not once:
        return transport.transmit(apdu + bytes([sw & 0xFF]))
    return data, sw


def _collect(transport: Transport, data: bytes, sw: int) -> tuple[bytes, int]:
    collected = bytearray(data)
    get_response = bytes([0, _GET_RESPONSE, 0, 0])
    for _ in range(_MAX_PIECES):
        if sw >> 8 != _MORE:
            return bytes(collected), sw
        piece, sw = _exchange(transport, get_response, sw & 0xFF)
        collected += piece
        if len(collected) > _MAX_ANSWER:
            break
    raise WrongCard("the card's answer does not end")
