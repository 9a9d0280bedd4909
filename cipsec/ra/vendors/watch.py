"""Has a folder changed? Told by the system's view of it and of its files, microseconds each."""

from __future__ import annotations

import os
import time
from pathlib import Path

from cipsec.current import Stamp, is_settled, stamp


class Watch:
    """Looks at a folder and its files with some suffixes; what they hold is the caller's."""

    def __init__(self, folder: Path, suffixes: tuple[str, ...]) -> None:
        self._folder = str(folder)
        self._suffixes = suffixes
        self._folder_seen: Stamp | None = None
        self._files: dict[str, Stamp | None] = {}
        self._settled = False

    def changed(self) -> bool:
        """Tell whether anything may have changed since the last call; true at the first."""
        if self._settled and self._as_before():
            return False
        started = time.time_ns()
        self._folder_seen = stamp(self._folder)
        self._files = {name: stamp(name) for name in self._names()}
        seen = (self._folder_seen, *self._files.values())
        self._settled = all(is_settled(one, started) for one in seen)
        return True

    def _as_before(self) -> bool:
        return stamp(self._folder) == self._folder_seen and all(
            stamp(name) == seen for name, seen in self._files.items()
        )

    def _names(self) -> list[str]:
        try:
            with os.scandir(self._folder) as entries:
                return [entry.path for entry in entries if entry.name.endswith(self._suffixes)]
        except OSError:
            return []
