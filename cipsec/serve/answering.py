"""One process that answers requests: store, RA, EST and front joined, and ended in order."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import logging
import socket
from collections.abc import AsyncIterator, Callable, Sequence

from cryptography import x509

from cipsec import times
from cipsec.ca_folder import fingerprint
from cipsec.errors import CipsecError, LocalState
from cipsec.est.server import EstServer
from cipsec.front.server import FrontServer
from cipsec.ra.authority import RegistrationAuthority
from cipsec.ra.config import ConfigFile
from cipsec.serve.ending import beside
from cipsec.serve.lists import Handed, follow
from cipsec.serve.plan import Plan
from cipsec.store.events import Event
from cipsec.store.writer import Writer

_LOG = logging.getLogger(__name__)

_DRAIN_SECONDS = 4.0  # of the five in which the server ends
_FLUSH_SECONDS = 2.0
_TLS_SECONDS = 2.0
_ROOTS_SECONDS = 2.0


@contextlib.asynccontextmanager
async def serving(
    plan: Plan, sockets: Sequence[socket.socket], tell: Callable[[Event], None], handed: Handed
) -> AsyncIterator[None]:
    """Serve requests inside the block, `handed` among what is served; drain at its end."""
    config = ConfigFile(plan.folder.config_file)
    database = plan.folder.store()
    writer = Writer(database)
    cacerts = plan.folder.cacerts(times.now())  # first: what changes from now on is followed
    authority = RegistrationAuthority(
        plan.keyring.current(),
        plan.folder.sources(database),
        writer,
        config=config.current,
        own_names=plan.certificate.names,
        tell=tell,
    )
    est = EstServer(authority, cacerts, config.current, handed.bodies)
    front = FrontServer(plan.context(), est.handle)
    try:
        await front.start(sockets)
        _spare_the_collector()
        async with (
            beside(_flush_polls(authority)),
            beside(_follow_tls(plan, front)),
            beside(_follow_roots(plan, authority, est, cacerts)),
            beside(follow(handed)),
        ):
            yield
        await front.drain(_DRAIN_SECONDS)
        await authority.polls.flush()
    finally:
        await authority.close()
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


async def _follow_tls(plan: Plan, front: FrontServer) -> None:
    """Serve new connections as certificate and ca.toml are now, whoever changed them."""
    served, said = plan.tls(), ""
    while True:
        await asyncio.sleep(_TLS_SECONDS)
        try:
            if (wanted := plan.tls()) != served:
                front.exchange_context(plan.context())
                served = wanted
                _LOG.info("connections are served with %s from now on", fingerprint(wanted[0][0]))
            said = ""
        except CipsecError as error:
            if error.message != said:
                _LOG.error("the server's TLS stays as it was: %s", error.message)
            said = error.message


async def _follow_roots(
    plan: Plan,
    authority: RegistrationAuthority,
    est: EstServer,
    served: list[x509.Certificate],
) -> None:
    """Issue by the key, and hand out the certificates, that the folder has now (`rollover`)."""
    said = ""
    while True:
        await asyncio.sleep(_ROOTS_SECONDS)
        try:
            if (wanted := plan.folder.cacerts(times.now())) != served:
                # First what others may have by now, then who issues: each is of use by itself.
                est.exchange_cacerts(wanted)
                signer = await asyncio.to_thread(plan.keyring.current)
                authority.exchange(signer, plan.folder.roots())
                served = wanted
                _LOG.warning("the CA's roots changed; %s issues", fingerprint(signer.certificate))
            said = ""
        except CipsecError as error:
            if error.message != said:
                _LOG.error("the CA's key stays as it was: %s", error.message)
            said = error.message
