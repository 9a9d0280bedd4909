"""One EST server as DNS-SD describes it: records in, a value out; hearing them is left to `browse`.

Whatever a stranger announces is kept as it came, within bounds, and is made harmless only where
it is shown. Only what one could connect to is taken for an address, and only a host name or an
address reaches the URL.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from cipsec.discovery.interfaces import Address, Interface
from cipsec.pki import names

SERVICE_TYPE = "_est._tcp.local."

_MAX_ADDRESSES = 16
_MAX_TXT = 64
_LABEL = re.compile(r"[A-Za-z0-9][A-Za-z0-9._~-]{0,62}")


@dataclass(frozen=True, slots=True)
class Server:
    """An EST server as announced on one interface; nothing here is verified.

    `host` is the SRV target without the final dot. `addresses` begins with the one to try
    first. `txt` has lower-case keys; a key without `=` has the value None (RFC 6763 section 6.4).
    `label` is the EST label from the TXT key `label`, which is this project's own: IANA
    registers no TXT keys for `_est._tcp`.
    """

    name: str
    host: str
    port: int
    addresses: tuple[str, ...]
    interface: str
    txt: Mapping[str, str | None]
    priority: int = 0
    weight: int = 0

    @property
    def label(self) -> str | None:
        """The EST label announced; None when there is none or it fits no URL."""
        label = self.txt.get("label") or ""
        return label if _LABEL.fullmatch(label) else None

    @property
    def url(self) -> str | None:
        """The server's origin; None when nothing announced can be connected to.

        By address, because many systems resolve no `.local` name. A zone is written plainly
        (`%eth0`): HTTP clients hand it to the system as it is, in spite of RFC 6874.
        """
        if self.addresses:
            address = self.addresses[0]
            return f"https://{f'[{address}]' if ':' in address else address}:{self.port}"
        # A `.local` name that multicast did not resolve is none for the resolver (RFC 6762 3).
        local = self.host.lower().endswith(".local") or self.host.startswith("*")
        if names.is_host_name(self.host) and not local:
            return f"https://{self.host}:{self.port}"
        return None

    @property
    def order(self) -> tuple[int, int, str, str]:
        """The place in a list: lowest priority, highest weight (RFC 2782), then by name."""
        return (self.priority, -self.weight, self.name, self.interface)


def instance_of(full_name: str, service_type: str) -> str | None:
    """Return the instance's name without its service type; None when it is of another type."""
    suffix = f".{service_type}"
    if not full_name.lower().endswith(suffix.lower()) or len(full_name) == len(suffix):
        return None
    return full_name[: -len(suffix)]


def decode_txt(data: bytes) -> dict[str, str | None]:
    """Return the pairs of a TXT record (RFC 6763 section 6): first of a key wins, 64 at most."""
    pairs: dict[str, str | None] = {}
    position = 0
    while position < len(data) and len(pairs) < _MAX_TXT:
        end = position + 1 + data[position]
        key, equals, value = data[position + 1 : end].partition(b"=")
        if key:
            shown = value.decode("utf-8", "backslashreplace") if equals else None
            pairs.setdefault(key.decode("utf-8", "backslashreplace").lower(), shown)
        position = end
    return pairs


def reachable(announced: Iterable[Address], interface: Interface) -> tuple[str, ...]:
    """Return, best first, the addresses one could connect to from `interface`, 16 at most.

    On-link before routed, IPv4 before IPv6, and link-local IPv6, completed with its zone, last.
    """
    usable = {address for address in announced if _connectable(address, interface)}
    ranked = sorted(usable, key=lambda a: (_link_local6(a), not interface.on_link(a), _plain(a)))
    return tuple(
        f"{a}%{interface.scope}" if _link_local6(a) else str(a) for a in ranked[:_MAX_ADDRESSES]
    )


def _connectable(address: Address, interface: Interface) -> bool:
    if address.is_loopback:
        return interface.loopback
    return not (address.is_unspecified or address.is_multicast or address.is_reserved)


def _link_local6(address: Address) -> bool:
    return address.version == 6 and address.is_link_local


def _plain(address: Address) -> tuple[int, int]:
    return address.version, int(address)
