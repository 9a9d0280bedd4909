"""The PIN: no try is spent without need, none twice, and two cards that count differently."""

from __future__ import annotations

import pytest

from cipsec._cli import exits
from cipsec.card.pins import DEFAULT_MANAGEMENT_KEY, ManagementKey, Pin, Puk
from cipsec.card.piv import Piv
from cipsec.errors import CardError, LastTry, PinBlocked, UsageError, WrongCard, WrongPin
from tests.card.cards import NEW_PIN, NEW_PUK, PIN, PUK, WRONG_PIN, WRONG_PUK
from tests.support import pivcard
from tests.support.pivcard import PivCard


def tries(card: PivCard, which: int = pivcard.PIN) -> int:
    """The tries that the card itself counts."""
    return card.secrets[which].tries


def sent(card: PivCard, ins: int) -> list[bytes]:
    """The commands with data of one kind that arrived."""
    return [apdu for apdu in card.log if apdu[1] == ins and len(apdu) > 5]


def test_another_card_is_not_a_piv_card(card: PivCard) -> None:
    """A bank card, for one."""
    card.faults.not_piv = True
    with pytest.raises(WrongCard, match=r"this card is not a PIV card \(6A82\)"):
        Piv.select(card)


def test_asking_for_the_tries_spends_none(card: PivCard, piv: Piv) -> None:
    """However often."""
    assert [piv.tries_left() for _ in range(9)] == [card.manners.tries] * 9


def test_the_right_pin(card: PivCard, piv: Piv) -> None:
    """It counts as verified, then, and the tries do not show."""
    piv.verify(PIN)
    assert piv.tries_left() is None
    assert len(sent(card, 0x20)) == 1


def test_log_out(card: PivCard, piv: Piv) -> None:
    """The card forgets it."""
    piv.verify(PIN)
    piv.logout()
    assert piv.tries_left() == card.manners.tries


def test_a_wrong_pin_is_sent_once(card: PivCard, piv: Piv) -> None:
    """It says how many tries are left."""
    left = card.manners.tries - 1
    with pytest.raises(WrongPin, match=f"the PIN is wrong; {left} tries are left") as caught:
        piv.verify(WRONG_PIN)
    assert caught.value.tries == left == tries(card)
    assert len(sent(card, 0x20)) == 1


def test_a_wrong_pin_where_the_right_one_was_shown(card: PivCard, piv: Piv) -> None:
    """It is compared all the same."""
    piv.verify(PIN)
    with pytest.raises(WrongPin):
        piv.verify(WRONG_PIN)
    assert not card.verified


def test_the_last_try_is_not_spent(card: PivCard, piv: Piv) -> None:
    """Unless forced: a batch with a wrong PIN would block the card."""
    card.block(left=1)
    with pytest.raises(LastTry, match="one try of the PIN is left") as caught:
        piv.verify(PIN)
    assert "--force" in str(caught.value.hint)
    assert sent(card, 0x20) == []
    piv.verify(PIN, force=True)
    assert tries(card) == card.manners.tries


def test_the_last_wrong_pin_blocks(card: PivCard, piv: Piv) -> None:
    """One card says so at once, the other by no tries left: the same error."""
    card.block(left=1)
    with pytest.raises(PinBlocked, match="the PIN of the card is blocked"):
        piv.verify(WRONG_PIN, force=True)
    assert piv.tries_left() == 0


def test_a_blocked_pin_is_not_tried(card: PivCard, piv: Piv) -> None:
    """Not even by force."""
    card.block()
    with pytest.raises(PinBlocked) as caught:
        piv.verify(PIN, force=True)
    assert caught.value.hint == "cipsec smartcard unblock"
    assert sent(card, 0x20) == []


def test_change_the_pin(card: PivCard, piv: Piv) -> None:
    """The old one does no longer."""
    piv.change_pin(PIN, NEW_PIN)
    with pytest.raises(WrongPin):
        piv.verify(PIN)
    piv.verify(NEW_PIN)
    assert tries(card) == card.manners.tries


def test_change_the_pin_by_a_wrong_one(card: PivCard, piv: Piv) -> None:
    """That costs a try, and the last is not spent."""
    with pytest.raises(WrongPin):
        piv.change_pin(WRONG_PIN, NEW_PIN)
    card.block(left=1)
    with pytest.raises(LastTry):
        piv.change_pin(PIN, NEW_PIN)
    assert len(sent(card, 0x24)) == 1


def test_unblock(card: PivCard, piv: Piv) -> None:
    """The PUK sets a new PIN."""
    card.block()
    piv.unblock(PUK, NEW_PIN)
    piv.verify(NEW_PIN)


def test_unblock_by_a_wrong_puk(card: PivCard, piv: Piv) -> None:
    """The error is about the PUK."""
    with pytest.raises(WrongPin, match="the PUK is wrong"):
        piv.unblock(WRONG_PUK, NEW_PIN)
    assert tries(card, pivcard.PUK) == card.manners.tries - 1
    card.block(pivcard.PUK)
    with pytest.raises(PinBlocked, match="the PUK of the card is blocked") as caught:
        piv.unblock(PUK, NEW_PIN)
    assert caught.value.hint == "cipsec smartcard reset"


def test_the_last_try_of_the_puk(card: PivCard) -> None:
    """A card with the extension tells it without spending one."""
    card.extensions = True
    piv = Piv.select(card)
    card.block(pivcard.PUK, left=1)
    with pytest.raises(LastTry, match="one try of the PUK"):
        piv.unblock(PUK, NEW_PIN)
    piv.unblock(PUK, NEW_PIN, force=True)


def test_change_the_puk(piv: Piv) -> None:
    """A new one has eight characters, as the standard's."""
    piv.change_puk(PUK, NEW_PUK)
    with pytest.raises(WrongPin):
        piv.unblock(PUK, NEW_PIN)
    with pytest.raises(UsageError, match="8 characters"):
        piv.change_puk(NEW_PUK, Puk.parse("112233"))


@pytest.mark.parametrize(
    "text", ["", "12345", "123456789", "12345x", "１２３４５６", "123456\n", " 123456"]
)
def test_what_is_not_a_pin(text: str) -> None:
    """Nothing is sent to a card that might count it, or take a PIN of four digits."""
    with pytest.raises(UsageError, match="6 to 8 digits") as caught:
        Pin.parse(text)
    assert not text.strip() or text.strip() not in str(caught.value)


@pytest.mark.parametrize("text", ["", "12345", "123456789", "1234 678", "pässword"])
def test_what_is_not_a_puk(text: str) -> None:
    """Six to eight visible ASCII characters."""
    with pytest.raises(UsageError, match="6 to 8 characters"):
        Puk.parse(text)


@pytest.mark.parametrize("text", ["", "00", "zz" * 16, "00" * 15, "00" * 33])
def test_what_is_not_a_management_key(text: str) -> None:
    """16, 24 or 32 bytes in hex."""
    with pytest.raises(UsageError, match="hexadecimal"):
        ManagementKey.parse(text)


def test_management_keys_are_read_as_people_write_them() -> None:
    """With colons or spaces, in either case."""
    written = " ".join(["01:02:03:04:05:06:07:08"] * 3)
    assert ManagementKey.parse(written) == DEFAULT_MANAGEMENT_KEY
    assert ManagementKey.parse("AbCdEf01" * 4).key == bytes.fromhex("abcdef01" * 4)


def test_defaults_are_recognised() -> None:
    """Those that cards are sold with."""
    assert Pin.parse("123456").is_default
    assert Puk.parse("12345678").is_default
    assert DEFAULT_MANAGEMENT_KEY.is_default
    for other in (NEW_PIN, NEW_PUK, ManagementKey(bytes(24))):
        assert not other.is_default


def test_secrets_never_show(card: PivCard, piv: Piv) -> None:
    """Not in representations, and not in errors or what caused them."""
    for secret in (NEW_PIN, NEW_PUK, ManagementKey.parse("11223344" * 4)):
        assert "11223344" not in repr(secret)
        assert "3D" not in repr(secret)
    with pytest.raises(WrongPin) as caught:
        piv.verify(NEW_PIN)
    assert "11223344" not in repr(caught.value) + str(caught.value.hint)


def test_a_card_that_does_not_count(card: PivCard, piv: Piv) -> None:
    """Old ones answer 6300: wrong, and nobody knows how many are left."""
    card.faults.scripted = [b"\x63\xc3", b"\x63\x00"]
    with pytest.raises(WrongPin, match=r"the PIN is wrong$") as caught:
        piv.verify(PIN)
    assert caught.value.tries is None


def test_a_card_without_a_pin(card: PivCard, piv: Piv) -> None:
    """What it answers instead is said with its status word."""
    card.faults.scripted = [b"\x6a\x88"]
    with pytest.raises(CardError, match=r"how many tries are left: it has no such key \(6A88\)"):
        piv.verify(PIN)
    assert sent(card, 0x20) == []


def _family(kind: type[CardError]) -> list[type[CardError]]:
    return [kind, *(each for child in kind.__subclasses__() for each in _family(child))]


@pytest.mark.parametrize("kind", _family(CardError))
def test_every_card_error_has_the_exit_code(kind: type[CardError]) -> None:
    """7, as the contract has it."""
    assert next(exits._BY_ERROR[c] for c in kind.__mro__ if c in exits._BY_ERROR) == 7
