"""Many from one address, and others: whose turn it is."""

from __future__ import annotations

import asyncio
import threading
from contextlib import ExitStack

import pytest

from cipsec.est.wire import Request, Response
from cipsec.front.turns import Turns
from tests.front.serving import GET, PATIENCE, Client, connect, limits, serving
from tests.support.canned import Plant


def test_addresses_take_turns() -> None:
    """Within one it is first come, first served; who comes again is behind the others."""
    turns: Turns[str] = Turns()
    for one in ("a1", "a2", "a3", "b1", "c1", "b2"):
        turns.append(one, one[0])
    assert [turns.popleft() for _ in range(4)] == ["a1", "b1", "c1", "a2"]
    turns.append("d1", "d")
    assert len(turns) == 3
    assert [turns.popleft() for _ in range(3)] == ["b2", "a3", "d1"]
    assert not turns
    with pytest.raises(LookupError):
        turns.popleft()


def test_a_crowd_of_one_address_delays_no_other(plant: Plant) -> None:
    """Whoever comes from elsewhere is next."""
    order: list[str] = []
    release = threading.Event()

    async def handle(request: Request) -> Response:
        order.append(request.path)
        await asyncio.to_thread(release.wait, PATIENCE)
        return Response(200)

    def ask(path: bytes, source: str) -> None:
        with Client(front.port, plant, source=source) as client:
            close = b"GET %b HTTP/1.1\r\nHost: l\r\nConnection: close\r\n\r\n" % path
            assert client.ask(close).status == 200

    guests = [(b"/%d" % number, "127.0.0.1") for number in range(6)] + [(b"/other", "127.0.0.2")]
    with serving(plant, limits(places=1, stall=60), handle=handle) as front:
        threads = [threading.Thread(target=ask, args=guest) for guest in guests]
        for before, thread in enumerate(threads):
            thread.start()
            front.wait(lambda c, n=before: c.waiting == n and c.answering == 1)  # type: ignore[misc]  # mypy knows no defaults
        release.set()
        for thread in threads:
            thread.join()
    assert order == ["/0", "/1", "/other", "/2", "/3", "/4", "/5"]


def test_a_crowd_of_one_address_keeps_no_other_out(plant: Plant) -> None:
    """Where no more connections can be open, its last one makes room for who comes from elsewhere.

    For him alone: of two addresses that have as many, neither drives out the other.
    """
    with serving(plant, limits(connections=6)) as front, ExitStack() as stack:
        silent = [stack.enter_context(connect(front.port)) for _ in range(6)]
        front.wait(lambda counters: counters.open == 6)
        for number in range(3):
            client = stack.enter_context(Client(front.port, plant, source="127.0.0.2"))
            assert client.ask(GET).status == 200
            assert silent.pop().recv(1) == b""
            counters = front.counters()
            assert (counters.open, counters.accepted) == (6, 7 + number)
        with connect(front.port, "127.0.0.2") as more:
            assert more.recv(1) == b""
        assert front.counters().refused == 1
