"""The front server: listening sockets to connections, one sweep for all deadlines, a soft ending.

It serves on sockets that are bound and listening already; binding, signals and what is answered are
left to whoever makes it.
"""

from __future__ import annotations

import asyncio
import socket
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass

from OpenSSL import SSL

from cipsec.front.admission import Admission
from cipsec.front.connection import Connection
from cipsec.front.crowds import Crowds
from cipsec.front.limits import Limits
from cipsec.front.service import Handle, Service

__all__ = ["Counters", "FrontServer", "Limits"]

_SWEEP_SECONDS = 0.5
_BACKLOG = 4096  # what the kernel keeps while the loop is busy; a plant powers up at once
_ACCEPTS_A_TURN = 256  # workers on one socket share a rush; one alone still takes all of it
_CANCEL_SECONDS = 1.0
_RESERVED_FILES = 128  # for the store, the listeners, and whatever else is open in the process
_BESIDE = 8  # one file in so many is for who asks without TLS: he does not keep devices out


@dataclass(frozen=True, slots=True)
class Counters:
    """How things stand, and what has happened since the start.

    Now: `open` connections; of these `waiting` for a place, with a place (`placed`), with TLS
    (`sessions`), having a request answered (`answering`). So far: `accepted`, `refused` for want of
    room, `failed_handshakes`, `requests`, `expired` at a deadline.
    """

    open: int
    waiting: int
    placed: int
    sessions: int
    answering: int
    accepted: int
    refused: int
    failed_handshakes: int
    requests: int
    expired: int


class FrontServer:
    """Serves HTTP over TLS, or without `context` plain, and has requests answered by `handle`.

    An exception from `handle` is logged and answered 500. All methods belong to the loop's thread.
    """

    def __init__(
        self,
        context: SSL.Context | None,
        handle: Handle,
        *,
        limits: Limits = Limits(),  # noqa: B008  # frozen
    ) -> None:
        most = min(limits.connections, _files(beside=context is None))
        crowds = Crowds(max(most, 1))
        self._service = Service(context, handle, limits, Admission(limits), crowds)
        self._listeners: list[asyncio.Server] = []
        self._sweeper: asyncio.Task[None] | None = None

    async def start(self, sockets: Sequence[socket.socket]) -> None:
        """Serve on `sockets`, which are bound and listening; they are closed by `drain`."""
        loop = asyncio.get_running_loop()
        for bound in sockets:
            listener = await loop.create_server(
                lambda: Connection(self._service), sock=bound, backlog=_ACCEPTS_A_TURN
            )
            bound.listen(_BACKLOG)  # asyncio takes one number for the queue and for a turn
            self._listeners.append(listener)
        self._sweeper = loop.create_task(self._sweep())

    def exchange_context(self, context: SSL.Context) -> None:
        """Use another context for new connections, after the certificate was renewed."""
        self._service.context = context

    def counters(self) -> Counters:
        """Return a snapshot."""
        service, tally = self._service, self._service.tally
        return Counters(
            open=len(service.connections),
            waiting=service.admission.waiting,
            placed=service.admission.placed,
            sessions=service.admission.sessions,
            answering=len(service.answering),
            accepted=tally.accepted,
            refused=tally.refused,
            failed_handshakes=tally.failed_handshakes,
            requests=tally.requests,
            expired=tally.expired,
        )

    async def drain(self, seconds: float) -> None:
        """Accept no more, answer what was begun; what is left after `seconds` is cut off."""
        service, deadline = self._service, time.monotonic() + seconds
        service.draining = True
        for listener in self._listeners:
            listener.close()
        for connection in list(service.connections):
            connection.retire()
        while (service.connections or service.answering) and time.monotonic() < deadline:
            await asyncio.sleep(0.02)
        await self._cut()

    async def _cut(self) -> None:
        service = self._service
        for connection in list(service.connections):
            connection.abort()
        left = list(service.answering)  # also for clients that are gone
        for task in left:
            task.cancel()
        if left:
            await asyncio.wait(left, timeout=_CANCEL_SECONDS)
        await asyncio.sleep(0)  # the transports tell of their end in the loop's next turn
        service.admission.stop()
        if self._sweeper:
            self._sweeper.cancel()
            await asyncio.wait([self._sweeper])

    async def _sweep(self) -> None:
        """Look at every connection's deadline twice a second: cheaper than a timer for each."""
        while True:
            await asyncio.sleep(_SWEEP_SECONDS)
            now = time.monotonic()
            for connection in [c for c in self._service.connections if c.deadline < now]:
                connection.expire()


def _files(*, beside: bool) -> int:
    """Return how many connections may be open, of a server with TLS or of one beside it."""
    every = _open_files()
    share = every // _BESIDE
    return share if beside else every - share - _RESERVED_FILES


def _open_files() -> int:
    """Return how many files this process may have open; many where there is no such limit."""
    try:
        import resource
    except ImportError:  # Windows
        return sys.maxsize
    soft = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    return sys.maxsize if soft == resource.RLIM_INFINITY else soft
