"""The exit codes that people read about are those there are."""

from __future__ import annotations

import re
from pathlib import Path

from cipsec._cli import exits

README = Path(__file__).parents[2] / "README.md"


def test_the_readme_names_every_exit_code() -> None:
    """Each once, and none that is not there."""
    told = [int(code) for code in re.findall(r"(?<=\| )(\d+)(?= \| [a-z])", README.read_text())]
    there = [value for name, value in vars(exits).items() if name.isupper() and name[0] != "_"]
    assert sorted(told) == sorted(there)
