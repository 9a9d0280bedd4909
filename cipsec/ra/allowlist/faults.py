"""What is wrong with a list, with its line; whether anybody is told is left to the caller."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from cipsec.errors import Malformed

LIMIT = 100  # faults gathered of one file: who mends that many looks at the file, not at more


@dataclass(frozen=True, slots=True, order=True)
class Fault:
    """One thing that is wrong, and the line (from 1) where it stands; 0 is the file itself."""

    line: int
    why: str


class Broken(Malformed):
    """A list that cannot be used, with all its faults; the message names file and first line."""

    def __init__(self, file: str, faults: Sequence[Fault], *, hint: str | None = None) -> None:
        first = faults[0]
        place = f"{file}:{first.line}" if first.line else file
        rest = len(faults) - 1
        many = f" (and {rest}{'+' if rest >= LIMIT - 1 else ''} more)" if rest else ""
        super().__init__(f"{place}: {first.why}{many}", hint=hint)
        self.file = file
        self.faults = tuple(faults)
