"""Messages in words."""

from __future__ import annotations

import re

from hypothesis import given
from hypothesis import strategies as st

from cipsec.ra.notify import words
from cipsec.ra.notify.message import document, message, trial_message

from .happening import REQUEST, one, told


def test_one_event() -> None:
    """All that is known, why, and what to type."""
    text = words.text(one(told()))
    assert text.startswith("A request waits for approval.\n\n")
    for line in (
        "  subject   CN=Drive 7",
        "  device    0001:6040C8F2",
        "  address   192.0.2.7",
        "  rule      everyone else",
        "  reason    holds for everyone",
        f"  request   {REQUEST}",
        "  claimed   device 0001:6040C8F2",
        "Look at it with:  cipsec ca show abababababab",
    ):
        assert line in text.splitlines()


def test_an_event_without_request() -> None:
    """A certificate is shown by its serial number; a broken rule has nothing to show."""
    ending = told("expiring", request=None, serial="0190aabbccddeeff0011")
    assert "cipsec ca show 0190aabbccddeeff\n" in words.text(one(ending))
    broken = told("policy-error", request=None, reason="allowlists/line-3.csv:12: no device")
    text = words.text(one(broken))
    assert "allowlists/line-3.csv:12: no device" in text
    assert "ca show" not in text


def test_a_plant_powers_up() -> None:
    """Hundreds are one message of a page, which says how many they are and how to see them."""
    shown = [told(number=n, request=f"{n:064x}") for n in range(50)]
    both = [*shown, told("policy-error", number=51, request=None)]
    made = message("Line 4", "x", both, {"pending": 312, "policy-error": 1}, upto=400)
    assert words.subject(made) == "[Line 4] 1 policy-error, 312 pending"
    lines = words.text(made).splitlines()
    assert len(lines) < 65
    assert lines[0] == "Requests cannot be decided: 1"
    assert "A request waits for approval: 312" in lines
    assert "  and 287 more; see them all with:  cipsec ca pending" in lines
    assert document(made)["left_out"] == 262


@given(st.dictionaries(st.text(max_size=20), st.integers(1, 999), max_size=12), st.text())
def test_no_more_than_a_page(counts: dict[str, int], subject: str) -> None:
    """However many kinds of events there are; no line break of a stranger's, and no link."""
    listed = [told(what, number=n, subject=subject) for n, what in enumerate(counts)]
    made = message(subject, "x", listed, counts, upto=99)
    text = words.text(made)
    assert len(text.split("\n")) < 120
    assert "\n" not in words.subject(made)
    assert "\r" not in text
    assert not re.search(r"[a-z]://", text)


def test_a_test() -> None:
    """It says that nothing happened."""
    made = trial_message("Line 4", "x", "alice", 1_800_000_000)
    assert words.subject(made) == "[Line 4] test: this is a test"
    assert "nothing happened" in words.text(made)
