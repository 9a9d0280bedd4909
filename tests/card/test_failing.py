"""Cards that fail in the middle: pulled at every APDU, or answering anything at all."""

from __future__ import annotations

from contextlib import suppress

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cipsec.errors import CardError, NoCard
from tests.card import cards, flows
from tests.card.flows import Flow
from tests.support import pivcard
from tests.support.pivcard import CARD_A, CARD_B, Manners, PivCard

STATUS = st.sampled_from(
    [b"\x90\0", b"\x61\0", b"\x61\5", b"\x6c\3", b"\x63\xc2", b"\x63\0", b"\x69\x82", b"\x69\x83",
     b"\x69\x85", b"\x6a\x80", b"\x6a\x82", b"\x6a\x86", b"\x6d\0", b"\x67\0"]
)  # fmt: skip
PIECE = st.one_of(
    st.just(b""),
    st.binary(max_size=40),
    st.sampled_from([b"\x7c\x0a\x80\x08" + bytes(8), b"\x7c\x12\x80\x10" + bytes(16),
                     b"\x53\x00", b"\x7c\x02\x82\x00", b"\x53\x05\x70\x03\x02\x01\x01"]),
)  # fmt: skip
RESPONSE = st.builds(lambda data, sw: data + sw, PIECE, STATUS)


def new_card(manners: Manners) -> PivCard:
    """A card in use."""
    card = PivCard(manners, extensions=True)
    cards.provision(card)
    return card


def apdus_of(flow: Flow, manners: Manners) -> int:
    """How many APDUs a flow takes when nothing fails."""
    card = new_card(manners)
    flow(card)
    return len(card.log)


@pytest.mark.parametrize("manners", [CARD_A, CARD_B], ids=["card-a", "card-b"])
@pytest.mark.parametrize("flow", flows.ALL)
def test_pulled_at_every_apdu(flow: Flow, manners: Manners) -> None:
    """NoCard each time, and no try of PIN or PUK is lost by it; a reset spends them on purpose."""
    for answered in range(apdus_of(flow, manners)):
        card = new_card(manners)
        card.faults.pulled_after = answered
        with pytest.raises(NoCard):
            flow(card)
        assert len(card.log) == answered
        if flow is not flows.empty:
            assert {each.tries for each in card.secrets.values()} == {manners.tries}


@pytest.mark.parametrize("flow", flows.ALL)
def test_pulled_and_put_in_again(flow: Flow) -> None:
    """Whatever a pulled card was left with, beginning anew ends well, or says what is there."""
    for answered in range(apdus_of(flow, CARD_A)):
        card = new_card(CARD_A)
        card.faults.pulled_after = answered
        with pytest.raises(NoCard):
            flow(card)
        card.faults.pulled_after = None
        card.power_up()
        flows.show(card)
        if flow is flows.provision:
            flow(card)
            assert card.keys[0x9A]


@pytest.mark.parametrize("flow", flows.ALL)
@settings(max_examples=300)
@given(before=st.integers(0, 25), responses=st.lists(RESPONSE, min_size=1, max_size=30))
def test_anything_answered(flow: Flow, before: int, responses: list[bytes]) -> None:
    """A value or a CardError, in bounded time, from whichever APDU on the card goes mad."""
    card = PROVISIONED.copy()
    card.mad_after(before, responses)
    with suppress(CardError):
        flow(card)
    assert len(card.log) < 5000


@pytest.mark.parametrize("flow", flows.ALL)
@settings(max_examples=100)
@given(response=RESPONSE)
def test_the_same_answered_for_ever(flow: Flow, response: bytes) -> None:
    """No loop runs until the card relents."""
    card = PROVISIONED.copy()
    card.mad_after(1, [response] * 5000)
    with suppress(CardError):
        flow(card)
    assert len(card.log) < 5000


@pytest.mark.parametrize("flow", flows.ALL)
def test_answers_without_end(flow: Flow) -> None:
    """61xx for ever, from the first command on."""
    card = new_card(CARD_A)
    card.faults.endless = True
    with pytest.raises(CardError):
        flow(card)
    assert len(card.log) < 5000


# The serial number may become 0, of which the parser warns; `_cli` passes over such warnings.
@pytest.mark.filterwarnings("ignore::cryptography.utils.CryptographyDeprecationWarning")
@settings(max_examples=300)
@given(flips=st.lists(st.tuples(st.integers(0, 2000), st.integers(1, 255)), max_size=6))
def test_bytes_that_rot(flips: list[tuple[int, int]]) -> None:
    """A certificate object with any bytes changed is read or refused."""
    card = PROVISIONED.copy()
    held = bytearray(card.objects[0x5FC105])
    for at, mask in flips:
        held[at % len(held)] ^= mask
    card.objects[0x5FC105] = bytes(held)
    with suppress(CardError):
        flows.sign(card)
    with suppress(CardError):
        flows.show(card)
    assert card.secrets[pivcard.PIN].tries == card.manners.tries


class Mad(PivCard):
    """A card that at some APDU begins to answer as told."""

    def mad_after(self, answered: int, responses: list[bytes]) -> None:
        """Answer so many APDUs as it should."""
        self._sane, self._responses = answered, responses

    def transmit(self, apdu: bytes) -> tuple[bytes, int]:
        """Answer, sane or mad."""
        if self._sane <= 0 and not self.faults.scripted:
            self.faults.scripted, self._responses = self._responses[:], []
        self._sane -= 1
        return super().transmit(apdu)

    def copy(self) -> Mad:
        """Return another in the same state, for the next example."""
        other = Mad(self.manners, extensions=self.extensions)
        other.keys, other.objects = dict(self.keys), dict(self.objects)
        other.mad_after(1 << 30, [])
        return other


def _provisioned() -> Mad:
    card = Mad(CARD_A, extensions=True)
    card.mad_after(1 << 30, [])
    cards.provision(card)
    return card


PROVISIONED = _provisioned()
