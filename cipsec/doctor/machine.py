"""This machine: Python, OpenSSL, clock, network and extras; nothing is sent to find it out."""

from __future__ import annotations

import errno
import importlib.util
import platform
import socket
import ssl
import sys
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path

from cipsec import __version__, files
from cipsec.discovery.interfaces import Interface, announced_on, interfaces
from cipsec.doctor.finding import Remark, fail, ok, warn
from cipsec.times import RELEASED, show_time

# No clock that is right will show a later time to people who still use this program.
_OUTLIVED = timedelta(days=30 * 365)
CLOCK_HINT = "date -u"

_OLDEST_PYTHON = (3, 11)
_IFF_MULTICAST = 0x1000  # <linux/if.h>
_MDNS_PORT = 5353
_EXTRAS = {"notify": "apprise"}  # extra -> what it installs


@dataclass(frozen=True, slots=True)
class Tls:
    """The two OpenSSLs: Python's, by which this program is a client, and cryptography's."""

    client: str
    client_version: tuple[int, ...]
    server: str
    tls_1_2: bool
    tls_1_3: bool


@dataclass(frozen=True, slots=True)
class Machine:
    """What is looked at; tests say otherwise."""

    now: datetime
    python: tuple[int, ...]
    tls: Tls
    interfaces: tuple[Interface, ...]
    sysfs: Path = Path("/sys/class/net")
    mdns_port: int = _MDNS_PORT
    extras: Mapping[str, str] = field(default_factory=lambda: dict(_EXTRAS))


def this(now: datetime) -> Machine:
    """Return the machine that this runs on."""
    return Machine(now, sys.version_info[:2], _tls(), tuple(interfaces()))


def _tls() -> Tls:
    from cryptography.hazmat.backends.openssl import backend

    return Tls(
        client=ssl.OPENSSL_VERSION,
        client_version=ssl.OPENSSL_VERSION_INFO[:3],
        server=backend.openssl_version_text(),
        tls_1_2=ssl.HAS_TLSv1_2,
        tls_1_3=ssl.HAS_TLSv1_3,
    )


def python(machine: Machine) -> Iterator[Remark]:
    """See which Python runs which cipsec."""
    shown = f"cipsec {__version__}, Python {platform.python_version()}, {platform.system()}"
    if machine.python < _OLDEST_PYTHON:
        yield fail(f"{shown}: Python 3.11 or newer is needed", "python3 --version")
    else:
        yield ok(shown)


def openssl(machine: Machine) -> Iterator[Remark]:
    """See what TLS can do here."""
    tls = machine.tls
    shown = f"{tls.client} as client, {tls.server} as server"
    hint = "python3 -c 'import ssl; print(ssl.OPENSSL_VERSION)'"
    if not tls.tls_1_2:
        yield fail(f"Python's OpenSSL has no TLS 1.2: {shown}", hint)
    elif not tls.tls_1_3 or tls.client_version < (3, 0, 0):
        yield warn(f"Python's OpenSSL is old, or has no TLS 1.3: {shown}", hint)
    else:
        yield ok(shown)


def clock(machine: Machine) -> Iterator[Remark]:
    """See whether the time can be right: certificates of a wrong one are not valid elsewhere."""
    shown = show_time(machine.now)
    if machine.now < RELEASED:
        yield fail(f"{shown} is before this version of cipsec was made", CLOCK_HINT)
    elif machine.now > RELEASED + _OUTLIVED:
        yield fail(f"{shown} is further ahead than can be", CLOCK_HINT)
    else:
        yield ok(shown)


def network(machine: Machine) -> Iterator[Remark]:
    """See where devices can be: a PC with several networks may serve and ask the wrong one."""
    outward = [i for i in announced_on(machine.interfaces, ()) if not i.loopback]
    shown = "; ".join(_shown(interface) for interface in outward)
    if not outward:
        yield warn("no interface leads to other machines", "ip address")
    elif len(outward) > 1:
        first = outward[0].name
        detail = f"{len(outward)} interfaces, and servers are found and announced on all: {shown}"
        yield warn(detail, f"cipsec ca serve --interface {first}")
    else:
        yield ok(shown)


def _shown(interface: Interface) -> str:
    plain = [str(a.ip) for a in interface.addresses if not a.ip.is_link_local]
    linked = [str(a.ip) for a in interface.addresses if a.ip.is_link_local]
    return f"{interface.name} ({', '.join(plain or linked)})"


def multicast(machine: Machine) -> Iterator[Remark]:
    """See whether DNS-SD can work: groups are not joined, for that would be told to switches."""
    outward = [i for i in machine.interfaces if not i.loopback]
    without = [i.name for i in outward if not _carries_multicast(machine.sysfs, i.name)]
    if (taken := _taken(machine.mdns_port)) is not None:
        hint = f"ss -lunp sport = :{machine.mdns_port}"
        yield warn(f"UDP port {machine.mdns_port} cannot be shared: {taken}", hint)
    for name in without:
        hint = f"ip link set {name} multicast on"
        yield warn(f"{name} carries no multicast: devices there do not find a server", hint)
    if taken is None and not without:
        yield ok(f"UDP port {machine.mdns_port} can be shared, and interfaces carry multicast")


def _carries_multicast(sysfs: Path, name: str) -> bool:
    """Tell what Linux says of an interface; where it does not say, nothing is known against it."""
    with suppress(OSError, ValueError):
        return bool(int((sysfs / name / "flags").read_text("ascii"), 16) & _IFF_MULTICAST)
    return True


def _taken(port: int) -> str | None:
    """Return why the port cannot be used beside others, None where it can."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as bound:
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if hasattr(socket, "SO_REUSEPORT"):
            bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        try:
            bound.bind(("", port))
        except OSError as error:
            if error.errno == errno.EADDRINUSE:
                return "another program holds it for itself"
            return files.reason(error)
    return None


def extras(machine: Machine) -> Iterable[Remark]:
    """See which optional parts are installed; that one is missing where it is used, others say."""
    there = [name for name, module in machine.extras.items() if is_installed(module)]
    missing = [name for name in machine.extras if name not in there]
    shown = [f"{name} is installed" for name in there]
    shown += [f"{name} is not installed" for name in missing]
    hint = f'pip install "cipsec[{",".join(missing)}]"' if missing else None
    return [ok("; ".join(shown), hint)]


def is_installed(module: str) -> bool:
    """Tell whether a module of an extra is there; it is not imported."""
    return importlib.util.find_spec(module) is not None


CHECKS = {
    "python": python,
    "openssl": openssl,
    "clock": clock,
    "network": network,
    "multicast": multicast,
    "extras": extras,
}
