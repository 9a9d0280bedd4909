"""A PIV card: its PIN, its certificates and its keys (NIST SP 800-73-5 part 2).

Whom to ask for the PIN, and whether a refusal ends the program, is left to the caller. No PIN is
ever sent twice by itself, and the last try is not spent unasked.
"""

from __future__ import annotations

from cryptography import x509

from cipsec.card import apdu, content, management, status, tlv
from cipsec.card.apdu import OK, Answer, Command
from cipsec.card.pins import ManagementKey, Pin, Puk
from cipsec.card.public import read_public_key
from cipsec.card.slots import ALGORITHMS, BLOCK_BYTES, Slot
from cipsec.card.transport import Transport
from cipsec.card.vendor import Metadata, read_metadata
from cipsec.errors import AlreadyExists, CardRefused, LastTry, UsageError, WrongCard
from cipsec.pki.keys import KeyType, PublicKey
from cipsec.pki.names import show_name, show_serial
from cipsec.safe import text
from cipsec.times import show_time

AID = bytes.fromhex("A000000308000010000100")
KEY_ALONE = "a key without certificate"  # an occupant of a slot

_SELECT, _VERIFY, _CHANGE, _RESET_RETRY = 0xA4, 0x20, 0x24, 0x2C
_GET_DATA, _PUT_DATA, _GENERATE, _AUTHENTICATE = 0xCB, 0xDB, 0x47, 0x87
_PIN, _PUK = 0x80, 0x81
_LOG_OUT = 0xFF
_TAG_LIST, _TEMPLATE, _RESPONSE, _CHALLENGE = 0x5C, 0x7C, 0x82, 0x81
_CONTROL, _ALGORITHM, _PUBLIC_KEY = 0xAC, 0x80, 0x7F49


class Piv:
    """The PIV application of one card, selected."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport
        self._verified = False

    @classmethod
    def select(cls, transport: Transport) -> Piv:
        """Select the PIV application; raise WrongCard when the card has none."""
        piv = cls(transport)
        answer = piv.send(Command(_SELECT, 0x04, 0x00, AID))
        if answer.sw != OK:
            raise WrongCard(
                f"this card is not a PIV card ({answer.sw:04X})",
                hint="cipsec smartcard list",
            )
        return piv

    def send(self, command: Command, *, once: bool = False) -> Answer:
        """Send a command; `once` when it carries a PIN."""
        return apdu.send(self._transport, command, once=once)

    # The PIN.

    def tries_left(self) -> int | None:
        """Return the tries of the PIN without spending one; None when it counts as verified."""
        answer = self.send(Command(_VERIFY, 0, _PIN))
        if answer.sw == OK:
            return None
        left = status.tries(answer.sw)
        if left is None:
            raise status.refused("say how many tries are left", answer.sw)
        return left

    def verify(self, pin: Pin, *, force: bool = False) -> None:
        """Show the PIN, once; raise WrongPin, PinBlocked, or LastTry unless forced.

        The card keeps it for the session, in slot 9c for one use.
        """
        self.spare_pin(force=force)
        self._verified = False
        answer = self.send(Command(_VERIFY, 0, _PIN, pin.padded), once=True)
        status.compared(answer, "PIN", "check the PIN")
        self._verified = True

    def logout(self) -> None:
        """Have the card forget that the PIN was shown; cards that cannot are left as they are."""
        self._verified = False
        self.send(Command(_VERIFY, _LOG_OUT, _PIN))

    def change_pin(self, old: Pin, new: Pin, *, force: bool = False) -> None:
        """Replace the PIN; raise as `verify` does."""
        self.spare_pin(force=force)
        answer = self.send(Command(_CHANGE, 0, _PIN, old.padded + new.padded), once=True)
        status.compared(answer, "PIN", "change the PIN")

    def change_puk(self, old: Puk, new: Puk, *, force: bool = False) -> None:
        """Replace the PUK; raise as `verify` does."""
        if len(new.characters) != len(new.padded):
            raise UsageError("a new PUK has 8 characters, digits for preference")
        self.spare_puk(force=force)
        answer = self.send(Command(_CHANGE, 0, _PUK, old.padded + new.padded), once=True)
        status.compared(answer, "PUK", "change the PUK")

    def unblock(self, puk: Puk, new: Pin, *, force: bool = False) -> None:
        """Set a new PIN by the PUK; raise WrongPin and PinBlocked for the PUK, LastTry."""
        self.spare_puk(force=force)
        answer = self.send(Command(_RESET_RETRY, 0, _PIN, puk.padded + new.padded), once=True)
        status.compared(answer, "PUK", "set a new PIN")

    def spare_pin(self, *, force: bool) -> int | None:
        """Return the tries left of the PIN; raise PinBlocked, and LastTry unless forced.

        To be asked before a person is asked for the PIN; the card forgets a PIN that was shown.
        """
        left = self.tries_left()
        if left is None:  # then the count does not show before the card forgets the PIN
            self.logout()
            left = self.tries_left()
        _spare("PIN", left, force=force)
        return left

    def spare_puk(self, *, force: bool) -> int | None:
        """Return the tries left of the PUK, None where the card does not say; raise as for PINs."""
        known = self.metadata(_PUK)  # plain cards say it only by spending one
        left = known.tries if known else None
        _spare("PUK", left, force=force)
        return left

    # Certificates.

    def certificate(self, slot: Slot) -> x509.Certificate | None:
        """Return the certificate in a slot, None when there is none; raise WrongCard."""
        wanted = tlv.encode(_TAG_LIST, slot.certificate_object.to_bytes(3, "big"))
        answer = self.send(Command(_GET_DATA, 0x3F, 0xFF, wanted))
        if answer.sw == status.NOT_FOUND:
            return None
        return content.decode(status.required(answer, f"read the certificate in slot {slot}"))

    def write_certificate(
        self, slot: Slot, certificate: x509.Certificate, *, replace: bool = False
    ) -> None:
        """Store a certificate, and read it back; raise AlreadyExists unless to be replaced.

        Needs `authenticate` before it.
        """
        if not replace and self._certificate_words(slot) is not None:
            raise self._occupied(slot)
        self._put(slot, content.encode(certificate), "store the certificate")
        if self.certificate(slot) != certificate:
            raise WrongCard("the card did not keep the certificate as it was sent")

    def delete_certificate(self, slot: Slot) -> None:
        """Remove the certificate of a slot, not its key. Needs `authenticate` before it."""
        self._put(slot, content.empty(), "delete the certificate")

    def _put(self, slot: Slot, data: bytes, doing: str) -> None:
        where = tlv.encode(_TAG_LIST, slot.certificate_object.to_bytes(3, "big"))
        status.required(self.send(Command(_PUT_DATA, 0x3F, 0xFF, where + data)), doing)

    # Keys.

    def authenticate(self, key: ManagementKey) -> None:
        """Prove the management key, which writing needs; raise WrongManagementKey."""
        management.authenticate(self.send, key)

    def metadata(self, reference: int) -> Metadata | None:
        """Return what a card with Yubico's extension says of a key, PIN or PUK; else None."""
        return read_metadata(self.send, reference)

    def occupant(self, slot: Slot) -> str | None:
        """Say what a slot holds, as far as the card tells: a plain one tells only certificates."""
        words = self._certificate_words(slot)
        known = self.metadata(slot.reference)
        if words is None and known is not None:
            return KEY_ALONE
        return words

    def _certificate_words(self, slot: Slot) -> str | None:
        try:
            held = self.certificate(slot)
        except WrongCard:
            return "a certificate that cannot be read"
        if held is None:
            return None
        until = show_time(held.not_valid_after_utc)
        serial = show_serial(held.serial_number)
        return f"the certificate {text(show_name(held.subject))}, serial {serial}, until {until}"

    def _occupied(self, slot: Slot) -> AlreadyExists:
        return AlreadyExists(f"slot {slot} of the card holds {self.occupant(slot)}")

    def generate(self, slot: Slot, key_type: KeyType, *, replace: bool = False) -> PublicKey:
        """Make a key on the card; raise AlreadyExists unless what is there may be lost.

        Needs `authenticate` before it. The certificate of the key that was replaced goes too: it
        would name a key that is no more.
        """
        before = self.occupant(slot)
        if before is not None and not replace:
            raise self._occupied(slot)
        asked = tlv.encode(_CONTROL, tlv.encode(_ALGORITHM, bytes([ALGORITHMS[key_type]])))
        answer = self.send(Command(_GENERATE, 0, slot.reference, asked))
        data = status.required(answer, f"make a key of type {key_type} in slot {slot}")
        public_key = read_public_key(tlv.inside(data, _PUBLIC_KEY), key_type)
        if before is not None:
            self.delete_certificate(slot)
        return public_key

    def sign(self, slot: Slot, key_type: KeyType, block: bytes) -> bytes:
        """Have the key sign a digest (EC) or a whole padded block (RSA); raise CardError.

        The answer is the card's word: `keys` checks it. The PIN must have been verified.
        """
        fitted = fit(key_type, block)
        asked = tlv.encode(_RESPONSE, b"") + tlv.encode(_CHALLENGE, fitted)
        where = (_AUTHENTICATE, ALGORITHMS[key_type], slot.reference)
        answer = self.send(Command(*where, tlv.encode(_TEMPLATE, asked)))
        if answer.sw != OK:
            raise self._did_not_sign(slot, answer.sw)
        return tlv.value(tlv.inside(answer.data, _TEMPLATE), _RESPONSE)

    def _did_not_sign(self, slot: Slot, sw: int) -> CardRefused:
        """For want of a key some cards answer 6985, others 6982, which may also mean the PIN."""
        doing = f"sign with the key in slot {slot}"
        if sw == status.NOT_AUTHENTICATED and not self._verified:
            return status.refused(doing, sw)
        if sw in (status.NOT_AUTHENTICATED, status.CONDITIONS):
            return CardRefused(
                f"the card refuses to {doing}: it has no key there, or was not touched ({sw:04X})",
                sw=sw,
                hint=f"cipsec smartcard show --slot {slot}",
            )
        return status.refused(doing, sw)


def fit(key_type: KeyType, block: bytes) -> bytes:
    """Return a digest as wide as the curve's order, or an RSA block as it is; raise ValueError.

    ECDSA takes the leftmost bits of a digest (FIPS 186-5 section 6.4.1); not every card does.
    """
    size = BLOCK_BYTES[key_type]
    if key_type in (KeyType.EC_P256, KeyType.EC_P384):
        return block[:size].rjust(size, b"\0")
    if len(block) != size:
        raise ValueError(f"a block for {key_type} has {size} bytes, not {len(block)}")
    return block


def _spare(what: str, tries: int | None, *, force: bool) -> None:
    if tries == 0:
        raise status.blocked(what)
    if tries == 1 and not force:
        raise LastTry(
            f"one try of the {what} is left: a wrong one would block it",
            hint="add --force when you are sure",
        )
