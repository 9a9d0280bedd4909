"""CSV: what a spreadsheet would run, and what a reader of RFC 4180 gets back."""

from __future__ import annotations

import csv
import io

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cipsec.report import as_csv
from cipsec.report.tables import Table
from tests.ra.harmless import HOSTILE, live


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        ('=HYPERLINK("http://evil.example")', '\'=HYPERLINK("http://evil.example")'),
        ("+1+1", "'+1+1"),
        ("-1+cmd|' /C calc'!A0", "'-1+cmd|' /C calc'!A0"),
        ("@SUM(1)", "'@SUM(1)"),
        ("  =1", "'  =1"),
        ("＝1", "'＝1"),
        ("\t=1", "\\x09=1"),
        ("\r=1", "\\x0d=1"),
        ("CN=Drive 7", "CN=Drive 7"),
        (["=a", "b"], "'=a; b"),
        (-1, "'-1"),
        (7, "7"),
        (None, ""),
        ("", ""),
    ],
)
def test_cells(value: object, shown: str) -> None:
    """An apostrophe makes text of what begins like a formula."""
    assert as_csv.cell(value) == shown


def made(*texts: str) -> str:
    """Return a table with one column of these texts."""
    table = Table("t", ("subject", "n"), lambda: iter([{"subject": x, "n": 1} for x in texts]))
    return b"".join(as_csv.pieces(table)).decode()


@given(st.lists(st.text(), max_size=5))
def test_any_text(texts: list[str]) -> None:
    """Rows and columns stay what they are; nothing acts, nothing begins a formula."""
    text = made(*texts)
    assert not live(text.replace("\r\n", ""))
    rows = list(csv.reader(io.StringIO(text, newline="")))
    assert rows[0] == ["subject", "n"]
    assert len(rows) == len(texts) + 1
    for row in rows[1:]:
        assert len(row) == 2
        assert row[0][:1] not in ("=", "+", "-", "@")


def test_hostile_names() -> None:
    """Each is one cell."""
    rows = list(csv.reader(io.StringIO(made(*HOSTILE.values()), newline="")))
    assert len(rows) == len(HOSTILE) + 1
