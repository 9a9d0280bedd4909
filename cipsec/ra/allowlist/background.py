"""A load that runs while devices are answered; what comes of it is left to `live`."""

from __future__ import annotations

import asyncio
import os
import threading
import time
from concurrent.futures import Future

from cipsec.errors import Malformed, StoreFailed
from cipsec.ra.allowlist import apart
from cipsec.ra.allowlist.faults import Fault
from cipsec.ra.allowlist.load import Loaded
from cipsec.ra.allowlist.place import Place, Stamp

_PATIENCE_SECONDS = 2.0


class Background:
    """One load in the background, shared by all who wait for it."""

    def __init__(self, where: Place, stamp: Stamp) -> None:
        self._place, self._stamp = where, stamp
        self._process = os.getpid()
        self._done: Future[None] = Future()
        self._done.set_running_or_notify_cancel()  # one who stops waiting cancels nothing
        self.result: Loaded | None = None
        # A daemon, because the end of the server does not wait for a list.
        threading.Thread(target=self._run, name=f"load {where.name}", daemon=True).start()

    def is_running(self) -> bool:
        """Tell whether the result is still to come; never in a process forked meanwhile."""
        return not self._done.done() and self._process == os.getpid()

    async def ready(self) -> None:
        """Wait until the load has ended, well or badly: the next look tells.

        Raises StoreFailed when it takes long: who waits here holds one of few connections.
        """
        if self.is_running():
            ended = asyncio.wrap_future(self._done)
            try:
                await asyncio.wait_for(ended, _PATIENCE_SECONDS)
            except TimeoutError:
                raise StoreFailed(f"{self._place.shown} is being read") from None

    def _run(self) -> None:
        try:
            self.result = apart.read(self._place)
        except Malformed as error:  # gone, shut or being written meanwhile
            self.result = self._failed(error.message.removeprefix(f"{self._place.shown}: "))
        except Exception as error:  # noqa: BLE001  # the thread's border: who waits must not hang
            self.result = self._failed(f"it could not be loaded: {type(error).__name__}: {error}")
        finally:
            self._done.set_result(None)

    def _failed(self, why: str) -> Loaded:
        again_at = time.monotonic() + apart.AGAIN_SECONDS
        return Loaded(self._stamp, (Fault(0, why),), again_at=again_at)
