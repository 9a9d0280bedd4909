"""What an entry takes while a million of them are imported: its text twice or thrice, no values."""

from __future__ import annotations

from pathlib import Path

import pytest

from cipsec.ra.allowlist import edit, foreign
from cipsec.ra.allowlist.faults import Broken
from cipsec.ra.allowlist.foreign import Mapping
from tests.support.memory import peak

from .lists import HEADER

_FEW, _MANY = 4_000, 8_000
_BYTES = 400  # with which 400 MB hold a million entries; as values one took a thousand
_COLUMNS = Mapping(vendor="0001", serial_column="serial", serial_base="hex", name_column="name")


def _list(rows: int, name: str = "Drive") -> bytes:
    text = "".join(f"0001:{n:08X},{name} {n},2099-01-31,1,line {n % 50}\n" for n in range(1, rows))
    return (HEADER + text).encode()


def _table(rows: int) -> bytes:
    text = "".join(f"{n:08X};Drive {n};1,20\n" for n in range(1, rows))
    return ("serial;name;price\n" + text).encode()


def _per_entry(folder: Path, few: bytes, many: bytes, mapping: Mapping) -> float:
    """Return how many bytes each further entry takes; what is taken once does not count."""

    def imported(data: bytes) -> None:
        done = edit.merge(folder, "a", foreign.read(data, mapping, "plant.csv"), replace=True,
                          dry_run=True)  # fmt: skip
        assert len(done.new) + len(done.replaced) > _FEW / 2
        for _ in done.listed():
            pass

    imported(few)  # what is imported and cached at first use
    return (peak(lambda: imported(many)) - peak(lambda: imported(few))) / (_MANY - _FEW)


def test_a_new_list(folder: Path) -> None:
    """From a table of others, and from one of our own."""
    assert _per_entry(folder, _table(_FEW), _table(_MANY), _COLUMNS) < _BYTES
    assert _per_entry(folder, _list(_FEW), _list(_MANY), Mapping()) < _BYTES


def test_into_a_list_that_has_them(folder: Path) -> None:
    """With other values, all of them."""
    (folder / "a.csv").write_bytes(_list(_MANY, "Motor"))
    assert _per_entry(folder, _list(_FEW), _list(_MANY), Mapping()) < _BYTES


@pytest.mark.parametrize("line", ['"a"b', "x;a", "1;=a"])
def test_faults_are_not_gathered_by_the_million(line: str) -> None:
    """A hundred are told; those behind them take nothing."""

    def refused(rows: int) -> None:
        with pytest.raises(Broken) as raised:
            foreign.read(("serial;name\n" + f"{line}\n" * rows).encode(), _COLUMNS, "plant.csv")
        assert len(raised.value.faults) == 100

    refused(_FEW)
    per_line = (peak(lambda: refused(_MANY)) - peak(lambda: refused(_FEW))) / (_MANY - _FEW)
    assert per_line < 20 * len(line)
