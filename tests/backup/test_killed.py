"""Saving and restoring, killed at every step that changes a file."""

from __future__ import annotations

import sys
from pathlib import Path

from tests.support import programs


def test_killed_at_every_step(tmp_path: Path) -> None:
    """One of both backups is whole, one of both CAs has the place, and the next run tidies up."""
    done = programs.run(sys.executable, "-m", "tests.backup.killed", tmp_path, timeout=1800)
    assert done.returncode == 0, done.stderr.decode()
    assert all(int(line) > 15 for line in done.stdout.split()), done.stdout
