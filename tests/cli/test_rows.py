"""Rows of a result: printed as they come, and never all in memory."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cipsec._cli import drawn
from cipsec._cli.rows import Again, Row, json_lines
from cipsec._cli.talk import Talk
from cipsec.errors import StoreFailed
from tests.support.memory import peak

_COLUMNS = ["device", "note", "used"]
_FEW, _MANY = 1_500, 6_000
_values = st.one_of(
    st.none(), st.booleans(), st.integers(), st.text(max_size=9), st.lists(st.text(max_size=3))
)


def _rows(count: int) -> Iterator[Row]:
    return ({"device": f"0001:{n:08X}", "note": f"line {n % 50}", "used": n} for n in range(count))


@given(st.lists(st.dictionaries(st.text(max_size=4), _values, max_size=4), max_size=4))
def test_json_is_what_it_would_be_in_one_piece(rows: list[dict[str, Any]]) -> None:
    """Byte for byte, DEL apart, which `json` leaves as it is."""
    whole = json.dumps({"entries": rows}, indent=2).replace("\x7f", "\\u007f")
    assert "\n".join(json_lines("entries", rows)) == whole


@pytest.mark.parametrize("as_json", [True, False])
def test_rows_are_printed_as_they_come(
    capsys: pytest.CaptureFixture[str], *, as_json: bool
) -> None:
    """The third is made when the first has been printed; an error before the first prints none."""
    printed = ""

    def rows() -> Iterator[Row]:
        nonlocal printed
        for number, row in enumerate(_rows(5)):
            if number == 2:
                printed = capsys.readouterr().out
            yield row

    Talk(json=as_json).table("entries", _COLUMNS, rows())
    rest = capsys.readouterr().out
    assert ("0001:00000000" in printed, "0001:00000004" in rest) == (True, True)

    def broken() -> Iterator[Row]:
        raise StoreFailed("the disk is gone")
        yield {}

    with pytest.raises(StoreFailed):
        Talk(json=as_json).table("entries", _COLUMNS, broken())
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize("as_json", [True, False])
@pytest.mark.parametrize("terminal", [True, False])
def test_rows_are_not_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, as_json: bool, terminal: bool
) -> None:
    """Four times as many take no more memory."""

    def printed(count: int) -> None:
        Talk(json=as_json).table("entries", _COLUMNS, Again(lambda: _rows(count)))

    with (tmp_path / "out").open("w", encoding="utf-8") as out:
        monkeypatch.setattr(sys, "stdout", out)
        monkeypatch.setattr(out, "isatty", lambda: terminal, raising=False)
        printed(_FEW)  # what is cached at first use
        assert peak(lambda: printed(_MANY)) < 1.5 * peak(lambda: printed(_FEW)) + 100_000


def test_a_long_table_has_one_header_and_one_width(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Though it is drawn in parts; the widest cell may stand in the last."""
    monkeypatch.setenv("COLUMNS", "80")
    rows = [["a", "-", "b"]] * 1500 + [["-", "-", "wide " * 30]]
    drawn.table(["one_name", "nothing", "text"], rows, color=False)
    head, *lines = capsys.readouterr().out.splitlines()
    assert (head.split(), len(lines)) == (["ONE", "NAME", "TEXT"], 1500 + 3)
    assert {line.index("b") for line in lines[:1500]} == {head.index("TEXT")} == {10}
    assert max(map(len, lines)) <= 80
    assert "".join(line[10:] for line in lines[1500:]).count("wide") == 30


def test_characters_that_take_two_places(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Are measured so: a column behind them stands where it does elsewhere."""
    monkeypatch.setenv("COLUMNS", "80")
    drawn.table(["a", "b"], [["駆動装置", "x"], ["12345678", "x"]], color=False)
    assert capsys.readouterr().out.splitlines()[1:] == ["駆動装置  x", "12345678  x"]
