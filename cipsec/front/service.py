"""What all connections of one server share, and how each request gets its answer."""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

from OpenSSL import SSL

from cipsec.est.wire import Request, Response
from cipsec.front import http
from cipsec.front.admission import Admission
from cipsec.front.crowds import Crowds
from cipsec.front.limits import Limits

_LOG = logging.getLogger(__name__)

_FAILED = http.plain(500, "the server failed at this; its log says why")

Handle = Callable[[Request], Awaitable[Response]]


@dataclass(slots=True)
class Tally:
    """Counted up since the start."""

    accepted: int = 0
    refused: int = 0
    failed_handshakes: int = 0
    requests: int = 0
    expired: int = 0


@dataclass(slots=True)
class Service:
    """Only the event loop's thread touches it. Without `context` it speaks plain HTTP."""

    context: SSL.Context | None
    handle: Handle
    limits: Limits
    admission: Admission
    connections: Crowds
    draining: bool = False
    tally: Tally = field(default_factory=Tally)
    answering: set[asyncio.Task[None]] = field(default_factory=set)
    # One for all connections: what is read is used up before the next read.
    buffer: memoryview = field(default_factory=lambda: memoryview(bytearray(64 * 1024)))

    async def answer(
        self, incoming: http.Incoming, may_stay: Callable[[], bool]
    ) -> tuple[deque[bytes | memoryview], bool]:
        """Return the answer to a request, in pieces, and whether another request may follow it.

        This is the border: whatever goes wrong in `handle`, the client learns no more than that.
        """
        request = incoming.request
        self.tally.requests += 1
        try:
            response = await self.handle(request)
            keep = incoming.keep_alive and may_stay()
            answer = http.pieces(
                response, method=request.method, keep_alive=keep, http10=incoming.http10
            )
        except Exception:  # noqa: BLE001  # the border of the request loop
            _LOG.exception("%s %s failed", request.method, request.path)
            return http.pieces(_FAILED, method=request.method), False
        return answer, keep
