"""PC/SC by pyscard, the only user of it: readers, one connection, and what each failure means.

No program is stopped to win a reader; the card forgets the PIN when the connection ends.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from cipsec.card import faults
from cipsec.card.choice import Reader, choose
from cipsec.errors import NoCard, NoPcsc

_SHARING_VIOLATION = 0x8010000B
_NO_READERS = 0x8010002E
_STATUS_WORD_BYTES = 2

# pyscard's `scard` has no types: handles and results are plain integers.
_Scard = Any


class PcscTransport:
    """A connection to the card in a reader, made by `connected`."""

    def __init__(self, scard: _Scard, card: int, protocol: int, reader: str) -> None:
        self._scard, self._card = scard, card
        self._head = (
            scard.SCARD_PCI_T0 if protocol == scard.SCARD_PROTOCOL_T0 else scard.SCARD_PCI_T1
        )
        self.reader = reader

    def transmit(self, apdu: bytes) -> tuple[bytes, int]:
        """Send one command APDU; raise NoCard, NoPcsc or CardError."""
        result, response = self._scard.SCardTransmit(self._card, self._head, list(apdu))
        _succeeded(result, self.reader)
        if len(response) < _STATUS_WORD_BYTES:  # so a reader may say that the card went
            raise NoCard(f"the card in {self.reader} was pulled, or stopped answering")
        answer = bytes(byte & 0xFF for byte in response)
        return answer[:-2], int.from_bytes(answer[-2:], "big")


def readers() -> tuple[Reader, ...]:
    """Return the readers, those without a card too; raise NoPcsc, NotPermitted, CardError."""
    with _context() as (scard, context):
        return _readers(scard, context)


@contextmanager
def connected(text: str | None = None) -> Iterator[PcscTransport]:
    """Connect to the one card there is, or to that in the reader named by part of its name.

    Alone if possible, else beside other programs. Raise UsageError when several cards are there
    to choose from, and NoReader, NoCard, NoPcsc, NotPermitted, CardError.
    """
    with _context() as (scard, context):
        reader = choose(_readers(scard, context), text)
        card, protocol = _connect(scard, context, reader.name)
        try:
            yield PcscTransport(scard, card, protocol, reader.name)
        finally:
            # Its result is of no use: a card that was pulled, or a service that ended, is gone.
            scard.SCardDisconnect(card, scard.SCARD_UNPOWER_CARD)


@contextmanager
def _context() -> Iterator[tuple[_Scard, int]]:
    scard = _library()
    result, context = scard.SCardEstablishContext(scard.SCARD_SCOPE_USER)
    _succeeded(result, "")
    try:
        yield scard, context
    finally:
        scard.SCardReleaseContext(context)


def _library() -> _Scard:
    try:
        # The extra may be missing, and has no types where it is not.
        from smartcard import scard  # type: ignore[import-untyped,import-not-found,unused-ignore]
    except ImportError as error:
        raise NoPcsc(
            "smartcards need the extra cipsec[smartcard], which is not installed",
            hint=faults.install_hint(sys.platform, sys.version_info[:2]),
        ) from error
    return scard


def _readers(scard: _Scard, context: int) -> tuple[Reader, ...]:
    result, names = scard.SCardListReaders(context, [])
    if _unsigned(result) == _NO_READERS or (result == 0 and not names):
        return ()
    _succeeded(result, "")
    asked = [(name, scard.SCARD_STATE_UNAWARE) for name in names]
    result, states = scard.SCardGetStatusChange(context, 0, asked)
    _succeeded(result, "")
    return tuple(
        Reader(name=name, has_card=bool(state & scard.SCARD_STATE_PRESENT))
        for name, state, _ in states
    )


def _connect(scard: _Scard, context: int, reader: str) -> tuple[int, int]:
    protocols = scard.SCARD_PROTOCOL_T0 | scard.SCARD_PROTOCOL_T1
    for mode in (scard.SCARD_SHARE_EXCLUSIVE, scard.SCARD_SHARE_SHARED):
        result, card, protocol = scard.SCardConnect(context, reader, mode, protocols)
        if _unsigned(result) != _SHARING_VIOLATION:
            break
    _succeeded(result, reader)
    return card, protocol


def _succeeded(result: int, reader: str) -> None:
    if result != 0:
        raise faults.error(_unsigned(result), reader, sys.platform)


def _unsigned(result: int) -> int:
    """Results are signed on some systems."""
    return result & 0xFFFFFFFF
