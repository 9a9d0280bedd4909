"""Where the server listens: `ADDR:PORT` read, sockets bound before anything is forked."""

from __future__ import annotations

import errno
import ipaddress
import socket
from dataclasses import dataclass

from cipsec.errors import LocalState, UsageError
from cipsec.files import reason

DEFAULT_PORT = 8443  # EST has no port of its own; 443 needs privileges
# The kernel holds these while the server is busy: a plant powers up at once.
_BACKLOG = 4096


@dataclass(frozen=True, slots=True)
class Listen:
    """An address to listen on, None for all, and a port, 0 for any."""

    address: str | None = None
    port: int = DEFAULT_PORT

    @classmethod
    def parse(cls, text: str) -> Listen:
        """Read `ADDR:PORT`, `[IPv6]:PORT`, `:PORT` or `PORT`; raise UsageError."""
        address, _, port = text.rpartition(":")
        if address.startswith("[") and address.endswith("]"):
            address = address[1:-1]
        everywhere = address in {"", "all", "*"}
        try:
            everywhere = everywhere or ipaddress.ip_address(address).is_unspecified
            if not 0 <= int(port) <= 0xFFFF:
                raise ValueError
        except ValueError:
            raise UsageError(
                f"{text!r} is not ADDR:PORT", hint="write e.g. 192.168.1.5:8443 or :8443"
            ) from None
        return cls(None if everywhere else address, int(port))

    @property
    def families(self) -> list[tuple[socket.AddressFamily, str]]:
        """Return the families and addresses to bind."""
        if self.address is None:
            both = [(socket.AF_INET, "0.0.0.0"), (socket.AF_INET6, "::")]  # noqa: S104  # asked for
            return both if socket.has_ipv6 else both[:1]
        v6 = ipaddress.ip_address(self.address).version == 6
        return [(socket.AF_INET6 if v6 else socket.AF_INET, self.address)]


def bind(listen: Listen) -> list[socket.socket]:
    """Return listening sockets, all on one port; raise LocalState when one cannot be had."""
    sockets: list[socket.socket] = []
    port = listen.port
    try:
        for family, address in listen.families:
            sockets.append(_bound(family, address, port))
            port = sockets[0].getsockname()[1]
    except OSError as error:
        if sockets and listen.address is None and error.errno not in _TAKEN:
            return sockets  # IPv6 is switched off on this machine; IPv4 serves
        for opened in sockets:
            opened.close()
        raise LocalState(
            f"port {port} cannot be listened on: {reason(error)}",
            hint="choose another with --listen ADDR:PORT; port 0 takes any",
        ) from None
    return sockets


# The latter where, on Windows, it is another program's alone.
_TAKEN = frozenset({errno.EADDRINUSE, errno.EACCES})


# What lets a server start again at once lets others take its port as well, but on Windows alone.
_ALONE: int = getattr(socket, "SO_EXCLUSIVEADDRUSE", socket.SO_REUSEADDR)


def _bound(family: socket.AddressFamily, address: str, port: int) -> socket.socket:
    bound = socket.socket(family, socket.SOCK_STREAM)
    try:
        if socket.has_ipv6 and family is socket.AF_INET6:
            # Two sockets rather than one for both: peers are seen under their plain address.
            bound.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        bound.setsockopt(socket.SOL_SOCKET, _ALONE, 1)
        bound.bind((address, port))
        bound.listen(_BACKLOG)
        bound.setblocking(False)  # the standard library's signature
    except OSError:
        bound.close()
        raise
    return bound
