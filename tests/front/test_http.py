"""HTTP on real TLS: what clients were seen to send, what they need, what is refused."""

from __future__ import annotations

import asyncio
import socket
import threading
import time

import pytest
from OpenSSL import SSL

from cipsec.est.wire import Request, Response
from tests.front.serving import (
    GET,
    PATIENCE,
    Client,
    Front,
    limits,
    openssl_client,
    post,
    serving,
)
from tests.support.canned import Plant


def test_a_response_as_libest_and_strongswan_need_it(plant: Plant) -> None:
    """Canonical names, a length, header and body in one record, and nothing in chunks."""

    async def handle(_: Request) -> Response:
        return Response(202, b"wait\n", (("Content-Type", "text/plain"), ("Retry-After", "60")))

    with serving(plant, handle=handle) as front, Client(front.port, plant) as client:
        client.send(GET)
        first_read = client.socket.recv(16384)
    head, _, body = first_read.partition(b"\r\n\r\n")
    lines = head.decode().split("\r\n")
    assert lines[0] == "HTTP/1.1 202 Accepted"
    assert lines[1].startswith("Date: ")
    assert lines[2:] == ["Content-Type: text/plain", "Retry-After: 60", "Content-Length: 5"]
    assert body == b"wait\n"


def test_requests_on_one_connection(front: Front, plant: Plant) -> None:
    """HTTP/1.1 keeps the connection without being asked."""
    with Client(front.port, plant) as client:
        for number in range(3):
            answer = client.ask(post(b"%d" % number))
            assert answer.body == b"POST /x %d" % number
            assert "Connection" not in answer.headers
    assert front.counters().accepted == 1


def test_what_a_request_becomes(front: Front, plant: Plant) -> None:
    """Names in lower case, the path without query or host, repeated lines joined."""
    with Client(front.port, plant) as client:
        client.ask(
            b"GET https://localhost/.well-known/est/cacerts?a=b HTTP/1.1\r\nHOST: localhost\r\n"
            b"X-List: a\r\nAccept: */*\r\nx-list: b\r\nX-Latin: \xe9\r\nX-Empty:\r\n\r\n"
        )
    request = front.seen[0]
    assert (request.method, request.path) == ("GET", "/.well-known/est/cacerts")
    assert request.headers == {
        "host": "localhost",
        "x-list": "a, b",
        "accept": "*/*",
        "x-latin": "é",
        "x-empty": "",
    }


def test_a_chunked_body(front: Front, plant: Plant) -> None:
    """globalsign's estclient sends one; extensions and trailer count for nothing."""
    with Client(front.port, plant) as client:
        client.send(
            b"POST /x HTTP/1.1\r\nHost: l\r\nTransfer-Encoding: chunked\r\n\r\n",
            b"3;a=b\r\nabc\r\n4\r\nde",
            b"fg\r\n0\r\nAuthorization: Basic eDp5\r\n\r\n",
        )
        assert client.receive().body == b"POST /x abcdefg"
    assert "authorization" not in front.seen[0].headers


def test_a_client_that_waits_to_be_told_to_go_on(front: Front, plant: Plant) -> None:
    """RFC 9110 section 10.1.1."""
    head, body = post(b"abc", "Expect: 100-Continue").split(b"\r\n\r\n")
    with Client(front.port, plant) as client:
        client.send(head + b"\r\n\r\n")
        assert client.receive().head == b"HTTP/1.1 100 Continue\r\n"
        client.send(body)
        assert client.receive().body == b"POST /x abc"


def test_a_client_that_does_not_wait_is_not_told(front: Front, plant: Plant) -> None:
    """The body came along; and a refusal comes instead of leave to go on."""
    with Client(front.port, plant) as client:
        assert client.ask(post(b"abc", "Expect: 100-continue")).status == 200
        long = post(b"", "Expect: 100-continue").replace(b"Length: 0", b"Length: 999999")
        assert client.ask(long).status == 413


def test_leave_to_go_on_waits_for_the_answer_before(front: Front, plant: Plant) -> None:
    """Answers come in the order of the requests."""
    head, body = post(b"abc", "Expect: 100-continue").split(b"\r\n\r\n")
    with Client(front.port, plant) as client:
        client.send(GET + head + b"\r\n\r\n")
        assert client.receive().body == b"GET /x "
        assert client.receive().status == 100
        client.send(body)
        assert client.receive().body == b"POST /x abc"


def test_requests_without_waiting_for_answers(plant: Plant) -> None:
    """They are answered one after the other, in their order, however they were cut."""
    running: list[str] = []

    async def handle(request: Request) -> Response:
        assert not running
        running.append(request.path)
        await asyncio.sleep(0.01)
        return Response(200, running.pop().encode())

    with serving(plant, handle=handle) as front, Client(front.port, plant) as client:
        stream = b"".join(post(b"body", path=f"/{n}") for n in range(12))
        client.send(*(stream[at : at + 100] for at in range(0, len(stream), 100)))
        assert [client.receive().body for _ in range(12)] == [b"/%d" % n for n in range(12)]


def test_requests_that_come_while_another_is_answered(plant: Plant) -> None:
    """They wait, mostly unread, for their turn."""
    release = threading.Event()

    async def handle(request: Request) -> Response:
        await asyncio.to_thread(release.wait, PATIENCE)
        return Response(200, request.body[:1])

    with serving(plant, handle=handle) as front, Client(front.port, plant) as client:
        client.send(post(b"0"))
        front.wait(lambda counters: counters.answering == 1)
        for number in range(1, 4):
            client.send(post(b"%d" % number + b"x" * 40_000))
            time.sleep(0.05)
        release.set()
        assert [client.receive().body for _ in range(4)] == [b"0", b"1", b"2", b"3"]


def test_too_many_requests_without_waiting(plant: Plant) -> None:
    """Those within the limit are answered; then the connection ends."""
    with (
        serving(plant, limits(pipeline=3)) as front,
        Client(front.port, plant) as client,
    ):
        client.send(GET * 10)
        assert [client.receive().status for _ in range(4)] == [200, 200, 200, 400]
        assert client.is_closed()


@pytest.mark.parametrize(
    ("request_", "connection", "stays"),
    [
        (b"GET /x HTTP/1.1\r\nHost: l\r\nConnection: close\r\n\r\n", "close", False),
        (b"GET /x HTTP/1.0\r\n\r\n", "close", False),
        (b"GET /x HTTP/1.0\r\nConnection: keep-alive\r\n\r\n", "keep-alive", True),
        (GET, None, True),
    ],
)
def test_who_keeps_the_connection(
    front: Front, plant: Plant, request_: bytes, connection: str | None, stays: bool
) -> None:
    """As the client says; the status line is that of HTTP/1.1 always."""
    with Client(front.port, plant) as client:
        answer = client.ask(request_)
        assert answer.head.startswith(b"HTTP/1.1 200 OK\r\n")
        assert answer.headers.get("Connection") == connection
        if stays:
            assert client.ask(request_).status == 200
        else:
            assert client.is_closed()


def test_head_and_other_methods(front: Front, plant: Plant) -> None:
    """All are passed on; the answer to HEAD has a length and no body."""
    with Client(front.port, plant) as client:
        client.send(b"HEAD /x HTTP/1.1\r\nHost: l\r\n\r\n")
        assert client.receive("HEAD").headers["Content-Length"] == "8"
        for method in ("PUT", "DELETE", "OPTIONS"):
            assert client.ask(b"%s /x HTTP/1.1\r\nHost: l\r\n\r\n" % method.encode()).status == 200
        assert client.ask(b"OPTIONS * HTTP/1.1\r\nHost: l\r\n\r\n").body == b"OPTIONS * "


def test_a_failure_tells_the_client_nothing(plant: Plant, caplog: pytest.LogCaptureFixture) -> None:
    """The log has it all; and the server goes on."""

    async def handle(request: Request) -> Response:
        raise RuntimeError("the secret is told")

    with serving(plant, handle=handle) as front:
        for _ in range(2):
            with Client(front.port, plant) as client:
                answer = client.ask(GET)
                assert answer.status == 500
                assert b"secret" not in answer.head + answer.body
                assert answer.headers["Content-Type"] == "text/plain; charset=utf-8"
                assert client.is_closed()
    assert "the secret is told" in caplog.text


def test_a_response_that_would_split_the_header(
    plant: Plant, caplog: pytest.LogCaptureFixture
) -> None:
    """Is not sent."""

    async def handle(request: Request) -> Response:
        return Response(200, b"", (("X-A", "a\r\nSet-Cookie: b"),))

    with serving(plant, handle=handle) as front, Client(front.port, plant) as client:
        assert client.ask(GET).status == 500
    assert "line end" in caplog.text


def test_the_client_has_sent_all_and_says_so(plant: Plant) -> None:
    """Half-closed, by TLS or TCP, it still gets its answer."""

    async def slowly(request: Request) -> Response:
        await asyncio.sleep(0.1)
        return Response(200, request.body)

    with serving(plant, handle=slowly) as front:
        with openssl_client(front.port, SSL.TLS1_3_VERSION) as saying:
            saying.sendall(post(b"abc"))
            saying.shutdown()
            assert saying.recv(16384).endswith(b"abc")
        with Client(front.port, plant) as client:
            client.send(post(b"abc"))
            with socket.socket(fileno=socket.dup(client.socket.fileno())) as beneath:
                beneath.shutdown(socket.SHUT_WR)
            assert client.receive().body == b"abc"
        front.wait(lambda counters: counters.open == 0)


def test_the_client_is_gone_before_its_answer(plant: Plant) -> None:
    """What was begun is finished, for its effects; nobody is told."""
    finished: list[bool] = []
    release = threading.Event()

    async def slowly(request: Request) -> Response:
        await asyncio.to_thread(release.wait, PATIENCE)
        finished.append(True)
        return Response(200)

    with serving(plant, handle=slowly) as front:
        with Client(front.port, plant) as client:
            client.send(GET)
            front.wait(lambda counters: counters.answering == 1)
        release.set()
        front.wait(lambda counters: counters.open == 0 and counters.answering == 0)
        assert finished == [True]


def test_large_answers(plant: Plant) -> None:
    """Longer than a TLS record, longer than the socket's buffers, to a client that is slow."""
    body = bytes(range(256)) * 40_000

    async def handle(request: Request) -> Response:
        return Response(200, body)

    with (
        serving(plant, handle=handle) as front,
        Client(front.port, plant) as client,
    ):
        client.send(GET, GET)
        time.sleep(0.2)
        assert client.receive().body == body
        assert client.receive().body == body


REFUSED = {
    "length and chunks": (b"Content-Length: 3\r\nTransfer-Encoding: chunked", 400),
    "chunks and length": (b"Transfer-Encoding: chunked\r\nContent-Length: 3", 400),
    "two lengths": (b"Content-Length: 3\r\nContent-Length: 3", 400),
    "a list of lengths": (b"Content-Length: 3, 3", 400),
    "a signed length": (b"Content-Length: +3", 400),
    "an endless length": (b"Content-Length: 99999999999999999999999", 400),
    "another coding": (b"Transfer-Encoding: gzip, chunked", 501),
    "chunks twice": (b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked", 400),
    "identity": (b"Transfer-Encoding: identity", 501),
    "a space before the colon": (b"Content-Length : 3", 400),
    "a folded line": (b"X-A: a\r\n b", 400),
    "a bare line feed": (b"X-A: a\nContent-Length: 3", 400),
    "a nul": (b"X-A: \x00", 400),
    "two hosts": (b"Host: other", 400),
    "two logins": (b"Authorization: Basic YTpi\r\nAuthorization: Basic Yzpk", 400),
    "too long a body": (b"Content-Length: 65537", 413),
    "too long a header": (b"X-A: " + b"a" * 9000, 431),
    "too many headers": (b"\r\n".join(b"X-%d: a" % n for n in range(2000)), 431),
    "another protocol": (b"Connection: upgrade\r\nUpgrade: h2c\r\nContent-Length: 3", 501),
    "something else expected": (b"Expect: tea", 417),
}


@pytest.mark.parametrize("name", REFUSED)
def test_refused_requests(front: Front, plant: Plant, name: str) -> None:
    """Each is answered and ends the connection; what follows it is never read as a request."""
    lines, status = REFUSED[name]
    smuggled = b"abc\r\nGET /smuggled HTTP/1.1\r\nHost: l\r\n\r\n"
    with Client(front.port, plant) as client:
        answer = client.ask(b"POST /x HTTP/1.1\r\nHost: l\r\n" + lines + b"\r\n\r\n" + smuggled)
        assert answer.status == status
        assert answer.headers["Connection"] == "close"
        assert answer.headers["Content-Type"] == "text/plain; charset=utf-8"
        assert client.is_closed()
    assert front.seen == []


@pytest.mark.parametrize(
    ("request_", "status"),
    [
        (b"\x00\x01\x02\r\n\r\n", 400),
        (b"EHLO mail\r\n\r\n", 400),
        (b"GET /x\r\n\r\n", 505),
        (b"GET /x HTTP/2.0\r\nHost: l\r\n\r\n", 505),
        (b"GET /x HTTP/1.2\r\nHost: l\r\n\r\n", 400),
        (b"GET /x HTTP/1.1\r\n\r\n", 400),
        (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 400),
        (b"CONNECT l:1 HTTP/1.1\r\nHost: l\r\n\r\n", 501),
        (b"GET /\xff HTTP/1.1\r\nHost: l\r\n\r\n", 400),
        (b"GET /%b HTTP/1.1\r\nHost: l\r\n\r\n" % (b"a" * 9000), 414),
        (b"POST /x HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400),
    ],
)
def test_refused_request_lines(front: Front, plant: Plant, request_: bytes, status: int) -> None:
    """What is not HTTP/1.1 or 1.0 is said to be so."""
    with Client(front.port, plant) as client:
        assert client.ask(request_).status == status
        assert client.is_closed()
    assert front.seen == []


@pytest.mark.parametrize("lines", [b"", b"Content-Length: 0\r\n"])
def test_another_protocol_is_not_taken_up(front: Front, plant: Plant, lines: bytes) -> None:
    """Who would rather speak HTTP/2 is answered in HTTP/1.1; what follows is nobody's request."""
    smuggled = b"GET /smuggled HTTP/1.1\r\nHost: l\r\n\r\n"
    offer = b"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABk\r\n"
    with Client(front.port, plant) as client:
        answer = client.ask(b"GET /x HTTP/1.1\r\nHost: l\r\n" + offer + lines + b"\r\n" + smuggled)
        assert (answer.status, answer.headers["Connection"]) == (200, "close")
        assert "Upgrade" not in answer.headers
        assert client.is_closed()
    assert [request.path for request in front.seen] == ["/x"]


def test_a_body_is_refused_before_it_is_read(front: Front, plant: Plant) -> None:
    """By its length at once; in chunks at the limit; and the answer arrives although more comes."""
    chunk = b"4000\r\n" + b"a" * 0x4000 + b"\r\n"
    with Client(front.port, plant) as client:
        client.send(b"POST /x HTTP/1.1\r\nHost: l\r\nTransfer-Encoding: chunked\r\n\r\n")
        client.send(*[chunk] * 40)
        assert client.receive().status == 413
        assert client.is_closed()
    assert front.seen == []


def test_tiny_chunks_are_bounded_too(front: Front, plant: Plant) -> None:
    """Extensions of chunks are bytes that somebody must read."""
    piece = b"1;" + b"e" * 15_000 + b"\r\na\r\n"
    with Client(front.port, plant) as client:
        client.send(b"POST /x HTTP/1.1\r\nHost: l\r\nTransfer-Encoding: chunked\r\n\r\n")
        client.send(*[piece] * 60)
        assert client.receive().status == 413
