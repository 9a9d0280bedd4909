"""Events and channels for tests of notification, and a follower that runs beside them."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import tomllib
from collections.abc import AsyncIterator, Callable, Mapping
from pathlib import Path
from typing import cast

from cipsec.ra.notify.blocking import Aside
from cipsec.ra.notify.channels import Channel
from cipsec.ra.notify.config import parse_channels
from cipsec.ra.notify.deliver import deliver
from cipsec.ra.notify.directory import Directory
from cipsec.ra.notify.follow import follow
from cipsec.ra.notify.message import Message, Told, message
from cipsec.store import channels, events, requests
from cipsec.store.channels import ChannelRow
from cipsec.store.codes import Code
from cipsec.store.database import Database
from cipsec.store.events import Event
from cipsec.store.writer import Writer
from tests.store import rows

REQUEST = "ab" * 32
LOOK = 0.05


def event(what: str = "pending", **values: object) -> Event:
    """Return an event of a device that waits."""
    made = Event(
        at=1_800_000_000,
        event=cast("Code", what),  # the name may be any: logs of later versions
        actor="endpoint",
        address="192.0.2.7",
        request=REQUEST,
        subject="CN=Drive 7",
        device="0001:6040C8F2",
        rule="everyone else",
        reason="holds for everyone",
    )
    return dataclasses.replace(made, **values)  # type: ignore[arg-type]  # the tests' own


def told(what: str = "pending", *, number: int = 1, **values: object) -> Told:
    """Return an event with its request."""
    return Told(number, event(what, **values), rows.request(REQUEST))


def one(*events_told: Told) -> Message:
    """Return a message of these events."""
    listed = events_told or (told(),)
    counts: dict[str, int] = {}
    for each in listed:
        counts[each.event.event] = counts.get(each.event.event, 0) + 1
    return message("Line 4", "test", listed, counts, upto=len(listed))


def channel(text: str) -> Channel:
    """Return the channel "it" of a TOML text without its head."""
    [made] = parse_channels(tomllib.loads(f'[[channel]]\nname = "it"\n{text}')["channel"])
    return made


def send(text: str, folder: Path, *events_told: Told) -> str | None:
    """Deliver a message of these events by a channel, once."""
    return asyncio.run(deliver(channel(text), one(*events_told), folder, Aside()))


def directory(*texts: str, by_rule: Mapping[str, frozenset[str]] | None = None) -> Directory:
    """Return whom to tell, from the texts of channels."""
    tables = tomllib.loads("\n".join(f"[[channel]]\n{text}" for text in texts))
    return Directory("Line 4", parse_channels(tables.get("channel")), by_rule or {})


def happen(store: Database, *happened: Event) -> None:
    """Record events, in one transaction."""

    def work(db: object) -> None:
        for each in happened:
            events.append(db, each)  # type: ignore[arg-type]  # the store's connection

    store.write(work)


def waits(store: Database, identifier: str = REQUEST, *, first_seen: int = 1_000) -> None:
    """Record a request that waits."""
    store.write(lambda db: requests.insert(db, rows.request(identifier, first_seen=first_seen)))


def row(store: Database, name: str = "it") -> ChannelRow | None:
    """Return how a channel stands."""
    return store.read(lambda db: channels.by_name(db, name))


@contextlib.asynccontextmanager
async def following(
    store: Database, writer: Writer, whom: Callable[[], Directory], folder: Path
) -> AsyncIterator[None]:
    """Follow the log inside the block, from where its channels stand."""
    task = asyncio.create_task(follow(store, writer, whom, folder, look_seconds=LOOK))
    try:
        for one_channel in _known(whom):
            await until(lambda name=one_channel: row(store, name) is not None)  # type: ignore[misc]  # mypy infers no lambda with a default
        yield
    finally:
        task.cancel()
        await asyncio.wait([task])
        if not task.cancelled() and (error := task.exception()):
            raise error


def _known(whom: Callable[[], Directory]) -> list[str]:
    with contextlib.suppress(Exception):
        return [each.name for each in whom().channels]
    return []


async def until(holds: Callable[[], object], *, seconds: float = 60.0) -> None:
    """Wait until it holds; fail when it never does."""
    async with asyncio.timeout(seconds):
        while not holds():
            await asyncio.sleep(0.02)
