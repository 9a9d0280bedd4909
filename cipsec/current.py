"""A file as it is now: looked at whenever it is needed, read again only when it has changed."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Generic, TypeVar

from cipsec.errors import Malformed

T = TypeVar("T")

# File systems write times in steps of some milliseconds: what was changed just before it was read
# may change once more within the same step, unseen.
STEP_NS = 50_000_000

Stamp = tuple[int, int, int, int]


def stamp(path: str) -> Stamp | None:
    """Return what changes whenever the file does, its times first; None for no file."""
    try:
        seen = os.stat(path)  # noqa: PTH116  # for each request: a Path takes as long again
    except OSError:
        return None
    return seen.st_mtime_ns, seen.st_ctime_ns, seen.st_size, seen.st_ino


def is_settled(seen: Stamp | None, looked_ns: int) -> bool:
    """Tell whether a change after `looked_ns`, of `time.time_ns`, would give another stamp."""
    return seen is None or all(abs(looked_ns - moment) > STEP_NS for moment in seen[:2])


class CurrentFile(Generic[T]):
    """What a file says, None while there is none."""

    def __init__(self, path: Path, read: Callable[[], T | None]) -> None:
        """`read` may raise Malformed, which every call then raises until the file changes."""
        self._path = str(path)
        self._read = read
        self._stamp: Stamp | None = None
        self._value: T | Malformed | None = None

    def __call__(self) -> T | None:
        """Return what the file says now."""
        looked = time.time_ns()
        seen = stamp(self._path)
        if seen is None:
            self._stamp = self._value = None
        elif seen != self._stamp:
            self._value = self._again()
            # As it was before it was read: a change meanwhile is seen next time.
            self._stamp = seen if is_settled(seen, looked) else None
        if isinstance(self._value, Malformed):
            # Raised anew: one that is raised again and again grows by a traceback each time.
            raise Malformed(self._value.message, hint=self._value.hint)
        return self._value

    def _again(self) -> T | Malformed | None:
        try:
            return self._read()
        except Malformed as error:
            return error
