"""Push, SMS and chat through Apprise, in a process of its own: `sending`.

Apprise is large, blocks, and talks to a hundred services: a process can be ended, costs the server
no memory, and shows nobody the URLs, which are secrets.
"""

from __future__ import annotations

import importlib.util
import json
import sys
from pathlib import Path

from cipsec import files, shell
from cipsec.errors import LocalState, Malformed, Unreachable
from cipsec.ra.notify import sending, words
from cipsec.ra.notify.blocking import Aside
from cipsec.ra.notify.channels import Apprise
from cipsec.ra.notify.command import run
from cipsec.ra.notify.message import Message
from cipsec.ra.program import Ended

_LONGEST = 64 * 1024
# What chat programs read as markup, mentions and links, and what looks like it and is harmless.
_PLAIN = str.maketrans("<>@`[]|*", "‹›＠´()¦∗")


async def deliver(apprise: Apprise, message: Message, folder: Path, aside: Aside) -> str | None:
    """Send to each URL; return which of several failed, raise Unreachable when all did.

    LocalState is raised without apprise or without URLs.
    """
    if importlib.util.find_spec("apprise") is None:
        raise LocalState(
            "channels of type apprise need the package apprise",
            hint='install it with: pip install "cipsec[notify]"',
        )
    path = folder / apprise.urls_file
    urls = await aside.run(lambda: _urls(path))
    given = {"urls": list(urls.values())} | plain(message)
    # Not -m: the folder it runs in would be searched for modules.
    program = (sys.executable, "-P", sending.__file__)
    ended = await run(program, json.dumps(given).encode(), folder, aside)
    return _judged(ended, path, list(urls))


def plain(message: Message) -> dict[str, str]:
    """Return title and body, without anything that a chat program would act on."""
    title, body = words.subject(message), words.text(message)
    return {"title": title.translate(_PLAIN), "body": body.translate(_PLAIN)}


def _urls(path: Path) -> dict[int, str]:
    """Return the URLs by their line; raise LocalState, Malformed."""
    try:
        lines = files.read(path, limit=_LONGEST).decode("utf-8").splitlines()
    except UnicodeDecodeError:
        raise Malformed(f"{path} is not text") from None
    stripped = {number: line.strip() for number, line in enumerate(lines, start=1)}
    urls = {number: line for number, line in stripped.items() if line and line[0] != "#"}
    if not urls:
        raise Malformed(f"{path} holds no URL", hint="write one Apprise URL on each line")
    return urls


def _judged(ended: Ended, path: Path, lines: list[int]) -> str | None:
    """Return what the process says of each URL, in words that do not tell the URL."""
    try:
        results = dict(zip(lines, json.loads(ended.output.splitlines()[-1]), strict=True))
    except (IndexError, ValueError, TypeError):
        raise Unreachable(f"apprise: {ended.trouble or 'it ended without an answer'}") from None
    failed = [f"line {line} {said}" for line, said in results.items() if said != sending.SENT]
    if len(failed) == len(results):
        place = shell.quote(path)
        raise Unreachable(
            f"{path}: {'; '.join(failed)}", hint=f"see more with: apprise -vv -b test -c {place}"
        )
    return f"{path}: {'; '.join(failed)}" if failed else None
