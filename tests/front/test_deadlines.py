"""Clients that are slow, silent or many: cut off in time, and without harm to others."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
import threading
from collections.abc import Iterator

import pytest
from OpenSSL import SSL

from cipsec.errors import UsageError
from cipsec.est.wire import Request, Response
from cipsec.front.limits import Limits
from cipsec.tls.server import Opening, opening
from tests.front.serving import GET, PATIENCE, Client, Front, connect, limits, post, serving
from tests.support.canned import Plant

SOON = 0.3  # seconds; looked at twice in a second


def greeting() -> bytes:
    """Return the first message of a TLS client."""
    client = SSL.Connection(SSL.Context(SSL.TLS_CLIENT_METHOD), None)
    client.set_connect_state()
    with contextlib.suppress(SSL.WantReadError):
        client.do_handshake()
    return client.bio_read(16384)


def drip(sock: socket.socket, data: bytes, pause: float = 0.02) -> None:
    """Send one byte at a time until the server has had enough, or all is sent."""
    stop = threading.Event()
    with contextlib.suppress(OSError):
        for at in range(len(data)):
            sock.sendall(data[at : at + 1])
            stop.wait(pause)


def ended(sock: socket.socket) -> bool:
    """Wait until the server has closed the connection; what it sent before does not matter."""
    with contextlib.suppress(ConnectionResetError):
        while sock.recv(16384):
            pass
    return True


@pytest.mark.parametrize("sent", [b"", greeting()[:1], greeting()[:-1]])
def test_a_silent_client(plant: Plant, sent: bytes) -> None:
    """Without its first message whole it is cut off, and has cost no TLS."""
    with serving(plant, limits(greeting=SOON)) as front, connect(front.port) as client:
        with contextlib.suppress(OSError):  # it may be cut off before
            client.sendall(sent)
        assert ended(client)
        counters = front.wait(lambda counters: counters.open == 0)
        assert (counters.expired, counters.sessions) == (1, 0)


def test_a_client_that_leaves_the_handshake_half_done(plant: Plant) -> None:
    """It is cut off as well."""
    with serving(plant, limits(handshake=SOON)) as front, connect(front.port) as client:
        client.sendall(greeting())
        assert ended(client)
        assert front.wait(lambda counters: counters.sessions == 0).expired == 1


def test_bytes_that_drip_into_the_greeting(plant: Plant) -> None:
    """Each byte is valid, and none extends the deadline."""
    with serving(plant, limits(greeting=SOON)) as front, connect(front.port) as client:
        drip(client, greeting() * 20)
        assert ended(client)
        assert front.wait(lambda counters: counters.open == 0).expired == 1


@pytest.mark.parametrize("request_", [post(b"a" * 60_000), b"GET /" + b"a" * 6000])
def test_bytes_that_drip_into_a_request(plant: Plant, request_: bytes) -> None:
    """A slow loris is told 408, and cut off."""
    with (
        serving(plant, limits(request=SOON, linger=SOON)) as front,
        Client(front.port, plant) as client,
    ):
        with contextlib.suppress(OSError):
            for at in range(len(request_)):
                client.send(request_[at : at + 1])
                if front.counters().expired:
                    break
        assert client.receive().status == 408
        front.wait(lambda counters: counters.open == 0)
    assert front.seen == []


def test_a_client_that_stays_idle(plant: Plant) -> None:
    """It is told goodbye properly."""
    with serving(plant, limits(idle=SOON)) as front, Client(front.port, plant) as client:
        assert client.ask(GET).status == 200
        assert client.is_closed()
        assert front.wait(lambda counters: counters.open == 0).expired == 0


def test_a_connection_that_is_old(plant: Plant) -> None:
    """It ends with the next answer, so that none outlives a certificate for long."""
    with (
        serving(plant, limits(lifetime=0.001)) as front,
        Client(front.port, plant) as client,
    ):
        assert client.ask(GET).headers["Connection"] == "close"
        assert client.is_closed()


def test_an_answer_that_does_not_come(plant: Plant) -> None:
    """The request is given up and its work cancelled."""
    cancelled = threading.Event()

    async def never(_: Request) -> Response:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            cancelled.set()
            raise
        return Response(200)

    with (
        serving(plant, limits(answer=SOON), handle=never) as front,
        Client(front.port, plant) as client,
    ):
        client.send(GET)
        assert ended(client.socket)
        assert cancelled.wait(PATIENCE)
        front.wait(lambda counters: counters.open == 0 and counters.answering == 0)


def test_a_client_that_does_not_take_its_answers(plant: Plant) -> None:
    """It is served no further while its answers pile up, and cut off at the deadline."""

    async def large(_: Request) -> Response:
        return Response(200, bytes(4_000_000))

    with (
        serving(plant, limits(answer=1.0), handle=large) as front,
        Client(front.port, plant) as client,
    ):
        client.send(GET * 10)
        front.wait(lambda counters: counters.open == 0)
        assert len(front.seen) < 10


def test_a_refusal_that_is_not_read(plant: Plant) -> None:
    """The client has `linger` seconds for it, whatever it goes on sending."""
    with (
        serving(plant, limits(linger=SOON)) as front,
        Client(front.port, plant) as client,
    ):
        client.send(b"nonsense\r\n\r\n")
        front.wait(lambda counters: counters.open == 0)


@pytest.mark.parametrize("garbage", [b"\x00" * 100, b"\x16\x03\x01\xff\xff" + b"a" * 100, b"\xff"])
def test_garbage_instead_of_tls(front: Front, garbage: bytes) -> None:
    """The connection is closed."""
    with connect(front.port) as client:
        client.sendall(garbage)
        assert ended(client)
    front.wait(lambda counters: counters.open == 0)


def test_a_greeting_that_is_none(front: Front) -> None:
    """A whole record with nonsense in it is answered by an alert."""
    with connect(front.port) as client:
        client.sendall(b"\x16\x03\x01\x00\x05hello")
        assert client.recv(100)[:1] == b"\x15"
    assert front.wait(lambda counters: counters.open == 0).failed_handshakes == 1


def test_a_greeting_with_much_behind_it() -> None:
    """It is not kept until its turn comes: no client says so much unasked."""
    assert opening(greeting()) is Opening.WHOLE
    assert opening(greeting() + bytes(20_000)) is Opening.NONSENSE


def test_http_without_tls(front: Front) -> None:
    """Somebody forgot the s in https, and is told so."""
    with connect(front.port) as client:
        client.sendall(GET)
        answer = client.recv(4096)
        assert answer.startswith(b"HTTP/1.1 400 ")
        assert b"https://" in answer
        assert ended(client)


def test_a_greeting_in_pieces(front: Front, plant: Plant) -> None:
    """A slow network cuts it anywhere."""
    with connect(front.port) as plain, Relay(plain) as near:
        tls = ssl.create_default_context()
        tls.check_hostname, tls.verify_mode = False, ssl.CERT_NONE
        with tls.wrap_socket(near) as client:
            client.sendall(GET)
            assert client.recv(100).startswith(b"HTTP/1.1 200 ")


class Relay:
    """Passes bytes on to the server one at a time, and all at once in the other direction."""

    def __init__(self, server: socket.socket) -> None:
        self._server = server
        self._near, self._far = socket.socketpair()
        self._threads = [threading.Thread(target=self._up), threading.Thread(target=self._down)]

    def __enter__(self) -> socket.socket:
        for thread in self._threads:
            thread.start()
        return self._near

    def __exit__(self, *_: object) -> None:
        self._near.close()
        with contextlib.suppress(OSError):
            self._server.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join()
        self._far.close()

    def _up(self) -> None:
        with contextlib.suppress(OSError):
            while data := self._far.recv(4096):
                for at in range(len(data)):
                    self._server.sendall(data[at : at + 1])

    def _down(self) -> None:
        with contextlib.suppress(OSError):
            while data := self._server.recv(4096):
                self._far.sendall(data)


@contextlib.contextmanager
def crowd(port: int, number: int, sent: bytes) -> Iterator[list[socket.socket]]:
    """Open many connections that send the same and then nothing."""
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(connect(port)) for _ in range(number)]
        for sock in sockets:
            sock.sendall(sent)
        yield sockets


@pytest.mark.parametrize("sent", [b"", greeting()[:9], greeting()])
def test_a_crowd_that_stalls_starves_nobody(plant: Plant, sent: bytes) -> None:
    """Silent, half-silent, or in the midst of the handshake: places do not stay with them."""
    with (
        serving(plant, limits(places=4)) as front,
        crowd(front.port, 40, sent),
        Client(front.port, plant) as client,
    ):
        assert client.ask(GET).status == 200
        assert front.counters().expired == 0


def test_a_crowd_that_has_been_answered_starves_nobody(plant: Plant) -> None:
    """A connection that is kept has no place."""
    with serving(plant, limits(places=2)) as front, contextlib.ExitStack() as stack:
        clients = [stack.enter_context(Client(front.port, plant)) for _ in range(20)]
        for client in clients * 2:
            assert client.ask(GET).status == 200
        assert front.counters().placed == 0


def test_memory_is_kept_for_new_clients(plant: Plant) -> None:
    """The connections that have rested the longest make room: idle ones with a goodbye."""
    with serving(plant, limits(sessions=5)) as front, contextlib.ExitStack() as stack:
        clients = [stack.enter_context(Client(front.port, plant)) for _ in range(5)]
        assert all(client.ask(GET).status == 200 for client in clients)
        with Client(front.port, plant) as new:
            assert new.ask(GET).status == 200
            assert clients[0].is_closed()
            assert front.counters().sessions <= 5
            assert clients[4].ask(GET).status == 200


def test_stalled_clients_make_room_too(plant: Plant) -> None:
    """However many there are."""
    with (
        serving(plant, limits(sessions=5, places=2, patience=0.1)) as front,
        crowd(front.port, 30, greeting()),
        Client(front.port, plant) as client,
    ):
        assert client.ask(GET).status == 200
        assert front.counters().sessions <= 5


def test_more_connections_than_allowed(plant: Plant) -> None:
    """Exactly those beyond the limit are closed at once; when others end there is room again."""
    with serving(plant, limits(connections=10)) as front:
        with crowd(front.port, 13, b"") as sockets:
            assert all(ended(sock) for sock in sockets[10:])
            counters = front.counters()
            assert (counters.open, counters.refused) == (10, 3)
        front.wait(lambda counters: counters.open == 0)
        with Client(front.port, plant) as client:
            assert client.ask(GET).status == 200


def test_a_rush_is_served_in_its_order(plant: Plant) -> None:
    """First come, first served, and nobody is left out."""
    order: list[str] = []
    release = threading.Event()

    async def handle(request: Request) -> Response:
        order.append(request.path)
        await asyncio.to_thread(release.wait, PATIENCE)
        return Response(200)

    def device(number: int) -> None:
        with Client(front.port, plant) as client:
            close = b"GET /%d HTTP/1.1\r\nHost: l\r\nConnection: close\r\n\r\n" % number
            assert client.ask(close).status == 200

    with serving(plant, limits(places=1, stall=60), handle=handle) as front:
        threads = [threading.Thread(target=device, args=(number,)) for number in range(20)]
        for before, thread in enumerate(threads):
            thread.start()
            front.wait(lambda c, n=before: c.waiting == n and c.answering == 1)  # type: ignore[misc]  # mypy knows no defaults
        release.set()
        for thread in threads:
            thread.join()
    assert order == [f"/{number}" for number in range(20)]


def test_clients_that_gave_up_while_waiting_cost_nothing(plant: Plant) -> None:
    """They are found out before their handshake begins."""
    release = threading.Event()

    async def handle(_: Request) -> Response:
        await asyncio.to_thread(release.wait, PATIENCE)
        return Response(200)

    with serving(plant, limits(places=1, stall=60), handle=handle) as front:
        with Client(front.port, plant) as first:
            first.send(GET)
            front.wait(lambda counters: counters.answering == 1)
            with crowd(front.port, 10, greeting()):
                front.wait(lambda counters: counters.waiting == 10)
            release.set()
            assert first.receive().status == 200
        counters = front.wait(lambda counters: counters.open == 0)
        assert (counters.waiting, counters.failed_handshakes) == (0, 0)


def test_a_limit_of_zero_is_a_mistake() -> None:
    """It would serve nobody."""
    with pytest.raises(UsageError):
        Limits(places=0)
