"""The composition root of the server: what is made, in which order, and how it all ends."""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
from collections.abc import Callable, Iterator, Sequence

from cipsec import files
from cipsec.ca_folder import CaFolder
from cipsec.discovery.interfaces import choose
from cipsec.errors import UsageError
from cipsec.serve import plan as plans
from cipsec.serve import workers
from cipsec.serve.answering import serving
from cipsec.serve.ending import beside, ending
from cipsec.serve.listen import bind
from cipsec.serve.lists import Signing, hand_out, sign_first
from cipsec.serve.plan import Options, Plan, Ready
from cipsec.serve.upkeep import announced, keep_certificate, listing, telling
from cipsec.store.events import Event

_PATIENCE_SECONDS = 0.5  # who looks whether a server runs holds the lock for an instant


def run(
    folder: CaFolder,
    passphrase: str | None,
    options: Options,
    *,
    ready: Callable[[Ready], None],
    tell: Callable[[Event], None],
) -> None:
    """Serve until SIGTERM, SIGINT, SIGHUP or the end of `options.duration`; drain, and return.

    `ready` is called once, when requests are accepted; `tell` with each event of an enrollment.
    Raises Locked when a server runs on the folder already, LocalState for what is not as it must
    be, KeyboardInterrupt after an orderly end by SIGINT.
    """
    if options.workers > 1 and not hasattr(os, "fork"):
        raise UsageError("this system serves with one worker", hint="leave out --workers")
    choose(options.interfaces)
    _allow_connections()
    with _only_one(folder):
        plan = plans.make(folder, passphrase, options)
        signing = sign_first(plan)
        sockets = bind(options.listen)
        told = plan.ready(sockets)
        try:
            if options.workers == 1:
                asyncio.run(_alone(plan, signing, sockets, lambda: ready(told), tell))
            else:
                with workers.Tether.held() as tether:
                    children = [
                        workers.fork(plan, sockets, tell, tether) for _ in range(options.workers)
                    ]
                    asyncio.run(
                        workers.parent(plan, signing, told.port, children, lambda: ready(told))
                    )
        finally:
            for bound in sockets:
                bound.close()


@contextlib.contextmanager
def _only_one(folder: CaFolder) -> Iterator[None]:
    """Hold the folder's lock: one server uses the key and writes the server's certificate."""
    with files.held(
        folder.lock_file,
        patience=_PATIENCE_SECONDS,
        busy=f"a server is running on {folder.path}",
        hint="end it, or use the one that runs: cipsec ca pending works beside it",
    ):
        yield


def _allow_connections() -> None:
    """Raise the soft limit on open files to the hard one: a plant has more than 1,024 devices."""
    try:
        import resource
    except ImportError:  # Windows has no such limit
        return
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


async def _alone(
    plan: Plan,
    signing: Signing,
    sockets: Sequence[socket.socket],
    ready: Callable[[], None],
    tell: Callable[[Event], None],
) -> None:
    """Everything in one process."""
    handed = hand_out(plan.folder)
    async with (
        ending(plan.options.duration) as end,
        serving(plan, sockets, tell, handed),
        listing(plan, signing, handed),
        telling(plan),
        announced(plan, plans.port_of(sockets)),
        beside(keep_certificate(plan)),
    ):
        ready()
        await end.wait()
    end.check()
