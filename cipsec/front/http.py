"""HTTP/1.1 without a socket: bytes to `wire.Request`, `wire.Response` to bytes; order is kept.

llhttp reads the syntax, strictly; here are the limits and what RFC 9112 refuses beyond syntax.
"""

from __future__ import annotations

import functools
import time
from collections import deque
from dataclasses import dataclass
from email.utils import formatdate
from http import HTTPStatus

import httptools

from cipsec.est.wire import Peer, Request, Response
from cipsec.front.limits import Limits

CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"

# Twice in one request these are a way to make two readers see two requests.
_ONCE = frozenset({"host", "content-length", "transfer-encoding", "content-type", "authorization"})
_PIECE = 64 * 1024  # bytes of an answer that are sent at a time
_NOT_MODIFIED = 304
_PER_LINE = 4  # colon, space and line end
# A chunked body may be this many times as long on the wire, and trailers and extensions are in it.
_CHUNKING = 8


@dataclass(frozen=True, slots=True)
class Incoming:
    """A complete request, and whether its answer may keep the connection."""

    request: Request
    keep_alive: bool
    http10: bool


@dataclass(frozen=True, slots=True)
class Refusal:
    """The answer to what is no request that can be served; the connection ends with it."""

    response: Response


class _Refused(Exception):
    """Stops the parser; the refusal is noted already."""


class RequestReader:
    """Reads the requests of one connection: `feed` bytes, then take them with `next`, in order.

    After a refusal nothing more is read. `close` lets go of the parser, which refers back here.
    """

    __slots__ = ("_body", "_fed", "_head", "_headers", "_in_head", "_limits", "_parser", "_peer",
                 "_ready", "_refusal", "_size", "_target", "_version", "awaits_continue",
                 "in_request")  # fmt: skip

    def __init__(self, peer: Peer, limits: Limits) -> None:
        self._peer = peer
        self._limits = limits
        self._parser: httptools.HttpRequestParser | None = httptools.HttpRequestParser(self)
        self._ready: deque[Incoming | Refusal] = deque()
        self._refusal: Refusal | None = None
        self.in_request = False
        self.awaits_continue = False
        self._begin()

    def _begin(self) -> None:
        self._target = b""
        self._headers: dict[str, str] = {}
        self._body: list[bytes] = []
        self._head = self._size = self._fed = 0
        self._version = ""
        self._in_head = True

    def feed(self, data: bytes) -> None:
        """Take bytes; never raises, what is wrong with them becomes a refusal."""
        if self._parser is None:
            return
        self._fed += len(data)
        try:
            self._parser.feed_data(data)
            self._bound()
        except httptools.HttpParserUpgrade:
            self._parser = None  # what follows may be in the other protocol
            if self._refusal is not None:
                self._end(self._refusal)
        except (httptools.HttpParserError, _Refused):
            self._end(self._refusal or _refusal(400, "this is not a request in HTTP/1.1"))

    def next(self) -> Incoming | Refusal | None:
        """Return the next request in order, or None when there is none yet."""
        return self._ready.popleft() if self._ready else None

    def close(self) -> None:
        """Let go of everything."""
        self._parser = None
        self._ready.clear()

    def _bound(self) -> None:
        """Bound what one unfinished request may have cost, whatever it is made of."""
        if not self.in_request:
            return
        if self._in_head and self._fed > self._limits.head:
            self._refuse(431, "the header is too long")
        if self._fed > self._limits.head + _CHUNKING * self._limits.body:
            self._refuse(413, "the request is too long")

    def _end(self, refusal: Refusal) -> None:
        self._ready.append(refusal)
        self._parser = None
        self.in_request = self.awaits_continue = False

    def _refuse(self, status: int, reason: str) -> None:
        self._refusal = _refusal(status, reason)
        raise _Refused

    # What follows is called by the parser.

    def on_message_begin(self) -> None:
        """Begin a request."""
        self._begin()
        self.in_request = True

    def on_url(self, part: bytes) -> None:
        """Take a part of the request target."""
        self._target += part
        self._head += len(part)
        if self._head > self._limits.head:
            self._refuse(414, "the path is too long")

    def on_header(self, name: bytes, value: bytes) -> None:
        """Take a header line; those of a chunked body's trailer count for nothing."""
        if not self._in_head:
            return
        self._head += len(name) + len(value) + _PER_LINE
        if self._head > self._limits.head:
            self._refuse(431, "the header is too long")
        key, text = name.decode("ascii").lower(), value.decode("latin-1")
        if key in self._headers:
            if key in _ONCE:
                self._refuse(400, f"the header {key} is there twice")
            text = f"{self._headers[key]}, {text}"
        self._headers[key] = text

    def on_headers_complete(self) -> None:
        """Refuse what must not be read on; note whether the client waits to be told to go on."""
        parser, headers = self._parser, self._headers
        assert parser is not None
        self._in_head = False
        self._version = parser.get_http_version()
        if self._version not in {"1.1", "1.0"}:
            self._refuse(505, "HTTP/1.1 is spoken here")
        if parser.should_upgrade() and not _serves_as_well(parser.get_method(), headers):
            self._refuse(501, "the protocol cannot be changed here")
        if self._version == "1.1" and "host" not in headers:
            self._refuse(400, "the header Host is missing")
        self._check_body(headers)
        expected = headers.get("expect", "").lower()
        if expected not in {"", "100-continue"}:
            self._refuse(417, "only 100-continue can be expected")
        self.awaits_continue = bool(expected) and self._version == "1.1"

    def _check_body(self, headers: dict[str, str]) -> None:
        coding = headers.get("transfer-encoding")
        if coding is not None:
            if self._version == "1.0":
                self._refuse(400, "HTTP/1.0 has no Transfer-Encoding")
            if coding.lower() != "chunked":
                self._refuse(501, "chunked is the only Transfer-Encoding taken here")
        if int(headers.get("content-length", "0")) > self._limits.body:
            self._refuse(413, f"the body is longer than {self._limits.body} bytes")

    def on_body(self, part: bytes) -> None:
        """Take a part of the body."""
        self.awaits_continue = False
        self._size += len(part)
        if self._size > self._limits.body:
            self._refuse(413, f"the body is longer than {self._limits.body} bytes")
        self._body.append(part)

    def on_message_complete(self) -> None:
        """Queue the request."""
        parser = self._parser
        assert parser is not None
        if len(self._ready) >= self._limits.pipeline:
            self._refuse(400, "too many requests are sent without waiting for an answer")
        self.in_request = self.awaits_continue = False
        request = Request(
            method=parser.get_method().decode("ascii"),
            path=_path(self._target),
            headers=self._headers,
            body=b"".join(self._body),
            peer=self._peer,
        )
        http10 = self._version == "1.0"
        keep_alive = parser.should_keep_alive() and not parser.should_upgrade()
        self._ready.append(Incoming(request, keep_alive, http10))


def _serves_as_well(method: bytes, headers: dict[str, str]) -> bool:
    """Tell whether HTTP/1.1 answers who would rather speak another protocol, as curl --http2 would.

    RFC 9110 section 7.8. To CONNECT it is no answer, and a body llhttp would take for the other
    protocol's bytes.
    """
    has_body = "transfer-encoding" in headers or int(headers.get("content-length", "0")) > 0
    return method != b"CONNECT" and not has_body


def _path(target: bytes) -> str:
    """Return the path without query, also of a target with scheme and host (RFC 9112 3.2.2)."""
    path = target.decode("latin-1").partition("?")[0]
    if not path.startswith("/") and "://" in path:
        path = "/" + path.partition("://")[2].partition("/")[2]
    return path


def _refusal(status: int, reason: str) -> Refusal:
    return Refusal(plain(status, reason))


def plain(status: int, reason: str) -> Response:
    """Return a response of one line of text."""
    kind = ("Content-Type", "text/plain; charset=utf-8")
    return Response(status, f"{reason}\n".encode(), (kind,))


def encode(
    response: Response, *, method: str = "", keep_alive: bool = False, http10: bool = False
) -> bytes:
    """Return header and body in one piece; raise ValueError for what cannot be in a header."""
    head = _head(response, keep_alive=keep_alive, http10=http10)
    return head if _is_bare(response, method) else head + response.body


def pieces(
    response: Response, *, method: str = "", keep_alive: bool = False, http10: bool = False
) -> deque[bytes | memoryview]:
    """Return the same in pieces that can be sent one after the other.

    A long body is not copied: many may have the same one sent to them at once.
    """
    if len(response.body) <= _PIECE or _is_bare(response, method):
        return deque([encode(response, method=method, keep_alive=keep_alive, http10=http10)])
    whole = memoryview(response.body)
    parts = (whole[at : at + _PIECE] for at in range(0, len(whole), _PIECE))
    return deque([_head(response, keep_alive=keep_alive, http10=http10), *parts])


def _is_bare(response: Response, method: str) -> bool:
    """Tell whether the body is only measured, not sent (RFC 9110 sections 9.3.2, 15.4.5)."""
    return method == "HEAD" or response.status == _NOT_MODIFIED


def _head(response: Response, *, keep_alive: bool, http10: bool) -> bytes:
    """Return the header.

    As clients were seen to need it: the status line of HTTP/1.1 whatever the request's version,
    names in the case given, Content-Length always.
    """
    headers = [("Date", _date()), *response.headers, ("Content-Length", str(len(response.body)))]
    if not keep_alive:
        headers.append(("Connection", "close"))
    elif http10:
        headers.append(("Connection", "keep-alive"))
    lines = [f"HTTP/1.1 {response.status} {_phrase(response.status)}"]
    lines += [f"{name}: {value}" for name, value in headers]
    head = "\r\n".join(lines)
    if not len(headers) == head.count("\n") == head.count("\r"):
        raise ValueError("a header holds a line end")
    return head.encode("latin-1") + b"\r\n\r\n"


def _date() -> str:
    return _formatted(int(time.time()))


@functools.lru_cache(maxsize=1)
def _formatted(second: int) -> str:
    return formatdate(second, usegmt=True)


@functools.cache
def _phrase(status: int) -> str:
    return HTTPStatus(status).phrase
