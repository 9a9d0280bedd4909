"""Several processes: the parent announces and renews, the children answer on shared sockets."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import signal
import socket
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from cipsec.serve.answering import serving
from cipsec.serve.ending import End, beside, ending
from cipsec.serve.lists import Signing, follow, hand_out
from cipsec.serve.plan import Plan
from cipsec.serve.upkeep import announced, keep_certificate, listing, telling
from cipsec.store.events import Event

_LOG = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Tether:
    """A pipe that only the parent could write to: its end is the parent's, however that came."""

    here: int
    parents: int

    @classmethod
    @contextlib.contextmanager
    def held(cls) -> Iterator[Tether]:
        """Yield a tether, and let go of it at the end."""
        tether = cls(*os.pipe())
        try:
            yield tether
        finally:
            os.close(tether.here)
            os.close(tether.parents)


def fork(
    plan: Plan, sockets: Sequence[socket.socket], tell: Callable[[Event], None], tether: Tether
) -> int:
    """Start a worker and return its process id; the store was made ready before.

    It ends with its parent, also where that is killed: alone it would keep the port from the next
    server, and serve without a revocation list being signed or anybody being told.
    """
    child = os.fork()
    if child:
        return child
    code = 1
    try:
        os.close(tether.parents)
        asyncio.run(_worker(plan, sockets, tell, tether))
        code = 0
    except Exception:  # noqa: BLE001  # the border of this process; nobody else would tell
        _LOG.exception("a worker ended")
    finally:
        # Neither the parent's clean-up nor its lock are the child's to run.
        os._exit(code)


async def _worker(
    plan: Plan, sockets: Sequence[socket.socket], tell: Callable[[Event], None], tether: Tether
) -> None:
    async with ending(None) as end, serving(plan, sockets, tell, hand_out(plan.folder)):
        asyncio.get_running_loop().add_reader(tether.here, end.event.set)
        await end.wait()
        asyncio.get_running_loop().remove_reader(tether.here)


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
