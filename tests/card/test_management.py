"""The management key and Yubico's extensions: probed without harm, absent on a plain card."""

from __future__ import annotations

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from cipsec.card import keys, vendor
from cipsec.card.pins import DEFAULT_MANAGEMENT_KEY, ManagementKey
from cipsec.card.piv import Piv
from cipsec.card.slots import AUTHENTICATION
from cipsec.errors import CardError, CardRefused, UsageError, WrongCard, WrongManagementKey
from cipsec.pki.keys import KeyType, PrivateKey
from tests.card.cards import NEW_PIN, NEW_PUK, PIN, PUK, provision
from tests.support import pivcard, pivkeys
from tests.support.pivcard import CARD_A, PivCard

KINDS = {0x03: 24, 0x08: 16, 0x0A: 24, 0x0C: 32}


@pytest.fixture
def rich() -> PivCard:
    """A card with the extensions."""
    return PivCard(CARD_A, extensions=True)


@pytest.mark.parametrize(("number", "size"), KINDS.items())
def test_every_kind_of_key(card: PivCard, piv: Piv, number: int, size: int) -> None:
    """The kind is found by asking for a witness, which costs nothing."""
    card.management = pivkeys.Management(number, bytes(range(size)))
    piv.authenticate(ManagementKey(bytes(range(size))))
    assert card.managed


@pytest.mark.parametrize(("number", "size"), KINDS.items())
def test_a_wrong_key(card: PivCard, piv: Piv, number: int, size: int) -> None:
    """Two cards, two status words, one error."""
    card.management = pivkeys.Management(number, bytes(range(size)))
    with pytest.raises(WrongManagementKey, match="the management key is wrong"):
        piv.authenticate(ManagementKey(bytes(size)))
    assert not card.managed


def test_a_key_of_another_length(card: PivCard, piv: Piv) -> None:
    """The card's kind is named, with the digits it wants."""
    card.management = pivkeys.Management(0x0C, bytes(32))
    with pytest.raises(WrongManagementKey, match="AES-256, of 64 hexadecimal digits"):
        piv.authenticate(DEFAULT_MANAGEMENT_KEY)


def test_a_card_that_does_not_prove_it(card: PivCard, piv: Piv) -> None:
    """Mutual: a card that takes any key is not believed."""
    witness = pivkeys.tlv(0x7C, pivkeys.tlv(0x80, bytes(8)))
    card.faults.scripted = [witness + b"\x90\0", bytes.fromhex("7c0a8208") + bytes(8) + b"\x90\0"]
    with pytest.raises(WrongManagementKey, match="the card does not know"):
        piv.authenticate(DEFAULT_MANAGEMENT_KEY)


@pytest.mark.parametrize("answer", ["", "7c00", "7c028000", "7c0380010a", "7c"])
def test_a_damaged_witness(card: PivCard, piv: Piv, answer: str) -> None:
    """Nothing, empty, or too short."""
    card.faults.scripted = [bytes.fromhex(answer) + b"\x90\0"]
    with pytest.raises(WrongCard):
        piv.authenticate(DEFAULT_MANAGEMENT_KEY)


def test_a_card_of_another_system(card: PivCard, piv: Piv) -> None:
    """It has no management key of PIV: it can be used, not provisioned."""
    card.management = pivkeys.Management(0xFF, b"")
    with pytest.raises(CardRefused) as caught:
        piv.authenticate(DEFAULT_MANAGEMENT_KEY)
    assert "can be used" in str(caught.value.hint)


def test_an_odd_refusal_of_the_proof(card: PivCard, piv: Piv) -> None:
    """It is said as it is."""
    witness = pivkeys.tlv(0x7C, pivkeys.tlv(0x80, bytes(8)))
    card.faults.scripted = [witness + b"\x90\0", b"\x65\x81"]
    with pytest.raises(CardRefused, match="its memory failed"):
        piv.authenticate(DEFAULT_MANAGEMENT_KEY)


def test_a_plain_card_tells_nothing_more(card: PivCard, piv: Piv) -> None:
    """What the extension would say is unknown."""
    assert piv.metadata(pivcard.PIN) is None


def test_metadata(rich: PivCard) -> None:
    """Whether PIN and PUK are those it was sold with, and their tries."""
    piv = Piv.select(rich)
    assert piv.metadata(pivcard.PIN) == vendor.Metadata(is_default=True, tries=3, most_tries=3)
    rich.block(pivcard.PUK, left=1)
    piv.change_pin(PIN, NEW_PIN)
    assert piv.metadata(pivcard.PIN) == vendor.Metadata(is_default=False, tries=3, most_tries=3)
    assert piv.metadata(pivcard.PUK) == vendor.Metadata(is_default=True, tries=1, most_tries=3)
    assert piv.metadata(0x9A) is None
    piv.authenticate(DEFAULT_MANAGEMENT_KEY)
    piv.generate(AUTHENTICATION, KeyType.EC_P256)
    assert piv.metadata(0x9A) == vendor.Metadata(None, None, None)


def test_change_the_management_key(rich: PivCard) -> None:
    """To another of its kind."""
    piv = Piv.select(rich)
    piv.authenticate(DEFAULT_MANAGEMENT_KEY)
    new = ManagementKey(bytes(range(24)))
    vendor.set_management_key(piv.send, new)
    with pytest.raises(WrongManagementKey):
        piv.authenticate(DEFAULT_MANAGEMENT_KEY)
    piv.authenticate(new)
    with pytest.raises(UsageError, match="48 hexadecimal digits"):
        vendor.set_management_key(piv.send, ManagementKey(bytes(16)))


def test_a_plain_card_keeps_its_management_key(piv: Piv) -> None:
    """The standard has no command for it."""
    piv.authenticate(DEFAULT_MANAGEMENT_KEY)
    with pytest.raises(CardRefused, match="refuses to change its management key"):
        vendor.set_management_key(piv.send, ManagementKey(bytes(24)))


@pytest.mark.parametrize(
    "key",
    [
        ec.generate_private_key(ec.SECP256R1()),
        ec.generate_private_key(ec.SECP384R1()),
        rsa.generate_private_key(65537, 2048),
    ],
    ids=["ec-p256", "ec-p384", "rsa-2048"],
)
def test_import_a_key(rich: PivCard, key: PrivateKey) -> None:
    """It signs as one made on the card."""
    piv = Piv.select(rich)
    piv.authenticate(DEFAULT_MANAGEMENT_KEY)
    vendor.import_key(piv.send, AUTHENTICATION, key)
    piv.verify(PIN)
    held = keys.on_card(piv, AUTHENTICATION, key.public_key())
    if isinstance(held, keys.CardEcKey):
        held.sign_digest(bytes(32))
    else:
        held.sign_block(b"\0" + bytes(range(255)))


def test_a_plain_card_takes_no_key(piv: Piv) -> None:
    """It makes its own."""
    piv.authenticate(DEFAULT_MANAGEMENT_KEY)
    with pytest.raises(CardRefused, match="refuses to take a key of type ec-p256 from outside"):
        vendor.import_key(piv.send, AUTHENTICATION, ec.generate_private_key(ec.SECP256R1()))


def test_reset(rich: PivCard) -> None:
    """Everything goes; PIN and PUK are as sold."""
    provision(rich)
    piv = Piv.select(rich)
    piv.change_pin(PIN, NEW_PIN)
    piv.change_puk(PUK, NEW_PUK)
    vendor.reset(piv.send)
    assert piv.certificate(AUTHENTICATION) is None
    piv.verify(PIN)
    piv.unblock(PUK, NEW_PIN)


def test_reset_of_a_blocked_card(rich: PivCard) -> None:
    """That is what it is for."""
    rich.block(pivcard.PIN)
    rich.block(pivcard.PUK)
    piv = Piv.select(rich)
    vendor.reset(piv.send)
    assert piv.tries_left() == 3


def test_a_plain_card_is_not_reset_and_not_harmed(card: PivCard, piv: Piv) -> None:
    """No try is spent to find out that it cannot be."""
    with pytest.raises(CardRefused, match="cannot be reset by PIV commands") as caught:
        vendor.reset(piv.send)
    assert caught.value.hint == "use its maker's program"
    assert piv.tries_left() == card.manners.tries


def test_a_card_that_does_not_become_blocked(rich: PivCard) -> None:
    """Trying ends."""
    piv = Piv.select(rich)
    rich.faults.scripted = [b"\5\4\3\x90\0", b"\x69\x85", *[b"\x63\xc3"] * 300]
    with pytest.raises(CardError, match="does not become blocked"):
        vendor.reset(piv.send)
    assert len(rich.faults.scripted) > 0
