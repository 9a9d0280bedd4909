"""Who waits for something: of one address first come, first served; the addresses take turns.

Where each device has an address of its own that is first come, first served for all of them. But
who opens three thousand connections and lets each of them stall delays nobody but himself.
"""

from __future__ import annotations

from collections import OrderedDict, deque
from typing import Generic, TypeVar

T = TypeVar("T")


class Turns(Generic[T]):
    """A queue with a line for each address."""

    def __init__(self) -> None:
        self._lines: OrderedDict[str, deque[T]] = OrderedDict()  # whose turn it is comes first
        self._count = 0

    def __len__(self) -> int:
        return self._count

    def append(self, one: T, address: str) -> None:
        """Let one wait behind all others of its address."""
        self._lines.setdefault(address, deque()).append(one)
        self._count += 1

    def popleft(self) -> T:
        """Return whose turn it is; raise LookupError when nobody waits."""
        address = next(iter(self._lines), "")
        line = self._lines[address]
        one = line.popleft()
        self._count -= 1
        if line:
            self._lines.move_to_end(address)
        else:
            del self._lines[address]
        return one
