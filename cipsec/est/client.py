"""An EST client (RFC 7030) over one TLS connection: operations in, certificates or errors out.

Whom to trust is the context's (`tls.client`), what an answer means `est.answers`'; waiting and
files are left to `endpoint`.
"""

from __future__ import annotations

import base64
import logging
import ssl
import time
from collections.abc import Callable
from dataclasses import dataclass
from types import TracebackType

import httpx
from cryptography import x509

from cipsec import __version__, files, times
from cipsec.errors import BadAnswer, Malformed, Unreachable, UsageError
from cipsec.est import answers, attributes, wire
from cipsec.est.answers import Answer
from cipsec.est.login import Login
from cipsec.tls import client as tls

MakeCsr = Callable[[bytes | None], bytes]

_log = logging.getLogger(__name__)
_LARGEST = 1024 * 1024  # a body beyond that is no PKI answer
_REDIRECTS = frozenset({301, 302, 303, 307, 308})
_MOST_REDIRECTS = 3
_ATTEMPTS = 3
_HEADERS = {"User-Agent": f"cipsec/{__version__}", "Accept-Encoding": "identity"}
_CSR_HEADERS = {
    "Content-Type": wire.PKCS10,
    # RFC 8951 dropped it; globalsign's server and python-est refuse a CSR without it.
    "Content-Transfer-Encoding": "base64",
}


@dataclass(frozen=True, slots=True)
class _Link:
    """The connection an answer came over; `binding` only where tls-unique is defined."""

    tls: object
    version: str
    binding: bytes | None
    kept: bool


class _HungUp(BadAnswer):
    """The server ended a connection that it had kept, instead of answering on it."""


def fetch_cacerts_unverified(url: str, *, timeout: float) -> list[x509.Certificate]:
    """Return what `url`/cacerts hands out, trusting nobody and sending nothing of value.

    For bootstrapping alone (RFC 7030 section 4.1.1): the caller compares a fingerprint and starts
    anew. `timeout` in seconds is for the whole exchange. Raises Unreachable or BadAnswer.
    """
    with Session(url, tls.unverified_context(), timeout=timeout) as session:
        return session.cacerts()


class Session:
    """One connection to the EST service at `url`, which ends before the operation's name.

    `timeout` in seconds is for each exchange as a whole. Every operation raises Unreachable,
    BadAnswer, Busy, NotFound, Untrusted or CredentialsRefused.
    """

    def __init__(
        self,
        url: str,
        context: tls.ClientContext,
        *,
        credential: bool = False,
        timeout: float = 30.0,
    ) -> None:
        self.url = url.rstrip("/")
        self._context = context
        self._credential = credential
        self._timeout = timeout
        self._link: _Link | None = None
        try:
            self._base = httpx.URL(self.url)
        except httpx.InvalidURL as error:
            raise UsageError(f"{url!r} is not a URL: {error}") from None
        self._client = httpx.Client(
            verify=context,
            trust_env=False,
            headers=_HEADERS | self._host(),
            timeout=timeout,
            limits=httpx.Limits(max_connections=1, max_keepalive_connections=1),
        )

    def __enter__(self) -> Session:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._client.close()

    def _host(self) -> dict[str, str]:
        """Return a Host header without the zone of a link-local address, which is ours alone."""
        address, zone, rest = self.where.partition("%")
        return {"Host": address + rest[rest.index("]") :]} if zone else {}

    @property
    def where(self) -> str:
        """Return host and port, for people."""
        return self._base.netloc.decode("ascii")

    @property
    def tls_version(self) -> str:
        """Return the version of the connection last used; empty before the first exchange."""
        return self._link.version if self._link else ""

    def cacerts(self) -> list[x509.Certificate]:
        """Return the CA's certificates, anchors and intermediates (RFC 7030 section 4.1)."""
        answer = self._exchange("GET", "cacerts")
        if answer.status == 202:  # would be taken for a request that was accepted
            raise BadAnswer(f"{self.where} answers with the unexpected status 202")
        if answer.status != 200:  # section 4.1.3: nothing else will do
            raise answers.refusal(answer, self.where, times.now())
        return answers.certificates(answer)

    def csrattrs(self) -> frozenset[str]:
        """Return the attribute types the server asks for, none where it has no opinion.

        204 and 404 mean none (RFC 7030 section 4.5.2); so does what cannot be read, since asking
        is optional and some servers hand out an empty or broken body, or hang up.
        """
        try:
            answer = self._exchange("GET", "csrattrs")
            if answer.status != 200 or not answer.body.strip():
                return frozenset()
            return attributes.parse(answers.decoded(answer))
        except (BadAnswer, Malformed) as error:
            _log.info("the CSR attributes of %s cannot be read: %s", self.where, error)
            return frozenset()

    def simpleenroll(self, make_csr: MakeCsr, *, login: Login | None) -> list[x509.Certificate]:
        """Return the certificate asked for, and whatever else comes with it.

        `make_csr` is given the channel binding to carry, base64, or None, and returns the CSR in
        DER. Raises Pending, Rejected and CredentialsRefused besides.
        """
        return self._enroll("simpleenroll", make_csr, login)

    def simplereenroll(self, make_csr: MakeCsr) -> list[x509.Certificate]:
        """Renew the certificate this session's context presents; otherwise as `simpleenroll`."""
        return self._enroll("simplereenroll", make_csr, None)

    def _enroll(
        self, operation: str, make_csr: MakeCsr, login: Login | None
    ) -> list[x509.Certificate]:
        answer = self._bound(operation, make_csr, login)
        if answer.status == 401 and login is None and not self._credential:
            raise answers.login_wanted(answer, self.where)
        # 201: foundries' server answers so, and the certificate is there all the same.
        if answer.status not in {200, 201}:
            raise answers.refusal(answer, self.where, times.now())
        return answers.certificates(answer)

    def _bound(self, operation: str, make_csr: MakeCsr, login: Login | None) -> Answer:
        """Send a CSR that carries the binding of the very connection it goes over.

        The connection may be gone when the CSR is ready: then httpx opens another, the server
        sees a foreign binding, and we start over with the binding of the new one. It may also go
        in the moment in which the CSR is sent; then we start over once.
        """
        for attempt in range(_ATTEMPTS):
            if self._link is None:
                self.cacerts()
            link = self._link
            binding = link.binding if link and link.kept else None
            body = wire.in_lines(make_csr(base64.b64encode(binding) if binding else None))
            try:
                answer = self._authenticated(operation, body, login)
            except _HungUp:
                if attempt:
                    raise
                self._link = None
                continue
            if binding is None or answer.status < 400 or self._same(link):
                break
            _log.info("the connection to %s was replaced; the CSR is made anew", self.where)
        return answer

    def _same(self, link: _Link | None) -> bool:
        return link is not None and self._link is not None and link.tls is self._link.tls

    def _authenticated(self, operation: str, body: bytes, login: Login | None) -> Answer:
        """POST with Basic at once, since the server is trusted; answer a challenge for Digest."""
        if login is None:
            return self._exchange("POST", operation, body)
        answer = self._exchange("POST", operation, body, login.basic())
        if answer.status != 401:
            return answer
        request = self._client.build_request("POST", f"{self.url}/{operation}")
        try:
            digest = _digest(request, answer, login)
        except (httpx.ProtocolError, NotImplementedError, ValueError, KeyError):
            raise BadAnswer(f"{self.where} sends a Digest challenge that makes no sense") from None
        return self._exchange("POST", operation, body, digest) if digest else answer

    def _exchange(
        self, method: str, operation: str, body: bytes | None = None, login: str | None = None
    ) -> Answer:
        headers = dict(_CSR_HEADERS) if body is not None else {}
        if login:
            headers["Authorization"] = login
        url = httpx.URL(f"{self.url}/{operation}")
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
                self._link = _link(response)
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
            if self._link is None or not self._link.kept:
                raise
            raise _HungUp(f"{self.where} does not speak HTTP as it should: {error}") from None

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
                return tls.failure(self.where, cause, presented=self._credential)
            case _, httpx.TimeoutException():
                return Unreachable(f"{self.where} does not answer in time")
            case OSError(), _:
                return Unreachable(f"{self.where} cannot be reached: {files.reason(cause)}")
            case _:
                return BadAnswer(f"{self.where} does not speak HTTP as it should: {error}")

    def _unsigned(self) -> BaseException | None:
        """Return why a key that is elsewhere did not sign; TLS tells no more than that."""
        return self._context.hook.cause() if self._context.hook else None


def _link(response: httpx.Response) -> _Link:
    secured = response.extensions["network_stream"].get_extra_info("ssl_object")
    version = str(secured.version())
    # With TLS 1.3 the standard library returns some bytes for tls-unique, which are undefined
    # (RFC 9266 section 1), and it has no exporter.
    binding = secured.get_channel_binding("tls-unique") if version == "TLSv1.2" else None
    closing = "close" in response.headers.get("connection", "").lower()
    kept = response.http_version == "HTTP/1.1" and not closing
    return _Link(secured, version, binding, kept)


def _headers(response: httpx.Response) -> dict[str, str]:
    return {name.lower(): value for name, value in response.headers.items()}


def _digest(request: httpx.Request, answer: Answer, login: Login) -> str | None:
    """Return the Authorization that answers a Digest challenge; None where there is none."""
    text = answer.headers.get("www-authenticate", "")
    at = text.lower().find("digest ")  # httpx joins several challenges: `Basic …, Digest …`
    if at < 0:
        return None
    flow = httpx.DigestAuth(login.user, login.password).auth_flow(request)
    next(flow)
    headers = {"WWW-Authenticate": text[at:]}
    answered = flow.send(httpx.Response(401, headers=headers, request=request))
    flow.close()
    return str(answered.headers["Authorization"])
