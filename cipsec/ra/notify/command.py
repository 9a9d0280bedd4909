"""A command that gets the document on its stdin."""

from __future__ import annotations

import json
import threading
from pathlib import Path

from cipsec import safe
from cipsec.errors import Unreachable
from cipsec.ra import program
from cipsec.ra.notify.blocking import Aside
from cipsec.ra.notify.channels import Command
from cipsec.ra.notify.message import Message, document
from cipsec.ra.program import Ended

SECONDS = 9.0  # and a moment to end it in
_LAST_WORDS = 200


async def deliver(command: Command, message: Message, folder: Path, aside: Aside) -> None:
    """Run it in the CA folder; raise Unreachable unless it ends with exit code 0."""
    data = json.dumps(document(message)).encode() + b"\n"
    ended = await run(command.argv, data, folder, aside)
    if ended.status != 0:
        how = ended.trouble or f"it ended with {ended.status}"
        last = ended.errors.decode("utf-8", "replace").split("\n")
        why = next((safe.text(line, limit=_LAST_WORDS) for line in last[::-1] if line.strip()), "")
        raise Unreachable(": ".join(filter(None, [command.argv[0], how, why])))


async def run(argv: tuple[str, ...], data: bytes, folder: Path, aside: Aside) -> Ended:
    """Run a program with `data` on its stdin; it is ended with everything it started."""
    stop = threading.Event()
    return await aside.run(
        lambda: program.run(argv, data, folder, seconds=SECONDS, stop=stop), stop=stop.set
    )
