"""A roll-over on a PKCS#11 token that is killed at any moment."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from tests.support import programs, softhsm


def test_killed_at_every_step(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The CA issues at every moment, the same command goes on, and no key is made twice."""
    with softhsm.token(tmp_path / "hsm", monkeypatch) as hsm:
        words = ("-m", "tests.rollover.killed_token", tmp_path, hsm.uri(), softhsm.PIN)
        done = programs.run(sys.executable, *words, timeout=1800)
    assert done.returncode == 0, done.stderr.decode()
    assert all(int(line) > 8 for line in done.stdout.split()), done.stdout
