"""Python in a process whose clock libfaketime fakes: sleeping works again.

libfaketime 0.9.10 recalculates the absolute time of clock_nanosleep, by which Python sleeps, even
where it is told to leave the monotonic clock alone; the kernel then refuses it.
"""

from __future__ import annotations

import select
import time
from typing import SupportsIndex


def _sleep(seconds: float | SupportsIndex, /) -> None:
    select.select([], [], [], max(0.0, float(seconds)))


time.sleep = _sleep
