"""The composition root of the server: what is made, in which order, and how it all ends."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import logging
import os
import signal
import socket
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from types import FrameType

import filelock

from cipsec.ca_folder import CaFolder
from cipsec.discovery.announce import Announcement
from cipsec.discovery.interfaces import choose
from cipsec.errors import CipsecError, LocalState, Locked, UsageError
from cipsec.est.server import EstServer
from cipsec.front.server import FrontServer
from cipsec.ra.authority import RegistrationAuthority
from cipsec.ra.config import ConfigFile
from cipsec.serve import plan as plans
from cipsec.serve.listen import bind
from cipsec.serve.plan import Options, Plan, Ready
from cipsec.store.events import Event
from cipsec.store.writer import Writer

_LOG = logging.getLogger(__name__)

_DRAIN_SECONDS = 4.0  # of the five in which the server ends
_FLUSH_SECONDS = 2.0
_CERTIFICATE_SECONDS = 30.0


def run(
    folder: CaFolder,
    passphrase: str | None,
    options: Options,
    *,
    ready: Callable[[Ready], None],
    tell: Callable[[Event], None],
) -> None:
    """Serve until SIGTERM, SIGINT or the end of `options.duration`; drain, and return.

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
        sockets = bind(options.listen)
        told = plan.ready(sockets)
        try:
            if options.workers == 1:
                asyncio.run(_alone(plan, sockets, lambda: ready(told), tell))
            else:
                children = [_fork(plan, sockets, tell) for _ in range(options.workers)]
                asyncio.run(_parent(plan, told.port, children, lambda: ready(told)))
        finally:
            for bound in sockets:
                bound.close()


@contextlib.contextmanager
def _only_one(folder: CaFolder) -> Iterator[None]:
    """Hold the folder's lock: one server uses the key and writes the server's certificate."""
    lock = filelock.FileLock(folder.lock_file, blocking=False)
    try:
        lock.acquire()
    except filelock.Timeout:
        raise Locked(
            f"a server is running on {folder.path}",
            hint="end it, or use the one that runs: cipsec ca pending works beside it",
        ) from None
    try:
        yield
    finally:
        lock.release()


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
    sockets: Sequence[socket.socket],
    ready: Callable[[], None],
    tell: Callable[[Event], None],
) -> None:
    """Everything in one process."""
    async with (
        _ending(plan.options.duration) as end,
        _serving(plan, sockets, tell),
        _announced(plan, plans.port_of(sockets)),
        _task(_keep_certificate(plan)),
    ):
        ready()
        await end.wait()
    end.check()


@contextlib.asynccontextmanager
async def _serving(
    plan: Plan, sockets: Sequence[socket.socket], tell: Callable[[Event], None]
) -> AsyncIterator[None]:
    """Serve requests inside the block; drain at its end."""
    config = ConfigFile(plan.folder.config_file)
    database = plan.folder.store()
    writer = Writer(database)
    authority = RegistrationAuthority(
        plan.authority,
        database,
        writer,
        config=config.current,
        own_names=plan.certificate.names,
        tell=tell,
    )
    est = EstServer(authority, [plan.authority.certificate], config.current)
    front = FrontServer(plan.context(), est.handle)
    try:
        await front.start(sockets)
        _spare_the_collector()
        async with _task(_flush_polls(authority)), _task(_follow_certificate(plan, front)):
            yield
        await front.drain(_DRAIN_SECONDS)
        await authority.polls.flush()
    finally:
        authority.close()
        writer.close()
        database.close()


def _spare_the_collector() -> None:
    """Keep what was made so far out of every later collection, and collect less often.

    Connections leave no cycles behind, so there is little to find.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(20_000, 20, 20)


async def _flush_polls(authority: RegistrationAuthority) -> None:
    while True:
        await asyncio.sleep(_FLUSH_SECONDS)
        try:
            await authority.polls.flush()
        except LocalState as error:
            _LOG.error("polls are not counted: %s", error.message)


async def _follow_certificate(plan: Plan, front: FrontServer) -> None:
    """Serve new connections with the certificate in the folder, whichever process renewed it."""
    served = plan.certificate.load()[0]
    while True:
        await asyncio.sleep(_CERTIFICATE_SECONDS)
        try:
            certificate = plan.certificate.load()[0]
            if certificate != served:
                front.exchange_context(plan.context())
                served = certificate
        except CipsecError as error:
            _LOG.error("the server's certificate is not exchanged: %s", error.message)


async def _keep_certificate(plan: Plan) -> None:
    """Renew the server's certificate when it is due or this machine's names have changed."""
    while True:
        await asyncio.sleep(_CERTIFICATE_SECONDS)
        try:
            if await asyncio.to_thread(plan.renew):
                _LOG.warning("the server's certificate was renewed")
        except CipsecError as error:
            _LOG.error("the server's certificate is not renewed: %s", error.message)


@contextlib.asynccontextmanager
async def _announced(plan: Plan, port: int) -> AsyncIterator[None]:
    """Announce the server inside the block, withdraw it at the end."""
    options = plan.options
    if not options.announce:
        yield
        return
    instance = options.instance or plan.folder.configuration().name or "cipsec"
    wanted = options.interfaces or tuple([options.listen.address] if options.listen.address else [])
    announcement = Announcement(instance, port, wanted=wanted)
    announcement.start()
    try:
        yield
    finally:
        await announcement.close()


# Several processes: the parent announces and renews, the children serve on the same sockets.


def _fork(plan: Plan, sockets: Sequence[socket.socket], tell: Callable[[Event], None]) -> int:
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
    async with _ending(None) as end, _serving(plan, sockets, tell):
        await end.wait()


async def _parent(
    plan: Plan, port: int, children: Sequence[int], ready: Callable[[], None]
) -> None:
    try:
        async with (
            _ending(plan.options.duration) as end,
            _announced(plan, port),
            _task(_keep_certificate(plan)),
            _task(_watch(children, end)),
        ):
            ready()
            await end.wait()
    finally:
        for child in children:
            with contextlib.suppress(ProcessLookupError):
                os.kill(child, signal.SIGTERM)
        await asyncio.to_thread(_reap, children)
    end.check()


async def _watch(children: Sequence[int], end: _End) -> None:
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


# Ends and tasks.


@dataclass(slots=True)
class _End:
    """When and how the server is to end."""

    event: asyncio.Event = field(default_factory=asyncio.Event)
    interrupted: bool = False
    failure: str | None = None

    async def wait(self) -> None:
        await self.event.wait()

    def check(self) -> None:
        """Raise what the end was, unless it was an orderly one."""
        if self.failure:
            raise CipsecError(self.failure, hint="look above for why, and start it again")
        if self.interrupted:
            raise KeyboardInterrupt


@contextlib.asynccontextmanager
async def _ending(duration: timedelta | None) -> AsyncIterator[_End]:
    """Yield the end: SIGTERM, SIGINT, or after `duration`. Works where loops have no signals."""
    end, loop = _End(), asyncio.get_running_loop()

    def note(number: int, _: FrameType | None) -> None:
        end.interrupted = number == signal.SIGINT
        loop.call_soon_threadsafe(end.event.set)

    before = {number: signal.signal(number, note) for number in (signal.SIGTERM, signal.SIGINT)}
    timer = loop.call_later(duration.total_seconds(), end.event.set) if duration else None
    try:
        yield end
    finally:
        if timer:
            timer.cancel()
        for number, handler in before.items():
            signal.signal(number, handler)


@contextlib.asynccontextmanager
async def _task(work: Coroutine[None, None, None]) -> AsyncIterator[None]:
    """Run `work` beside the block and cancel it at the end."""
    task = asyncio.ensure_future(work)
    try:
        yield
    finally:
        task.cancel()
        await asyncio.wait([task])
