"""When a server ends: by a signal, after a while, by a failure; and tasks that end with it."""

from __future__ import annotations

import asyncio
import contextlib
import signal
from collections.abc import AsyncIterator, Coroutine, Iterator
from dataclasses import dataclass, field
from datetime import timedelta
from types import FrameType

from cipsec.errors import CipsecError


@dataclass(slots=True)
class End:
    """When and how the server is to end."""

    event: asyncio.Event = field(default_factory=asyncio.Event)
    interrupted: bool = False
    failure: str | None = None

    async def wait(self) -> None:
        """Return when the server is to end."""
        await self.event.wait()

    def check(self) -> None:
        """Raise what the end was, unless it was an orderly one."""
        if self.failure:
            raise CipsecError(self.failure, hint="look above for why, and start it again")
        if self.interrupted:
            raise KeyboardInterrupt


@contextlib.asynccontextmanager
async def ending(duration: timedelta | None) -> AsyncIterator[End]:
    """Yield the end: SIGTERM, SIGINT, SIGHUP, or after `duration`.

    Works where loops have no signals.
    """
    end, loop = End(), asyncio.get_running_loop()

    def note(number: int, _: FrameType | None) -> None:
        end.interrupted = number == signal.SIGINT
        loop.call_soon_threadsafe(end.event.set)

    before = {number: signal.signal(number, note) for number in _signals()}
    seconds = None if duration is None else duration.total_seconds()
    timer = None if seconds is None else loop.call_later(seconds, end.event.set)
    try:
        yield end
    finally:
        if timer:
            timer.cancel()
        for number, handler in before.items():
            signal.signal(number, handler)


def _signals() -> Iterator[signal.Signals]:
    """Yield the signals that end a server; that its terminal is gone ends none under `nohup`."""
    yield from (signal.SIGTERM, signal.SIGINT)
    hangup = getattr(signal, "SIGHUP", None)  # Windows has none
    if hangup is not None and signal.getsignal(hangup) != signal.SIG_IGN:
        yield hangup


@contextlib.asynccontextmanager
async def beside(work: Coroutine[None, None, None]) -> AsyncIterator[None]:
    """Run `work` beside the block and cancel it at the end."""
    task = asyncio.ensure_future(work)
    try:
        yield
    finally:
        task.cancel()
        await asyncio.wait([task])
