"""Clients for the benchmarks: keys, CSRs, and connections that enroll or only shake hands."""

from __future__ import annotations

import base64
import contextlib
import socket
import ssl
import threading
from collections.abc import Callable, Iterator, Sequence
from datetime import timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from OpenSSL import SSL

from cipsec import times
from cipsec.ca import profile
from cipsec.ca.authority import Authority, self_signed
from cipsec.pki import csr, keys, names


def vendor(folder: Path, count: int) -> tuple[Path, list[Path]]:
    """Make a vendor's CA and `count` device certificates with their keys; return the paths."""
    key = keys.generate(keys.KeyType.EC_P256)
    year = timedelta(days=365)
    root = self_signed(names.parse_subject("CN=Vendor"), key, now=times.now(), validity=year)
    authority = Authority(root, key)
    anchor = folder / "vendor.pem"
    anchor.write_bytes(root.public_bytes(Encoding.PEM))
    return anchor, [_device(folder, authority, number) for number in range(count)]


def _device(folder: Path, authority: Authority, number: int) -> Path:
    key = keys.generate(keys.KeyType.EC_P256)
    subject = names.parse_subject(f"CN=Device {number}")
    request = csr.parse(csr.build(key, subject).public_bytes(Encoding.DER))
    kind = profile.endpoint(timedelta(days=30), timedelta(hours=1))
    der = authority.issue(request, kind, now=times.now()).der
    certificate = x509.load_der_x509_certificate(der)
    path = folder / f"device-{number}.pem"
    path.write_bytes(certificate.public_bytes(Encoding.PEM) + keys.to_pem(key))
    return path


def requests(count: int, prefix: str = "Drive") -> list[bytes]:
    """Return complete HTTP requests that enroll, each with a key and a name of its own."""
    return [_request(f"{prefix} {number}") for number in range(count)]


def _request(name: str) -> bytes:
    key = keys.generate(keys.KeyType.EC_P256)
    sans = [x509.DNSName(name.lower().replace(" ", "-") + ".plant.example")]
    made = csr.build(key, names.parse_subject(f"CN={name}"), sans=sans)
    body = base64.encodebytes(made.public_bytes(Encoding.DER))
    head = (
        "POST /.well-known/est/simpleenroll HTTP/1.1\r\nHost: bench\r\n"
        f"Content-Type: application/pkcs10\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body


def context(anchor: Path, device: Path, version: int) -> SSL.Context:
    """Return a client context of one TLS version, with a client certificate.

    pyOpenSSL, because its OpenSSL costs a client a third of the interpreter's own, and what the
    clients use the server cannot.
    """
    made = SSL.Context(SSL.TLS_CLIENT_METHOD)
    made.load_verify_locations(str(anchor))
    made.set_verify(SSL.VERIFY_PEER)
    made.use_certificate_file(str(device))
    made.use_privatekey_file(str(device))
    made.set_min_proto_version(version)
    made.set_max_proto_version(version)
    return made


@contextlib.contextmanager
def connected(port: int, tls: SSL.Context) -> Iterator[SSL.Connection]:
    """Yield a new TLS connection to 127.0.0.1 and close it in order."""
    with socket.create_connection(("127.0.0.1", port)) as raw:
        raw.settimeout(None)  # pyOpenSSL takes blocking sockets only
        raw.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        connection = SSL.Connection(tls, raw)
        connection.set_connect_state()
        connection.do_handshake()
        yield connection
        with contextlib.suppress(SSL.Error):
            connection.shutdown()


def exchange(connection: SSL.Connection | ssl.SSLSocket, request: bytes) -> int:
    """Send one request, read one whole answer and return its status."""
    connection.sendall(request)
    answer = b""
    while b"\r\n\r\n" not in answer:
        answer += _more(connection)
    head, _, body = answer.partition(b"\r\n\r\n")
    length = next(
        int(line.split(b":")[1])
        for line in head.split(b"\r\n")
        if line.lower().startswith(b"content-length")
    )
    while len(body) < length:
        body += _more(connection)
    return int(head.split(b" ", 2)[1])


def _more(connection: SSL.Connection | ssl.SSLSocket) -> bytes:
    """Return what comes next; there must be something."""
    piece = connection.recv(16384)
    assert piece, "the server hung up in the middle of its answer"
    return piece


def in_parallel(work: Sequence[Callable[[], None]]) -> None:
    """Run each piece of work in a thread and raise the first failure."""
    failures: list[BaseException] = []

    def guarded(piece: Callable[[], None]) -> None:
        try:
            piece()
        except BaseException as error:  # noqa: BLE001  # carried over to the caller below
            failures.append(error)

    threads = [threading.Thread(target=guarded, args=(piece,)) for piece in work]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if failures:
        raise failures[0]
