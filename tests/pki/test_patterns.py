"""Operators' regular expressions: taken when no text at all can make them slow."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cipsec.errors import Malformed
from cipsec.pki import patterns


@pytest.mark.parametrize(
    "pattern",
    [
        r"(?P<serial>[0-9]+)",
        r"ACME-(?P<vendor>[0-9A-F]{4})-(?P<serial>[0-9A-F]{8})",
        r".*SN[:= ]?(?P<serial>[0-9]+)",
        r".{0,20}VID=(?P<vendor>\d{1,5})[;,]SN=(?P<serial>\d{1,10}).{0,20}",
        r"(?P<mac>[0-9a-f]{2}([:-])(?:[0-9a-f]{2}\2){4}[0-9a-f]{2})",
        r"(?!0+$)(?P<serial>\d{1,10})",
        r"(?i)sn:(?P<serial>[0-9a-f]{8})|serial=(?P<mac>[0-9a-f]{12})",
    ],
)
def test_what_people_write_is_taken(pattern: str) -> None:
    """One or two repeats without an end, any number with one."""
    assert patterns.compiled(pattern).pattern == pattern


@pytest.mark.parametrize(
    "pattern",
    [
        r"(?:[0-9]+)*x",
        r"(a+)+$",
        r"(a|a)*b",
        r"(a|aa)+b",
        r"(.*)*",
        r".*.*.*=x",
        r"(?:a?){30}a{30}",
        r"(?:.{1,9}){1,9}x",
        r"(?=(a+)+b)a",
        r"a{4000000000}",
        r"((?:){60000}){60000}",
    ],
)
def test_what_could_take_long_is_refused(pattern: str) -> None:
    """Exponential or of a high power, by repeats, alternatives, look-ahead or sheer counting."""
    with pytest.raises(Malformed, match="too long") as refused:
        patterns.compiled(pattern)
    assert "{1,10}" in str(refused.value.hint)


@pytest.mark.parametrize(
    "pattern",
    [
        "(",
        "[0-9",
        "a{99999999999999999999}",
        "(?u)a",
        "[[a]",
        "(?P<a>.)(?P<a>.)",
        "a*+b",
        "(?>a)b",
        "(a)?(?(1)b|c)",
        "(" * 500 + ")" * 500,
        "[ab]" * 400,
        "(?z)",
    ],
    ids=range(12),
)
def test_what_is_no_pattern_is_said_so(pattern: str) -> None:
    """Nothing but Malformed, and no warning printed."""
    with pytest.raises(Malformed):
        patterns.compiled(pattern)


def test_digits_are_those_of_ascii() -> None:
    """Or ٣ would be a digit that nobody sees as one."""
    assert not patterns.compiled(r"\d").fullmatch("٣")


def test_long_texts_do_not_match() -> None:
    """Whatever the pattern says."""
    anything = patterns.compiled(r"(?s).*")
    assert patterns.fullmatch(anything, "a" * patterns.MAX_TEXT)
    assert not patterns.fullmatch(anything, "a" * (patterns.MAX_TEXT + 1))


_PIECES = [
    "a",
    "b",
    ".",
    "*",
    "+",
    "?",
    "{0,9}",
    "{3}",
    "{2,}",
    "(",
    "(?:",
    "(?=",
    ")",
    "|",
    "[ab]",
]


@given(st.lists(st.sampled_from(_PIECES), max_size=12), st.text("ab", max_size=9))
@settings(max_examples=500)
def test_what_is_taken_ends(pieces: list[str], more: str) -> None:
    """On the texts that make backtracking long: one letter many times, and then another."""
    with contextlib.suppress(Malformed):
        pattern = patterns.compiled("".join(pieces))
        for text in ("a" * 256, "a" * 255 + "b", "ab" * 128, more * 20 + "c"):
            patterns.fullmatch(pattern, text)
