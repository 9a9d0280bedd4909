"""Following the log: a follower for each channel in ca.toml, none of which waits for another."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from pathlib import Path

from cipsec.errors import LocalState, StoreFailed
from cipsec.ra.notify.channels import Channel
from cipsec.ra.notify.directory import Directory
from cipsec.ra.notify.follower import Follower
from cipsec.store import channels
from cipsec.store.database import Database
from cipsec.store.writer import Writer

_LOG = logging.getLogger(__name__)

_LOOK_SECONDS = 1.0


async def follow(
    database: Database,
    writer: Writer,
    directory: Callable[[], Directory],
    folder: Path,
    *,
    look_seconds: float = _LOOK_SECONDS,
) -> None:
    """Tell every channel what concerns it, until cancelled.

    `directory` returns whom to tell as ca.toml has it now, and raises LocalState while that is
    broken: then those of before are told, of that too. `folder` is the CA's.
    """
    followers = _Followers(database, writer, directory, folder, look_seconds)
    try:
        while True:
            await followers.see_to()
            await asyncio.sleep(look_seconds)
    finally:
        await followers.end(list(followers.tasks))


@dataclass(slots=True)
class _Followers:
    """The followers that run, and whom ca.toml had them tell when it was last whole."""

    database: Database
    writer: Writer
    directory: Callable[[], Directory]
    folder: Path
    look_seconds: float
    latest: Directory | None = None
    kept: frozenset[str] | None = None
    tasks: dict[Channel, asyncio.Task[None]] = field(default_factory=dict)

    async def see_to(self) -> None:
        """Start what is missing, end what is no longer wanted."""
        with contextlib.suppress(LocalState):  # told by whoever decides requests
            self.latest = self.directory()
        if self.latest is None:
            return
        wanted = self.latest.channels
        await self.end([one for one in self.tasks if one not in wanted])
        await self._forget_all_but(frozenset(channel.name for channel in wanted))
        for channel in wanted:
            self._keep(channel)

    def known(self) -> Directory:
        """Return whom to tell."""
        return self.latest or self.directory()

    def _keep(self, channel: Channel) -> None:
        """Start a follower where none runs."""
        task = self.tasks.get(channel)
        if task is not None and not task.done():
            return
        if task is not None and not task.cancelled():
            _LOG.error("channel %s is begun anew", channel.name, exc_info=task.exception())
        follower = Follower(
            channel, self.database, self.writer, self.known, self.folder, self.look_seconds
        )
        self.tasks[channel] = asyncio.create_task(follower.run())

    async def _forget_all_but(self, names: frozenset[str]) -> None:
        """Drop from the store what is no longer in ca.toml; it would begin anew if it came back."""
        if names == self.kept:
            return
        try:
            await self.writer.write(lambda db: channels.keep_only(db, names))
            self.kept = names
        except StoreFailed as error:
            _LOG.error("channels that are gone are not forgotten: %s", error.message)

    async def end(self, ending: Collection[Channel]) -> None:
        """Cancel these and wait for their end, which takes no longer than a moment."""
        tasks = [self.tasks.pop(channel) for channel in ending]
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)
