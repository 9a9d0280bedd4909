"""The one writer thread: transactions of many requests share a commit, each keeps its own fate."""

from __future__ import annotations

import asyncio
import contextlib
import queue
import sqlite3
import threading
import time
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from cipsec.errors import StoreFailed
from cipsec.store.database import Database, Work, failed

T = TypeVar("T")

# A durable commit costs about 120 us of CPU whether one row or sixteen wait for it.
_LINGER_SECONDS = 0.004
_BATCH = 64
_BACKLOG = 4096  # beyond this the disk has stopped answering


@dataclass(slots=True)
class _Job(Generic[T]):
    work: Work[T]
    loop: asyncio.AbstractEventLoop
    future: asyncio.Future[T]
    result: T | None = None
    error: BaseException | None = None

    def settle(self) -> None:
        if self.future.cancelled():
            return
        if self.error is not None:
            self.future.set_exception(self.error)
        else:
            self.future.set_result(self.result)  # type: ignore[arg-type]  # set when there is no error


class Writer:
    """Runs units of work on the store, several to a commit, and answers after the commit."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._jobs: queue.SimpleQueue[_Job[Any] | None] = queue.SimpleQueue()
        self._closed = False
        self._thread = threading.Thread(target=self._run, name="store-writer", daemon=True)
        self._thread.start()

    async def write(self, work: Work[T]) -> T:
        """Run `work` inside a transaction; return once it is durable.

        Raises StoreFailed when the store cannot be written, or what `work` raises; then nothing of
        `work` is kept, and the other units of the same commit are not disturbed.
        """
        if self._closed:
            raise StoreFailed("the store is closed")
        if self._jobs.qsize() > _BACKLOG:
            raise StoreFailed("the store is busy")
        loop = asyncio.get_running_loop()
        job: _Job[T] = _Job(work, loop, loop.create_future())
        self._jobs.put(job)
        return await job.future

    def close(self) -> None:
        """Finish what was submitted and end the thread; what comes later raises StoreFailed."""
        self._closed = True
        self._jobs.put(None)
        self._thread.join()

    def _run(self) -> None:
        open_for_more = True
        while open_for_more:
            first = self._jobs.get()
            if first is None:
                return
            batch = [first]
            open_for_more = self._gather(batch)
            self._commit(batch)
            _settle(batch)

    def _gather(self, batch: list[_Job[Any]]) -> bool:
        """Add what arrives within the linger; return False once the end was asked for."""
        if self._jobs.qsize() < _BATCH:
            # Asleep, not waiting: to wake for each job would take the interpreter's lock from the
            # thread that brings them.
            time.sleep(_LINGER_SECONDS)
        while len(batch) < _BATCH:
            try:
                job = self._jobs.get_nowait()
            except queue.Empty:
                return True
            if job is None:
                return False
            batch.append(job)
        return True

    def _commit(self, batch: list[_Job[Any]]) -> None:
        try:
            with self._database.transaction() as connection:
                for job in batch:
                    _run_one(connection, job)
        except sqlite3.Error as error:
            for job in batch:
                job.error = failed(error)


def _run_one(connection: sqlite3.Connection, job: _Job[Any]) -> None:
    """Run one unit inside a savepoint, so that its failure takes nothing else with it."""
    connection.execute("SAVEPOINT unit")
    try:
        job.result = job.work(connection)
    except Exception as error:  # delivered to who submitted the unit; the thread lives on
        if _is_the_stores(error):
            raise
        connection.execute("ROLLBACK TO unit")
        job.error = error
    connection.execute("RELEASE unit")


def _is_the_stores(error: Exception) -> bool:
    """Tell a store that fails, and with it the whole commit, from a unit that fails.

    Disk full, I/O error and lock are OperationalErrors; damage is a DatabaseError and nothing more.
    """
    return isinstance(error, sqlite3.OperationalError) or type(error) is sqlite3.DatabaseError


def _settle(batch: list[_Job[Any]]) -> None:
    """Wake each event loop once for all its jobs."""
    by_loop: dict[asyncio.AbstractEventLoop, list[_Job[Any]]] = {}
    for job in batch:
        by_loop.setdefault(job.loop, []).append(job)
    for loop, jobs in by_loop.items():
        with contextlib.suppress(RuntimeError):  # the loop ended: nobody waits any more
            loop.call_soon_threadsafe(_settle_all, jobs)


def _settle_all(jobs: list[_Job[Any]]) -> None:
    for job in jobs:
        job.settle()
