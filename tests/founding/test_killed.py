"""Changes of a CA's folder survive a kill at any moment."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path


def test_taking_a_certificate_in(tmp_path: Path) -> None:
    """The folder waits, or has the old certificate whole, or the new; done again, the new."""
    done = subprocess.run(
        [sys.executable, "-m", "tests.founding.killed", str(tmp_path / "ca")],
        capture_output=True,
        check=False,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert all(int(number) >= 9 for number in done.stdout.split()), done.stdout
