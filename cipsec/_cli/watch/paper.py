"""A widget that paints lines of text: the one way by which anything reaches the screen.

Nothing is read as markup, and what would not print is escaped here once more.
"""

from __future__ import annotations

from collections.abc import Sequence

from rich.segment import Segment
from rich.style import Style
from textual.geometry import Region
from textual.strip import Strip
from textual.widget import Widget

from cipsec import safe
from cipsec._cli.watch.text import Line, Tone, cut

_WIDEST = 4096  # characters; more than any terminal has columns
# The terminal's own colours, which NO_COLOR takes away; what is chosen is reversed.
_STYLES = {
    Tone.PLAIN: Style(),
    Tone.STRONG: Style(bold=True),
    Tone.FAINT: Style(dim=True),
    Tone.CHOSEN: Style(reverse=True),
    Tone.WARNING: Style(bold=True, color="red"),
}


class Paper(Widget):
    """Lines from the top, cut at the right."""

    DEFAULT_CSS = "Paper { width: 1fr; height: 1fr; }"

    def __init__(self) -> None:
        super().__init__()
        self._lines: list[Line] = []

    @property
    def lines(self) -> Sequence[Line]:
        """Return what is painted."""
        return self._lines

    def paint(self, lines: Sequence[Line]) -> None:
        """Show these lines; only those that are new are sent to the terminal."""
        before, self._lines = self._lines, list(lines)
        if len(before) != len(self._lines):
            self.refresh()
            return
        changed = [y for y, (old, new) in enumerate(zip(before, lines, strict=True)) if old != new]
        if changed:
            self.refresh(*(Region(0, y, self.size.width, 1) for y in changed))

    def render_line(self, y: int) -> Strip:
        """Return one line as textual paints it."""
        line = self._lines[y] if y < len(self._lines) else Line()
        width = self.size.width
        text = cut(safe.text(line.text, limit=_WIDEST), width)
        style = self.visual_style.rich_style + _STYLES[line.tone]
        return Strip([Segment(text, style)], width)
