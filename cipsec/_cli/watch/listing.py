"""The rows of one pane and the chosen one: chosen by its key, whatever happens around it.

A chosen row that vanishes from what is listed stays in its place, marked `gone`, until a person
moves on: so no key that was meant for it falls on its neighbour.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from cipsec._cli.watch.model import Item


@dataclass(frozen=True, slots=True)
class Row:
    """A row, known by its key; `item` is what the pane makes cells and fields of."""

    key: str
    item: Item
    gone: bool = False


@dataclass(frozen=True, slots=True)
class Listing:
    """Rows; `line` is where in the window the chosen one stands.

    With `newest_first` and the first row chosen, a newer one is chosen when it comes.
    """

    rows: tuple[Row, ...] = ()
    key: str | None = None
    line: int = 0
    newest_first: bool = False

    @property
    def chosen(self) -> Row | None:
        """Return the chosen row; None where there are no rows."""
        return next((row for row in self.rows if row.key == self.key), None)

    def updated(self, rows: Sequence[Row], *, keep: bool = True) -> Listing:
        """Return the listing of what is there now; without `keep` nothing that is gone stays."""
        now, place = tuple(rows), self._place()
        if self.newest_first and place == 0:
            return replace(self, rows=now, key=now[0].key if now else None)
        if any(row.key == self.key for row in now):
            return replace(self, rows=now)
        if place is None or not keep:
            near = min(place or 0, len(now) - 1)
            return replace(self, rows=now, key=now[near].key if now else None)
        at = self._behind(now, place)
        ghost = replace(self.rows[place], gone=True)
        return replace(self, rows=(*now[:at], ghost, *now[at:]))

    def _place(self) -> int | None:
        return next((n for n, row in enumerate(self.rows) if row.key == self.key), None)

    def _behind(self, now: Sequence[Row], place: int) -> int:
        """Return where a row that is gone stands: behind the nearest that stood before it."""
        before = {row.key for row in self.rows[:place]}
        return max((n + 1 for n, row in enumerate(now) if row.key in before), default=0)

    def moved(self, by: int, height: int) -> Listing:
        """Return the listing with the chosen row `by` rows further; what is gone disappears."""
        place = self._place()
        if place is None:
            return self
        target = self.rows[min(max(place + by, 0), len(self.rows) - 1)]
        if target.gone:
            return self
        rows = tuple(row for row in self.rows if not row.gone)
        line = self.window(height)[1] + by
        return replace(self, rows=rows, key=target.key, line=min(max(line, 0), height - 1))

    def window(self, height: int) -> tuple[int, int]:
        """Return the number of the first row shown, and on which line the chosen one is."""
        place = self._place() or 0
        line = min(self.line, height - 1)
        first = min(max(place - line, 0), max(len(self.rows) - height, 0))
        return first, place - first
