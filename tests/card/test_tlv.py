"""TLV: what is written is read, and no bytes do worse than WrongCard."""

from __future__ import annotations

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cipsec.card import tlv
from cipsec.errors import WrongCard

TAGS = st.sampled_from([0x53, 0x70, 0x7C, 0x80, 0x86, 0xFE, 0x5F2F, 0x7F49, 0x5FC105])


@given(st.dictionaries(TAGS, st.binary(max_size=300)))
def test_written_is_read(found: dict[int, bytes]) -> None:
    """Every tag PIV uses, of every length."""
    assert tlv.decode(b"".join(tlv.encode(tag, value) for tag, value in found.items())) == found


@pytest.mark.parametrize(
    ("size", "head"),
    [
        (0x7F, "537f"),
        (0x80, "538180"),
        (0xFF, "5381ff"),
        (0x100, "53820100"),
        (1 << 16, "5383010000"),
    ],
)
def test_lengths_are_as_short_as_can_be(size: int, head: str) -> None:
    """The forms of ISO/IEC 7816-4 section 5.2.2.2."""
    encoded = tlv.encode(0x53, bytes(size))
    assert encoded == bytes.fromhex(head) + bytes(size)
    assert tlv.decode(encoded) == {0x53: bytes(size)}


@given(st.binary(max_size=64))
def test_anything(data: bytes) -> None:
    """A value or WrongCard."""
    with suppress(WrongCard):
        tlv.decode(data)


@pytest.mark.parametrize(
    "damaged",
    ["53", "5301", "5f", "5fc1", "5fc1c1", "5fc1c1c100", "5380", "5384000000010", "5382ff"],
)
def test_damaged(damaged: str) -> None:
    """Cut off, of indefinite length, or with too long a tag."""
    with pytest.raises(WrongCard, match="damaged"):
        tlv.decode(bytes.fromhex(damaged.ljust(len(damaged) + len(damaged) % 2, "0")))


def test_a_part_that_is_missing_is_named() -> None:
    """By its tag, in hex as the standard has it."""
    with pytest.raises(WrongCard, match="lacks the part 7F49"):
        tlv.inside(b"", 0x7F49)


def test_the_first_of_two_counts() -> None:
    """A card that repeats a part does not replace it."""
    assert tlv.decode(bytes.fromhex("8001018001ff")) == {0x80: b"\x01"}
