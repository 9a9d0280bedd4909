"""Reaching a host: addresses, a connection, a TLS context; what is said is left to others."""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
import os
import socket
import ssl
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

from cipsec import files
from cipsec.errors import Malformed, Unreachable
from cipsec.ra.notify.blocking import Aside
from cipsec.ra.notify.config import is_loopback

CONNECT_SECONDS = 3.0  # for each address: one that is dead leaves time for the next
_SECRET = 64 * 1024


@dataclass(frozen=True, slots=True)
class Address:
    """One address of a host."""

    family: socket.AddressFamily
    sockaddr: tuple[str, int] | tuple[str, int, int, int]


async def addresses(host: str, port: int, aside: Aside, *, datagram: bool = False) -> list[Address]:
    """Return the addresses of a host, at least one; raise Unreachable.

    `localhost` must be this machine, whatever a name server says: what goes there goes unprotected.
    """
    kind = socket.SOCK_DGRAM if datagram else socket.SOCK_STREAM
    try:
        found = await aside.run(lambda: socket.getaddrinfo(host, port, type=kind))
    except (OSError, UnicodeError) as error:
        raise Unreachable(f"the host {host} is not known: {said(error)}") from None
    listed = [Address(entry[0], entry[4]) for entry in found]  # type: ignore[arg-type]  # IPv4 and IPv6
    if is_loopback(host):
        listed = [one for one in listed if ipaddress.ip_address(one.sockaddr[0]).is_loopback]
    if not listed:
        raise Unreachable(f"the host {host} has no address")
    return listed


@contextlib.asynccontextmanager
async def connected(host: str, port: int, aside: Aside) -> AsyncIterator[socket.socket]:
    """Yield a connection to the first address that answers, closed at the end; raise Unreachable.

    It does not block; whoever hands it to blocking code has to say so to the socket.
    """
    connection = await _connect(host, port, await addresses(host, port, aside))
    with connection:
        yield connection


async def _connect(host: str, port: int, found: list[Address]) -> socket.socket:
    failed = ""
    for address in found:
        connection = socket.socket(address.family, socket.SOCK_STREAM)
        try:
            connection.setblocking(False)
            async with asyncio.timeout(CONNECT_SECONDS):
                await asyncio.get_running_loop().sock_connect(connection, address.sockaddr)
        except OSError as error:  # TimeoutError is one
            connection.close()
            failed = said(error)
        except BaseException:
            connection.close()
            raise
        else:
            return connection
    raise Unreachable(f"{host} port {port} cannot be reached: {failed}")


def tls_context(ca_file: Path | None) -> ssl.SSLContext:
    """Return a context that trusts the CA in `ca_file` alone, or else this machine's CAs."""
    if ca_file is None:
        return ssl.create_default_context()
    pem = files.read(ca_file, limit=1024 * 1024)
    try:
        context = ssl.create_default_context(cadata=pem.decode("ascii"))
    except (ssl.SSLError, ValueError):
        raise Malformed(f"{ca_file} holds no certificate in PEM") from None
    # Not VERIFY_X509_STRICT, Python 3.13's default: plant CAs are often made without the key
    # identifiers that it insists on.
    context.verify_flags = ssl.VERIFY_X509_TRUSTED_FIRST | ssl.VERIFY_X509_PARTIAL_CHAIN
    return context


def secret(path: Path) -> str:
    """Return the one line of a file that holds a secret; raise LocalState, Malformed."""
    try:
        lines = files.read(path, limit=_SECRET).decode("utf-8").splitlines()
    except UnicodeDecodeError:
        raise Malformed(f"{path} is not text") from None
    if len(lines) != 1 or not lines[0].strip():
        raise Malformed(f"{path} does not hold one line")
    return lines[0].strip()


def said(error: Exception) -> str:
    """Return what the system says about a failure, in a few words."""
    match error:
        case ssl.SSLCertVerificationError():
            return f"its certificate is not accepted: {error.verify_message}"
        case ssl.SSLError():
            return f"TLS fails: {(error.reason or 'closed').lower().replace('_', ' ')}"
        case TimeoutError():
            return "no answer"
        case socket.gaierror():
            return (error.strerror or "no such name").lower()
        case OSError(errno=int(number)):  # not strerror, which asyncio fills with the address
            return os.strerror(number).lower()
        case _:
            return type(error).__name__


def within(folder: Path, path: Path | None) -> Path | None:
    """Return a path of ca.toml as it is meant: from the CA folder."""
    return None if path is None else folder / path
