"""What a killed command leaves is found, what is at work is left in peace."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest

from cipsec.ca_folder import CaFolder

from .looking import OK, WARN, at_ca

_HEX = "0123456789ab"


@pytest.mark.parametrize(
    "name",
    [
        *("ca/.ca.key.", "ca/.backup.", "ca/.next.", "ca/previous/.0011223344556677."),
        *("ca/next/.ca.pem.", ".ca."),
    ],
)
def test_left(ca_folder: CaFolder, name: str) -> None:
    """A draft of the folder, of a key, of a root, a copy of the store: after an hour each is."""
    left = Path(f"{ca_folder.path.parent / name}{_HEX}")
    left.parent.mkdir(exist_ok=True)
    left.write_bytes(b"secret")
    assert [one.verdict for one in at_ca(ca_folder, "ca leftovers")] == [OK]
    [found] = at_ca(ca_folder, "ca leftovers", later=timedelta(hours=2))
    assert (found.verdict, found.hint) == (WARN, f"rm -r {left}")
    left.unlink()
    assert [one.verdict for one in at_ca(ca_folder, "ca leftovers")] == [OK]


def test_what_is_others(ca_folder: CaFolder) -> None:
    """Hidden files of people, and what lies beside and is not this CA's, is nobody's leftover."""
    for path in (ca_folder.path / ".git", ca_folder.path.parent / f".other.{_HEX}"):
        path.mkdir()
    found = at_ca(ca_folder, "ca leftovers", later=timedelta(days=9))
    assert [one.verdict for one in found] == [OK]
