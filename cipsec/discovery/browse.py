"""Find EST servers by DNS-SD, once or continuously; asking what is found is left to `survey`."""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
import logging
import math
import re
import time
from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from functools import partial

from zeroconf import BadTypeInNameException, IPVersion, ServiceStateChange, Zeroconf
from zeroconf.asyncio import AsyncServiceBrowser, AsyncServiceInfo, AsyncZeroconf

from cipsec.discovery.interfaces import Interface, choose
from cipsec.discovery.link import open_links
from cipsec.discovery.server import (
    SERVICE_TYPE,
    Server,
    decode_txt,
    instance_of,
    reachable,
)
from cipsec.errors import UsageError

_log = logging.getLogger(__name__)

_TICK = 0.25
_OTHERS = 1.0  # seconds in which the others answer who were asked with the first
_RESOLVE_MS = 1000
# Strangers decide how many names there are; these bound memory and what is sent on their account.
_MAX_SERVERS = 1000
_MAX_RESOLVING = 32
_TYPE = re.compile(r"_(?=[a-z0-9-]*[a-z])[a-z0-9](?:-?[a-z0-9]){0,14}\._(?:tcp|udp)", re.IGNORECASE)


class Change(StrEnum):
    """What happened to a server."""

    FOUND = "found"
    UPDATED = "updated"
    GONE = "gone"


@dataclass(frozen=True, slots=True)
class Event:
    """A server appeared, changed, or went; when gone, as it was known last."""

    change: Change
    server: Server


def service_type(text: str) -> str:
    """Return a DNS-SD service type as `_est._tcp.local.`, however much is written; UsageError."""
    bare = text.removesuffix(".").removesuffix(".local")
    if not _TYPE.fullmatch(bare):
        raise UsageError(f"{text!r} is not a DNS-SD service type", hint=f"write {SERVICE_TYPE}")
    return f"{bare}.local."


def browse(
    *,
    timeout: float,
    longer: float = 0.0,
    interfaces: Sequence[Interface] = (),
    service: str = SERVICE_TYPE,
) -> list[Server]:
    """Return the servers that answer within `timeout` seconds, by SRV priority, weight, name.

    `longer` as for `watch`. `interfaces` from `choose`, all when empty. Raises LocalState when
    multicast DNS cannot be used. One server heard on two interfaces counts twice.
    """
    known: dict[tuple[str, str], Server] = {}
    told = watch(timeout=timeout, longer=longer, interfaces=interfaces, service=service)
    for events in told:
        for event in events:
            key = (event.server.interface, event.server.name)
            if event.change is Change.GONE:
                known.pop(key, None)
            else:
                known[key] = event.server
    return sorted(known.values(), key=lambda server: server.order)


def watch(
    *,
    timeout: float | None,
    longer: float = 0.0,
    interfaces: Sequence[Interface] = (),
    service: str = SERVICE_TYPE,
) -> Generator[list[Event], None, None]:
    """Yield what changed, possibly nothing, four times a second for `timeout` seconds or for ever.

    They count from when it listens; while nobody answers there are up to `longer` seconds more.
    Must be called where no event loop runs. Raises as `browse` does; closing the generator closes
    the sockets.
    """
    with asyncio.Runner() as runner:
        browsing = runner.run(_Browsing.begin(list(interfaces) or choose(()), service))
        enough = math.inf if timeout is None else time.monotonic() + timeout
        end, nobody = enough + longer, True
        try:
            while time.monotonic() < end:
                events = runner.run(browsing.next_events(_TICK, end))
                if events and nobody:
                    nobody, end = False, min(end, max(enough, time.monotonic() + _OTHERS))
                yield events
        finally:
            runner.run(browsing.close())


class _Browsing:
    """The browsers of all chosen interfaces and what they have reported and nobody has read."""

    def __init__(self, links: list[tuple[Interface, AsyncZeroconf]], service: str) -> None:
        self._events: list[Event] = []
        self._links = [link for _, link in links]
        self._listeners = [_Listener(i, link, service, self._events.append) for i, link in links]

    @classmethod
    async def begin(cls, interfaces: list[Interface], service: str) -> _Browsing:
        return cls(await open_links(interfaces), service)

    async def next_events(self, seconds: float, end: float) -> list[Event]:
        await asyncio.sleep(max(0.0, min(seconds, end - time.monotonic())))
        events = self._events.copy()
        self._events.clear()
        return events

    async def close(self) -> None:
        await asyncio.gather(*(listener.close() for listener in self._listeners))
        await asyncio.gather(*(link.async_close() for link in self._links))


class _Listener:
    """One interface: which instances there are, each resolved once a change, a few at a time."""

    def __init__(
        self,
        interface: Interface,
        link: AsyncZeroconf,
        service: str,
        report: Callable[[Event], None],
    ) -> None:
        self._interface = interface
        self._service = service
        self._report = report
        self._known: dict[str, Server] = {}
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._stale: set[str] = set()
        self._slots = asyncio.Semaphore(_MAX_RESOLVING)
        self._full = False
        self._browser = AsyncServiceBrowser(link.zeroconf, service, handlers=[self._changed])

    def _changed(
        self, zeroconf: Zeroconf, service_type: str, name: str, state_change: ServiceStateChange
    ) -> None:
        if state_change is ServiceStateChange.Removed:
            self._gone(name)
        elif (reading := self._tasks.get(name)) and not reading.done():
            self._stale.add(name)
        elif name in self._known or self._room():
            task = asyncio.create_task(self._resolve(zeroconf, name))
            self._tasks[name] = task
            task.add_done_callback(partial(self._done, name))

    def _done(self, name: str, task: asyncio.Task[None]) -> None:
        if self._tasks.get(name) is task:
            del self._tasks[name]

    def _room(self) -> bool:
        if len(self._known) + len(self._tasks) < _MAX_SERVERS:
            return True
        if not self._full:
            _log.error("there are more than %d servers on %s", _MAX_SERVERS, self._interface.name)
        self._full = True
        return False

    def _gone(self, name: str) -> None:
        if task := self._tasks.pop(name, None):
            task.cancel()
        if server := self._known.pop(name, None):
            self._report(Event(Change.GONE, server))

    async def _resolve(self, zeroconf: Zeroconf, name: str) -> None:
        self._stale.add(name)
        while name in self._stale:
            self._stale.discard(name)
            async with self._slots:
                server = await self._read(zeroconf, name)
            before = self._known.get(name)
            if server and server != before:
                self._known[name] = server
                self._report(Event(Change.UPDATED if before else Change.FOUND, server))

    async def _read(self, zeroconf: Zeroconf, name: str) -> Server | None:
        instance = instance_of(name, self._service)
        if instance is None:
            return None
        try:
            info = AsyncServiceInfo(self._service, name)
            await info.async_request(zeroconf, _RESOLVE_MS)
        except BadTypeInNameException:
            return None
        return _server(info, instance, self._interface)

    async def close(self) -> None:
        await self._browser.async_cancel()
        tasks = list(self._tasks.values())
        for task in tasks:
            task.cancel()
        for task in tasks:
            with contextlib.suppress(asyncio.CancelledError):
                await task


def _server(info: AsyncServiceInfo, instance: str, interface: Interface) -> Server | None:
    """Return what is known of an instance; None without SRV or when that says "not available".

    RFC 2782: a target of "." means that the service is decidedly not there.
    """
    host = (info.server or "").removesuffix(".")
    if not host or not info.port:
        return None
    announced = [ipaddress.ip_address(p) for p in info.addresses_by_version(IPVersion.All)]
    return Server(
        name=instance,
        host=host,
        port=info.port,
        addresses=reachable(announced, interface),
        interface=interface.name,
        txt=decode_txt(info.text),
        priority=info.priority,
        weight=info.weight,
    )
