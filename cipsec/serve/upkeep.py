"""What goes on beside answering, in one process only: announcing, renewing, telling, listing."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator

from cipsec.current import stamp
from cipsec.discovery.announce import Announcement
from cipsec.errors import CipsecError
from cipsec.ra.config import ConfigFile
from cipsec.ra.notify import due
from cipsec.ra.notify.directory import directory
from cipsec.ra.notify.follow import follow
from cipsec.serve.distribution import distributing
from cipsec.serve.ending import beside
from cipsec.serve.lists import Handed, Signing, keep_signed
from cipsec.serve.plan import Plan
from cipsec.store.writer import Writer

_LOG = logging.getLogger(__name__)

_LOOK_SECONDS = 1.0
_LOOKS = 30


async def keep_certificate(plan: Plan) -> None:
    """Renew the server's certificate when it is due, or names or the CA's root have changed."""
    while True:
        await _some_time(plan)
        try:
            if await asyncio.to_thread(plan.renew):
                _LOG.warning("the server's certificate was renewed")
        except CipsecError as error:
            _LOG.error("the server's certificate is not renewed: %s", error.message)


async def _some_time(plan: Plan) -> None:
    """Return after half a minute, earlier when another root issues."""
    file = str(plan.folder.certificate_file)
    before = stamp(file)
    for _ in range(_LOOKS):
        await asyncio.sleep(_LOOK_SECONDS)
        if stamp(file) != before:
            return


@contextlib.asynccontextmanager
async def telling(plan: Plan) -> AsyncIterator[None]:
    """Tell people of what happens inside the block, and of what is due."""
    config = ConfigFile(plan.folder.config_file)
    database = plan.folder.store()
    writer = Writer(database)
    try:
        async with (
            beside(follow(database, writer, lambda: directory(config.current()), plan.folder.path)),
            beside(due.watch(database, writer, lambda: config.current().server)),
        ):
            yield
    finally:
        writer.close()
        database.close()


@contextlib.asynccontextmanager
async def listing(plan: Plan, signing: Signing, handed: Handed) -> AsyncIterator[None]:
    """Keep the revocation list signed inside the block, and hand it out where ca.toml says."""
    database = plan.folder.store()
    try:
        async with distributing(plan, handed), beside(keep_signed(signing, database)):
            yield
    finally:
        database.close()


@contextlib.asynccontextmanager
async def announced(plan: Plan, port: int) -> AsyncIterator[None]:
    """Announce the server inside the block, withdraw it at the end."""
    options = plan.options
    if not options.announce:
        yield
        return
    instance = options.instance or plan.folder.configuration().name or "cipsec"
    announcement = Announcement(instance, port, wanted=options.announce_on)
    announcement.start()
    try:
        yield
    finally:
        await announcement.close()
