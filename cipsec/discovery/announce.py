"""Announce an EST server by DNS-SD while it serves, withdraw it at the end; `serve` serves.

Meant for an event loop that does other things: registering takes more than a second and runs
as a task of its own. It follows the machine's interfaces as they come, change and go.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import logging
import re
import socket
from collections.abc import Callable, Sequence

from zeroconf import (  # type: ignore[attr-defined]  # DNSService is not in its __all__
    DNSService,
    Error,
    NonUniqueNameException,
    RecordUpdate,
    RecordUpdateListener,
    Zeroconf,
)
from zeroconf.asyncio import AsyncServiceInfo, AsyncZeroconf

from cipsec.discovery.interfaces import Interface, announced_on, interfaces
from cipsec.discovery.link import open_links
from cipsec.discovery.server import SERVICE_TYPE
from cipsec.errors import CipsecError, UsageError

_log = logging.getLogger(__name__)

_LOOK_AGAIN = 5.0
_DEFEND_AFTER = 2.0  # by then the one that gives way has said goodbye to the name
_MANY_CONFLICTS, _CALM_DOWN = 15, 5.0  # RFC 6762 section 8.1
_MAX_NAME = 63  # bytes: a DNS label
_MAX_HOST = 40
_NO_PAIRS = b"\0"  # at least one string, which may be empty (RFC 6763 section 6.1)


def host_name() -> str:
    """Return the host name announced, the SRV target, for a server certificate to name.

    It is not the machine's own `.local` name, because the system's responder owns that one and
    would take a second publisher of it for a conflict.
    """
    machine = socket.gethostname().partition(".")[0].lower()
    plain = re.sub(r"[^a-z0-9]+", "-", machine).strip("-")[:_MAX_HOST].strip("-")
    return f"{plain or 'cipsec'}-est.local"


class Announcement:
    """One service instance, announced on each interface with that interface's addresses only."""

    def __init__(
        self,
        instance: str,
        port: int,
        *,
        wanted: Sequence[str] = (),
        service: str = SERVICE_TYPE,
        label: str | None = None,
    ) -> None:
        """Prepare; nothing is sent before `start`.

        `wanted` as for `announced_on`; the caller checks it with `choose` first. `label` is
        published as TXT `label=…`. Raises UsageError when `instance` is no instance name.
        """
        if not instance or not instance.isprintable() or len(instance.encode()) > _MAX_NAME:
            raise UsageError(
                f"{instance!r} cannot be announced", hint="1 to 63 bytes, no control characters"
            )
        self._instance = instance
        self._port = port
        self._wanted = tuple(wanted)
        self._service = service
        self._txt = _string(f"label={label}") if label else _NO_PAIRS
        self._links: list[tuple[Interface, AsyncZeroconf]] = []
        self._infos: list[AsyncServiceInfo] = []
        self._task: asyncio.Task[None] | None = None
        self._contested = asyncio.Event()
        self._yields = False
        self.announced = asyncio.Event()
        self.name = instance
        """The name in use: another than asked for when that one was taken."""

    def start(self) -> None:
        """Begin announcing, as a task of the running event loop."""
        self._task = asyncio.create_task(self._follow())

    async def close(self) -> None:
        """Stop, telling the network that the service is gone."""
        if self._task:
            self._task.cancel()
            await asyncio.wait([self._task])
        await self._withdraw()

    async def _follow(self) -> None:
        """Announce, and again whenever the interfaces have changed or the name is contested."""
        current: list[Interface] = []
        while True:
            there = announced_on(interfaces(), self._wanted)
            if there != current or self._yields:
                current = await self._renew(there)
            elif self._contested.is_set():
                await self._defend()
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._contested.wait(), _LOOK_AGAIN)

    async def _renew(self, there: list[Interface]) -> list[Interface]:
        """Announce anew on `there`; return where that was done, nothing when it failed."""
        await self._withdraw()
        if not there:
            return []
        try:
            await self._publish(there)
        except (CipsecError, Error, OSError) as error:
            _log.error("the server is not announced: %s", error)
            await self._withdraw()
            return []
        return there

    async def _publish(self, there: list[Interface]) -> None:
        self._links = await open_links(there, patient=True)
        self._contested.clear()
        self._yields = False
        await self._settle_name()
        broadcasts = []
        for (_, link), info in zip(self._links, self._infos, strict=True):
            link.zeroconf.async_add_listener(_Conflicts(info, self._conflict), None)
            # Probed already, on all interfaces under one name: two of them may be one network.
            broadcasts.append(await link.async_register_service(info, cooperating_responders=True))
        self.announced.set()
        await asyncio.gather(*broadcasts)

    async def _settle_name(self) -> None:
        """Find a name that is free on all interfaces, numbering it while it is not."""
        for number in itertools.count(1):
            self.name = _numbered(self._instance, number)
            self._infos = [self._info(interface) for interface, _ in self._links]
            if await self._free():
                break
            _log.warning("another server is announced as %r", self.name)
            if number >= _MANY_CONFLICTS:
                await asyncio.sleep(_CALM_DOWN)

    async def _free(self) -> bool:
        """Ask on all interfaces at once whether the name is free."""
        checks = [
            link.zeroconf.async_check_service(info, allow_name_change=False)
            for (_, link), info in zip(self._links, self._infos, strict=True)
        ]
        taken = await asyncio.gather(*checks, return_exceptions=True)
        for error in taken:
            if error and not isinstance(error, NonUniqueNameException):
                raise error
        return not any(taken)

    def _info(self, interface: Interface) -> AsyncServiceInfo:
        return AsyncServiceInfo(
            self._service,
            f"{self.name}.{self._service}",
            port=self._port,
            server=f"{host_name()}.",
            properties=self._txt,
            parsed_addresses=_published(interface),
        )

    def _conflict(self, *, yields: bool) -> None:
        self._yields |= yields
        self._contested.set()

    async def _defend(self) -> None:
        """Announce once more what the goodbye of the one that gave way has taken with it."""
        self._contested.clear()
        await asyncio.sleep(_DEFEND_AFTER)
        for (_, link), info in zip(self._links, self._infos, strict=True):
            await (await link.async_update_service(info))

    async def _withdraw(self) -> None:
        """Say goodbye on every link and close it."""
        self.announced.clear()
        links, self._links = self._links, []
        await asyncio.gather(*(link.async_close() for _, link in links))


class _Conflicts(RecordUpdateListener):
    """Notices another server under our name: of two that began at once, one gives way."""

    def __init__(self, info: AsyncServiceInfo, conflict: Callable[..., None]) -> None:
        self._key = info.name.lower()
        self._ours = ((info.server or "").lower(), info.port or 0)
        self._conflict = conflict

    def async_update_records(self, zc: Zeroconf, now: float, records: list[RecordUpdate]) -> None:
        """Compare every SRV record of our name with ours (RFC 6762 section 9)."""
        for record in (update.new for update in records):
            if isinstance(record, DNSService) and record.key == self._key and record.ttl:
                theirs = (record.server.lower(), record.port)
                if theirs != self._ours:
                    self._conflict(yields=theirs > self._ours)


def _published(interface: Interface) -> list[str]:
    """Return the addresses to publish; link-local IPv6 only where there is no other."""
    addresses = [attached.ip for attached in interface.addresses]
    plain = [a for a in addresses if a.version == 4 or not a.is_link_local]
    return [str(a) for a in plain or addresses]


def _numbered(name: str, number: int) -> str:
    """Return `name`, then `name (2)`, `name (3)` …, cut so that it stays a DNS label."""
    if number == 1:
        return name
    suffix = f" ({number})"
    cut = name.encode()[: _MAX_NAME - len(suffix)].decode("utf-8", "ignore")
    return f"{cut}{suffix}"


def _string(text: str) -> bytes:
    data = text.encode()[:255]
    return bytes([len(data)]) + data
