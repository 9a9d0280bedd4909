"""Exit codes: those that people read about are those there are."""

from __future__ import annotations

import re
from pathlib import Path

from cipsec._cli import exits

from .conftest import Cipsec

README = Path(__file__).parents[2] / "README.md"


def test_the_readme_names_every_exit_code() -> None:
    """Each once, and none that is not there."""
    told = [int(code) for code in re.findall(r"(?<=\| )(\d+)(?= \| [a-z])", README.read_text())]
    there = [value for name, value in vars(exits).items() if name.isupper() and name[0] != "_"]
    assert sorted(told) == sorted(there)


def test_a_duration_that_a_script_left_empty_is_wrong_usage(on_ca: Cipsec) -> None:
    """`--for "$UNSET"`: no server without end is started."""
    ran = on_ca("ca", "serve", "--for", "")
    assert (ran.code, ran.out) == (2, "")
    assert ran.err.startswith("cipsec: error: '' is not a duration\n")
