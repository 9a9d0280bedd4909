"""Peers for discovery: a stranger who sends raw records, an announcer, a small EST server."""

from __future__ import annotations

import asyncio
import contextlib
import http.server
import ipaddress
import secrets
import socket
import ssl
import struct
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID, ObjectIdentifier

from cipsec import times
from cipsec.discovery.announce import Announcement
from cipsec.est import wire
from tests.support.waiting import LONG

_GROUP = ("224.0.0.251", 5353)
_A, _PTR, _TXT, _AAAA, _SRV = 1, 12, 16, 28, 33
_CMC_RA = ObjectIdentifier("1.3.6.1.5.5.7.3.28")


def _name(labels: Sequence[bytes]) -> bytes:
    return b"".join(bytes([len(label)]) + label for label in labels) + b"\0"


def _record(labels: Sequence[bytes], kind: int, data: bytes, ttl: int) -> bytes:
    # All but the shared PTR carry the cache-flush bit (RFC 6762 section 10.2).
    class_ = 1 if kind == _PTR else 0x8001
    return _name(labels) + struct.pack(">HHIH", kind, class_, ttl, len(data)) + data


class Stranger:
    """Sends whatever records a test wants, from 127.0.0.1, unasked."""

    def __init__(self, service: str) -> None:
        self._type = [label.encode() for label in service.removesuffix(".").split(".")]
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.setsockopt(
            socket.IPPROTO_IP, socket.IP_MULTICAST_IF, socket.inet_aton("127.0.0.1")
        )
        self._socket.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_TTL, 255)
        self._socket.bind(("127.0.0.1", 0))

    def say(
        self,
        instance: bytes,
        *,
        port: int | None = 8443,
        host: Sequence[bytes] = (b"stranger", b"local"),
        addresses: Sequence[str] = ("127.0.0.1",),
        txt: bytes = b"\0",
        priority: int = 0,
        ttl: int = 120,
    ) -> None:
        """Announce an instance; `ttl` 0 is a goodbye."""
        full = [instance, *self._type]
        records = [
            _record(self._type, _PTR, _name(full), ttl),
            _record(full, _TXT, txt, ttl),
        ]
        if port is not None:
            target = struct.pack(">HHH", priority, 0, port) + _name(host)
            records.append(_record(full, _SRV, target, ttl))
        for address in map(ipaddress.ip_address, addresses):
            kind = _A if address.version == 4 else _AAAA
            records.append(_record(host, kind, address.packed, ttl))
        self.send(struct.pack(">6H", 0, 0x8400, 0, len(records), 0, 0) + b"".join(records))

    def point(self, *labels: bytes) -> None:
        """Announce that an instance of the type is called `labels`, and no more."""
        record = _record(self._type, _PTR, _name(labels), 120)
        self.send(struct.pack(">6H", 0, 0x8400, 0, 1, 0, 0) + record)

    def send(self, packet: bytes) -> None:
        self._socket.sendto(packet, _GROUP)

    def close(self) -> None:
        self._socket.close()

    @contextlib.contextmanager
    def repeating(self, speak: Callable[[], None]) -> Iterator[None]:
        """Speak several times a second while the block runs: nobody knows when one listens."""
        done = threading.Event()

        def repeat() -> None:
            while not done.wait(0.2):
                speak()

        thread = threading.Thread(target=repeat)
        thread.start()
        try:
            yield
        finally:
            done.set()
            thread.join()


@contextlib.contextmanager
def announcing(announcement: Announcement) -> Iterator[None]:
    """Announce in another thread, as a server of its own would, while the block runs."""

    async def announce() -> None:
        announcement.start()
        await asyncio.wait_for(announcement.announced.wait(), LONG)
        loop = asyncio.get_running_loop()
        over.append(lambda: loop.call_soon_threadsafe(done.set))
        done = asyncio.Event()
        ready.set()
        await done.wait()
        await announcement.close()

    over: list[Callable[[], object]] = []
    ready = threading.Event()
    thread = threading.Thread(target=asyncio.run, args=[announce()])
    thread.start()
    try:
        assert ready.wait(2 * LONG)
        yield
    finally:
        for end in over:
            end()
        thread.join()


@dataclass(frozen=True)
class Authority:
    """A root that signs server certificates."""

    certificate: x509.Certificate
    key: ec.EllipticCurvePrivateKey

    @property
    def sha256(self) -> str:
        return self.certificate.fingerprint(hashes.SHA256()).hex()

    def server(self, folder: Path, *, registration: bool = True) -> Path:
        """Return a PEM file with key and certificate of a server at 127.0.0.1."""
        key = ec.generate_private_key(ec.SECP256R1())
        usages = [ExtendedKeyUsageOID.SERVER_AUTH, *([_CMC_RA] if registration else [])]
        certificate = (
            _builder("server", self.certificate.subject, key.public_key())
            .add_extension(x509.ExtendedKeyUsage(usages), critical=False)
            .add_extension(
                x509.SubjectAlternativeName(
                    [x509.IPAddress(ipaddress.ip_address("127.0.0.1"))],
                ),
                critical=False,
            )
            .sign(self.key, hashes.SHA256())
        )
        path = folder / f"{secrets.token_hex(4)}.pem"
        path.write_bytes(
            key.private_bytes(
                serialization.Encoding.PEM,
                serialization.PrivateFormat.PKCS8,
                serialization.NoEncryption(),
            )
            + certificate.public_bytes(serialization.Encoding.PEM)
        )
        return path


def _builder(
    name: str, issuer: x509.Name | None, key: ec.EllipticCurvePublicKey
) -> x509.CertificateBuilder:
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer or subject)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(times.now() - timedelta(days=1))
        .not_valid_after(times.now() + timedelta(days=1))
    )


def new_authority(name: str) -> Authority:
    """Make a certification authority."""
    key = ec.generate_private_key(ec.SECP256R1())
    certificate = (
        _builder(name, None, key.public_key())
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    return Authority(certificate, key)


@contextlib.contextmanager
def est_server(tls: Path, handed_out: Sequence[x509.Certificate]) -> Iterator[int]:
    """Serve /cacerts over TLS on a free port of 127.0.0.1, which is yielded, while a block runs."""
    body = wire.encode_body(wire.certs_only(handed_out))

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            found = self.path in {"/.well-known/est/cacerts", "/.well-known/est/line4/cacerts"}
            self.send_response(200 if found else 404)
            self.send_header("Content-Type", wire.CERTS)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *args: object) -> None:
            """Say nothing on stderr."""

    class Server(http.server.ThreadingHTTPServer):
        daemon_threads = False

        def handle_error(self, *args: object) -> None:
            """A client that does not trust us ends the handshake; that is all right."""

    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tls)
    server = Server(("127.0.0.1", 0), Handler)
    server.socket = context.wrap_socket(
        server.socket, server_side=True, do_handshake_on_connect=False
    )
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield server.server_address[1]
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
