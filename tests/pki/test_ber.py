"""BER as other programs write it: found where it stands, and never more work than its length."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cipsec.pki import ber

END = b"\0\0"


def _found(data: bytes) -> list[tuple[int, bytes]]:
    return [(e.tag, data[e.start : e.end]) for e in ber.elements(data)]


@pytest.mark.parametrize(
    ("data", "found"),
    [
        (b"", []),
        (b"\x05\0\x02\x01\x07", [(5, b""), (2, b"\x07")]),
        (b"\x04\x81\x01x", [(4, b"x")]),
        (b"\x30\x80\x05\0" + END + b"\x05\0", [(0x30, b"\x05\0"), (5, b"")]),
        (b"\x30\x80\x30\x80" + END + END, [(0x30, b"\x30\x80" + END)]),
    ],
)
def test_elements(data: bytes, found: list[tuple[int, bytes]]) -> None:
    """Short and long lengths, and none at all (X.690 section 8.1.3)."""
    assert _found(data) == found


@pytest.mark.parametrize(
    "data",
    [
        b"\x30",
        b"\x30\x02\x05",
        b"\x1f\x81\x01\0",
        b"\x04\x80x" + END,
        b"\x30\x80\x05\0",
        b"\x30\x80\x05\0\0",
        b"\x04\x85\0\0\0\0\1x",
        b"\x30\x80" * 14 + END * 14,
    ],
    ids=range(8),
)
def test_what_does_not_end_is_refused(data: bytes) -> None:
    """Cut off, of a long tag, too deep, or of a length beyond all files."""
    with pytest.raises(ValueError, match=r"cut off|long|deep|indefinite"):
        _found(data)


def test_strings_in_pieces_are_joined() -> None:
    """X.690 section 8.7.3; pieces of pieces are not written by anybody."""
    data = b"\x24\x80\x04\x01a\x04\x02bc" + END
    assert ber.octets(data, next(ber.elements(data))) == b"abc"
    nested = b"\x24\x80\x24\x80\x04\x01a" + END + END
    with pytest.raises(ValueError, match="in pieces"):
        ber.octets(nested, next(ber.elements(nested)))


@given(st.binary(max_size=200))
def test_any_bytes(data: bytes) -> None:
    """Elements within the data, one after the other, or ValueError."""
    with contextlib.suppress(ValueError):
        at = 0
        for element in ber.elements(data):
            assert at == element.at < element.start <= element.end <= element.after <= len(data)
            at = element.after
