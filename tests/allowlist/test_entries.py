"""Lines and cells of a list: what is taken, what is refused and how that is said."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cipsec.errors import Malformed, UsageError
from cipsec.pki.device import DeviceId, Mac
from cipsec.ra.allowlist import entries, lines
from cipsec.ra.allowlist.entries import COLUMNS, Entry, Header, Row

_DRIVE = DeviceId(1, 0x6040C8F2)
_devices = st.one_of(
    st.builds(DeviceId, st.integers(1, 0xFFFF), st.integers(1, 0xFFFFFFFF)),
    st.integers(1, (1 << 48) - 1).filter(lambda v: not v >> 40 & 1).map(Mac),
)
_words = st.text(st.characters(codec="utf-8", categories=["L", "N", "P", "Zs"]), max_size=20)
_entries = st.builds(
    Entry,
    _devices,
    _words.map(str.strip),
    st.none() | st.datetimes(timezones=st.just(UTC)).map(lambda at: at.replace(microsecond=0)),
    st.none() | st.integers(1, entries.USES_LIMIT),
    _words.map(str.strip),
)


def _row(text: str, *columns: str) -> Row:
    return Header(columns or COLUMNS).row(lines.cells_of(text))


def test_a_full_line() -> None:
    """Every column, and a comma in quotation marks."""
    row = _row('0001:6040c8f2, "Drive" 7 ,2027-01-31T06:00:00Z,3,"spare, hall 2"')
    end = datetime(2027, 1, 31, 6, tzinfo=UTC)
    assert row.entry() == Entry(_DRIVE, '"Drive" 7', end, 3, "spare, hall 2")


@pytest.mark.parametrize(
    "text", ["00:00:bc:12:34:56", "00-00-BC-12-34-56", "0000.bc12.3456", "0000bc123456"]
)
def test_mac_addresses(text: str) -> None:
    """In each of the usual forms, and apart from any Vendor ID and serial number."""
    assert _row(text).entry() == Entry(Mac.parse("00:00:bc:12:34:56"))


@pytest.mark.parametrize(
    ("until", "end"),
    [
        ("2027-01-31", datetime(2027, 1, 31, 23, 59, 59, tzinfo=UTC)),
        ("20270131", datetime(2027, 1, 31, 23, 59, 59, tzinfo=UTC)),
        ("2027-01-31T00:00:00Z", datetime(2027, 1, 31, tzinfo=UTC)),
        ("2027-01-31T00:00", datetime(2027, 1, 31, tzinfo=UTC)),
        ("2027-01-31T02:00:00.7+02:00", datetime(2027, 1, 31, tzinfo=UTC)),
        ("9999-12-31", datetime(9999, 12, 31, 23, 59, 59, tzinfo=UTC)),
    ],
)
def test_until(until: str, end: datetime) -> None:
    """A bare date lasts to its end in UTC, a time is a time."""
    assert _row(f"0001:6040C8F2,,{until}").until == end


def test_columns_in_any_order_and_fewer() -> None:
    """The header says which; cells at the end may be left out."""
    row = _row("spare,0001:6040C8F2", "note", "device", "uses")
    assert row.entry() == Entry(_DRIVE, note="spare")


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("1:6040C8F2", "is to be written 0001:6040C8F2"),
        ("0001:40C8F2", "is to be written 0001:0040C8F2"),
        ("0x0001:0x6040C8F2", "is to be written 0001:6040C8F2"),
        ("0001:6040C8F", "is to be written"),
        ("0000:6040C8F2", "can be zero"),
        ("0001:00000000", "can be zero"),
        ("00:00:00:00:00:00", "not the MAC address of one device"),
        ("ff:ff:ff:ff:ff:ff", "not the MAC address of one device"),
        (",Drive 7", "there is no device"),
        ("1614858482", "neither VENDOR:SERIAL"),
        ("١٢٣٤:٦٠٤٠٠٠٠٠", "neither VENDOR:SERIAL"),
        ("0001:6040C8F2,,31.12.2027", "is not a time"),
        ("0001:6040C8F2,,2027-02-30", "is not a time"),
        ("0001:6040C8F2,,0001-01-01T00:00:00+14:00", "is not a time"),
        ("0001:6040C8F2,,,0", "is not a number of uses"),
        ("0001:6040C8F2,,,-1", "is not a number of uses"),
        ("0001:6040C8F2,,,1.5", "is not a number of uses"),
        ("0001:6040C8F2,,,99999999999999999999", "is not a number of uses"),
        ("0001:6040C8F2,Drive 7, hall 2,,,spare", "6 cells for 5 columns"),
        ('0001:6040C8F2,"Drive 7', "quotation marks"),
        ('0001:6040C8F2,"Drive" 7', "quotation marks"),
    ],
)
def test_lines_that_cannot_be(text: str, why: str) -> None:
    """Each is refused with a reason for people."""
    with pytest.raises(Malformed, match=why):
        _row(text)


@pytest.mark.parametrize(
    ("cells", "why"),
    [
        (["device", "serial"], "there is no column 'serial'"),
        (["device;name;until"], "there is no column"),
        (["0001:6040C8F2", ""], "there is no column"),
        (["device", "device"], "twice"),
        (["name", "until"], "the column device is missing"),
        (["device", "", "name"], "there is no column ''"),
        (["device\u202e"], "no column 'device\\\\u202e'"),
    ],
)
def test_headers_that_cannot_be(cells: list[str], why: str) -> None:
    """A column that is not known could be one that takes a right away."""
    with pytest.raises(Malformed, match=why):
        Header.parse(cells)


def test_headers_from_a_spreadsheet() -> None:
    """Capitals, spaces and empty columns at the end."""
    assert Header.parse([" Device", "NAME ", "", ""]).columns == ("device", "name")


@pytest.mark.parametrize(
    "text", ["", "  ", "# note", "  # note", ",,,,", '"# a, b",,', '# said "yes,', '#,"open']
)
def test_lines_without_an_entry(text: str) -> None:
    """Comments and blank lines, also as a spreadsheet leaves them."""
    assert lines.cells_of(text) == []


@given(_entries, st.permutations(COLUMNS))
def test_what_is_written_is_read(entry: Entry, columns: list[str]) -> None:
    """In any order of columns, whatever the name; but for one that looks like a comment."""
    header = Header(columns)
    cells = header.cells(entry)
    text = lines.line_of(cells)
    if not cells[0].startswith("#"):
        assert header.row(lines.cells_of(text)).entry() == entry
    assert entries.device_of(entries.key_of_device(entry.device)) == entry.device
    assert entries.key_of(str(entry.device)) == entries.key_of_device(entry.device)


@given(st.binary(max_size=60), st.integers(1, 2))
def test_any_bytes(raw: bytes, number: int) -> None:
    """A row or Malformed, and nothing else."""
    try:
        cells = lines.cells_of(lines.text_of(raw, number))
        if cells:
            Header(COLUMNS).row(cells)
    except Malformed:
        pass


@pytest.mark.parametrize(
    ("raw", "why"),
    [
        (b"\xff\xfed\0", "UTF-16"),
        (b"\xfe\xff\0d", "UTF-16"),
        (b"d\0e\0", "NUL"),
        (b"Antrieb \xfc\n", "not UTF-8"),
        (b"x" * 65536, "longer than"),
        (b"one\rtwo\n", "carriage return"),
    ],
)
def test_bytes_that_are_no_list(raw: bytes, why: str) -> None:
    """Each with a hint at what it is instead."""
    with pytest.raises(Malformed, match=why):
        lines.text_of(raw, 1)


def test_a_byte_order_mark_and_both_ends_of_line() -> None:
    """As Windows writes them."""
    assert lines.text_of(b"\xef\xbb\xbfdevice\r\n", 1) == "device"


@pytest.mark.parametrize(
    "text",
    ["=1+1", "+1", "-1", "@x", "a\tb", "a\nb", "a\u202eb", "a\x1b[2K", "\ufeffa", " a", "x" * 201],
)
def test_names_that_are_not_written(text: str) -> None:
    """What a spreadsheet runs, what an eye cannot see, what no label can hold."""
    with pytest.raises(UsageError, match="the name"):
        entries.check(Entry(_DRIVE, name=text))


@pytest.mark.parametrize("text", ["Drive 7", "[/red]", "Förderband", "ポンプ", "a=b", "7-A"])
def test_names_that_are_written(text: str) -> None:
    """Whatever can be read."""
    assert entries.check(Entry(_DRIVE, name=text, note=text)).name == text


def test_devices_as_people_type_them() -> None:
    """Shorter than a file holds them; what is neither is told with an example."""
    assert entries.parse_device("1:6040c8f2") == _DRIVE
    assert entries.parse_device("00-00-BC-12-34-56") == Mac.parse("00:00:bc:12:34:56")
    for text in ("", "7", "1:2:3", "\x1b[2K"):
        with pytest.raises(UsageError, match="is neither VENDOR:SERIAL"):
            entries.parse_device(text)
    with pytest.raises(UsageError, match="1 to FFFF"):
        entries.parse_device("0:1")
    with pytest.raises(UsageError, match="of one device"):
        entries.parse_device("ff:ff:ff:ff:ff:ff")
