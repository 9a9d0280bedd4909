"""One delivery: a message to a channel, whatever its kind, within a time."""

from __future__ import annotations

import asyncio
from pathlib import Path

from cipsec.errors import Unreachable
from cipsec.ra.notify import command, lines, mail, push, syslog, webhook
from cipsec.ra.notify.blocking import Aside
from cipsec.ra.notify.channels import Apprise, Channel, Command, Email, Lines, Syslog, Webhook
from cipsec.ra.notify.message import Message

SECONDS = 10.0


async def deliver(channel: Channel, message: Message, folder: Path, aside: Aside) -> str | None:
    """Deliver a message within ten seconds; return what of it could not be, where most could.

    Raises Unreachable, CredentialsRefused or LocalState, in words that hold no secret.
    """
    try:
        async with asyncio.timeout(SECONDS):
            return await _deliver(channel, message, folder, aside)
    except TimeoutError:
        raise Unreachable(f"it is not done within {SECONDS:.0f} seconds") from None


async def _deliver(channel: Channel, message: Message, folder: Path, aside: Aside) -> str | None:
    match channel.target:
        case Email() as email:
            return await mail.deliver(email, message, folder, aside)
        case Apprise() as apprise:
            return await push.deliver(apprise, message, folder, aside)
        case Webhook() as hook:
            await webhook.deliver(hook, message, folder, aside)
        case Command() as program:
            await command.deliver(program, message, folder, aside)
        case Syslog() as collector:
            await syslog.deliver(collector, message, folder, aside)
        case Lines() as file:
            await lines.deliver(file, message, folder, aside)
    return None
