"""One client's connection, phase by phase, from accept to close; TLS and bytes are `stream`'s.

Deadlines are only noted here; `server` looks at all of them in one sweep.
"""

from __future__ import annotations

import asyncio
import logging
import math
import time
from collections import deque
from typing import cast

from cipsec.errors import Unreachable
from cipsec.est.wire import Response
from cipsec.front import http
from cipsec.front.http import Incoming, Refusal, RequestReader
from cipsec.front.phase import Phase
from cipsec.front.service import Service
from cipsec.front.stream import Stream
from cipsec.tls.server import Opening, opening

_LOG = logging.getLogger(__name__)

_NOT_TLS = http.plain(400, "this port speaks TLS: begin the URL with https://")
_TOO_SLOW = http.plain(408, "the request took too long")


class Connection(asyncio.BufferedProtocol):
    """A connection; `deadline` is when its phase must be over."""

    __slots__ = ("_admitted", "_born", "_choked", "_ended", "_keep", "_reader", "_rest", "_service",
                 "_stream", "_task", "deadline", "phase")  # fmt: skip

    _stream: Stream

    def __init__(self, service: Service) -> None:
        self._service = service
        self._reader: RequestReader | None = None
        self._task: asyncio.Task[None] | None = None
        self._admitted = self._choked = self._ended = self._keep = False
        self._rest: deque[bytes | memoryview] = deque()  # of the answer that is being sent
        self._born = 0.0
        self.phase = Phase.GREETING
        self.deadline = math.inf

    @property
    def begun(self) -> bool:
        """Whether it has had a place."""
        return self._admitted

    @property
    def closed(self) -> bool:
        """Whether it is gone, or going."""
        return self._stream.closed

    @property
    def address(self) -> str:
        """The client's IP address; empty once it is gone."""
        return self._stream.address

    # What the transport says.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin, unless there are too many already."""
        service = self._service
        self._stream = Stream(cast(asyncio.Transport, transport))
        if service.draining or not service.connections.enter(self, self.address):
            service.tally.refused += 1
            self._stream.abort()
            return
        service.tally.accepted += 1
        self._born = time.monotonic()
        self._enter(Phase.GREETING, service.limits.greeting)

    def get_buffer(self, sizehint: int) -> memoryview:
        """Lend the transport the buffer to read into."""
        return self._service.buffer

    def buffer_updated(self, nbytes: int) -> None:
        """Take what was read, as the phase demands."""
        data = self._service.buffer[:nbytes]
        match self.phase:
            case Phase.HANDSHAKE | Phase.REQUEST | Phase.IDLE:
                self._advance(data)
            case Phase.GREETING:
                self._greet(data)
            case Phase.WAITING | Phase.ANSWER:
                self._stream.hold(data)
                self._stream.pause()
            case Phase.LINGER | Phase.CLOSED:
                pass  # thrown away: the last answer is out

    def eof_received(self) -> bool:
        """Keep the connection open for an answer that is due, and only then."""
        self._ended = True
        return self.phase is Phase.ANSWER

    def pause_writing(self) -> None:
        """Note that the client does not take its answers; the phase's deadline bounds that."""
        self._choked = True

    def resume_writing(self) -> None:
        """Go on: the client has taken its answers."""
        self._choked = False
        if self.phase is not Phase.ANSWER or self._task:
            return
        if self._rest:
            self._service.admission.works(self)
            self._send_on()
        else:
            self._advance()

    def connection_lost(self, exc: Exception | None) -> None:
        """Let go of everything."""
        service = self._service
        self.phase = Phase.CLOSED
        self.deadline = math.inf
        self._stream.release()
        self._rest.clear()
        if self._reader:
            self._reader.close()
            self._reader = None
        if service.connections.leave(self):
            service.admission.leaves(self, session=self._admitted)

    # The way to a place.

    def _greet(self, data: memoryview) -> None:
        """Collect the client's first TLS message; for less, the server does no work."""
        if self._service.context is None:
            self._stream.hold(data)
            self._apply()
            return
        match opening(self._stream.hold(data)):
            case Opening.WHOLE:
                self._apply()
            case Opening.PLAIN:
                self._stream.send(http.encode(_NOT_TLS))
                self._close()
            case Opening.NONSENSE:
                self._close()

    def _apply(self) -> None:
        self._enter(Phase.WAITING, self._service.limits.waiting)
        if self._service.admission.enter(self):
            self._admitted = True
            self._start()
        elif not self._admitted:
            self._stream.pause()

    def begin(self) -> None:
        """Go on after waiting; called by admission.

        A client that has given up meanwhile is found by reading once: the loop reads before these
        two turns are over, and only then comes what is expensive.
        """
        self._admitted = True
        self._stream.resume()
        loop = asyncio.get_running_loop()
        loop.call_soon(loop.call_soon, self._start)

    def _start(self) -> None:
        if self.closed:
            return
        self._stream.start_tls(self._service.context)
        self._stream.resume()
        self._enter(Phase.HANDSHAKE, self._service.limits.handshake)
        self._advance()

    # TLS and requests.

    def _advance(self, data: bytes | memoryview = b"") -> None:
        """Use what has arrived, and do what it makes possible."""
        self._service.admission.works(self)
        try:
            self._stream.feed(data)
            if self.phase is not Phase.HANDSHAKE or self._shake():
                self._proceed()
        except Unreachable as error:
            self._fail(error)

    def _shake(self) -> bool:
        if not self._stream.shake():
            self._stream.flush()
            self._service.admission.awaits_client(self)
            return False
        self._reader = RequestReader(self._stream.peer(), self._service.limits)
        self._enter(Phase.REQUEST, self._service.limits.request)
        return True

    def _proceed(self) -> None:
        """Serve the next request if it is there, else wait for the client."""
        reader = self._reader
        assert reader is not None
        while not (item := reader.next()):
            plaintext = self._stream.read()
            if plaintext is None:
                self._await_client(reader)
                return
            if not plaintext:
                self._client_left()
                return
            reader.feed(plaintext)
        if isinstance(item, Refusal):
            self._refuse(item.response)
        else:
            self._enter(Phase.ANSWER, self._service.limits.answer)
            self._task = asyncio.get_running_loop().create_task(self._answer(item))
            self._service.answering.add(self._task)

    def _await_client(self, reader: RequestReader) -> None:
        service = self._service
        if reader.awaits_continue:
            reader.awaits_continue = False
            self._stream.write(http.CONTINUE)
        elif self._stream.is_tls12 and self.phase is not Phase.ANSWER:
            # The end of the handshake, or a refusal to renegotiate. What TLS 1.3 may have to send
            # here, tickets for no session, goes with the answer.
            self._stream.flush()
        if self.phase is not Phase.REQUEST and reader.in_request:
            self._enter(Phase.REQUEST, service.limits.request)
        elif self.phase is Phase.ANSWER:
            self._enter(Phase.IDLE, service.limits.idle)
        if self.phase is Phase.IDLE:
            service.admission.rests(self)
        else:
            service.admission.awaits_client(self)
        self._stream.resume()

    async def _answer(self, incoming: Incoming) -> None:
        task = self._task
        try:
            answer, keep = await self._service.answer(incoming, self._may_stay)
        finally:
            self._task = None
            self._service.answering.discard(cast("asyncio.Task[None]", task))
        self._deliver(answer, keep=keep)

    def _may_stay(self) -> bool:
        service = self._service
        old = time.monotonic() - self._born > service.limits.lifetime
        return not (old or self._ended or service.draining)

    def _deliver(self, answer: deque[bytes | memoryview], *, keep: bool) -> None:
        self._rest, self._keep = answer, keep
        self._send_on()

    def _send_on(self) -> None:
        """Send a piece of the answer, and the next when the client has taken it."""
        if self.closed:
            return
        piece = self._rest.popleft()
        try:
            self._stream.write(piece, last=not (self._keep or self._rest))
        except Unreachable as error:
            self._fail(error)
            return
        if not self._rest:
            self._delivered()
        elif self._choked:
            # It gives its place back if that takes long: `resume_writing` goes on.
            self._service.admission.awaits_client(self)
        else:
            asyncio.get_running_loop().call_soon(self._send_on)  # others have their turn

    def _delivered(self) -> None:
        if not self._keep:
            self._close()
        elif not self._choked:
            self._advance()

    # The ways to the end.

    def _refuse(self, response: Response) -> None:
        """Answer for the last time, and let the client read it before the connection is cut."""
        self._stream.write(http.encode(response), last=True)
        self._enter(Phase.LINGER, self._service.limits.linger)
        self._stream.end()

    def _goodbye(self) -> None:
        self._stream.write(b"", last=True)
        self._close()

    def _client_left(self) -> None:
        if self.phase is Phase.IDLE and not self._stream.is_tls12:
            self._close()  # an answer to it is due up to TLS 1.2 only (RFC 8446 section 6.1)
        else:
            self._goodbye()

    def _fail(self, error: Unreachable) -> None:
        if self.phase is Phase.HANDSHAKE:
            self._service.tally.failed_handshakes += 1
        _LOG.info("%s: the connection ends: %s", self._stream.address, error.message)
        self._stream.flush()
        self._close()

    def _close(self) -> None:
        """Close once everything is sent; not later than `linger` allows."""
        self._enter(Phase.LINGER, self._service.limits.linger)
        self._stream.close()

    def abort(self) -> None:
        """Close without a word."""
        if self._task:
            self._task.cancel()
        self._stream.abort()

    def expire(self) -> None:
        """End a phase that has lasted too long."""
        if self.phase is not Phase.IDLE:
            self._service.tally.expired += 1
        try:
            match self.phase:
                case Phase.IDLE:
                    self._goodbye()
                case Phase.REQUEST:
                    self._refuse(_TOO_SLOW)
                case _:
                    self.abort()
        except Unreachable as error:
            self._fail(error)

    def evict(self) -> None:
        """Make room for another at once; called by admission."""
        self.expire()
        self.abort()

    def retire(self) -> None:
        """Close if nothing has been begun: the server ends."""
        unused = self._reader is not None and not self._reader.in_request
        if self.phase is Phase.IDLE or (self.phase is Phase.REQUEST and unused):
            self._goodbye()
        elif self.phase is Phase.GREETING:
            self._close()

    def _enter(self, phase: Phase, seconds: float) -> None:
        self.phase = phase
        self.deadline = time.monotonic() + seconds
