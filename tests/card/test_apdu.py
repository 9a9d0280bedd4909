"""Commands as the card sees them: chaining, answers in pieces, other lengths, and no end."""

from __future__ import annotations

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cipsec.card import apdu
from cipsec.card.apdu import Answer, Command
from cipsec.errors import WrongCard


class Scripted:
    """A card that answers as told, the last answer for ever."""

    def __init__(self, *answers: str | bytes) -> None:
        self.answers = [bytes.fromhex(a) if isinstance(a, str) else a for a in answers]
        self.seen: list[str] = []

    def transmit(self, apdu: bytes) -> tuple[bytes, int]:
        """Answer the next one."""
        self.seen.append(apdu.hex())
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        return answer[:-2], int.from_bytes(answer[-2:], "big")


def test_a_command_without_data_has_le() -> None:
    """Many cards answer nothing when nothing is expected."""
    card = Scripted("019000")
    assert apdu.send(card, Command(0xFD, 0, 0)) == Answer(b"\1", 0x9000)
    assert card.seen == ["00fd000000"]


@pytest.mark.parametrize("size", [1, 255])
def test_a_short_command_goes_in_one(size: int) -> None:
    """Up to 255 bytes of data."""
    card = Scripted("9000")
    apdu.send(card, Command(0xCB, 0x3F, 0xFF, bytes(size)))
    assert card.seen == [f"00cb3fff{size:02x}{bytes(size).hex()}00"]


def test_a_long_command_is_chained() -> None:
    """Class 10 until the last piece, which alone has Le (ISO/IEC 7816-4 section 5.3.3)."""
    card = Scripted("9000")
    apdu.send(card, Command(0xDB, 0x3F, 0xFF, bytes(511)))
    assert card.seen == [
        f"10db3fffff{bytes(255).hex()}",
        f"10db3fffff{bytes(255).hex()}",
        "00db3fff010000",
    ]


def test_a_chain_that_is_refused_ends() -> None:
    """The rest is not sent."""
    card = Scripted("6700")
    assert apdu.send(card, Command(0xDB, 0x3F, 0xFF, bytes(600))).sw == 0x6700
    assert len(card.seen) == 1


def test_an_answer_in_pieces_is_collected() -> None:
    """61xx says how much more there is."""
    card = Scripted("01026102", "03046101", "059000")
    assert apdu.send(card, Command(0xCB, 0, 0)) == Answer(bytes([1, 2, 3, 4, 5]), 0x9000)
    assert card.seen[1:] == ["00c0000002", "00c0000001"]


def test_a_refusal_after_pieces_is_the_answer() -> None:
    """The last status word counts."""
    assert apdu.send(Scripted("016101", "6a82"), Command(0xCB, 0, 0)) == Answer(b"\1", 0x6A82)


def test_another_length_is_tried_once() -> None:
    """6Cxx names the exact length; a card that says it again has said no."""
    card = Scripted("6c03", "0102039000")
    assert apdu.send(card, Command(0xCB, 0, 0)).data == bytes([1, 2, 3])
    assert card.seen == ["00cb000000", "00cb000003"]
    stubborn = Scripted("6c03")
    assert apdu.send(stubborn, Command(0xCB, 0, 0)).sw == 0x6C03
    assert len(stubborn.seen) == 2


def test_a_command_with_a_pin_is_not_repeated() -> None:
    """Not even when the card asks for another length: it might count."""
    card = Scripted("6c00")
    apdu.send(card, Command(0x20, 0, 0x80, b"123456\xff\xff"), once=True)
    assert len(card.seen) == 1


@pytest.mark.parametrize("piece", ["6100", "006100", f"{bytes(256).hex()}6100"])
def test_an_answer_without_end_ends(piece: str) -> None:
    """With nothing, little or much in each piece."""
    card = Scripted(piece)
    with pytest.raises(WrongCard, match="does not end"):
        apdu.send(card, Command(0xCB, 0, 0))
    assert len(card.seen) < 1100


@given(
    st.lists(st.binary(min_size=2, max_size=8), min_size=1, max_size=20), st.binary(max_size=700)
)
def test_anything(answers: list[bytes], data: bytes) -> None:
    """An answer or WrongCard, in bounded time."""
    card = Scripted(*answers)
    with suppress(WrongCard):
        assert isinstance(apdu.send(card, Command(0xCB, 0, 0, data)), Answer)
    assert len(card.seen) < 2100


def test_data_never_shows() -> None:
    """A PIN in a command is not in its representation."""
    assert "123456" not in repr(Command(0x20, 0, 0x80, b"123456"))
    assert "31" not in repr(Command(0x20, 0, 0x80, b"11111"))
