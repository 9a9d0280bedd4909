"""From file to table, at once and in this process; when, and by whom else, is left to `live`."""

from __future__ import annotations

import io
import time
from dataclasses import dataclass, replace

from cipsec.errors import Malformed
from cipsec.ra.allowlist.faults import Broken, Fault
from cipsec.ra.allowlist.place import Place, Stamp
from cipsec.ra.allowlist.table import Table, build

# A file's times move in steps, of 4 to 10 ms on Linux: what is read sooner after a change than this
# may be changed once more under the same stamp. FAT's two seconds are no place for a CA.
SETTLED_NS = 100_000_000
ATTEMPTS = 3  # at reading a file that changes meanwhile


@dataclass(frozen=True, slots=True)
class Loaded:
    """What a file gave, table or faults; `stamp` is the file's as it was read.

    Not `settled`: it was read so soon after a change that the stamp alone does not tell the next.
    `again_at` (time.monotonic) where it could not be loaded and the file is not to blame.
    """

    stamp: Stamp
    outcome: Table | tuple[Fault, ...]
    settled: bool = True
    again_at: float | None = None

    def table(self, place: Place) -> Table:
        """Return the table; raise Broken, a new one each time."""
        if isinstance(self.outcome, Table):
            return self.outcome
        raise Broken(
            place.shown,
            self.outcome,
            hint=f"see all that is wrong with: cipsec allowlist check --list {place.name}",
        )


def here(place: Place) -> Loaded:
    """Read a list in this process; raise Malformed when it cannot be opened or keeps changing."""
    for _ in range(ATTEMPTS):
        with place.open() as file:
            now, stamp = time.time_ns(), place.stamp_of(file)
            try:
                data = file.read(stamp[2] + 1)
            except OSError as error:
                raise place.unusable(error) from None
            if place.stamp_of(file) == stamp:
                return Loaded(stamp, parsed(data), settled=now - stamp[0] > SETTLED_NS)
    raise changes(place)


def changes(place: Place) -> Malformed:
    """Return the error that says that somebody is writing the list."""
    return Malformed(f"{place.shown}: it changes while it is read")


def parsed(data: bytes) -> Table | tuple[Fault, ...]:
    """Return the table of a list's bytes, or what is wrong with them."""
    sink = io.BytesIO()
    faults = build(io.BytesIO(data), sink)
    return tuple(faults) if faults else Table(sink.getbuffer())


def again(place: Place, loaded: Loaded) -> Loaded:
    """Read what was not settled once more; what has not changed is not parsed once more."""
    if isinstance(loaded.outcome, Table):
        with place.open() as file:
            now = time.time_ns()
            same = file.read(loaded.stamp[2] + 1) == loaded.outcome.text
            if same and place.stamp_of(file) == loaded.stamp:
                return replace(loaded, settled=now - loaded.stamp[0] > SETTLED_NS)
    return here(place)
