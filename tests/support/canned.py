"""A CA for tests and an EST server of which every answer can be made peculiar; it records all."""

from __future__ import annotations

import contextlib
import ipaddress
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from cipsec import times
from cipsec.est import wire
from cipsec.pki import csr, keys

LOCALHOST: tuple[x509.GeneralName, ...] = (
    x509.DNSName("localhost"),
    x509.IPAddress(ipaddress.ip_address("127.0.0.1")),
)
_DAY = timedelta(days=1)


def named(text: str) -> x509.Name:
    """Return a name with one CN."""
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])


class Plant:
    """A certification authority: a key, its certificate, and everything issued on demand."""

    def __init__(self, name: str = "Test Plant CA", *, issuer: Plant | None = None) -> None:
        self.key = ec.generate_private_key(ec.SECP256R1())
        self.certificate = (issuer or self).issue(self.key.public_key(), named(name), ca=True)

    @property
    def sha256(self) -> str:
        """The fingerprint of the CA's certificate."""
        return self.certificate.fingerprint(hashes.SHA256()).hex()

    def issue(
        self,
        key: keys.PublicKey,
        subject: x509.Name,
        *,
        sans: Sequence[x509.GeneralName] = (),
        usages: Sequence[x509.ObjectIdentifier] = (
            ExtendedKeyUsageOID.SERVER_AUTH,
            ExtendedKeyUsageOID.CLIENT_AUTH,
        ),
        start: timedelta = -_DAY,
        end: timedelta = 365 * _DAY,
        ca: bool = False,
    ) -> x509.Certificate:
        """Sign whatever is asked, valid from now plus `start` to now plus `end`."""
        issuer = self.certificate.subject if hasattr(self, "certificate") else subject
        now = times.now().replace(microsecond=0)
        builder = (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(issuer)
            .public_key(key)
            .serial_number(x509.random_serial_number())
            .not_valid_before(now + start)
            .not_valid_after(now + end)
            .add_extension(x509.BasicConstraints(ca=ca, path_length=None), critical=True)
        )
        if sans:
            builder = builder.add_extension(x509.SubjectAlternativeName(sans), critical=False)
        if usages and not ca:
            builder = builder.add_extension(x509.ExtendedKeyUsage(usages), critical=False)
        return builder.sign(self.key, hashes.SHA256())

    def pem(self, folder: Path, name: str = "ca.pem") -> Path:
        """Write the CA's certificate to a file."""
        return write_pem(folder / name, self.certificate)

    def credential(self, folder: Path, name: str, **options: object) -> tuple[Path, Path]:
        """Write a new certificate and its key to files; return both paths."""
        key = ec.generate_private_key(ec.SECP256R1())
        certificate = self.issue(key.public_key(), named(name), **options)  # type: ignore[arg-type]  # as `issue`
        (folder / f"{name}.key").write_bytes(keys.to_pem(key))
        return write_pem(folder / f"{name}.pem", certificate), folder / f"{name}.key"


def write_pem(path: Path, certificate: x509.Certificate) -> Path:
    """Write one certificate in PEM."""
    path.write_bytes(certificate.public_bytes(Encoding.PEM))
    return path


@dataclass(frozen=True, slots=True)
class Seen:
    """One request as the server got it; `connection` counts from 1."""

    connection: int
    method: str
    path: str
    headers: dict[str, str]
    body: bytes
    binding: bytes | None
    client: bytes | None

    @property
    def operation(self) -> str:
        """The last segment of the path."""
        return self.path.rpartition("/")[2]

    @property
    def request(self) -> csr.CertificateRequest:
        """The CSR in the body."""
        return csr.parse(wire.decode_body(self.body))


@dataclass(frozen=True, slots=True)
class Reply:
    """Bytes to write, each piece after a pause of `pause` seconds; then perhaps hang up."""

    pieces: Iterable[bytes]
    close: bool = False
    pause: float = 0.0


def reply(
    status: int,
    body: bytes = b"",
    *headers: tuple[str, str],
    version: str = "HTTP/1.1",
    length: bool = True,
    close: bool = False,
) -> Reply:
    """Return a response in one write, as most servers send it."""
    lines = [f"{version} {status} Whatever"]
    if length:
        lines.append(f"Content-Length: {len(body)}")
    lines += [f"{name}: {value}" for name, value in headers]
    return Reply(["\r\n".join([*lines, "", ""]).encode() + body], close=close or not length)


def text(status: int, reason: str, *headers: tuple[str, str]) -> Reply:
    """Return a plain-text response, the way servers give reasons."""
    return reply(status, reason.encode(), ("Content-Type", "text/plain"), *headers)


def certs(certificates: Sequence[x509.Certificate], status: int = 200) -> Reply:
    """Return certificates as RFC 7030 wants them."""
    body = wire.encode_body(wire.certs_only(certificates))
    return reply(status, body, ("Content-Type", wire.CERTS_ONLY))


Answerer = Callable[[Seen], Reply]


@dataclass
class EstServer:
    """A TLS server on loopback; `answers` by operation may be replaced at any time."""

    plant: Plant
    folder: Path
    sans: Sequence[x509.GeneralName] = LOCALHOST
    usages: Sequence[x509.ObjectIdentifier] = (ExtendedKeyUsageOID.SERVER_AUTH,)
    tls: ssl.TLSVersion | None = None
    demand_client: bool = False
    plain: bool = False
    life: tuple[timedelta, timedelta] = (-_DAY, 30 * _DAY)
    answers: dict[str, Answerer] = field(default_factory=dict)
    seen: list[Seen] = field(default_factory=list)
    port: int = 0
    connections: int = 0
    issued: list[x509.Certificate] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._socket = socket.create_server(("127.0.0.1", self.port))
        self._open: set[socket.socket] = set()
        self._threads: list[threading.Thread] = []
        self.port = self._socket.getsockname()[1]
        self.host = "127.0.0.1"
        self._context = self._tls_context()

    @property
    def url(self) -> str:
        """The EST service's URL."""
        return f"https://{self.host}:{self.port}{wire.WELL_KNOWN}"

    @property
    def address(self) -> str:
        """HOST:PORT, as people type it."""
        return f"{self.host}:{self.port}"

    def posts(self) -> list[Seen]:
        """The enrollments seen."""
        return [s for s in self.seen if s.method == "POST"]

    def issue(self, seen: Seen) -> x509.Certificate:
        """Grant what a CSR asks for."""
        request = seen.request
        certificate = self.plant.issue(request.public_key, request.subject, sans=request.sans)
        self.issued.append(certificate)
        return certificate

    def default(self, seen: Seen) -> Reply:
        """Answer as a plain EST server that grants everything."""
        match seen.operation:
            case "cacerts":
                return certs([self.plant.certificate])
            case "simpleenroll" | "simplereenroll":
                return certs([self.issue(seen)])
            case _:
                return reply(204)

    def _tls_context(self) -> ssl.SSLContext:
        start, end = self.life
        certificate, key = self.plant.credential(
            self.folder, "est-server", sans=self.sans, usages=self.usages, start=start, end=end
        )
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate, key)
        context.num_tickets = 0
        if self.tls:
            context.minimum_version = context.maximum_version = self.tls
        context.verify_mode = ssl.CERT_REQUIRED if self.demand_client else ssl.CERT_OPTIONAL
        context.load_verify_locations(self.plant.pem(self.folder, "est-ca.pem"))
        return context

    @contextlib.contextmanager
    def running(self) -> Iterator[EstServer]:
        """Serve until the block ends."""
        accepting = threading.Thread(target=self._accept, daemon=True)
        accepting.start()
        try:
            yield self
        finally:
            self._socket.shutdown(socket.SHUT_RDWR)
            self._socket.close()
            accepting.join()
            for link in list(self._open):
                with contextlib.suppress(OSError):
                    link.shutdown(socket.SHUT_RDWR)
            for thread in self._threads:
                thread.join()

    @property
    def is_idle(self) -> bool:
        """Whether no connection is open."""
        return not self._open

    def _accept(self) -> None:
        while True:
            try:
                link, _ = self._socket.accept()
            except OSError:
                return
            self.connections += 1
            self._open.add(link)
            arguments = (link, self.connections)
            thread = threading.Thread(target=self._serve, args=arguments, daemon=True)
            self._threads.append(thread)
            thread.start()

    def _serve(self, link: socket.socket, number: int) -> None:
        with link, contextlib.suppress(OSError, ValueError):
            if self.plain:
                link.sendall(b"220 this is not TLS\r\n")
                return
            with self._context.wrap_socket(
                link, server_side=True, do_handshake_on_connect=False
            ) as secured:
                self._open.add(secured)
                try:
                    secured.do_handshake()
                    while self._answer(secured, number):
                        pass
                finally:
                    self._open.discard(secured)
        self._open.discard(link)

    def _answer(self, link: ssl.SSLSocket, number: int) -> bool:
        seen = _read(link, number)
        if seen is None:
            return False
        self.seen.append(seen)
        answer = self.answers.get(seen.operation, self.default)(seen)
        for piece in answer.pieces:
            time.sleep(answer.pause)
            link.sendall(piece)
        return not answer.close


def _read(link: ssl.SSLSocket, number: int) -> Seen | None:
    data = b""
    while b"\r\n\r\n" not in data:
        piece = link.recv(65536)
        if not piece:
            return None
        data += piece
    head, _, body = data.partition(b"\r\n\r\n")
    first, *lines = head.decode("latin-1").split("\r\n")
    headers = {n.lower(): v.strip() for n, _, v in (line.partition(":") for line in lines)}
    while len(body) < int(headers.get("content-length", "0")):
        piece = link.recv(65536)
        if not piece:  # the client left in the middle
            return None
        body += piece
    method, path, _ = first.split(" ")
    tls12 = link.version() == "TLSv1.2"
    binding = link.get_channel_binding("tls-unique") if tls12 else None
    client = link.getpeercert(binary_form=True)
    return Seen(number, method, path, headers, body, binding, client)
