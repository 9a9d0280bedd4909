"""Yubico's extensions of PIV, which other makers' cards have too; a plain card is left unharmed.

What the caller gets from a plain card is None, or CardRefused by an instruction it does not know.
Instructions: docs.yubico.com, "YubiKey PIV", "PIV commands".
"""

from __future__ import annotations

import secrets
from collections.abc import Callable
from dataclasses import dataclass

from cryptography.hazmat.primitives.asymmetric import ec

from cipsec.card import management, status, tlv
from cipsec.card.apdu import OK, Command, Send
from cipsec.card.pins import ManagementKey, Pin, Puk
from cipsec.card.public import type_of
from cipsec.card.slots import ALGORITHMS, BLOCK_BYTES, Slot
from cipsec.errors import CardError, CardRefused, UsageError
from cipsec.pki.keys import PrivateKey

_METADATA, _IMPORT, _RESET, _SET_MANAGEMENT_KEY, _VERSION = 0xF7, 0xFE, 0xFB, 0xFF, 0xFD
_VERIFY, _RESET_RETRY, _PIN = 0x20, 0x2C, 0x80
_IS_DEFAULT, _RETRIES = 0x05, 0x06
_SECRET_SCALAR, _FIRST_RSA_PART = 0x06, 0x01
_MOST_TRIES = 256  # what the counter of a card can hold


@dataclass(frozen=True, slots=True)
class Metadata:
    """What a card says of a key, PIN or PUK; None is what it does not say."""

    is_default: bool | None
    tries: int | None
    most_tries: int | None


def read_metadata(send: Send, reference: int) -> Metadata | None:
    """Return what the card says, None when it has no such extension, or nothing there."""
    answer = send(Command(_METADATA, 0, reference))
    if answer.sw != OK:
        return None
    found = tlv.decode(answer.data)
    default = found.get(_IS_DEFAULT)
    most, left = (*found.get(_RETRIES, b""), None, None)[:2]
    return Metadata(None if not default else default[0] == 1, left, most)


def set_management_key(send: Send, key: ManagementKey) -> None:
    """Replace the management key by another of its kind. Needs `authenticate` before it."""
    kind, _ = management.probe(send)
    if len(key.key) != kind.key_bytes:
        raise UsageError(f"a key for {kind.name} has {2 * kind.key_bytes} hexadecimal digits")
    data = bytes([kind.number]) + tlv.encode(management.REFERENCE, key.key)
    answer = send(Command(_SET_MANAGEMENT_KEY, 0xFF, 0xFF, data), once=True)
    status.required(answer, "change its management key")


def import_key(send: Send, slot: Slot, key: PrivateKey) -> None:
    """Put a key made elsewhere on the card, over any other. Needs `authenticate` before it."""
    key_type = type_of(key.public_key())
    size = BLOCK_BYTES[key_type]
    if isinstance(key, ec.EllipticCurvePrivateKey):
        scalar = key.private_numbers().private_value
        data = tlv.encode(_SECRET_SCALAR, scalar.to_bytes(size, "big"))
    else:
        numbers = key.private_numbers()
        parts = (numbers.p, numbers.q, numbers.dmp1, numbers.dmq1, numbers.iqmp)
        data = b"".join(
            tlv.encode(tag, part.to_bytes(size // 2, "big"))
            for tag, part in enumerate(parts, _FIRST_RSA_PART)
        )
    command = Command(_IMPORT, ALGORITHMS[key_type], slot.reference, data)
    status.required(send(command), f"take a key of type {key_type} from outside")


def reset(send: Send) -> None:
    """Empty the card and set its PIN, PUK and management key to the defaults.

    The extension wants PIN and PUK blocked first, so every try of both is spent here on purpose;
    a card that cannot be reset is left as it is. Raise CardRefused.
    """
    for probe in (_VERSION, _RESET):  # both are known to a card that can be reset
        sw = send(Command(probe, 0, 0)).sw
        if sw in status.UNKNOWN or (probe == _VERSION and sw != OK):
            raise CardRefused(
                f"this card cannot be reset by PIV commands ({sw:04X})",
                sw=sw,
                hint="use its maker's program",
            )
    if sw == OK:
        return
    _block(send, "PIN", lambda: Command(_VERIFY, 0, _PIN, _random_pin()))
    _block(send, "PUK", lambda: Command(_RESET_RETRY, 0, _PIN, _random_puk() + _random_pin()))
    status.required(send(Command(_RESET, 0, 0)), "be reset")


def _block(send: Send, what: str, attempt: Callable[[], Command]) -> None:
    for _ in range(_MOST_TRIES):
        sw = send(attempt(), once=True).sw
        if status.tries(sw) == 0:
            return
    raise CardError(f"the {what} of the card does not become blocked, which a reset needs")


def _random_pin() -> bytes:
    return Pin(f"{secrets.randbelow(10**8):08}").padded


def _random_puk() -> bytes:
    return Puk(f"{secrets.randbelow(10**8):08}").padded
