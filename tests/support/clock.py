"""Processes whose clock is wrong, by Debian's libfaketime; what counts seconds stays as it is."""

from __future__ import annotations

import os
from datetime import datetime
from pathlib import Path

from tests.support import programs


def environment(clock: datetime | None) -> dict[str, str] | None:
    """Return the environment of a process that starts at that time of day; None for ours."""
    if clock is None:
        return None
    programs.need("faketime")
    [library] = Path("/usr/lib").glob("*/faketime/libfaketimeMT.so.1")
    return {
        **os.environ,
        "LD_PRELOAD": str(library),
        "FAKETIME": clock.strftime("@%Y-%m-%d %H:%M:%S"),
        "TZ": "UTC",
        "FAKETIME_DONT_FAKE_MONOTONIC": "1",  # asyncio would wait for years
        "NO_FAKE_STAT": "1",
        "PYTHONPATH": str(Path(__file__).parent / "faked"),
    }
