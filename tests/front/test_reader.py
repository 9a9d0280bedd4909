"""The HTTP reader without a socket: whatever comes, requests and refusals, never an exception."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from cipsec.est.wire import Peer, Response
from cipsec.front.http import Incoming, Refusal, RequestReader, encode
from cipsec.front.limits import Limits
from tests.front.serving import GET, post

LIMITS = Limits(head=256, body=64, pipeline=4)


def read(*pieces: bytes) -> list[Incoming | Refusal]:
    """Feed the pieces, and return what came of them."""
    reader, items = RequestReader(Peer("192.0.2.1"), LIMITS), []
    for piece in pieces:
        reader.feed(piece)
        while item := reader.next():
            items.append(item)
    reader.close()
    return items


def cut(data: bytes, at: list[int]) -> list[bytes]:
    """Cut bytes into pieces."""
    marks = sorted({0, len(data), *(n % (len(data) + 1) for n in at)})
    return [data[a:b] for a, b in itertools.pairwise(marks)]


CHUNKED = b"POST /x HTTP/1.1\r\nHost: l\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n"
FRAGMENTS = st.sampled_from(
    [GET, post(b"abc"), CHUNKED, b"GET ", b"/x", b" HTTP/1.1", b" HTTP/1.0", b"\r\n", b"\r\n\r\n",
     b"\n", b"Host: l\r\n", b"Content-Length: 3\r\n", b"Content-Length: 99\r\n", b"abc", b"POST ",
     b"Transfer-Encoding: chunked\r\n", b"3\r\nabc\r\n", b"0\r\n", b"0\r\n\r\n", b";", b": ",
     b"\x00",      b"Expect: 100-continue\r\n", b"Connection: close\r\n", b"Upgrade: a\r\n",
     b"Connection: upgrade\r\n", b"CONNECT ", b"ffffffffffffffff\r\n", b"a" * 300]
)  # fmt: skip


@given(
    st.one_of(
        st.binary(max_size=600),
        st.lists(st.one_of(FRAGMENTS, st.binary(max_size=8)), max_size=14).map(b"".join),
    ),
    st.lists(st.integers(min_value=0), max_size=8),
)
@example(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", [3])
def test_arbitrary_bytes(data: bytes, at: list[int]) -> None:
    """At most one refusal, it is the last, and no request exceeds what is allowed."""
    items = read(*cut(data, at))
    for item in items[:-1]:
        assert isinstance(item, Incoming)
    for item in items:
        if isinstance(item, Incoming):
            assert len(item.request.body) <= LIMITS.body
            assert sum(map(len, item.request.headers.items())) <= LIMITS.head
        else:
            assert 400 <= item.response.status < 600


@given(
    st.lists(st.sampled_from([GET, post(b"abc"), post(b""), CHUNKED]), max_size=4),
    st.lists(st.integers(min_value=0), max_size=20),
)
def test_cutting_changes_nothing(requests: list[bytes], at: list[int]) -> None:
    """A request is the same however TCP and TLS cut it."""
    data = b"".join(requests)
    whole = [item for request in requests for item in read(request)]
    assert read(*cut(data, at)) == whole
    assert len(whole) == len(requests)


@given(
    st.text(alphabet=st.characters(max_codepoint=255), max_size=20),
    st.sampled_from(["X-A", "X-A\r\nX-B", "X-A\n"]),
)
def test_a_header_is_one_line(value: str, name: str) -> None:
    """Whatever is in a response, nothing in it begins another line."""
    response = Response(200, b"body", ((name, value),))
    if "\r" in value or "\n" in value or name != "X-A":
        with pytest.raises(ValueError, match="line end"):
            encode(response)
    else:
        head, _, body = encode(response).partition(b"\r\n\r\n")
        assert head.count(b"\r\n") == 4
        assert body == b"body"


def test_the_header_is_bounded_while_it_comes() -> None:
    """A line that never ends is not collected for ever."""
    reader = RequestReader(Peer("192.0.2.1"), LIMITS)
    reader.feed(b"GET /x HTTP/1.1\r\nX-A: ")
    for _ in range(LIMITS.head // 16 + 2):
        reader.feed(b"a" * 16)
    refusal = reader.next()
    assert isinstance(refusal, Refusal)
    assert refusal.response.status == 431
    assert not reader.in_request


def test_a_trailer_is_bounded_too() -> None:
    """It is read and forgotten, and not for ever."""
    head = CHUNKED.removesuffix(b"\r\n")
    items = read(head, *[b"X-A: " + b"a" * 90 + b"\r\n"] * 20)
    assert [item.response.status for item in items if isinstance(item, Refusal)] == [413]


def test_after_a_refusal_nothing_is_read() -> None:
    """The rest might have been meant for another reader."""
    assert len(read(b"\r\nnonsense\r\n\r\n" + GET, GET)) == 1
