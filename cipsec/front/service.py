"""What all connections of one server share, and what has happened to them; no behaviour."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

from OpenSSL import SSL

from cipsec.est.wire import Request, Response
from cipsec.front.admission import Admission, Guest
from cipsec.front.limits import Limits

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
    """Only the event loop's thread touches it. `most` is the number of connections at once."""

    context: SSL.Context
    handle: Handle
    limits: Limits
    admission: Admission
    most: int
    draining: bool = False
    tally: Tally = field(default_factory=Tally)
    connections: set[Guest] = field(default_factory=set)
    answering: set[asyncio.Task[None]] = field(default_factory=set)
    # One for all connections: what is read is used up before the next read.
    buffer: memoryview = field(default_factory=lambda: memoryview(bytearray(64 * 1024)))
