"""The store's work beside the screen: one thread that reads, one that decides.

A store that is busy, for up to ten seconds, stops neither the keys nor what is shown.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from cipsec import times
from cipsec._cli.watch import deciding
from cipsec._cli.watch.model import Asked, Reader, View
from cipsec.ca_folder import CaFolder
from cipsec.ra.queue import Decided, Verdict
from cipsec.store.database import Database
from cipsec.store.requests import RequestRow

T = TypeVar("T")


class Store:
    """What the view asks of the store; each answer is awaited and may be a StoreFailed."""

    def __init__(self, folder: CaFolder, database: Database) -> None:
        self._database = database
        self._reader = Reader(folder, database)
        self._reading = ThreadPoolExecutor(1, "watch-reads")
        self._writing = ThreadPoolExecutor(1, "watch-decides")

    async def view(self, chosen: str | None, match: str) -> View:
        """Return what there is to be seen now."""
        return await _in(self._reading, lambda: self._reader.read(chosen, match, times.now()))

    async def asked(self, request: str) -> Asked | None:
        """Return all that is known of a request now."""
        return await _in(self._reading, lambda: self._reader.asked(request))

    async def decide(self, shown: RequestRow, verdict: Verdict) -> Decided:
        """Decide about a request that was shown."""
        return await _in(
            self._writing,
            lambda: self._database.write(
                lambda db: deciding.decide(db, shown, verdict, times.now())
            ),
        )

    def close(self) -> None:
        """End the threads, after what they are at."""
        self._reading.shutdown()
        self._writing.shutdown()


async def _in(executor: ThreadPoolExecutor, work: Callable[[], T]) -> T:
    return await asyncio.get_running_loop().run_in_executor(executor, work)
