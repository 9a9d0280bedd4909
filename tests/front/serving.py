"""A front server in a thread of its own, and clients that send exactly what they are told to."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from io import BufferedReader
from pathlib import Path
from typing import Any, TypeVar

from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding
from OpenSSL import SSL

from cipsec.est.wire import Request, Response
from cipsec.front.limits import Limits
from cipsec.front.server import Counters, FrontServer
from cipsec.front.service import Handle
from cipsec.tls.server import TlsProfile, server_context
from tests.support.canned import LOCALHOST, Plant, named

T = TypeVar("T")

PATIENCE = 120.0  # generous: how long a test waits for what must happen
_TIMES = ("greeting", "handshake", "request", "answer", "idle", "linger")


def limits(**given: Any) -> Limits:
    """Return these limits, and otherwise such as a client on a busy machine does not meet."""
    calm: dict[str, Any] = dict.fromkeys(_TIMES, PATIENCE)
    return Limits(**(calm | given))


def context(plant: Plant, profile: TlsProfile = TlsProfile.DEFAULT) -> SSL.Context:
    """Return a server context with a new certificate for localhost."""
    key = ec.generate_private_key(ec.SECP256R1())
    leaf = plant.issue(key.public_key(), named("localhost"), sans=LOCALHOST)
    return server_context([leaf, plant.certificate], key, profile=profile)


class Front:
    """A running front server, and the requests it was asked; by default it answers what it got."""

    def __init__(self, server_context: SSL.Context, limits: Limits, handle: Handle | None) -> None:
        self.seen: list[Request] = []
        self._handle = handle or self._echo
        self._context, self._limits = server_context, limits
        self._socket = socket.create_server(("127.0.0.1", 0), backlog=512)
        self.port = int(self._socket.getsockname()[1])
        self._started = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._run()))
        self._thread.start()
        assert self._started.wait(PATIENCE)

    async def _echo(self, request: Request) -> Response:
        kind = ("Content-Type", "text/plain")
        return Response(200, f"{request.method} {request.path} ".encode() + request.body, (kind,))

    async def _note(self, request: Request) -> Response:
        self.seen.append(request)
        return await self._handle(request)

    async def _run(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._end = asyncio.Event()
        self.server = FrontServer(self._context, self._note, limits=self._limits)
        await self.server.start([self._socket])
        self._started.set()
        await self._end.wait()
        await self.server.drain(0.0)

    def call(self, function: Callable[[], T]) -> T:
        """Run a function in the server's thread and return its result."""

        async def within() -> T:
            return function()

        return asyncio.run_coroutine_threadsafe(within(), self._loop).result(PATIENCE)

    def drain(self, seconds: float) -> None:
        """Drain the server, and wait for it."""
        draining = asyncio.run_coroutine_threadsafe(self.server.drain(seconds), self._loop)
        draining.result(PATIENCE)

    def counters(self) -> Counters:
        """Return how things stand."""
        return self.call(self.server.counters)

    def wait(self, condition: Callable[[Counters], bool]) -> Counters:
        """Wait until a condition holds for the counters."""
        until = time.monotonic() + PATIENCE
        while not condition(counters := self.counters()):
            assert time.monotonic() < until, counters
            time.sleep(0.01)
        return counters

    def close(self) -> None:
        """End the server and its thread."""
        self._loop.call_soon_threadsafe(self._end.set)
        self._thread.join(PATIENCE)
        self._socket.close()


@contextlib.contextmanager
def serving(
    plant: Plant,
    within: Limits | None = None,
    *,
    handle: Handle | None = None,
    profile: TlsProfile = TlsProfile.DEFAULT,
) -> Iterator[Front]:
    """Run a front server for as long as the block lasts."""
    front = Front(context(plant, profile), within or limits(), handle)
    try:
        yield front
    finally:
        front.close()


@dataclass(frozen=True, slots=True)
class Answer:
    """A response as it came."""

    status: int
    headers: dict[str, str]
    body: bytes
    head: bytes


class Client:
    """A TLS client of the standard library that trusts the plant."""

    def __init__(
        self,
        port: int,
        plant: Plant,
        *,
        version: ssl.TLSVersion | None = None,
        credential: tuple[Path, Path] | None = None,
        suites: str | None = None,
        source: str = "127.0.0.1",
    ) -> None:
        tls = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        tls.load_verify_locations(cadata=pem(plant))
        tls.set_alpn_protocols(["h2", "http/1.1"])
        if version:
            tls.minimum_version = tls.maximum_version = version
        if credential:
            tls.load_cert_chain(*credential)
        if suites:
            tls.set_ciphers(suites)
        plain = connect(port, source)
        try:
            self.socket = tls.wrap_socket(plain, server_hostname="localhost")
        except OSError:
            plain.close()
            raise
        self.file = self.socket.makefile("rb")

    def __enter__(self) -> Client:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def send(self, *pieces: bytes) -> None:
        """Send each piece as a TLS record of its own."""
        for piece in pieces:
            self.socket.sendall(piece)

    def receive(self, method: str = "GET") -> Answer:
        """Read one response."""
        return receive(self.file, method)

    def ask(self, request: bytes) -> Answer:
        """Send a request and read its response."""
        self.send(request)
        return self.receive()

    def is_closed(self) -> bool:
        """Wait for the server's end; tell whether it came with a close_notify and no bytes."""
        return self.socket.recv(1) == b""

    def close(self) -> None:
        """Hang up."""
        self.file.close()
        self.socket.close()


@contextlib.contextmanager
def openssl_client(port: int, version: int) -> Iterator[SSL.Connection]:
    """Connect with pyOpenSSL, which can export keying material."""
    tls = SSL.Context(SSL.TLS_CLIENT_METHOD)
    tls.set_min_proto_version(version)
    tls.set_max_proto_version(version)
    with socket.create_connection(("127.0.0.1", port)) as plain:
        client = SSL.Connection(tls, plain)
        client.set_connect_state()
        client.do_handshake()
        yield client


def pem(plant: Plant) -> str:
    """Return the plant's certificate in PEM."""
    return plant.certificate.public_bytes(Encoding.PEM).decode("ascii")


def connect(port: int, source: str = "127.0.0.1") -> socket.socket:
    """Open a connection without TLS; every address in 127.0.0.0/8 is this machine's."""
    return socket.create_connection(
        ("127.0.0.1", port), timeout=PATIENCE, source_address=(source, 0)
    )


def receive(file: BufferedReader, method: str = "GET") -> Answer:
    """Read one response."""
    lines = []
    while (line := file.readline()) not in {b"\r\n", b""}:
        lines.append(line)
    assert lines, "closed without an answer"
    headers = dict(line.decode().rstrip("\r\n").split(": ", 1) for line in lines[1:])
    length = 0 if method == "HEAD" else int(headers.get("Content-Length", 0))
    body = file.read(length)
    return Answer(int(lines[0].split()[1]), headers, body, b"".join(lines))


def post(body: bytes, *headers: str, path: str = "/x") -> bytes:
    """Return a POST with a body of known length."""
    lines = [f"POST {path} HTTP/1.1", "Host: localhost", f"Content-Length: {len(body)}", *headers]
    return "\r\n".join([*lines, "", ""]).encode("latin-1") + body


GET = b"GET /x HTTP/1.1\r\nHost: localhost\r\n\r\n"
