"""Several processes: the parent announces and renews, the children answer on shared sockets."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import signal
import socket
from collections.abc import Callable, Sequence

from cipsec.serve.answering import serving
from cipsec.serve.ending import End, beside, ending
from cipsec.serve.lists import Signing, follow, hand_out
from cipsec.serve.plan import Plan
from cipsec.serve.upkeep import announced, keep_certificate, listing, telling
from cipsec.store.events import Event

_LOG = logging.getLogger(__name__)


def fork(plan: Plan, sockets: Sequence[socket.socket], tell: Callable[[Event], None]) -> int:
    """Start a worker and return its process id; the store was made ready before."""
    child = os.fork()
    if child:
        return child
    code = 1
    try:
        asyncio.run(_worker(plan, sockets, tell))
        code = 0
    except Exception:  # noqa: BLE001  # the border of this process; nobody else would tell
        _LOG.exception("a worker ended")
    finally:
        # Neither the parent's clean-up nor its lock are the child's to run.
        os._exit(code)


async def _worker(
    plan: Plan, sockets: Sequence[socket.socket], tell: Callable[[Event], None]
) -> None:
    async with ending(None) as end, serving(plan, sockets, tell, hand_out(plan.folder)):
        await end.wait()


async def parent(
    plan: Plan, signing: Signing, port: int, children: Sequence[int], ready: Callable[[], None]
) -> None:
    """Announce, renew and list while the children serve; end them all at the end."""
    handed = hand_out(plan.folder)
    try:
        async with (
            ending(plan.options.duration) as end,
            listing(plan, signing, handed),
            beside(follow(handed)),
            telling(plan),
            announced(plan, port),
            beside(keep_certificate(plan)),
            beside(_watch(children, end)),
        ):
            ready()
            await end.wait()
    finally:
        for child in children:
            with contextlib.suppress(ProcessLookupError):
                os.kill(child, signal.SIGTERM)
        await asyncio.to_thread(_reap, children)
    end.check()


async def _watch(children: Sequence[int], end: End) -> None:
    """End the server when a worker ends: half a server is worse than one that is restarted."""
    while True:
        await asyncio.sleep(1.0)
        for child in children:
            if os.waitid(os.P_PID, child, os.WEXITED | os.WNOHANG | os.WNOWAIT):
                end.failure = f"worker {child} ended, and the server with it"
                end.event.set()


def _reap(children: Sequence[int]) -> None:
    for child in children:
        os.waitpid(child, 0)
