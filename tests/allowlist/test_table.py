"""Tables and their images: lookups, repeated devices, all faults at once."""

from __future__ import annotations

import io

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cipsec.errors import Malformed
from cipsec.ra.allowlist import load
from cipsec.ra.allowlist.entries import key_of
from cipsec.ra.allowlist.faults import LIMIT, Broken, Fault
from cipsec.ra.allowlist.table import Table, build

from .lists import HEADER


def _table(text: str) -> Table:
    table = load.parsed(text.encode())
    assert isinstance(table, Table), table
    return table


def _faults(text: str | bytes) -> list[Fault]:
    faults = load.parsed(text if isinstance(text, bytes) else text.encode())
    assert not isinstance(faults, Table)
    return list(faults)


@given(st.lists(st.integers(1, 0xFFFF_FFFF), unique=True, max_size=40))
def test_every_device_is_found_where_it_stands(serials: list[int]) -> None:
    """In any order, and no other device."""
    table = _table("# the plant\n\n" + HEADER + "".join(f"0001:{n:08X},{n}\n" for n in serials))
    assert len(table) == len(serials)
    for place, serial in enumerate(serials):
        found = table.find(1 << 32 | serial)
        assert found is not None
        assert (found[0], found[1].name) == (place + 4, str(serial))
    assert all(table.find(2 << 32 | serial) is None for serial in serials)
    assert [line for line, _ in table] == [place + 4 for place in range(len(serials))]


def test_the_largest_keys() -> None:
    """The ends of both ranges, side by side."""
    texts = ["FFFF:FFFFFFFF", "0001:00000001", "fe:ff:ff:ff:ff:ff", "00:00:00:00:00:01"]
    table = _table("device\n" + "\n".join(texts))
    assert [table.find(key_of(text)) is not None for text in texts] == [True] * 4
    assert table.find(key_of("0001:00000002")) is None


def test_listed_twice() -> None:
    """Alike is fine; with other values both lines are named."""
    same = "device,name\n0001:00000001,a\n0001:00000002,b\n0001:00000001,  a\n"
    assert _table(same).lines(key_of("0001:00000001")) == [2, 4]
    why = "the device is listed with other values in line 2"
    assert _faults(same.replace("  a", "c")) == [Fault(4, why)]
    thrice = "device,name\n0001:00000001,a\n0001:00000001,b\n0001:00000001,b\n"
    assert _faults(thrice) == [Fault(3, why), Fault(4, why)]
    assert _faults("device,uses\n0000.bc12.3456,1\n00:00:bc:12:34:56,2") == [Fault(3, why)]


def test_all_faults_at_once() -> None:
    """In the order of lines, up to a hundred."""
    faults = _faults(HEADER + "0001:00000001\nx\n0001:00000002,,never\n\n0001:0\n")
    assert [fault.line for fault in faults] == [3, 4, 6]
    many = _faults(HEADER + "x\n" * 500)
    assert len(many) == LIMIT
    assert str(Broken("a.csv", many)).endswith("(and 99+ more)")


@pytest.mark.parametrize(
    ("data", "line", "why"),
    [
        (b"", 1, "empty"),
        (b"# nothing\n\n", 2, "empty"),
        (b"0001:6040C8F2\n0001:6040C8F3\n", 1, "no column"),
        (b"device\n\xff\n", 2, "not UTF-8"),
        (b"device\n0001:6040C8F2\0\nx\n", 2, "NUL"),
        (b"device,note\n0001:6040C8F2," + b"x" * 65536 + b"\n", 2, "longer"),
        (b"\xff\xfed\0e\0", 1, "UTF-16"),
        (b"device,until\n0001:6040C8F2", 2, "cut short"),
        (b"device,until\n0001:6040C8F2,2027-01-3", 2, "is not a time"),
        (b"device\n0001:6040", 2, "is to be written"),
    ],
)
def test_files_that_are_no_list(data: bytes, line: int, why: str) -> None:
    """Also what an editor or a copy has written so far; never a list that lists nobody."""
    [fault] = _faults(data)
    assert fault.line == line
    assert why in fault.why


def test_no_end_of_line_at_the_end() -> None:
    """Fine where every cell is there."""
    assert len(_table("device\n0001:6040C8F2")) == 1
    assert len(_table(HEADER + "0001:6040C8F2,,,,")) == 1


@given(st.binary(max_size=200))
def test_any_file(data: bytes) -> None:
    """A table that can be read through, or faults."""
    for text in (data, HEADER.encode() + data):
        table = load.parsed(text)
        if isinstance(table, Table):
            assert table.text == text
            assert all(row.entry() for _, row in table)
        else:
            assert table


def test_an_image_that_is_not_whole() -> None:
    """What a process left that died on the way is refused at every length."""
    sink = io.BytesIO()
    assert not build(io.BytesIO(b"device\n0001:6040C8F2\n"), sink)
    image = sink.getvalue()
    assert len(Table(image)) == 1
    for size in range(len(image)):
        with pytest.raises(Malformed, match="not whole"):
            Table(image[:size])
