"""A transport with TLS on it, once started: flow control and endings; phases are `connection`'s."""

from __future__ import annotations

import asyncio
import contextlib

from OpenSSL import SSL

from cipsec.errors import Unreachable
from cipsec.est.wire import Peer
from cipsec.front.plain import Plain
from cipsec.tls.server import ServerTls


class Stream:
    """What a client sends goes in as it arrives; what is sent to it goes out in one piece.

    Everything that needs TLS raises Unreachable when the client breaks its rules, or when there is
    none, not yet or not any more.
    """

    __slots__ = ("_held", "_paused", "_tls", "_transport")

    def __init__(self, transport: asyncio.Transport) -> None:
        self._transport: asyncio.Transport | None = transport
        self._tls: ServerTls | Plain | None = None
        self._held = b""
        self._paused = False

    @property
    def closed(self) -> bool:
        """Whether it is gone, or going."""
        return self._transport is None or self._transport.is_closing()

    @property
    def address(self) -> str:
        """The client's IP address; an IPv4 one is written as such on an IPv6 socket too."""
        peername = self._transport.get_extra_info("peername") if self._transport else None
        address = str(peername[0]) if peername else ""
        return address.removeprefix("::ffff:") if "." in address else address

    def hold(self, data: bytes | memoryview) -> bytes:
        """Keep what arrived before its turn; return all that is kept."""
        self._held += data
        return self._held

    def start_tls(self, context: SSL.Context | None) -> None:
        """Be a TLS server from now on; without `context` one that speaks plainly."""
        self._tls = ServerTls(context) if context else Plain()

    def feed(self, data: bytes | memoryview = b"") -> None:
        """Give TLS what is kept, and then what has arrived."""
        tls = self._started()
        if self._held:
            tls.feed(self._held)
            self._held = b""
        if data:
            tls.feed(data)

    def shake(self) -> bool:
        """Go on with the handshake; tell whether it is complete."""
        return self._started().shake()

    @property
    def is_tls12(self) -> bool:
        """Whether the handshake ended in TLS 1.2."""
        return self._tls is not None and self._tls.is_tls12

    def peer(self) -> Peer:
        """Return who is at the other end, after the handshake."""
        tls = self._started()
        return Peer(self.address, tls.chain(), tls.version, tls.bindings)

    def read(self) -> bytes | None:
        """Return what the client sent, empty at its end, None when there is no more yet."""
        return self._started().read()

    def write(self, plaintext: bytes | memoryview, *, last: bool = False) -> None:
        """Send to the client; the `last` time with a goodbye (close_notify)."""
        tls = self._started()
        if plaintext:
            tls.write(plaintext)
        if last:
            tls.close()
        self.flush()

    def flush(self) -> None:
        """Send what TLS has ready: an answer, a step of the handshake, an alert."""
        if self._tls:
            self.send(self._tls.take())

    def send(self, data: bytes) -> None:
        """Send as it is."""
        if data and self._transport:
            self._transport.write(data)

    def pause(self) -> None:
        """Read no more for now."""
        if not self._paused and self._transport:
            self._paused = True
            self._transport.pause_reading()

    def resume(self) -> None:
        """Read again."""
        if self._paused and self._transport:
            self._paused = False
            self._transport.resume_reading()

    def end(self) -> None:
        """Send no more and go on reading: a close with bytes unread takes back what was sent."""
        self.resume()
        if self._transport:
            with contextlib.suppress(OSError):  # it is gone already
                self._transport.write_eof()

    def close(self) -> None:
        """Close when everything is sent."""
        if self._transport:
            self._transport.close()

    def abort(self) -> None:
        """Close now."""
        if self._transport:
            self._transport.abort()

    def release(self) -> None:
        """Let go of everything: a cycle of transport and TLS keeps 50 KB until it is collected."""
        self._transport = self._tls = None
        self._held = b""

    def _started(self) -> ServerTls | Plain:
        if self._tls is None:
            raise Unreachable("there is no TLS")
        return self._tls
