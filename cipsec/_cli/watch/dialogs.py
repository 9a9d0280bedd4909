"""What stands in front of the view: pages to read, a question, a line to type on."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import ClassVar

from textual import events
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.screen import ModalScreen
from textual.widgets import Input

from cipsec._cli.watch.paper import Paper
from cipsec._cli.watch.text import Line, Tone, fold

Write = Callable[[int], list[Line]]  # the text, for a number of columns

_CSS = "{ background: ansi_default; }"


class Entry(Input):
    """A line at the foot of the screen to type on, there only while it is needed."""

    DEFAULT_CSS = """
    Entry, Entry:focus {
        dock: bottom; height: 1; padding: 0; border: none; display: none;
        background: ansi_default; color: ansi_default; text-style: bold;
    }
    """
    LONGEST = 500

    def open(self, text: str) -> None:
        """Appear, with a text to change, and take the keys that come from now on.

        `focus()` would take them later, and what is typed ahead, as over a slow line, would not be
        text but commands: the `a` of a name asks to approve.
        """
        self.max_length = self.LONGEST
        self.value = text
        self.display = True
        self.screen.set_focus(self)

    def close(self) -> None:
        """Disappear."""
        self.display = False
        self.screen.set_focus(None)


class Page(ModalScreen[str | None]):
    """A text that fills the screen and can be scrolled; ends with None."""

    DEFAULT_CSS = f"Page {_CSS}"
    AUTO_FOCUS = ""
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("up,k", "scroll_by(-1)"),
        Binding("down,j", "scroll_by(1)"),
        Binding("pageup", "turn_page(-1)"),
        Binding("pagedown,space", "turn_page(1)"),
    ]
    CLOSES = frozenset({"escape", "enter", "q", "question_mark"})

    def __init__(self, title: str, write: Write, foot: str = "up, down  Esc back") -> None:
        super().__init__()
        self._title, self._write, self._foot = title, write, foot
        self._first, self._room = 0, 1
        self._paper = Paper()

    def compose(self) -> ComposeResult:
        """Nothing but paper."""
        yield self._paper

    def on_mount(self) -> None:
        """Show the text as soon as there is a size."""
        self.call_after_refresh(self._draw)

    def on_resize(self) -> None:
        """Write it anew for the columns there are now."""
        self.call_after_refresh(self._draw)

    def action_scroll_by(self, lines: int) -> None:
        """Go further in the text, as far as there is more."""
        self._first += lines
        self._draw()

    def action_turn_page(self, pages: int) -> None:
        """Go a screen further, but for the line that tells that there is more."""
        self.action_scroll_by(pages * max(self._room - 1, 1))

    def _draw(self) -> None:
        width, height = self._paper.size
        heads = [Line(part, Tone.STRONG) for part in fold(self._title, width)]
        feet = [Line(part, Tone.STRONG) for part in fold(self._foot, width)]
        text, room = self._write(width), max(height - len(heads) - len(feet), 1)
        self._room = room
        self._first = min(max(self._first, 0), max(len(text) - room, 0))
        shown = text[self._first : self._first + room]
        below = len(text) - self._first - len(shown)
        if below:
            shown[-1] = Line(f"(down: {below + 1} more lines)", Tone.FAINT)
        shown += [Line()] * (room - len(shown))
        self._paper.paint([*heads, *shown, *feet])

    def on_key(self, event: events.Key) -> None:
        """Take a key; textual would call one of each class, hence `_takes`."""
        if self.is_current and self._takes(event.key):
            event.stop()

    def _takes(self, key: str) -> bool:
        if key in self.CLOSES:
            self.dismiss(None)
        return key in self.CLOSES


class Question(Page):
    """A question that a person has to see before it can be answered; Esc and `q` say no.

    `answers` are the keys that say something else. Keys that come before the question is on the
    screen, typed ahead or pasted, answer nothing.
    """

    DEFAULT_CSS = f"Question {_CSS}"
    CLOSES = frozenset({"escape", "q", "n", "c"})

    def __init__(self, title: str, write: Write, answers: Mapping[str, str]) -> None:
        said = "  ".join(f"{key} {words}" for key, words in answers.items())
        super().__init__(title, write, f"{said}  n no")
        self._answers = answers
        self._is_seen = False

    def _draw(self) -> None:
        super()._draw()
        self.call_after_refresh(self._seen)

    def _seen(self) -> None:
        self._is_seen = True

    def _takes(self, key: str) -> bool:
        if self._is_seen and key in self._answers:
            self.dismiss(key)
            return True
        return not self._is_seen or super()._takes(key)
