"""What a TLS server presents, looked at without trusting it; judging it is left to `judged`."""

from __future__ import annotations

import contextlib
import ipaddress
import socket
import time
from collections.abc import Iterator
from dataclasses import dataclass

from cryptography import x509
from OpenSSL import SSL

from cipsec.errors import BadAnswer
from cipsec.pki.faults import UNREADABLE, why
from cipsec.tls.unanswered import not_connected, reason_of, refused

_RECORD = 16 * 1024
_BEGINNING = 8  # octets of an answer, to tell what it is
_TLS_1_0 = 0x0301
_LEGACY_SERVER_CONNECT = 0x4  # SSL_OP_…: servers from before RFC 5746
_ASKED = b"certificate request"  # part of the name of a state of OpenSSL's


@dataclass(frozen=True, slots=True)
class Presented:
    """What a server showed in the handshake, leaf first, and what it chose.

    `asks` tells that it asked for a client certificate. `ended` says how it broke off after it had
    shown its own, which those do that insist on one; under TLS 1.3 they say so only later.
    """

    chain: tuple[x509.Certificate, ...]
    version: str
    cipher: str | None
    asks: bool
    ended: str | None


def presented(host: str, port: int, *, timeout: float) -> Presented:
    """Return what the server at `host` (name or address) presents; nothing is verified or sent.

    `timeout` in seconds bounds connecting and handshake together; looking up a name is left to
    the system's resolver and its own limits. Raises Unreachable when nothing answers in time,
    BadAnswer when what answers is not TLS or shows no readable certificate.
    """
    deadline = time.monotonic() + timeout
    where = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
    asked: list[bool] = []
    with _connected(host, port, where, deadline) as link:
        connection = SSL.Connection(_context(asked), None)
        if name := _server_name(host):
            connection.set_tlsext_host_name(name)
        connection.set_connect_state()
        heard = bytearray()
        failure = _shake(connection, link, deadline, heard)
        # A server that insists on a client certificate fails, and has shown its own by then.
        if chain := _chain(connection, where):
            return Presented(
                chain,
                connection.get_protocol_version_name(),
                connection.get_cipher_name(),
                bool(asked),
                _ended(failure),
            )
    if failure:
        raise refused(where, port, failure, bytes(heard))
    raise BadAnswer(f"{where} presents no certificate")


def _context(asked: list[bool]) -> SSL.Context:
    """Return a context that takes whatever old or weak server there is, in order to show it.

    Even without encryption, as devices with the Integrity profile of CIP Security may have it:
    nothing is sent. Suites without a certificate are left out.
    """
    context = SSL.Context(SSL.TLS_CLIENT_METHOD)
    context.set_verify(SSL.VERIFY_NONE)
    context.set_min_proto_version(_TLS_1_0)
    context.set_options(_LEGACY_SERVER_CONNECT)
    context.set_cipher_list(b"ALL:eNULL:!aNULL:@SECLEVEL=0")

    def note(connection: SSL.Connection, _where: int, _code: int) -> None:
        if _ASKED in connection.get_state_string():
            asked.append(True)

    context.set_info_callback(note)
    return context


def _ended(failure: SSL.Error | OSError | None) -> str | None:
    match failure:
        case None:
            return None
        case SSL.Error():
            return reason_of(failure)
        case _:
            return "it closed the connection"


@contextlib.contextmanager
def _connected(host: str, port: int, where: str, deadline: float) -> Iterator[socket.socket]:
    try:
        link = _first_that_answers(host, port, deadline)
    except (OSError, UnicodeError, OverflowError) as error:
        raise not_connected(where, error) from None
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
    connection: SSL.Connection, link: socket.socket, deadline: float, heard: bytearray
) -> SSL.Error | OSError | None:
    """Hand bytes to and fro until the handshake and the farewell are done; return what failed.

    How the answer begins is left in `heard`.
    """
    try:
        while not _step(connection):
            _flush(connection, link, deadline)
            link.settimeout(_left(deadline))
            data = link.recv(_RECORD)
            if not data:
                return ConnectionResetError("it closed the connection")
            heard += data[: max(0, _BEGINNING - len(heard))]
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
    except UNREADABLE as error:
        raise BadAnswer(
            f"{where} presents a certificate that cannot be read: {why(error)}",
            hint=f"openssl s_client -showcerts -connect {where}",
        ) from None


def _server_name(host: str) -> bytes | None:
    """Return the name for SNI; None for an address, which SNI does not carry (RFC 6066 3)."""
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return host.rstrip(".").encode("idna")
    return None
