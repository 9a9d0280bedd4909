"""A connection without TLS, in the place of `tls.server.ServerTls`: what goes in comes out."""

from __future__ import annotations


class Plain:
    """Nobody is authenticated, nothing is secret: for what is signed itself, as a CRL is."""

    __slots__ = ("_arrived", "_waiting")

    version = ""
    is_tls12 = False

    def __init__(self) -> None:
        self._arrived: list[bytes] = []
        self._waiting: list[bytes | memoryview] = []

    def feed(self, data: bytes | memoryview) -> None:
        """Take what came from the network."""
        self._arrived.append(bytes(data))

    def shake(self) -> bool:
        """Tell that there is no handshake to wait for."""
        return True

    def read(self) -> bytes | None:
        """Return what the client sent, None when there is no more yet."""
        if not self._arrived:
            return None
        data = b"".join(self._arrived)
        self._arrived.clear()
        return data

    def write(self, data: bytes | memoryview) -> None:
        """Keep what goes to the client until it is taken."""
        self._waiting.append(data)

    def close(self) -> None:
        """Do nothing: TCP says goodbye."""

    def take(self) -> bytes:
        """Return what is to go to the network; empty when nothing is."""
        data = b"".join(self._waiting)
        self._waiting.clear()
        return data

    def chain(self) -> tuple[bytes, ...]:
        """Return that the client presented nothing."""
        return ()

    def bindings(self) -> tuple[bytes, ...]:
        """Return that there is nothing to bind to."""
        return ()
