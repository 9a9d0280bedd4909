"""Certificates on the card: read however they lie there, written plainly, never lost unasked."""

from __future__ import annotations

import gzip
from collections.abc import Callable

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding

from cipsec.card.pins import DEFAULT_MANAGEMENT_KEY
from cipsec.card.piv import Piv
from cipsec.card.slots import AUTHENTICATION, NAMED, Slot
from cipsec.errors import AlreadyExists, CardRefused, UsageError, WrongCard
from tests.card.cards import certificate, provision
from tests.support.pivcard import CARD_B, PivCard
from tests.support.pivkeys import tlv

KEY = ec.generate_private_key(ec.SECP256R1())
OTHER = certificate(KEY, "card-2")
OBJECT = AUTHENTICATION.certificate_object


def laid(card: PivCard, der: bytes, *, info: bytes = b"\0") -> None:
    """Put bytes where the certificate of slot 9a is."""
    card.objects[OBJECT] = tlv(0x53, tlv(0x70, der) + tlv(0x71, info) + tlv(0xFE, b""))


def der_of(name: str = "card-1") -> bytes:
    """A certificate in DER."""
    return certificate(KEY, name).public_bytes(Encoding.DER)


def test_none(piv: Piv) -> None:
    """A new card has none."""
    assert [piv.certificate(slot) for slot in NAMED] == [None] * 3


@pytest.mark.parametrize("slot", ["9a", "9C", "9d", "82", "95"])
def test_written_is_read(card: PivCard, piv: Piv, slot: str) -> None:
    """In any slot, under the object of the standard."""
    piv.authenticate(DEFAULT_MANAGEMENT_KEY)
    piv.write_certificate(Slot.parse(slot), OTHER)
    assert piv.certificate(Slot.parse(slot)) == OTHER
    objects = {"9a": 0x5FC105, "9C": 0x5FC10A, "9d": 0x5FC10B, "82": 0x5FC10D, "95": 0x5FC120}
    assert objects[slot] in card.objects


@pytest.mark.parametrize("text", ["9b", "9f", "81", "96", "", "9", "9aa", "zz", "-1", "٩a"])
def test_what_is_no_slot(text: str) -> None:
    """The hint names those there are."""
    with pytest.raises(UsageError, match="not a slot"):
        Slot.parse(text)


def test_the_slot_without_a_pin_is_not_used() -> None:
    """Whoever finds the card could enroll with it."""
    with pytest.raises(UsageError, match="without a PIN") as caught:
        Slot.parse("9e")
    assert caught.value.hint == "use --slot 9a"


def test_compressed(card: PivCard, piv: Piv) -> None:
    """As other programs write them, to save space."""
    laid(card, gzip.compress(der_of()), info=b"\1")
    held = piv.certificate(AUTHENTICATION)
    assert held is not None
    assert "card-1" in held.subject.rfc4514_string()


@pytest.mark.parametrize(
    "damage",
    [
        lambda der: gzip.compress(der)[:-9],
        lambda der: gzip.compress(bytes(1 << 20)),
        lambda der: der,
        lambda der: b"",
    ],
    ids=["cut off", "bomb", "not compressed", "nothing"],
)
def test_compressed_and_damaged(card: PivCard, piv: Piv, damage: Callable[[bytes], bytes]) -> None:
    """Cut off, grown beyond all measure, or not compressed at all; nothing is no certificate."""
    laid(card, damage(der_of()), info=b"\1")
    if not damage(der_of()):
        assert piv.certificate(AUTHENTICATION) is None
        return
    with pytest.raises(WrongCard, match="compressed"):
        piv.certificate(AUTHENTICATION)


@pytest.mark.parametrize(
    "data", [b"garbage", bytes.fromhex("5303700101"), bytes.fromhex("53057003020101")]
)
def test_what_is_not_a_certificate(card: PivCard, piv: Piv, data: bytes) -> None:
    """It counts as something that may not be lost."""
    card.objects[OBJECT] = data
    with pytest.raises(WrongCard):
        piv.certificate(AUTHENTICATION)
    assert piv.occupant(AUTHENTICATION) == "a certificate that cannot be read"


def test_deleted(card: PivCard, piv: Piv) -> None:
    """One card answers with nothing, the other that it is not found: both are none."""
    provision(card)
    piv = Piv.select(card)
    piv.authenticate(DEFAULT_MANAGEMENT_KEY)
    piv.delete_certificate(AUTHENTICATION)
    assert piv.certificate(AUTHENTICATION) is None
    assert piv.occupant(AUTHENTICATION) is None


def test_one_is_not_overwritten(card: PivCard) -> None:
    """The refusal says what would be lost."""
    held = provision(card)
    piv = Piv.select(card)
    piv.authenticate(DEFAULT_MANAGEMENT_KEY)
    with pytest.raises(AlreadyExists, match="slot 9a of the card holds the certificate CN=card-1,"):
        piv.write_certificate(AUTHENTICATION, OTHER)
    assert piv.certificate(AUTHENTICATION) == held
    piv.write_certificate(AUTHENTICATION, OTHER, replace=True)
    assert piv.certificate(AUTHENTICATION) == OTHER


def test_writing_needs_the_management_key(piv: Piv) -> None:
    """Else the card refuses."""
    with pytest.raises(CardRefused, match=r"asks for a PIN or the management key first \(6982\)"):
        piv.write_certificate(AUTHENTICATION, OTHER)


def test_a_certificate_too_large(card: PivCard, piv: Piv) -> None:
    """One card takes 4,000 bytes, the other does not and says so."""
    large = certificate(KEY, padding=4000)
    piv.authenticate(DEFAULT_MANAGEMENT_KEY)
    if card.manners is CARD_B:
        piv.write_certificate(AUTHENTICATION, large)
        assert piv.certificate(AUTHENTICATION) == large
        return
    with pytest.raises(CardRefused, match=r"cannot take so much.*\(6700\)"):
        piv.write_certificate(AUTHENTICATION, large)
    assert piv.certificate(AUTHENTICATION) is None


class Forgetful(PivCard):
    """A card that says it stored, and keeps nothing."""

    def _put(self, asked: object) -> bytes:  # as the base's
        return b""


def test_a_card_that_does_not_keep_it() -> None:
    """What was written is read back."""
    piv = Piv.select(Forgetful())
    piv.authenticate(DEFAULT_MANAGEMENT_KEY)
    with pytest.raises(WrongCard, match="did not keep"):
        piv.write_certificate(AUTHENTICATION, OTHER)


@pytest.mark.parametrize("piece", [1, 7, 255, 256])
@pytest.mark.parametrize("other_length", [False, True])
def test_however_the_card_sends_it(card: PivCard, piece: int, *, other_length: bool) -> None:
    """In small pieces, and asking for the exact length."""
    held = provision(card)
    card.faults.piece, card.faults.other_length = piece, other_length
    assert Piv.select(card).certificate(AUTHENTICATION) == held


def test_an_unusual_key_in_a_certificate(card: PivCard, piv: Piv) -> None:
    """It is shown; that it cannot sign here is said by who wants to sign."""
    strange = certificate(KEY, "strange")
    laid(card, strange.public_bytes(Encoding.DER))
    assert piv.certificate(AUTHENTICATION) == strange


def test_names_on_the_card_are_made_harmless(card: PivCard, piv: Piv) -> None:
    """A certificate may hold escapes."""
    laid(card, der_of("a\x1b[31mb"))
    assert "\x1b" not in str(piv.occupant(AUTHENTICATION))
