"""The view at a terminal: keys and time; drawing is left to `screen`, the store to `threads`."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import time
from dataclasses import replace
from typing import ClassVar

from textual import work
from textual.app import App, ComposeResult
from textual.binding import Binding, BindingType
from textual.widgets import Input

from cipsec import times
from cipsec._cli import exits
from cipsec._cli.watch import deciding, guide, panes, request, screen
from cipsec._cli.watch.dialogs import Entry, Page, Question
from cipsec._cli.watch.model import Asked, View
from cipsec._cli.watch.paper import Paper
from cipsec._cli.watch.scene import Scene
from cipsec._cli.watch.text import Line, Show, record
from cipsec._cli.watch.threads import Store
from cipsec.errors import StoreFailed
from cipsec.ra.queue import Verdict, settled
from cipsec.store.requests import State

_LOOK_SECONDS = 0.5
_SHARE = 5  # at most one part in so many of the time is spent reading


class Watch(App[None]):
    """The view of one CA, for the administrator `actor`."""

    CSS = "Screen { background: ansi_default; color: ansi_default; }"
    ENABLE_COMMAND_PALETTE = False
    AUTO_FOCUS = ""
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("up,k", "move(-1)"),
        Binding("down,j", "move(1)"),
        Binding("pageup", "move(-10)"),
        Binding("pagedown", "move(10)"),
        Binding("tab", "turn(1)", priority=True),
        Binding("shift+tab", "turn(-1)", priority=True),
        Binding("a", "ask('approved')"),
        Binding("r", "ask('rejected')"),
        # Before any other key is looked at: what is typed after them, however fast, is text.
        Binding("n", "note", priority=True),
        Binding("slash", "filter", priority=True),
        Binding("escape", "leave"),
        Binding("enter", "details"),
        Binding("question_mark", "guide"),
        Binding("ctrl+l", "repaint"),
        Binding("q", "end"),
        Binding("ctrl+c,ctrl+q", "interrupt", priority=True),
    ]

    def __init__(self, store: Store, *, actor: str, show: Show) -> None:
        # The terminal's own colours: nothing is assumed of its background, and NO_COLOR is obeyed.
        super().__init__(ansi_color=True)
        self._store = store
        self._actor = actor
        self._scene = Scene(View(times.now()), show)
        self._paper = Paper()
        self._entry = Entry()
        self._noted: str | None = None  # the request that the note typed now is for
        self._wake = asyncio.Event()
        self._deciding = False

    def compose(self) -> ComposeResult:
        """Paper, and a line to type on that appears when it is needed."""
        yield self._paper
        yield self._entry

    def on_mount(self) -> None:
        """Begin to look; a SIGTERM leaves the terminal as it was."""
        with contextlib.suppress(NotImplementedError):  # Windows
            end = asyncio.get_running_loop().add_signal_handler
            end(signal.SIGTERM, self.action_interrupt)
        self._follow()

    def on_resize(self) -> None:
        """Draw for the size that there is now."""
        self.call_after_refresh(self._draw)

    @property
    def fault(self) -> Exception | None:
        """Return the error of the program that ended the view, if one did."""
        return self._exception

    def _handle_exception(self, error: Exception) -> None:
        """End; how an unexpected error is told is the same for all commands."""
        super()._handle_exception(error)
        self._exit_renderables.clear()

    @property
    def scene(self) -> Scene:
        """Return what is on the screen."""
        return self._scene

    def _draw(self, scene: Scene | None = None) -> None:
        self._scene = scene or self._scene
        self._paper.paint(screen.draw(self._scene, *self._paper.size))

    @property
    def _rows(self) -> int:
        return screen.list_height(self._scene, self._paper.size.height)

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Begin a line to type on only where nothing else takes the keys."""
        if action in {"note", "filter"} and (self._is_typing or len(self.screen_stack) > 1):
            return False
        return super().check_action(action, parameters)

    # Looking: again and again, and at once when something else is chosen.

    @work
    async def _follow(self) -> None:
        while True:
            began = time.monotonic()
            await self._look()
            pause = max(_LOOK_SECONDS, (time.monotonic() - began) * _SHARE)
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._wake.wait(), pause)
            self._wake.clear()

    async def _look(self) -> None:
        wanted, match = self._scene.request, self._scene.match
        try:
            view = await self._store.view(wanted, match)
        except StoreFailed as error:
            self._draw(replace(self._scene, trouble=error.message))
            return
        if match != self._scene.match:
            return  # of the filter before; the next look is on its way
        self._draw(self._scene.with_view(view))
        if self._scene.asked is None and self._scene.request is not None:
            self._wake.set()

    # Keys.

    def action_move(self, by: int) -> None:
        """Choose another row, but not while one is written about."""
        if self._noted is not None:
            return
        self._draw(self._scene.moved(by, self._rows))
        self._wake.set()

    def action_turn(self, by: int) -> None:
        """Turn to another pane."""
        if not self._is_typing and len(self.screen_stack) == 1:
            self._draw(self._scene.turned(by))

    def action_repaint(self) -> None:
        """Draw everything again, where something else wrote on the terminal."""
        self.refresh(layout=True)

    @work(exclusive=True, group="asking")
    async def action_details(self) -> None:
        """Show everything that is known of what is chosen."""
        scene = self._scene
        if scene.listing.chosen is None:
            return
        if scene.pane is panes.WAITING:
            asked = await self._asked(scene.listing.chosen.key)
            scene = replace(scene, view=replace(scene.view, asked=asked))
        self.push_screen(Page(scene.pane.title, lambda width: screen.details(scene, width)))

    def action_guide(self) -> None:
        """Show the keys, and the warnings in full."""
        scene = self._scene
        self.push_screen(Page("cipsec ca watch", lambda width: guide.page(scene, width)))

    def action_end(self) -> None:
        """Quit, unless the store has not answered yet what became of a decision."""
        if self._deciding:
            self._say("wait: the decision is being recorded")
        else:
            self.exit()

    def action_interrupt(self) -> None:
        """Quit at once."""
        self.exit(return_code=exits.INTERRUPTED)

    def _say(self, message: str) -> None:
        self._draw(replace(self._scene, message=message))

    # Deciding: about the request that the question shows, and about no other.

    @work(exclusive=True, group="asking")
    async def action_ask(self, outcome: str) -> None:
        """Ask whether the chosen request is to be approved or rejected, and decide."""
        chosen = self._scene.request
        if self._scene.pane is not panes.WAITING or chosen is None or self._deciding:
            return
        asked = await self._asked(chosen)
        if asked is not None:
            await self._decide(asked, State(outcome))
            self._wake.set()

    async def _asked(self, request: str) -> Asked | None:
        """Read a request as it is now; say so where that cannot be."""
        try:
            asked = await self._store.asked(request)
        except StoreFailed as error:
            self._say(error.message)
            return None
        if asked is None:
            self._say("this request is not in the store any more")
        return asked

    async def _decide(self, asked: Asked, state: State) -> None:
        chosen = asked.row.id
        note = self._scene.notes.get(chosen) or None
        known = settled(asked.row, Verdict(state, self._actor, note, predecessor=False))
        if known is not None:
            self._say(deciding.sentence(known))
            return
        answer = await self.push_screen_wait(self._question(asked, state))
        if answer is None:
            self._say("nothing was decided")
            return
        verdict = Verdict(state, self._actor, note, deciding.predecessor(answer))
        await self._record(asked, verdict)

    async def _record(self, asked: Asked, verdict: Verdict) -> None:
        self._deciding = True
        self._say("recording the decision ...")
        try:
            decided = await self._store.decide(asked.row, verdict)
            said = deciding.sentence(decided)
            if decided.changed:
                self._draw(self._scene.noted(asked.row.id, ""))  # it is on record now
        except StoreFailed as error:
            said = f"nothing was decided: {error.message}"
        self._deciding = False
        self._say(said)

    def _question(self, asked: Asked, state: State) -> Question:
        scene = self._scene

        def write(width: int) -> list[Line]:
            note = scene.notes.get(asked.row.id, "")
            return record(request.fields(asked, times.now(), scene.show, note), width)

        title, answers = deciding.question(asked.row, state)
        return Question(title, write, answers)

    # The line to type on: a note, or the filter, which works while it is typed.

    @property
    def _is_typing(self) -> bool:
        return bool(self._entry.display)

    def action_note(self) -> None:
        """Write a note that goes with the decision about the chosen request."""
        if self._scene.pane is panes.WAITING and self._scene.request is not None:
            self._noted = self._scene.request
            self._say("your note, on record with your decision (Enter keeps it, Esc leaves):")
            self._entry.open(self._scene.notes.get(self._noted, ""))

    def action_filter(self) -> None:
        """List only what has a text."""
        self._noted = None
        self._say("list only what has this text (Enter keeps it, Esc lists everything):")
        self._entry.open(self._scene.match)

    def on_input_changed(self, event: Input.Changed) -> None:
        """Filter by what is typed so far."""
        if self._is_typing and self._noted is None:
            self._match(event.value)

    def _match(self, text: str) -> None:
        if text != self._scene.match:
            self._draw(replace(self._scene, match=text))
            self._wake.set()

    def on_input_submitted(self, event: Input.Submitted) -> None:
        """Keep what was typed."""
        if self._noted is not None:
            self._draw(self._scene.noted(self._noted, event.value.strip()))
        else:  # of what is typed fast, the last changes are told after this
            self._match(event.value)
        self._end_typing()

    def action_leave(self) -> None:
        """Leave the line to type on as it was; elsewhere list everything again."""
        if self._is_typing and self._noted is not None:
            self._end_typing()
            return
        self._end_typing()
        self._match("")

    def _end_typing(self) -> None:
        self._noted = None
        self._say("")
        self._entry.close()
