"""One channel that follows the log: it gathers, tells, and tries again; `deliver` reaches people.

At least once: a message whose receipt was lost, by a crash or by a channel that hung when the
server ended, is told again.
"""

from __future__ import annotations

import asyncio
import logging
import sqlite3
import time
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

from cipsec import times
from cipsec.errors import CipsecError, LocalState
from cipsec.ra.notify import message as messages
from cipsec.ra.notify.blocking import Aside
from cipsec.ra.notify.channels import Channel
from cipsec.ra.notify.deliver import SECONDS, deliver
from cipsec.ra.notify.directory import Directory
from cipsec.ra.notify.gather import Gathered
from cipsec.store import chain, channels
from cipsec.store.channels import ChannelRow
from cipsec.store.database import Database
from cipsec.store.writer import Writer

T = TypeVar("T")

_LOG = logging.getLogger(__name__)

_END_SECONDS = 1.0
_LONGEST_PAUSE = 300
_TRY_SECONDS = int(SECONDS) + 5  # after which one that did not end is given up
_IDLE_EVENTS = 1_000  # passed over before the cursor is written: a write for each would be many


@dataclass(slots=True)
class Follower:
    """One channel, followed."""

    channel: Channel
    database: Database
    writer: Writer
    directory: Callable[[], Directory]
    folder: Path
    look_seconds: float
    aside: Aside = field(default_factory=Aside)
    gathered: Gathered = field(default_factory=lambda: Gathered(-1))
    eager: bool = True  # whoever mended ca.toml or began the server anew need not wait

    async def run(self) -> None:
        """Tell what happens, for ever."""
        said = ""
        while True:
            try:
                while await self._step():
                    await asyncio.sleep(0)
                said = ""
            except LocalState as error:  # the store cannot be used, or ca.toml was never whole
                if error.message != said:
                    _LOG.error("channel %s waits: %s", self.channel.name, error.message)
                said = error.message
            await asyncio.sleep(self.look_seconds)

    async def _step(self) -> bool:
        """Read on, and tell what is ripe; return whether there is more to do at once."""
        row = await self._row()
        if self.gathered.start != row.cursor:
            self.gathered = Gathered(row.cursor)
        directory, now = self.directory(), time.monotonic()
        more = self.database.read(
            lambda db: self.gathered.extend(db, self.channel, directory, now=now)
        )
        if not self.gathered.counts:
            await self._pass_over(row)
            return more
        if more and not self.gathered.is_full(self.channel):
            return True  # one message is to tell it all
        if not self.gathered.is_ripe(self.channel, now=now) or not _is_due(row, eager=self.eager):
            return False
        return await _seen_through(self._tell(row, directory))

    async def _row(self) -> ChannelRow:
        """Return where the channel stands; one that is new begins where the log ends."""
        name = self.channel.name
        row = self.database.read(lambda db: channels.by_name(db, name))
        if row is None:
            await self.writer.write(lambda db: channels.open_at_end(db, name))
            row = self.database.read(lambda db: channels.by_name(db, name))
        if row is None:
            raise LocalState("another process does not know it and removes it")
        last = self.database.read(channels.last_event)
        if row.cursor > last:  # the store came from a backup: numbers are given a second time
            await self.writer.write(lambda db: channels.move(db, name, cursor=last))
            return ChannelRow(name, last)
        return row

    async def _pass_over(self, row: ChannelRow) -> None:
        """Note, now and then, that what was read does not concern the channel."""
        upto = self.gathered.upto
        if upto - row.cursor >= _IDLE_EVENTS:
            await self.writer.write(lambda db: channels.move(db, row.name, cursor=upto))

    async def _tell(self, row: ChannelRow, directory: Directory) -> bool:
        """Deliver once, and record how it went; return whether it went well."""
        gathered, at, self.eager = self.gathered, int(times.now().timestamp()), False
        if not await self.writer.write(lambda db: channels.claim(db, row, at=at)):
            return False
        message = self.database.read(lambda db: self._message(db, gathered, directory))
        try:
            left = await deliver(self.channel, message, self.folder, self.aside)
        except CipsecError as error:
            await self._failed(row, error)
            return False
        await self._delivered(row, gathered.upto, left)
        return True

    def _message(
        self, db: sqlite3.Connection, gathered: Gathered, directory: Directory
    ) -> messages.Message:
        told = messages.with_requests(db, gathered.kept)
        origin = f"{self.folder}\0{self.channel.name}"
        head, upto = chain.head(db), gathered.upto
        return messages.message(directory.name, origin, told, gathered.counts, upto=upto, head=head)

    async def _failed(self, row: ChannelRow, error: CipsecError) -> None:
        # Once aloud; `notify list` has the rest.
        level = logging.INFO if row.failed else logging.ERROR
        _LOG.log(level, "channel %s: %s", row.name, error.message)
        await self.writer.write(lambda db: channels.failed(db, row.name, error.message))

    async def _delivered(self, row: ChannelRow, upto: int, left: str | None) -> None:
        if row.failed:
            _LOG.error("channel %s works again", row.name)
        at = int(times.now().timestamp())
        await self.writer.write(
            lambda db: channels.delivered(db, row.name, cursor=upto, at=at, left=left)
        )


async def _seen_through(work: Coroutine[None, None, T]) -> T:
    """Return what `work` returns; cancelled, give it a second to end by itself.

    Otherwise a server that ends between telling and recording that would tell all of it again.
    """
    task = asyncio.ensure_future(work)
    try:
        return await asyncio.shield(task)
    except asyncio.CancelledError:
        await asyncio.wait([task], timeout=_END_SECONDS)
        task.cancel()
        await asyncio.wait([task])
        raise


def _is_due(row: ChannelRow, *, eager: bool) -> bool:
    """Tell whether to try: not while another process does, and less often the longer it fails."""
    if not row.failures or row.tried_at is None:
        return True
    pause = 0
    if row.failed and not eager:
        pause = min(_LONGEST_PAUSE, 2 ** min(row.failed - 1, 16))
    if row.is_trying:
        pause = max(pause, _TRY_SECONDS)
    passed = times.now().timestamp() - row.tried_at
    return passed >= pause or passed < 0  # the latter where the clock was set back
