"""Tables that others made: taken where they are plain, refused with every doubt at once."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cipsec.errors import UsageError
from cipsec.pki.device import DeviceId, Mac
from cipsec.ra.allowlist import foreign
from cipsec.ra.allowlist.entries import Entry
from cipsec.ra.allowlist.faults import Broken
from cipsec.ra.allowlist.foreign import Mapping
from cipsec.ra.allowlist.numbers import Base

_SERIALS = Mapping(vendor="0001", serial_column="serial", name_column="name")


def _read(text: str, mapping: Mapping = _SERIALS) -> list[Entry]:
    return [row.entry() for _, row in foreign.read(text.encode(), mapping, "plant.csv").firsts()]


def _serials(*cells: str, base: Base | None = None) -> list[int]:
    text = "serial,name\n" + "".join(f'"{cell}",\n' for cell in cells)
    mapping = Mapping(vendor="0001", serial_column="serial", serial_base=base)
    return [
        entry.device.serial for entry in _read(text, mapping) if isinstance(entry.device, DeviceId)
    ]


def _faults(text: str, mapping: Mapping = _SERIALS) -> list[tuple[int, str]]:
    with pytest.raises(Broken) as raised:
        _read(text, mapping)
    assert raised.value.file == "plant.csv"
    return [(fault.line, fault.why) for fault in raised.value.faults]


@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
def test_columns_are_found_whatever_divides_them(delimiter: str) -> None:
    """By the names of the columns; capitals and spaces do not matter."""
    rows = [["Pos", " Serial ", "NAME", "Vendor"], ["1", "6040C8F2", "Drive, 7", "1"]]
    text = "\r\n".join(delimiter.join(f'"{cell}"' for cell in row) for row in rows)
    mapping = Mapping(vendor_column="vendor", serial_column="serial", name_column="Name")
    assert _read("\ufeff" + text, mapping) == [Entry(DeviceId(1, 0x6040C8F2), "Drive, 7")]


@pytest.mark.parametrize("first", ["sep=;\r\n", "SEP=;\n"])
def test_a_word_to_excel_above_the_header(first: str) -> None:
    """It is no row; the lines of what is wrong below it are the file's."""
    mapping = Mapping(vendor_column="vendor", serial_column="serial")
    text = first + "vendor;serial\r\n1;0xC8F2\r\n"
    assert _read("\ufeff" + text, mapping) == [Entry(DeviceId(1, 0xC8F2))]
    assert _faults(text + "1;x\r\n", mapping) == [(4, "x is not a number")]


@pytest.mark.parametrize(
    ("row", "hinted"), [("1;12345678", True), ("10;C8F2", True), ("1;x", False), (";", False)]
)
def test_the_hint_names_the_base_where_the_base_is_missing(row: str, *, hinted: bool) -> None:
    """And nowhere else: it would send people looking in the wrong place."""
    mapping = Mapping(vendor_column="vendor", serial_column="serial")
    with pytest.raises(Broken) as raised:
        _read(f"vendor;serial\n{row}\n1;C8F2;9\n", mapping)
    assert ("--serial-base" in (raised.value.hint or "")) is hinted


def test_mac_addresses() -> None:
    """Alone, or where a line has no serial number."""
    mac = Mac.parse("00:00:bc:12:34:56")
    assert _read("mac\n0000.BC12.3456\n", Mapping(mac_column="mac")) == [Entry(mac)]
    both = Mapping(vendor="0001", serial_column="serial", mac_column="mac")
    text = "serial;mac\nC8F2;00:00:bc:12:34:57\n;00-00-bc-12-34-56\n"
    assert [entry.device for entry in _read(text, both)] == [DeviceId(1, 0xC8F2), mac]


@pytest.mark.parametrize(
    ("cell", "base", "serial"),
    [
        ("0x6040C8F2", None, 0x6040C8F2),
        ("6040c8f2", None, 0x6040C8F2),
        ("6040E812", None, 0x6040E812),
        ("12E45678", "hex", 0x12E45678),
        ("12345678", "hex", 0x12345678),
        ("12345678", "dec", 12345678),
        ("0012345678", "dec", 12345678),
        ("4294967295", "dec", 0xFFFFFFFF),
        ("7", None, 7),
        ("0x10", None, 16),
    ],
)
def test_serial_numbers(cell: str, base: Base | None, serial: int) -> None:
    """Read where there is one way to read them."""
    assert _serials(cell, base=base) == [serial]


@pytest.mark.parametrize(
    ("cell", "base", "why"),
    [
        ("12345678", None, "can be hexadecimal or decimal"),
        ("10", None, "can be hexadecimal or decimal"),
        ("1.23E+08", None, "a spreadsheet has rounded this number"),
        ("1,23E+08", "dec", "a spreadsheet has rounded this number"),
        ("1E+08", "hex", "a spreadsheet has rounded this number"),
        ("6.04E8", "hex", "a spreadsheet has rounded this number"),
        ("6040C8F2", "dec", "is hexadecimal, and the column is said to be decimal"),
        ("0x10", "dec", "is hexadecimal, and the column is said to be decimal"),
        ("0", "dec", "is not within 1 to FFFFFFFF"),
        ("00000000", "hex", "is not within 1 to FFFFFFFF"),
        ("4294967296", "dec", "is not within 1 to FFFFFFFF"),
        ("123456789", "hex", "is not within 1 to FFFFFFFF"),
        ("-5", "dec", "is not a number"),
        ("1.234.567", "dec", "is not a number"),
        ("12345.0", "dec", "is not a number"),
        ("6040C8F2h", "hex", "is not a number"),
        ("=0x6040C8F2", "hex", "is not a number"),
        ("١٢٣", "dec", "is not a number"),
        ("6040 C8F2", "hex", "is not a number"),
        ("1" * 65536, "dec", "is not a number"),
    ],
)
def test_serial_numbers_in_doubt(cell: str, base: Base | None, why: str) -> None:
    """Refused with line and reason, never guessed."""
    mapping = Mapping(vendor="0001", serial_column="serial", serial_base=base)
    [(line, told)] = _faults(f'serial,name\n"{cell}",\n', mapping)
    assert line == 2
    assert why in told
    assert len(told) < 200


def test_dropped_zeros() -> None:
    """Evident where the others have eight digits, with zeros in front or with letters."""
    mapping = Mapping(vendor="0001", serial_column="serial", serial_base="hex")
    for others in (["00A0C8F2"], ["6040C8F2", "A040C8F2"]):
        text = "serial\n" + "\n".join([*others, "123456", "0x123456"])
        lines = [line for line, why in _faults(text, mapping) if "leading zeros are gone" in why]
        assert lines == [len(others) + 2, len(others) + 3]
    assert _serials("A0C8F2", "123456", base="hex") == [0xA0C8F2, 0x123456]
    assert _serials("00123456", "12345678", base="dec") == [123456, 12345678]


@pytest.mark.parametrize(
    ("cell", "base", "vendor"),
    [
        ("1", None, 1),
        ("283", "dec", 283),
        ("011B", None, 283),
        ("0x11b", None, 283),
        ("283", None, 0),
    ],
)
def test_vendors(cell: str, base: Base | None, vendor: int) -> None:
    """By the same rules as serial numbers, in a column or one for all."""
    column = Mapping(vendor_column="v", vendor_base=base, serial_column="s")
    fixed = Mapping(vendor=cell, vendor_base=base, serial_column="s")
    text = f"v,s\n{cell},C8F2\n"
    if vendor:
        assert _read(text, column) == _read(text, fixed) == [Entry(DeviceId(vendor, 0xC8F2))]
    else:
        assert "say the base" in _faults(text, column)[0][1]
        with pytest.raises(UsageError, match="--vendor: 283 can be"):
            _read(text, fixed)


def test_four_digits_are_the_canonical_vendor() -> None:
    """As in 0283:6040C8F2, unless the base says otherwise."""
    text = "s\nC8F2\n"
    canonical = Mapping(vendor="0283", serial_column="s")
    decimal = Mapping(vendor="0283", vendor_base="dec", serial_column="s")
    assert _read(text, canonical)[0].device == DeviceId(0x283, 0xC8F2)
    assert _read(text, decimal)[0].device == DeviceId(283, 0xC8F2)


def test_the_first_hundred_errors() -> None:
    """Of whatever kind: what is found at the end stands where it is in the table."""
    rows = "".join(f"6040C8F2;Drive {n}\n=1;\n" for n in range(90))
    faults = _faults("serial;name\n" + rows)
    assert [line for line, _ in faults] == list(range(3, 103))
    assert faults[1] == (4, "0001:6040C8F2 has other values in line 2")


def test_all_errors_at_once() -> None:
    """In the order of lines, and nothing comes out."""
    text = (
        "serial;name\n6040C8F2;Drive 7\n12345678;\n\n1.2E+08;\n6040C8F2;Drive 8\n;Drive 9\n"
        "6040C8F3;=HYPERLINK(1)\n6040C8F4;a;b\n6040C8F5;\u202eevil\n6040C8F2;Drive 7\n"
    )
    faults = _faults(text)
    assert [line for line, _ in faults] == [3, 5, 6, 7, 8, 9, 10]
    told = "; ".join(why for _, why in faults)
    assert "0001:6040C8F2 has other values in line 2" in told
    assert "\u202e" not in told


def test_quotation_marks() -> None:
    """Cells of several lines keep the count of lines right; open ones are an error."""
    text = 'serial,note,name\n"6040C8F2","two\nlines",a\nx,,\n6040C8F3,"open'
    lines = [line for line, _ in _faults(text, Mapping(vendor="0001", serial_column="serial"))]
    assert lines == [4, 5]


@pytest.mark.parametrize(
    ("data", "why"),
    [
        ("serial\n".encode("utf-16"), "UTF-16"),
        (b"serial\n\0", "UTF-16"),
        (b"serial,name\nA1,ok\nA2,\xfc\n", "plant.csv:3: this is not UTF-8"),
    ],
)
def test_what_is_no_utf_8(data: bytes, why: str) -> None:
    """With what to do instead."""
    with pytest.raises(Broken, match=why):
        foreign.read(data, _SERIALS, "plant.csv")


@pytest.mark.parametrize(
    ("header", "why"),
    [
        ("Seriennummer;Name", "has no column 'serial'; there are: Seriennummer, Name"),
        ("serial,serial,name", "has more than one column 'serial'"),
        ("", "has no column 'serial'; there are: $"),
        ("\x1b[2K,name", r"there are: \\x1b\[2K, name"),
    ],
)
def test_columns_that_are_not_there(header: str, why: str) -> None:
    """Those that are there are told."""
    with pytest.raises(UsageError, match=why):
        _read(f"{header}\n")


@pytest.mark.parametrize(
    "mapping",
    [
        Mapping(serial_column="serial"),
        Mapping(vendor_column="vendor"),
        Mapping(vendor="0001"),
        Mapping(vendor="0001", mac_column="mac"),
        Mapping(name_column="name"),
        Mapping(vendor="0001", vendor_column="vendor", serial_column="serial"),
        Mapping(vendor="12345", serial_column="serial"),
    ],
)
def test_columns_that_make_no_device(mapping: Mapping) -> None:
    """Wrong usage, before the table is looked at."""
    with pytest.raises(UsageError):
        _read("serial,vendor,mac,name\n", mapping)


def test_a_table_of_our_own() -> None:
    """Without columns named it must be a list, and everything in it fit to be written."""
    own = Mapping()
    [entry] = _read("# ours\nname,device,uses\nDrive 7,0001:6040C8F2,2\n", own)
    assert entry == Entry(DeviceId(1, 0x6040C8F2), "Drive 7", uses=2)
    assert _faults("device,name\n0001:6040C8F2,=1\nx\n", own)[0][0] == 3
    assert _faults("device,name\n0001:6040C8F2,=1\n", own)[0][0] == 2
    with pytest.raises(Broken) as raised:
        _read("Seriennummer\n1\n", own)
    assert raised.value.hint is not None


@given(st.binary(max_size=100), st.sampled_from([None, "hex", "dec"]))
def test_any_table(data: bytes, base: Base | None) -> None:
    """Entries or what is wrong, and nothing else."""
    mapping = Mapping(vendor="0001", serial_column="s", serial_base=base, name_column="n")
    for text in (data, b"s;n\n" + data):
        with contextlib.suppress(Broken, UsageError):
            foreign.read(text, mapping, "plant.csv")
