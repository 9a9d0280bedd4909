"""PEM armour and base64, undone in time linear in the text."""

from __future__ import annotations

import base64
import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cipsec.errors import Malformed
from cipsec.pki import armour

MEGABYTE = 1024 * 1024


@given(st.binary(min_size=1), st.sampled_from([b"", b"\n", b"\r\n", b" \t"]), st.booleans())
def test_base64_in_any_layout_is_read(data: bytes, between: bytes, padded: bool) -> None:
    """White space anywhere, padding or none."""
    text = base64.b64encode(data)
    text = text if padded else text.rstrip(b"=")
    assert armour.from_base64(between.join(text[i : i + 7] for i in range(0, len(text), 7))) == data


@given(st.binary(max_size=300))
def test_anything_else_is_malformed(data: bytes) -> None:
    """Bytes, or Malformed."""
    with contextlib.suppress(Malformed):
        armour.from_base64(data)


@pytest.mark.parametrize(
    "text",
    [
        b"-----BEGIN A-----" + b" " * MEGABYTE,
        b"-----BEGIN A-----" * (MEGABYTE // 16),
        b"-----BEGIN " + b"A" * MEGABYTE,
        b"-----BEGIN A-----" + b"- " * MEGABYTE,
        b"-" * MEGABYTE,
    ],
    ids=["spaces", "begins", "label", "dashes and spaces", "dashes"],
)
def test_a_megabyte_of_almost_armour_is_read_at_once(text: bytes) -> None:
    """A pattern that tries again took 27 seconds for four kilobytes of spaces, and then cubic."""
    assert list(armour.blocks(text)) == []


def test_blocks_come_in_order_with_their_labels() -> None:
    """What stands around them is skipped."""
    text = (
        b"x\n-----BEGIN B-----\nMQ==\n-----END B-----\ny\n-----BEGIN A A-----MQ==-----END A A-----"
    )
    assert [block.label for block in armour.blocks(text)] == ["B", "A A"]


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (b"\x30\x82\x01\x00", True),
        (b"\x30\x80\x00\x00", True),
        (b"0123", False),
        (b"\x31\x00", False),
        (b"", False),
    ],
)
def test_der_is_told_from_text(data: bytes, expected: bool) -> None:
    """Text may begin with "0", which is the tag of a SEQUENCE."""
    assert armour.is_der(data) == expected
