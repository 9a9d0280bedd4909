"""What is chosen stays chosen, whatever comes and goes around it."""

from __future__ import annotations

from collections.abc import Sequence

from hypothesis import given
from hypothesis import strategies as st

from cipsec._cli.watch.listing import Listing, Row
from cipsec._cli.watch.model import Channel

_HEIGHT = 4


def _rows(keys: Sequence[str]) -> list[Row]:
    return [Row(key, Channel(key, "file", "", None, 0)) for key in keys]


def _keys(listing: Listing) -> list[str]:
    return [row.key for row in listing.rows]


def test_the_first_is_chosen() -> None:
    """So that a key has a meaning; an empty list has none."""
    assert Listing().updated(_rows("abc")).key == "a"
    assert Listing().updated([]).chosen is None


def test_what_comes_before_does_not_move_the_choice() -> None:
    """Neither to another row nor to another line of the window."""
    listing = Listing().updated(_rows("fghijk")).moved(2, _HEIGHT)
    assert listing.window(_HEIGHT) == (0, 2)
    later = listing.updated(_rows("abcdefghijk"))
    assert later.key == "h"
    assert later.window(_HEIGHT) == (5, 2)


def test_what_is_gone_stays_until_one_moves_on() -> None:
    """In its place, marked, and still the chosen one."""
    listing = Listing().updated(_rows("abcd")).moved(2, _HEIGHT).updated(_rows("abd"))
    assert _keys(listing) == ["a", "b", "c", "d"]
    assert listing.chosen is not None
    assert listing.chosen.gone
    assert _keys(listing.updated(_rows("bde"))) == ["b", "c", "d", "e"]
    moved = listing.moved(1, _HEIGHT)
    assert (_keys(moved), moved.key) == (["a", "b", "d"], "d")


def test_what_was_gone_and_is_there_again() -> None:
    """It is what it was."""
    listing = Listing().updated(_rows("ab")).updated(_rows("b")).updated(_rows("ab"))
    assert listing.chosen == _rows("a")[0]


def test_what_the_filter_hides_is_not_kept() -> None:
    """Its neighbour is chosen: a person has typed, and looks."""
    listing = Listing().updated(_rows("abcd")).moved(3, _HEIGHT)
    assert listing.updated(_rows("bc"), keep=False).key == "c"


def test_the_newest_is_followed_while_one_looks_at_it() -> None:
    """And stands still once another was chosen."""
    listing = Listing(newest_first=True).updated(_rows("ba")).updated(_rows("cba"))
    assert listing.key == "c"
    assert listing.moved(1, _HEIGHT).updated(_rows("dcba")).key == "b"


@given(
    st.lists(
        st.one_of(
            st.integers(-3, 3),
            st.lists(st.sampled_from("abcdefghij"), unique=True).map(sorted),
        )
    )
)
def test_nothing_jumps_under_the_cursor(steps: list[int | list[str]]) -> None:
    """A change of the list never changes what is chosen; the chosen row is always in the window."""
    listing = Listing().updated(_rows("abc"))
    for step in steps:
        before = listing.key
        if isinstance(step, int):
            listing = listing.moved(step, _HEIGHT)
        else:
            listing = listing.updated(_rows(step))
            assert listing.key == before
        first, line = listing.window(_HEIGHT)
        assert listing.chosen is not None
        assert 0 <= line < _HEIGHT
        assert listing.rows[first + line] == listing.chosen
        assert len({row.key for row in listing.rows}) == len(listing.rows)
