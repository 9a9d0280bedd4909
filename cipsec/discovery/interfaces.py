"""This machine's network interfaces and the choice among them; sockets are left to `link`."""

from __future__ import annotations

import ipaddress
import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

import ifaddr

from cipsec.errors import UsageError

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Attached = ipaddress.IPv4Interface | ipaddress.IPv6Interface


@dataclass(frozen=True, slots=True)
class Interface:
    """A network interface with the addresses that count, each with its prefix length."""

    name: str
    index: int
    addresses: tuple[Attached, ...]

    @property
    def loopback(self) -> bool:
        """Whether it leads to this machine only."""
        return all(attached.ip.is_loopback for attached in self.addresses)

    @property
    def scope(self) -> str:
        """The zone that completes a link-local IPv6 address here (RFC 4007 section 11.2)."""
        return str(self.index) if os.name == "nt" else self.name

    def on_link(self, address: Address) -> bool:
        """Tell whether an address is in one of the interface's own networks."""
        return any(address in attached.network for attached in self.addresses)


def interfaces() -> list[Interface]:
    """Return the interfaces that have an address, as the system numbers them."""
    found = [
        Interface(adapter.nice_name, adapter.index or 0, tuple(_attached(adapter.ips)))
        for adapter in ifaddr.get_adapters()
    ]
    return sorted((i for i in found if i.addresses), key=lambda i: (i.index, i.name))


def _attached(ips: Iterable[ifaddr.IP]) -> Iterable[Attached]:
    for ip in ips:
        # An IPv6 address comes as (address, flow, scope); a zone in the text is dropped.
        text = ip.ip if isinstance(ip.ip, str) else ip.ip[0].partition("%")[0]
        yield ipaddress.ip_interface(f"{text}/{ip.network_prefix}")


def choose(wanted: Sequence[str]) -> list[Interface]:
    """Return the interfaces named in `wanted`, by name or by address; all when it is empty.

    One chosen by address counts with the named addresses only. Raises UsageError when one is
    not there.
    """
    there = interfaces()
    known = {i.name for i in there} | {str(a.ip) for i in there for a in i.addresses}
    for name in wanted:
        if name not in known:
            raise UsageError(f"there is no interface {name!r}", hint=f"choose from {_list(there)}")
    return narrowed(there, wanted)


def narrowed(there: Sequence[Interface], wanted: Sequence[str]) -> list[Interface]:
    """Return of `there` what `wanted` names; what is not there is passed over."""
    if not wanted:
        return list(there)
    kept = []
    for interface in there:
        named = tuple(a for a in interface.addresses if str(a.ip) in wanted)
        if interface.name in wanted:
            kept.append(interface)
        elif named:
            kept.append(replace(interface, addresses=named))
    return kept


def announced_on(there: Sequence[Interface], wanted: Sequence[str]) -> list[Interface]:
    """Return of `there` the interfaces to announce on: those of `wanted`.

    When `wanted` is empty: those with an address that others can use; else those that lead to
    others at all; loopback where there is nothing else. An interface of link-local IPv6 alone is
    most often one end of a container's cable, and comes and goes.
    """
    if wanted:
        return narrowed(there, wanted)
    outward = [interface for interface in there if not interface.loopback]
    usable = [i for i in outward if not all(_link_local6(a.ip) for a in i.addresses)]
    return usable or outward or list(there)


def _link_local6(address: Address) -> bool:
    return address.version == 6 and address.is_link_local


def _list(there: Sequence[Interface]) -> str:
    return ", ".join(f"{i.name} ({', '.join(str(a.ip) for a in i.addresses)})" for i in there)
