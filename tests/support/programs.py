"""Independent programs that tests have as peers: run them, or say loudly that they are missing."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path

import pytest


def need(*programs: str) -> None:
    """Skip the test when a program is missing; fail it where tests/run could have installed it."""
    missing = [program for program in programs if shutil.which(program) is None]
    if not missing:
        return
    reason = f"{', '.join(missing)} is not installed"
    if hasattr(os, "geteuid") and os.geteuid() == 0:
        pytest.fail(f"{reason}; run ./tests/run, which installs it")
    pytest.skip(reason)


def run(
    *command: str | Path,
    stdin: bytes = b"",
    environment: Mapping[str, str] | None = None,
    timeout: float = 300,
) -> subprocess.CompletedProcess[bytes]:
    """Run a program to its end and return what it printed and its exit status."""
    return subprocess.run(
        [str(part) for part in command],
        input=stdin,
        env={**os.environ, **(environment or {})},
        capture_output=True,
        check=False,
        timeout=timeout,
    )
