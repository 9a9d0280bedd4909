"""The management key's proof: card and caller each decrypt what the other made up.

SP 800-73-5 part 2, appendix A.1 ("mutual authentication"). A wrong key costs no try.
"""

from __future__ import annotations

import hmac
import os
from dataclasses import dataclass

from cryptography.hazmat.decrepit.ciphers.algorithms import TripleDES
from cryptography.hazmat.primitives.ciphers import Cipher, modes
from cryptography.hazmat.primitives.ciphers.algorithms import AES

from cipsec.card import status, tlv
from cipsec.card.apdu import OK, Command, Send
from cipsec.card.pins import ManagementKey
from cipsec.errors import CardError, WrongCard, WrongManagementKey

REFERENCE = 0x9B

_FOREIGN = "a card set up by another system can be used (slot 9a and its PIN), not provisioned"

_AUTHENTICATE = 0x87
_TRIPLE_DES = 0x03
_TEMPLATE, _WITNESS, _CHALLENGE, _RESPONSE = 0x7C, 0x80, 0x81, 0x82


@dataclass(frozen=True, slots=True)
class Kind:
    """An algorithm of management keys (SP 800-78-5 table 6-2)."""

    number: int
    name: str
    key_bytes: int
    block_bytes: int

    def cipher(self, key: ManagementKey) -> Cipher[modes.ECB]:
        """Return the cipher for single blocks."""
        algorithm = TripleDES(key.key) if self.number == _TRIPLE_DES else AES(key.key)
        # One random block at a time, as the standard has it: there is nothing to chain.
        return Cipher(algorithm, modes.ECB())  # noqa: S305  # see above


KINDS = (
    Kind(_TRIPLE_DES, "3DES", 24, 8),
    Kind(0x0A, "AES-192", 24, 16),
    Kind(0x08, "AES-128", 16, 16),
    Kind(0x0C, "AES-256", 32, 16),
)


def authenticate(send: Send, key: ManagementKey) -> None:
    """Prove the key to the card and have it proved back; raise WrongManagementKey."""
    kind, witness = probe(send)
    if len(key.key) != kind.key_bytes:
        raise WrongManagementKey(
            f"the card's management key is {kind.name}, of {2 * kind.key_bytes} hexadecimal digits"
        )
    cipher = kind.cipher(key)
    challenge = os.urandom(kind.block_bytes)
    decryptor = cipher.decryptor()
    answer = _prove(send, kind, decryptor.update(witness) + decryptor.finalize(), challenge)
    encryptor = cipher.encryptor()
    expected = encryptor.update(challenge) + encryptor.finalize()
    if not hmac.compare_digest(tlv.value(answer, _RESPONSE), expected):
        raise WrongManagementKey("the card does not know the management key itself")


def probe(send: Send) -> tuple[Kind, bytes]:
    """Return the kind of the card's management key, and a witness; it costs no try."""
    sw = 0
    for kind in KINDS:
        request = tlv.encode(_TEMPLATE, tlv.encode(_WITNESS, b""))
        answer = send(Command(_AUTHENTICATE, kind.number, REFERENCE, request))
        if answer.sw == OK:
            return kind, _witness(answer.data, kind)
        sw = answer.sw
    raise status.refused("be written to with a management key", sw, hint=_FOREIGN)


def _witness(data: bytes, kind: Kind) -> bytes:
    witness = tlv.value(tlv.inside(data, _TEMPLATE), _WITNESS)
    if len(witness) != kind.block_bytes:
        raise WrongCard("the card's witness for the management key has a wrong length")
    return witness


def _prove(send: Send, kind: Kind, witness: bytes, challenge: bytes) -> dict[int, bytes]:
    proof = tlv.encode(_WITNESS, witness) + tlv.encode(_CHALLENGE, challenge)
    request = tlv.encode(_TEMPLATE, proof)
    answer = send(Command(_AUTHENTICATE, kind.number, REFERENCE, request))
    if answer.sw != OK:
        raise _not_proved(answer.sw)
    return tlv.inside(answer.data, _TEMPLATE)


def _not_proved(sw: int) -> CardError:
    if sw in (status.NOT_AUTHENTICATED, status.WRONG_DATA):  # two cards, two readings
        return WrongManagementKey("the management key is wrong")
    return status.refused("compare the management key", sw)
