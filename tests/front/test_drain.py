"""The end of the server: nothing new, nothing lost that was begun, and in time."""

from __future__ import annotations

import asyncio
import socket
import threading
import time

import pytest

from cipsec.est.wire import Request, Response
from cipsec.front.server import FrontServer
from tests.front.serving import GET, PATIENCE, Client, connect, context, limits, post, serving
from tests.support.canned import Plant


def test_drain(plant: Plant) -> None:
    """Idle ones are told goodbye; half-sent and running requests are answered; then it is over."""
    release = threading.Event()
    release.set()

    async def slowly(request: Request) -> Response:
        await asyncio.to_thread(release.wait, PATIENCE)
        return Response(200, request.body)

    whole = post(b"half")
    with (
        serving(plant, handle=slowly) as front,
        connect(front.port) as silent,
        Client(front.port, plant) as idle,
        Client(front.port, plant) as half,
        Client(front.port, plant) as running,
        Client(front.port, plant) as unused,
    ):
        assert idle.ask(GET).status == 200
        release.clear()
        half.send(whole[:-2])
        running.send(post(b"running"))
        front.wait(lambda counters: counters.answering == 1)
        draining = threading.Thread(target=front.drain, args=(PATIENCE,))
        draining.start()
        assert idle.is_closed()
        assert unused.is_closed()
        assert silent.recv(1) == b""
        with pytest.raises(OSError, match="refused"):
            socket.create_connection(("127.0.0.1", front.port))
        half.send(whole[-2:])
        release.set()
        for client, body in ((half, b"half"), (running, b"running")):
            answer = client.receive()
            assert (answer.body, answer.headers["Connection"]) == (body, "close")
            assert client.is_closed()
        draining.join(PATIENCE)
        assert not draining.is_alive()
        assert front.counters().open == 0


def test_drain_ends_in_time(plant: Plant) -> None:
    """What takes longer is cut off, the work for it too, even for a client that is gone."""

    async def never(_: Request) -> Response:
        await asyncio.Event().wait()
        return Response(200)

    with serving(plant, handle=never) as front, Client(front.port, plant) as client:
        with Client(front.port, plant) as gone:
            gone.send(GET)
            front.wait(lambda counters: counters.answering == 1)
        client.send(GET)
        front.wait(lambda counters: counters.answering == 2)
        began = time.monotonic()
        front.drain(0.3)
        assert time.monotonic() - began >= 0.3
        counters = front.counters()
        assert (counters.open, counters.answering) == (0, 0)


def test_drain_serves_those_who_wait(plant: Plant) -> None:
    """Who had a turn coming keeps it."""
    release = threading.Event()

    async def handle(_: Request) -> Response:
        await asyncio.to_thread(release.wait, PATIENCE)
        return Response(200)

    def second(port: int) -> None:
        with Client(port, plant) as client:
            statuses.append(client.ask(GET).status)

    statuses: list[int] = []
    with (
        serving(plant, limits(places=1, stall=60), handle=handle) as front,
        Client(front.port, plant) as first,
    ):
        first.send(GET)
        front.wait(lambda counters: counters.answering == 1)
        waiting = threading.Thread(target=second, args=(front.port,))
        waiting.start()
        front.wait(lambda counters: counters.waiting == 1)
        draining = threading.Thread(target=front.drain, args=(PATIENCE,))
        draining.start()
        release.set()
        assert first.receive().status == 200
        for thread in (waiting, draining):
            thread.join(PATIENCE)
            assert not thread.is_alive()
    assert statuses == [200]


def test_several_sockets(plant: Plant) -> None:
    """One server listens wherever it is told to; each address is seen as such."""
    seen: list[str] = []

    async def handle(request: Request) -> Response:
        seen.append(request.peer.address)
        return Response(200)

    async def serve() -> None:
        both = socket.create_server(("", 0), family=socket.AF_INET6, dualstack_ipv6=True)
        four = socket.create_server(("127.0.0.1", 0))
        server = FrontServer(context(plant), handle)
        await server.start([both, four])
        for bound in (both, four):
            await asyncio.to_thread(ask, bound.getsockname()[1])
        await server.drain(PATIENCE)

    def ask(port: int) -> None:
        with Client(port, plant) as client:
            assert client.ask(GET).status == 200

    asyncio.run(serve())
    assert seen == ["127.0.0.1", "127.0.0.1"]
