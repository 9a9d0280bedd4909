"""Trying a channel by hand: a test message now, whatever waits for it."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from cipsec.errors import CipsecError
from cipsec.ra.notify.blocking import Aside
from cipsec.ra.notify.channels import Channel
from cipsec.ra.notify.deliver import deliver
from cipsec.ra.notify.message import trial_message


@dataclass(frozen=True, slots=True)
class Tried:
    """What became of a test: an error when it was not delivered, and what of it could not be."""

    channel: Channel
    error: CipsecError | None
    left: str | None


async def try_all(
    channels: Sequence[Channel], ca: str, folder: Path, *, actor: str, now: datetime
) -> list[Tried]:
    """Send a test to every channel, all at once, in ten seconds at most."""

    async def one(channel: Channel) -> Tried:
        origin = f"{folder}\0{channel.name}"
        message = trial_message(ca, origin, actor, int(now.timestamp()))
        try:
            return Tried(channel, None, await deliver(channel, message, folder, Aside()))
        except CipsecError as error:
            return Tried(channel, error, None)

    return list(await asyncio.gather(*(one(channel) for channel in channels)))
