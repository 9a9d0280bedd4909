"""What a TLS server presents, looked at without trusting it; judging it is left to `pki.chain`."""

from __future__ import annotations

import contextlib
import ipaddress
import socket
import time
from collections.abc import Iterator
from dataclasses import dataclass

from cryptography import x509
from OpenSSL import SSL

from cipsec import files
from cipsec.errors import BadAnswer, Unreachable

_RECORD = 16 * 1024


@dataclass(frozen=True, slots=True)
class Presented:
    """What a server showed in the handshake, leaf first, and the TLS version it chose."""

    chain: tuple[x509.Certificate, ...]
    version: str


def presented(host: str, port: int, *, timeout: float) -> Presented:
    """Return what the server at `host` (name or address) presents; nothing is verified or sent.

    `timeout` in seconds bounds connecting and handshake together; looking up a name is left to
    the system's resolver and its own limits. Raises Unreachable when nothing answers in time,
    BadAnswer when what answers is not TLS or shows no readable certificate.
    """
    deadline = time.monotonic() + timeout
    where = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
    with _connected(host, port, where, deadline) as link:
        connection = SSL.Connection(_context(), None)
        if name := _server_name(host):
            connection.set_tlsext_host_name(name)
        connection.set_connect_state()
        failure = _shake(connection, link, deadline)
        # A server that insists on a client certificate fails, and has shown its own by then.
        if chain := _chain(connection, where):
            return Presented(chain, connection.get_protocol_version_name())
    if failure:
        raise _failure(where, failure)
    raise BadAnswer(f"{where} presents no certificate")


def _context() -> SSL.Context:
    """Return a context that takes whatever old or weak server there is, in order to show it."""
    context = SSL.Context(SSL.TLS_CLIENT_METHOD)
    context.set_verify(SSL.VERIFY_NONE)
    context.set_cipher_list(b"DEFAULT:@SECLEVEL=0")
    return context


@contextlib.contextmanager
def _connected(host: str, port: int, where: str, deadline: float) -> Iterator[socket.socket]:
    try:
        link = _first_that_answers(host, port, deadline)
    except (OSError, UnicodeError, OverflowError) as error:
        raise _failure(where, error) from None
    with link:
        yield link


def _first_that_answers(host: str, port: int, deadline: float) -> socket.socket:
    """Connect to the first address that accepts; the deadline is for all of them together."""
    if not 0 < port < 65536:
        raise OverflowError  # the resolver would take it modulo 65536
    last: OSError = OSError("it has no address")
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    for tried, (family, kind, protocol, _, address) in enumerate(found):
        link = socket.socket(family, kind, protocol)
        try:
            link.settimeout(_left(deadline) / (len(found) - tried))
            link.connect(address)
        except OSError as error:
            link.close()
            last = error
        else:
            return link
    raise last


def _shake(
    connection: SSL.Connection, link: socket.socket, deadline: float
) -> SSL.Error | OSError | None:
    """Hand bytes to and fro until the handshake and the farewell are done; return what failed."""
    try:
        while not _step(connection):
            _flush(connection, link, deadline)
            link.settimeout(_left(deadline))
            data = link.recv(_RECORD)
            if not data:
                return ConnectionResetError("it closed the connection")
            connection.bio_write(data)
        connection.shutdown()
        _flush(connection, link, deadline)
    except (SSL.Error, OSError) as error:
        return error
    return None


def _step(connection: SSL.Connection) -> bool:
    try:
        connection.do_handshake()
    except SSL.WantReadError:
        return False
    return True


def _flush(connection: SSL.Connection, link: socket.socket, deadline: float) -> None:
    with contextlib.suppress(SSL.WantReadError):
        while data := connection.bio_read(_RECORD):
            link.settimeout(_left(deadline))
            link.sendall(data)


def _left(deadline: float) -> float:
    """Return the seconds left; raise TimeoutError when there are none."""
    left = deadline - time.monotonic()
    if left <= 0:
        raise TimeoutError("timed out")
    return left


def _chain(connection: SSL.Connection, where: str) -> tuple[x509.Certificate, ...]:
    try:
        return tuple(connection.get_peer_cert_chain(as_cryptography=True) or ())
    except ValueError:
        raise BadAnswer(f"{where} presents a certificate that cannot be read") from None


def _server_name(host: str) -> bytes | None:
    """Return the name for SNI; None for an address, which SNI does not carry (RFC 6066 3)."""
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return host.rstrip(".").encode("idna")
    return None


def _failure(where: str, error: Exception) -> Unreachable:
    match error:
        case SSL.Error():
            return BadAnswer(f"{where} answers, and not in TLS this program speaks")
        case TimeoutError():
            return Unreachable(f"{where} does not answer in time")
        case OSError():
            return Unreachable(f"{where} cannot be reached: {files.reason(error)}")
        case _:
            return Unreachable(f"{where} cannot be reached: that is not a host and port")
