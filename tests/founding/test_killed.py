"""Changes of a CA's folder survive a kill at any moment."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path


def kills(program: str, place: Path) -> list[int]:
    """Run a program that is killed again and again; return how many kills it survived."""
    done = subprocess.run(
        [sys.executable, "-m", f"tests.founding.{program}", str(place)],
        capture_output=True,
        check=False,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    return [int(number) for number in done.stdout.split()]


def test_taking_a_certificate_in(tmp_path: Path) -> None:
    """The folder waits, or has the old certificate whole, or the new; done again, the new."""
    survived = kills("killed", tmp_path / "ca")
    assert len(survived) == 2
    assert min(survived) >= 9


def test_changing_a_passphrase(tmp_path: Path) -> None:
    """Whichever passphrase opens the CA's key opens the other one, and no key is ever readable."""
    survived = kills("killed_passphrase", tmp_path / "ca")
    assert len(survived) == 3
    assert min(survived) >= 15
