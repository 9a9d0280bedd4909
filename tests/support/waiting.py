"""Waiting for what must happen in the end, however busy this machine is; processes that end."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

LONG = 120.0  # seconds: for what must happen, not for what is measured


def until(holds: Callable[[], object]) -> None:
    """Wait until it holds; fail when it never does."""
    end = time.monotonic() + LONG
    while not holds():
        assert time.monotonic() < end, "it never happened"
        time.sleep(0.05)


def is_dead(pid: int) -> bool:
    """Tell whether a process runs no more; it may wait to be reaped."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_bytes()
    except OSError:
        return True
    return stat.rpartition(b")")[2].split()[0] in {b"Z", b"X"}


def children(pid: int) -> list[int]:
    """Return the processes that the main thread of one has started."""
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
