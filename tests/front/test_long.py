"""Answers of megabytes, as lists are: whole for who takes them, bounded for who does not."""

from __future__ import annotations

import asyncio
import http.client
import resource
import select
import socket
import ssl
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import pytest

from cipsec.est.wire import Request, Response
from cipsec.front.limits import Limits
from cipsec.front.server import FrontServer
from tests.front.serving import PATIENCE, Client, connect, limits, receive, serving
from tests.support.canned import Plant

BODY = bytes(range(256)) * 24 * 1024  # 6 MiB
_GET = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"


async def long(_: Request) -> Response:
    """Answer with megabytes."""
    return Response(200, BODY)


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_whole_and_again(plant: Plant, version: ssl.TLSVersion) -> None:
    """Three times on one connection, also asked without waiting; the last one ends it."""
    with serving(plant, handle=long) as front, Client(front.port, plant, version=version) as client:
        client.send(_GET * 2)
        for _ in range(2):
            assert client.receive().body == BODY
        client.send(_GET.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n"))
        assert client.receive().body == BODY
        assert client.is_closed()


def test_what_is_only_measured(plant: Plant) -> None:
    """HEAD tells the length of the body and sends none."""
    with serving(plant, handle=long) as front, Client(front.port, plant) as client:
        client.send(_GET.replace(b"GET", b"HEAD"))
        assert client.receive("HEAD").headers["Content-Length"] == str(len(BODY))
        assert client.ask(_GET).body == BODY


def test_who_does_not_take_it_keeps_no_place(plant: Plant) -> None:
    """More of them than there are places, and another is served; memory holds one body for all."""
    few = limits(places=4, sessions=64, stall=0.05)
    with serving(plant, few, handle=long) as front, ExitStack() as stack:
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        for _ in range(40):
            lazy = stack.enter_context(Client(front.port, plant))
            lazy.send(_GET)
        with Client(front.port, plant) as client:
            assert client.ask(_GET).body == BODY
        grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024
        assert grown < 150, f"{grown} MiB for forty bodies of six"


def test_who_does_not_take_it_is_cut_off(plant: Plant) -> None:
    """At the deadline of an answer."""
    with (
        serving(plant, limits(answer=1.0), handle=long) as front,
        Client(front.port, plant) as lazy,
    ):
        lazy.send(_GET)
        front.wait(lambda counters: counters.expired == 1 and counters.open == 0)


def test_who_leaves_in_the_middle(plant: Plant) -> None:
    """Nothing is left of it, and the next is served."""
    with serving(plant, handle=long) as front:
        for _ in range(5):
            with Client(front.port, plant) as client:
                client.send(_GET)
                client.socket.recv(1000)
        front.wait(lambda counters: counters.open == 0 and counters.answering == 0)
        with Client(front.port, plant) as client:
            assert client.ask(_GET).body == BODY


class _Plain:
    """A front server without TLS, in a thread of its own."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.port = int(self._socket.getsockname()[1])
        self._started = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._run()))
        self._thread.start()
        assert self._started.wait(PATIENCE)

    async def _run(self) -> None:
        self._loop, self._end = asyncio.get_running_loop(), asyncio.Event()
        server = FrontServer(None, long, limits=self._limits)
        await server.start([self._socket])
        self._started.set()
        await self._end.wait()
        await server.drain(0.0)

    def close(self) -> None:
        """End it."""
        self._loop.call_soon_threadsafe(self._end.set)
        self._thread.join(PATIENCE)


@contextmanager
def _plain(few: Limits) -> Iterator[int]:
    running = _Plain(few)
    try:
        yield running.port
    finally:
        running.close()


@pytest.fixture
def plain() -> Iterator[_Plain]:
    """A server."""
    running = _Plain(limits())
    yield running
    running.close()


def test_without_tls(plain: _Plain) -> None:
    """Several requests on one connection."""
    connection = http.client.HTTPConnection("127.0.0.1", plain.port, timeout=PATIENCE)
    for _ in range(3):
        connection.request("GET", "/")
        assert connection.getresponse().read() == BODY
    connection.close()


def test_without_tls_and_without_a_word() -> None:
    """A connection that is idle ends."""
    with _plain(limits(idle=0.3)) as port, connect(port) as idle, idle.makefile("rb") as answers:
        idle.sendall(_GET)
        assert receive(answers).body == BODY
        assert answers.read() == b""


def test_its_clients_leave_files_for_who_enrolls() -> None:
    """Of 240 files that the process may have open, a crowd without TLS gets thirty."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (240, hard))
    try:
        running = _Plain(limits())
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    with ExitStack() as stack:
        stack.callback(running.close)
        crowd = [stack.enter_context(connect(running.port)) for _ in range(50)]
        refused = [one for one in crowd[30:] if select.select([one], [], [], PATIENCE)[0]]
        assert len(refused) == 20
        assert select.select(crowd[:30], [], [], 0)[0] == []


@pytest.mark.parametrize("sent", [b"", b"G", b"GET / HTTP/1.1\r\nHost: x\r\n"])
def test_a_silent_client_without_tls(sent: bytes) -> None:
    """Cut off; who has begun a request is told."""
    few = limits(request=0.3) if sent else limits(greeting=0.3)
    with _plain(few) as port, connect(port) as silent:
        silent.sendall(sent)
        answer = b""
        while piece := silent.recv(1000):
            answer += piece
    assert answer.startswith(b"HTTP/1.1 408 ") is bool(sent)


def test_who_has_sent_all_is_still_answered(plain: _Plain) -> None:
    """A client that closes its half of the connection gets the whole answer."""
    with connect(plain.port) as asking:
        asking.sendall(_GET.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n"))
        asking.shutdown(socket.SHUT_WR)
        answer = b""
        while piece := asking.recv(1 << 20):
            answer += piece
    assert answer.endswith(BODY)
