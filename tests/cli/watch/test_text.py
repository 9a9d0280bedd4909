"""Lines are as wide as they may be, and nothing in them moves the cursor."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len

from cipsec._cli.watch.text import Column, Field, cut, fitting, fold, joined, record, shower

_TEXTS = st.text(max_size=300)
_WIDTHS = st.integers(4, 100)


@given(_TEXTS, _WIDTHS)
def test_fold(text: str, width: int) -> None:
    """No line is wider, no character but spaces is lost."""
    shown = shower(unicode=True)(text)
    lines = fold(shown, width)
    assert all(cell_len(line) <= width for line in lines)
    assert "".join("".join(lines).split()) == "".join(shown.split())


def test_fold_at_spaces() -> None:
    """Where there is one in the second half of the line."""
    assert fold("the quick brown fox", 10) == ["the quick", "brown fox"]
    assert fold("a bcdefghijklm", 10) == ["a bcdefghi", "jklm"]


@given(_TEXTS, st.integers(0, 100))
def test_cut(text: str, width: int) -> None:
    """Exactly as wide, also where a wide character would not fit."""
    assert cell_len(cut(shower(unicode=True)(text), width)) == width


@given(_TEXTS)
def test_ascii(text: str) -> None:
    """For terminals that show nothing else."""
    shown = shower(unicode=False)(text)
    assert shown.isascii()
    assert shown.isprintable()


def test_columns_give_way() -> None:
    """The highest rank first, the last never; what grows shares the rest."""
    columns = (Column("A", 5), Column("B", 5, 1, grows=True), Column("C", 5, 2, grows=True))
    assert fitting(columns, 25) == [(0, 5), (1, 9), (2, 9)]
    assert fitting(columns, 16) == [(0, 5), (1, 10)]
    assert fitting(columns, 3) == [(0, 5)]
    assert joined(["x", "yy", "z"], fitting(columns, 11)) == "x     yy   "


def test_old_beside_new() -> None:
    """Two columns where there is room, one below the other where there is none."""
    fields = [Field("subject", "CN=new", "CN=old"), Field("rule", "everyone")]
    wide = [line.text.rstrip() for line in record(fields, 80)]
    assert wide == [
        f"         {'THE REQUEST':<34} | WHAT IT REPLACES",
        f"subject  {'CN=new':<34} | CN=old",
        "rule     everyone",
    ]
    narrow = [line.text for line in record(fields, 40)]
    assert narrow == ["subject  CN=new", "  old    CN=old", "rule     everyone"]
