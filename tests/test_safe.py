"""Whatever a stranger sends is one harmless line on a terminal."""

from __future__ import annotations

import json
import unicodedata

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from cipsec import safe

_ANY = st.text(st.characters(exclude_categories=()))
_MOVES = {"Cc", "Cf", "Zl", "Zp", "Cs", "Co", "Cn"}


@given(_ANY)
@example("\x1b[2K\x1b]0;title\x07\r")
@example("admin\u202enimda\u2066\u200b\ufeff")
@example("\U000e0041\U0001f600\ud800\x85\u2028")
def test_nothing_that_moves_the_cursor_or_the_text_comes_through(value: str) -> None:
    """No control, bidirectional, invisible, private or unassigned character, no line break."""
    shown = safe.text(value)
    assert not {unicodedata.category(char) for char in shown} & _MOVES
    assert len(shown.splitlines()) <= 1
    shown.encode("utf-8")


@given(st.text(st.characters(min_codepoint=0x20, max_codepoint=0x7E), max_size=512))
def test_plain_text_is_unchanged(value: str) -> None:
    """Brackets and backslashes too: nothing is read as markup."""
    assert safe.text(value) == value


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        ("Straße 7 — Ünal 北京", "Straße 7 — Ünal 北京"),
        ("[/red]", "[/red]"),
        ("a\tb\nc\x1b", "a\\x09b\\x0ac\\x1b"),
        ("\u202e\U000e0001", "\\u202e\\U000e0001"),
        ("a\u3164\ufe0f\u2800", "a\\u3164\\ufe0f\\u2800"),
        (None, "None"),
        (7, "7"),
    ],
)
def test_examples(value: object, shown: str) -> None:
    """Letters of all scripts stay readable; the rest is escaped as Python would."""
    assert safe.text(value) == shown


@given(_ANY)
@example("a\x7fb\x1b\u202e")
def test_json_is_printable_ascii_and_says_the_same(value: str) -> None:
    """DEL is a control character too, and valid in JSON."""
    shown = safe.json_text({"subject": value})
    assert shown.isascii()
    assert shown.isprintable()
    assert json.loads(shown) == {"subject": value}


def test_long_text_is_cut_and_says_so() -> None:
    """64 kB in a name must not fill the screen."""
    assert safe.text("x" * 65536) == "x" * 512 + "… (65536 characters)"
    assert safe.text("abc", limit=2) == "ab… (3 characters)"
