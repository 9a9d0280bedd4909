"""The distribution point: revocation lists by plain HTTP (RFC 5280 section 4.2.1.13), when wanted.

No TLS: a list is signed itself, and who wants it in order to judge a TLS certificate could not
judge ours. Nothing is asked of anybody, and nothing but lists is there.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Callable
from email.utils import format_datetime

from cipsec.errors import CipsecError, LocalState
from cipsec.est.wire import Request, Response
from cipsec.front import http
from cipsec.front.limits import Limits
from cipsec.front.server import FrontServer
from cipsec.ra.config import ConfigFile
from cipsec.ra.publication import CrlConfig
from cipsec.serve.ending import beside
from cipsec.serve.listen import Listen, bind
from cipsec.serve.lists import Handed, List
from cipsec.serve.plan import Plan

_LOG = logging.getLogger(__name__)

_LOOK_SECONDS = 2.0
_DRAIN_SECONDS = 1.0
_MAX_AGE_SECONDS = 300  # revoked now, unknown to who has just asked for this long
# Few at a time, for nobody is in a hurry; the body of a request is nobody's concern.
_LIMITS = Limits(
    connections=1024, sessions=128, places=16, head=4 * 1024, body=1024, idle=5.0, lifetime=60.0
)


class Point:
    """Answers requests for the list; no socket."""

    def __init__(self, handed: Handed, config: Callable[[], CrlConfig]) -> None:
        self._handed = handed
        self._config = config

    async def handle(self, request: Request) -> Response:
        """Answer one request; what goes wrong with it is an answer too."""
        config = self._config()
        here = [one for mark, one in self._handed.marked() if request.path in config.paths(mark)]
        if not here:
            return http.plain(404, "the revocation list is not here")
        if request.method not in {"GET", "HEAD"}:
            refusal = http.plain(405, "the revocation list is read with GET or HEAD")
            return Response(405, refusal.body, (*refusal.headers, ("Allow", "GET, HEAD")))
        if here[0] is None:
            refusal = http.plain(503, "there is no revocation list yet; ask again")
            return Response(503, refusal.body, (*refusal.headers, ("Retry-After", "10")))
        return _answer(here[0], request)


def _answer(found: List, request: Request) -> Response:
    headers = (
        ("Content-Type", "application/pkix-crl"),  # RFC 2585 section 4.2
        ("Last-Modified", format_datetime(found.since.replace(microsecond=0), usegmt=True)),
        ("ETag", found.tag),
        ("Cache-Control", f"max-age={_MAX_AGE_SECONDS}"),
    )
    tags = request.headers.get("if-none-match", "").split(",")
    known = {tag.strip().removeprefix("W/") for tag in tags}  # RFC 9110 section 13.1.2
    return Response(304 if known & {found.tag, "*"} else 200, found.der, headers)


@contextlib.asynccontextmanager
async def distributing(plan: Plan, handed: Handed) -> AsyncIterator[None]:
    """Serve at the address that ca.toml names, whatever it names while the block lasts."""
    listener = _Listener(plan, handed)
    await listener.look()
    try:
        async with beside(listener.watch()):
            yield
    finally:
        await listener.stop()


class _Listener:
    """Follows `listen` in ca.toml; what stands in its way does not keep anybody from enrolling."""

    def __init__(self, plan: Plan, handed: Handed) -> None:
        self._file = ConfigFile(plan.folder.config_file)
        self._config = CrlConfig()
        self._point = Point(handed, lambda: self._config)
        self._front: FrontServer | None = None
        self._serves: str | None = None
        self._said = ""

    async def watch(self) -> None:
        """Look again and again."""
        while True:
            await asyncio.sleep(_LOOK_SECONDS)
            await self.look()

    async def look(self) -> None:
        """Listen where ca.toml says now; a broken one changes nothing."""
        with contextlib.suppress(LocalState):
            self._config = self._file.current().crl
        if self._config.listen == self._serves:
            return
        await self.stop()
        if self._config.listen is None:
            return
        try:
            await self._start(self._config.listen)
            self._said = ""
        except CipsecError as error:
            if error.message != self._said:
                _LOG.error("the revocation list is not handed out by HTTP: %s", error.message)
            self._said = error.message

    async def _start(self, listen: str) -> None:
        sockets = bind(Listen.parse(listen))
        self._front = FrontServer(None, self._point.handle, limits=_LIMITS)
        await self._front.start(sockets)
        self._serves = listen

    async def stop(self) -> None:
        """Listen no more; what was begun is answered."""
        front, self._front, self._serves = self._front, None, None
        if front:
            await front.drain(_DRAIN_SECONDS)
