"""How much and how long the front bears with its clients; keeping to it is left to the others."""

from __future__ import annotations

from dataclasses import astuple, dataclass

from cipsec.errors import UsageError


@dataclass(frozen=True, slots=True)
class Limits:
    """Sizes in bytes, times in seconds; every time is absolute, no byte that arrives extends it.

    Counts: `connections` open at once, `sessions` of them with TLS (40 to 60 KB each), `places`
    on their way from first message to first answer, `pipeline` requests sent without waiting.

    Times: `greeting` for the first TLS message after connecting; `waiting` for a place;
    `handshake`, `request` and `answer` for what their names say; `idle` between requests; `linger`
    for the client to read a refusal; after `lifetime` an answer ends the connection. While others
    wait, a client that is due to send and has not for `stall` gives its place to one of them and is
    served without; for `patience`, it is cut off where memory is short.

    Sizes: `head` of request line and header lines together, `body` of a request's body.
    """

    connections: int = 16_384
    sessions: int = 512
    places: int = 64
    pipeline: int = 16

    greeting: float = 10.0
    waiting: float = 120.0
    handshake: float = 15.0
    request: float = 15.0
    answer: float = 60.0
    idle: float = 30.0
    linger: float = 2.0
    lifetime: float = 600.0
    stall: float = 0.05
    patience: float = 5.0

    head: int = 8 * 1024
    body: int = 64 * 1024

    def __post_init__(self) -> None:
        if any(value <= 0 for value in astuple(self)):
            raise UsageError("a limit of zero would serve nobody")
