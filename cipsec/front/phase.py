"""The phases of a connection; what happens in each is `connection`'s."""

from __future__ import annotations

from enum import Enum, auto


class Phase(Enum):
    """What a connection waits for."""

    GREETING = auto()  # the first TLS message
    WAITING = auto()  # a place
    HANDSHAKE = auto()  # the client's part of the handshake
    REQUEST = auto()  # a whole request
    ANSWER = auto()  # the answer, and that the client takes it
    IDLE = auto()  # the first byte of another request
    LINGER = auto()  # that the client has read the last answer, and closes
    CLOSED = auto()
