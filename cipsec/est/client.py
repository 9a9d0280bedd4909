"""An EST client (RFC 7030): operations in, certificates or errors out.

Requests and answers are `est.connection`'s, what an answer means `est.answers`'; waiting and files
are left to `endpoint`.
"""

from __future__ import annotations

import base64
import logging
from collections.abc import Callable
from types import TracebackType

import httpx
from cryptography import x509

from cipsec import times
from cipsec.errors import BadAnswer, Malformed
from cipsec.est import answers, attributes, wire
from cipsec.est.answers import Answer
from cipsec.est.connection import Connection, HungUp, Link
from cipsec.est.login import Login
from cipsec.tls import client as tls

MakeCsr = Callable[[bytes | None], bytes]

_log = logging.getLogger(__name__)
_ATTEMPTS = 3
_CSR_HEADERS = {
    "Content-Type": wire.PKCS10,
    # RFC 8951 dropped it; globalsign's server and python-est refuse a CSR without it.
    "Content-Transfer-Encoding": "base64",
}


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
        self._credential = credential
        self._connection = Connection(self.url, context, presents=credential, timeout=timeout)

    def __enter__(self) -> Session:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._connection.close()

    @property
    def where(self) -> str:
        """Return host and port, for people."""
        return self._connection.where

    @property
    def tls_version(self) -> str:
        """Return the version of the connection last used; empty before the first exchange."""
        link = self._connection.link
        return link.version if link else ""

    def cacerts(self) -> list[x509.Certificate]:
        """Return the CA's certificates, anchors and intermediates (RFC 7030 section 4.1)."""
        answer = self._connection.exchange("GET", "cacerts")
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
            answer = self._connection.exchange("GET", "csrattrs")
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
            if self._connection.link is None:
                self.cacerts()
            link = self._connection.link
            binding = link.binding if link and link.kept else None
            body = wire.in_lines(make_csr(base64.b64encode(binding) if binding else None))
            try:
                answer = self._authenticated(operation, body, login)
            except HungUp:
                if attempt:
                    raise
                self.cacerts()  # over another connection, whose binding the next CSR carries
                continue
            if binding is None or answer.status < 400 or self._same(link):
                break
            _log.info("the connection to %s was replaced; the CSR is made anew", self.where)
        return answer

    def _same(self, link: Link | None) -> bool:
        now = self._connection.link
        return link is not None and now is not None and link.tls is now.tls

    def _authenticated(self, operation: str, body: bytes, login: Login | None) -> Answer:
        """POST with Basic at once, since the server is trusted; answer a challenge for Digest."""
        if login is None:
            return self._post(operation, body)
        answer = self._post(operation, body, login.basic())
        if answer.status != 401:
            return answer
        request = httpx.Request("POST", f"{self.url}/{operation}")
        try:
            digest = _digest(request, answer, login)
        except (httpx.ProtocolError, NotImplementedError, ValueError, KeyError):
            raise BadAnswer(f"{self.where} sends a Digest challenge that makes no sense") from None
        return self._post(operation, body, digest) if digest else answer

    def _post(self, operation: str, body: bytes, authorization: str | None = None) -> Answer:
        shown = {"Authorization": authorization} if authorization else {}
        return self._connection.exchange("POST", operation, body, _CSR_HEADERS | shown)


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
