"""One TLS connection to an EST service: requests out, answers in, by httpx.

Redirects are followed within the service's origin alone. Whom to trust is the context's
(`tls.client`); what is asked, and in which order, is left to `est.client`.
"""

from __future__ import annotations

import ssl
import time
from collections.abc import Mapping
from dataclasses import dataclass

import httpx

from cipsec import __version__, files
from cipsec.errors import BadAnswer, Unreachable, UsageError
from cipsec.est.answers import Answer
from cipsec.tls import client as tls

_LARGEST = 1024 * 1024  # a body beyond that is no PKI answer
_REDIRECTS = frozenset({301, 302, 303, 307, 308})
_MOST_REDIRECTS = 3
_HEADERS = {"User-Agent": f"cipsec/{__version__}", "Accept-Encoding": "identity"}


@dataclass(frozen=True, slots=True)
class Link:
    """The TLS connection an answer came over; `binding` only where tls-unique is defined."""

    tls: object
    version: str
    binding: bytes | None
    kept: bool


class HungUp(BadAnswer):
    """The server ended a connection that it had kept, instead of answering on it."""


class Connection:
    """At most one TLS connection at a time to the service at `url`; `link` is the one last used.

    `presents` tells that a client certificate is at hand; `timeout` in seconds is for each exchange
    as a whole. Raises UsageError for what is no URL.
    """

    def __init__(
        self, url: str, context: tls.ClientContext, *, presents: bool, timeout: float
    ) -> None:
        self.link: Link | None = None
        self._url = url
        self._context = context
        self._presents = presents
        self._timeout = timeout
        try:
            self._base = httpx.URL(url)
        except httpx.InvalidURL as error:
            raise UsageError(f"{url!r} is not a URL: {error}") from None
        self._client = httpx.Client(
            verify=context,
            trust_env=False,
            headers=_HEADERS | self._host(),
            timeout=timeout,
            limits=httpx.Limits(max_connections=1, max_keepalive_connections=1),
        )

    def close(self) -> None:
        """Close what is open."""
        self._client.close()

    def _host(self) -> dict[str, str]:
        """Return a Host header without the zone of a link-local address, which is ours alone."""
        address, zone, rest = self.where.partition("%")
        return {"Host": address + rest[rest.index("]") :]} if zone else {}

    @property
    def where(self) -> str:
        """Return host and port, for people."""
        return self._base.netloc.decode("ascii")

    def exchange(
        self,
        method: str,
        operation: str,
        body: bytes | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Answer:
        """Return the answer to one request.

        Raises Unreachable, BadAnswer (HungUp where a connection that was kept is gone), Untrusted
        and CredentialsRefused.
        """
        url = httpx.URL(f"{self._url}/{operation}")
        for _ in range(_MOST_REDIRECTS):
            answer = self._send(
                self._client.build_request(method, url, content=body, headers=headers)
            )
            if answer.status not in _REDIRECTS:
                return answer
            url = self._redirected(url, answer)
        raise BadAnswer(f"{self.where} redirects in circles")

    def _redirected(self, url: httpx.URL, answer: Answer) -> httpx.URL:
        """Return where to go on; only within this origin (RFC 7030 section 3.2.1)."""
        try:
            target = url.join(answer.headers.get("location", ""))
        except httpx.InvalidURL:
            raise BadAnswer(f"{self.where} redirects to what is no URL") from None
        if (target.scheme, target.host, target.port) != (url.scheme, url.host, url.port):
            there = f"--server {target.host}:{target.port or 443}, if that is the right one"
            raise BadAnswer(
                f"{self.where} redirects to another server, which is not followed: {target}",
                hint=there if target.scheme == "https" else None,
            )
        return target

    def _send(self, request: httpx.Request) -> Answer:
        self._context.deadline = time.monotonic() + self._timeout
        try:
            response = self._begun(request)
            try:
                self.link = _link(response)
                return Answer(response.status_code, _headers(response), self._read(response))
            finally:
                response.close()
        except httpx.HTTPError as error:
            raise self._failure(error) from None

    def _begun(self, request: httpx.Request) -> httpx.Response:
        """Send a request and return its answer, of which the body is to come."""
        try:
            return self._client.send(request, stream=True)
        except httpx.RemoteProtocolError as error:
            if self.link is None or not self.link.kept:
                raise
            raise HungUp(f"{self.where} does not speak HTTP as it should: {error}") from None

    def _read(self, response: httpx.Response) -> bytes:
        body = bytearray()
        for chunk in response.iter_raw():
            body += chunk
            if len(body) > _LARGEST:
                raise BadAnswer(f"the answer of {self.where} is larger than {_LARGEST} bytes")
        return bytes(body)

    def _failure(self, error: httpx.HTTPError) -> BaseException:
        cause: BaseException | None = error
        while cause is not None and not isinstance(cause, OSError):
            cause = cause.__cause__ or cause.__context__  # httpcore raises `from None`
        match cause, error:
            case ssl.SSLError(), _ if unsigned := self._unsigned():
                return unsigned
            case ssl.SSLError(), _:
                return tls.failure(self.where, cause, presented=self._presents)
            case _, httpx.TimeoutException():
                return Unreachable(f"{self.where} does not answer in time")
            case OSError(), _:
                return Unreachable(f"{self.where} cannot be reached: {files.reason(cause)}")
            case _:
                return BadAnswer(f"{self.where} does not speak HTTP as it should: {error}")

    def _unsigned(self) -> BaseException | None:
        """Return why a key that is elsewhere did not sign; TLS tells no more than that."""
        return self._context.hook.cause() if self._context.hook else None


def _link(response: httpx.Response) -> Link:
    secured = response.extensions["network_stream"].get_extra_info("ssl_object")
    version = str(secured.version())
    # With TLS 1.3 the standard library returns some bytes for tls-unique, which are undefined
    # (RFC 9266 section 1), and it has no exporter.
    binding = secured.get_channel_binding("tls-unique") if version == "TLSv1.2" else None
    closing = "close" in response.headers.get("connection", "").lower()
    kept = response.http_version == "HTTP/1.1" and not closing
    return Link(secured, version, binding, kept)


def _headers(response: httpx.Response) -> dict[str, str]:
    return {name.lower(): value for name, value in response.headers.items()}
