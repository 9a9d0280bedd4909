"""Real receivers on loopback: mail, webhooks over TLS, syslog, and servers that misbehave."""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket
import socketserver
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import timedelta
from email import message_from_bytes, policy
from email.message import EmailMessage
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, AuthResult, LoginPassword
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from cipsec import times
from cipsec.ca import profile
from cipsec.ca.authority import Authority, self_signed
from cipsec.pki import csr, keys, names
from tests.support.ports import HOST, free_port
from tests.support.waiting import until

USER, PASSWORD = "plant", "correct horse battery"


@dataclass(frozen=True, slots=True)
class Identity:
    """A server's certificate for 127.0.0.1 with its key in one file, and that of its CA."""

    ca: Path
    both: Path

    def context(self) -> ssl.SSLContext:
        """Return a context that serves with it."""
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.load_cert_chain(self.both)
        return context


def identity(folder: Path, *, name: str = HOST) -> Identity:
    """Make a CA and a server's certificate, in `folder`."""
    now, key = times.now(), keys.generate(keys.KeyType.EC_P256)
    ca_key = keys.generate(keys.KeyType.EC_P256)
    subject = names.parse_subject("CN=Mail CA")
    root = self_signed(subject, ca_key, now=now, validity=timedelta(days=9))
    san = names.host_name(name)
    asked = csr.build(key, names.parse_subject("CN=receiver"), sans=[san])
    issued = Authority(root, ca_key).issue(
        csr.parse(asked.public_bytes(Encoding.DER)),
        profile.endpoint(timedelta(days=8), timedelta(hours=1)),
        now=now,
    )
    leaf = x509.load_der_x509_certificate(issued.der)
    made = Identity(folder / "receiver-ca.pem", folder / "receiver.pem")
    made.ca.write_bytes(root.public_bytes(Encoding.PEM))
    made.both.write_bytes(leaf.public_bytes(Encoding.PEM) + keys.to_pem(key, None))
    return made


@dataclass
class Mailbox:
    """A mail server and what it took."""

    port: int = 0
    mails: list[EmailMessage] = field(default_factory=list)
    envelopes: list[tuple[str, list[str]]] = field(default_factory=list)
    refused: frozenset[str] = frozenset()
    was_tls: list[bool] = field(default_factory=list)

    async def handle_RCPT(  # noqa: N802  # as aiosmtpd calls it
        self, server: Any, session: Any, envelope: Any, address: str, options: Any
    ) -> str:
        """Refuse some."""
        if address in self.refused:
            return "550 5.1.1 no such user"
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server: Any, session: Any, envelope: Any) -> str:  # noqa: N802  # likewise
        """Take it."""
        self.mails.append(message_from_bytes(envelope.content, policy=policy.default))
        self.envelopes.append((envelope.mail_from, list(envelope.rcpt_tos)))
        self.was_tls.append(session.ssl is not None)
        return "250 OK"


def _check(server: SMTP, session: Any, envelope: Any, mechanism: str, data: Any) -> AuthResult:
    good = isinstance(data, LoginPassword) and data == LoginPassword(
        USER.encode(), PASSWORD.encode()
    )
    return AuthResult(success=good, handled=False)


@contextlib.contextmanager
def mailbox(
    tls: Identity | None, *, implicit: bool = False, refused: frozenset[str] = frozenset()
) -> Iterator[Mailbox]:
    """Serve SMTP: with STARTTLS and AUTH, with TLS from the start, or with nothing of the kind."""
    box = Mailbox(port=free_port(), refused=refused)
    options: dict[str, Any] = {"hostname": HOST, "port": box.port, "ready_timeout": 120.0}
    if tls is not None and implicit:
        options["ssl_context"] = tls.context()
    elif tls is not None:
        options |= {"tls_context": tls.context(), "require_starttls": True}
        options |= {"authenticator": _check, "auth_required": True}
    controller = Controller(box, **options)
    controller.start()
    try:
        yield box
    finally:
        # It would leave tasks behind for clients that it has not seen go.
        until(lambda: not asyncio.all_tasks(controller.loop))
        controller.stop()


@dataclass
class Hook:
    """A receiver of webhooks and what it got."""

    url: str = ""
    got: list[tuple[str, dict[str, str], bytes]] = field(default_factory=list)
    status: int = 204

    @property
    def documents(self) -> list[Any]:
        """What was posted."""
        return [json.loads(body) for _, _, body in self.got]


@contextlib.contextmanager
def hook(tls: Identity | None = None, *, status: int = 204) -> Iterator[Hook]:
    """Serve HTTP, over TLS where there is an identity."""
    received = Hook(status=status)

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:  # as http.server calls it
            body = self.rfile.read(int(self.headers["content-length"]))
            headers = {name.lower(): value for name, value in self.headers.items()}
            received.got.append((self.path, headers, body))
            self.send_response(received.status)
            if 300 <= received.status < 400:
                self.send_header("location", received.url)
            self.send_header("content-length", "0")
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002  # as inherited
            pass

    server = ThreadingHTTPServer((HOST, 0), Handler)
    server.daemon_threads = True
    if tls is not None:
        server.socket = tls.context().wrap_socket(server.socket, server_side=True)
    received.url = f"http{'s' if tls else ''}://{HOST}:{server.server_address[1]}"
    with _in_thread(server):
        yield received


@contextlib.contextmanager
def _in_thread(server: socketserver.BaseServer) -> Iterator[None]:
    thread = threading.Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    try:
        yield
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@dataclass
class Collector:
    """A syslog collector: the port, and the messages as they came out of their frames."""

    port: int
    entries: list[bytes] = field(default_factory=list)


def unframed(stream: bytes) -> list[bytes]:
    """Return the messages in a stream with octet counting (RFC 6587 section 3.4.1)."""
    found = []
    while stream:
        length, _, rest = stream.partition(b" ")
        found.append(rest[: int(length)])
        stream = rest[int(length) :]
    return found


@contextlib.contextmanager
def collector(*, tls: Identity | None = None, datagrams: bool = False) -> Iterator[Collector]:
    """Collect syslog over UDP, TCP, or TLS."""

    class Stream(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            whole = b""
            with contextlib.suppress(OSError):
                while more := self.request.recv(65536):
                    whole += more
            collected.entries.extend(unframed(whole))

    class Datagram(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            collected.entries.append(self.request[0])

    server: socketserver.BaseServer
    if datagrams:
        server = socketserver.UDPServer((HOST, 0), Datagram)
    else:
        server = socketserver.TCPServer((HOST, 0), Stream)
        if tls is not None:
            server.socket = tls.context().wrap_socket(server.socket, server_side=True)
    collected = Collector(int(server.server_address[1]))
    with _in_thread(server):
        yield collected


@contextlib.contextmanager
def misbehaving(behave: Callable[[socket.socket], None]) -> Iterator[int]:
    """Serve whatever `behave` does with each connection; yield the port."""
    stop = threading.Event()
    open_sockets: list[socket.socket] = []
    with socket.create_server((HOST, 0)) as listener:
        listener.settimeout(0.05)

        def serve() -> None:
            while not stop.is_set():
                try:
                    connection, _ = listener.accept()
                except TimeoutError:
                    continue
                open_sockets.append(connection)
                threading.Thread(target=_behave, args=(behave, connection), daemon=True).start()

        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield int(listener.getsockname()[1])
        finally:
            stop.set()
            thread.join()
            for connection in open_sockets:
                connection.close()


def _behave(behave: Callable[[socket.socket], None], connection: socket.socket) -> None:
    with contextlib.suppress(OSError), connection:
        behave(connection)


def silent(connection: socket.socket) -> None:
    """Say nothing."""
    while connection.recv(4096):
        pass


def dripping(text: bytes) -> Callable[[socket.socket], None]:
    """Return what sends a text byte by byte, slowly, for ever."""

    def drip(connection: socket.socket) -> None:
        while True:
            for byte in text:
                connection.sendall(bytes([byte]))
                time.sleep(0.2)

    return drip
