"""Blocking work beside the event loop, that can be walked away from when it hangs.

asyncio's own threads cannot: a server that ends would wait for a name server, a dead network drive
or a mail server that drips.
"""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Callable
from typing import TypeVar

from cipsec.errors import Unreachable

T = TypeVar("T")

_END_SECONDS = 1.0


class Aside:
    """Runs one piece of blocking work at a time, each in a thread of its own."""

    def __init__(self) -> None:
        self._busy = False

    async def run(self, work: Callable[[], T], *, stop: Callable[[], object] | None = None) -> T:
        """Return what `work` returns, or raise what it raises.

        Cancelled, it calls `stop`, which is to make the work end, waits a second for that, and
        leaves the work to itself. Raises Unreachable while work that was left so still hangs:
        threads must not add up.
        """
        if self._busy:
            raise Unreachable("what was tried before still hangs")
        self._busy = True
        future = self._begin(work)
        try:
            await asyncio.wait([future])
        except asyncio.CancelledError:
            if stop is not None:
                stop()
                await asyncio.wait([future], timeout=_END_SECONDS)
            raise
        return future.result()

    def _begin(self, work: Callable[[], T]) -> asyncio.Future[T]:
        loop = asyncio.get_running_loop()
        future: asyncio.Future[T] = loop.create_future()
        # Looked at, so that asyncio does not complain about what nobody waits for any more.
        future.add_done_callback(lambda done: done.cancelled() or done.exception())

        def settle(result: T | None, error: BaseException | None) -> None:
            if error is not None:
                future.set_exception(error)
            else:
                future.set_result(result)  # type: ignore[arg-type]  # set when there is no error

        def run() -> None:
            result, error = None, None
            try:
                result = work()
            except BaseException as raised:  # noqa: BLE001  # handed to who waits for the work
                error = raised
            self._busy = False
            with contextlib.suppress(RuntimeError):  # the loop ended: nobody waits any more
                loop.call_soon_threadsafe(settle, result, error)

        threading.Thread(target=run, name="notify", daemon=True).start()
        return future
