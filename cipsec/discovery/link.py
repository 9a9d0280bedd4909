"""One interface's multicast DNS: sockets that hear this interface and no other."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket
import sys

from zeroconf import Error
from zeroconf.asyncio import AsyncZeroconf

from cipsec.discovery.interfaces import Interface
from cipsec.errors import LocalState

_log = logging.getLogger(__name__)

_GETS_READY = 2.0
_IP_MULTICAST_ALL = 49  # <linux/in.h>; the socket module does not name it


async def open_links(
    interfaces: list[Interface], *, patient: bool = False
) -> list[tuple[Interface, AsyncZeroconf]]:
    """Open a link on each interface; one that fails is passed over while another works.

    With `patient` an interface is given time to get ready. Raises LocalState when none can be
    opened. The caller closes them with `async_close`.
    """
    links: list[tuple[Interface, AsyncZeroconf]] = []

    async def add(interface: Interface) -> None:
        if link := await _opened(interface, patient=patient):
            links.append((interface, link))

    try:
        await asyncio.gather(*map(add, interfaces))
    except asyncio.CancelledError:
        await asyncio.gather(*(link.async_close() for _, link in links))
        raise
    if not links:
        names = ", ".join(interface.name for interface in interfaces)
        raise LocalState(
            f"multicast DNS cannot be used on {names or 'any interface'}",
            hint="ip address; is another program holding UDP port 5353 for itself?",
        )
    return links


async def _opened(interface: Interface, *, patient: bool) -> AsyncZeroconf | None:
    try:
        link = await _open(interface)
        # An IPv6 address cannot be bound while it is looked for a duplicate (RFC 4862 5.4).
        if patient and len(link.zeroconf.engine.senders) < len(_endpoints(interface)):
            await link.async_close()
            await asyncio.sleep(_GETS_READY)
            link = await _open(interface)
    except (OSError, RuntimeError, Error) as error:
        _log.warning("no multicast DNS on %s: %s", interface.name, error)
        return None
    return link


async def _open(interface: Interface) -> AsyncZeroconf:
    """Open one interface by itself: names and hosts of two networks must not be mixed."""
    link = AsyncZeroconf(interfaces=_endpoints(interface))
    started = asyncio.ensure_future(link.zeroconf.async_wait_for_start())
    try:
        # Shielded: zeroconf that is cancelled while it starts leaves its sockets open.
        await asyncio.shield(started)
    except BaseException:
        await asyncio.wait([started])
        await link.async_close()
        raise
    for reader in link.zeroconf.engine.readers:
        _hear_only(interface, reader.transport.get_extra_info("socket"))
    return link


def _endpoints(interface: Interface) -> list[str | int]:
    """Return what zeroconf joins: IPv4 by address, IPv6 by index, each once an interface."""
    four = [str(a.ip) for a in interface.addresses if a.version == 4]
    six = [a for a in interface.addresses if a.version == 6]
    # Multicast over ::1 goes nowhere; 127.0.0.1 carries it.
    return [*four[:1], *([interface.index] if six and not (four and interface.loopback) else [])]


def _hear_only(interface: Interface, sock: socket.socket) -> None:
    """Linux delivers to a socket what any socket of the machine has joined, unless told not to.

    For IPv6 it compares the group and not the interface, so that only binding to the device
    helps; before Linux 5.7 that takes a privilege, and networks of IPv6 alone may mix.
    """
    if sys.platform != "linux" or sock.getsockname()[0] not in {"0.0.0.0", "::"}:  # noqa: S104  # compared
        return
    with contextlib.suppress(OSError):
        sock.setsockopt(socket.IPPROTO_IP, _IP_MULTICAST_ALL, 0)
    with contextlib.suppress(OSError):
        name = socket.if_indextoname(interface.index)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, name.encode())
