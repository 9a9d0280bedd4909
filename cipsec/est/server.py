"""The EST server as a function from request to response (RFC 7030 with 8951); no socket, no TLS.

HTTP status is chosen here and nowhere else. Each header, its case and its order of words stands for
a client that was seen to need it.
"""

from __future__ import annotations

import base64
import binascii
import contextlib
import functools
import logging
import time
from collections.abc import Callable

from cryptography import x509

from cipsec import safe
from cipsec.errors import LocalState, Malformed, StoreFailed
from cipsec.est import wire
from cipsec.est.crls import Bodies
from cipsec.est.wire import Request, Response
from cipsec.pki import csr, pkcs7
from cipsec.ra.answers import Answer, Granted, Queued, Refused
from cipsec.ra.authority import RegistrationAuthority
from cipsec.ra.config import Config
from cipsec.ra.enrollment import Enrollment, Login

_LOG = logging.getLogger(__name__)

_NOT_OFFERED = frozenset({"fullcmc", "serverkeygen"})
_METHODS = {
    "cacerts": "GET",
    "crls": "GET",
    "csrattrs": "GET",
    "simpleenroll": "POST",
    "simplereenroll": "POST",
}
_BUSY_SECONDS = 10
_SAY_SECONDS = 60.0
_MOST_SAID = 100
_MAX_CREDENTIALS = 2048  # in base64; names are remembered after failures, their length is bounded
_REASON_LIMIT = 400
_SMALL_CSR = 4096

# BouncyCastle does not decode without it, though RFC 8951 section 3.2 dropped it.
_CTE = ("Content-Transfer-Encoding", "base64")
_CHALLENGE = ("WWW-Authenticate", 'Basic realm="EST"')
# "Nothing wanted": libest and BouncyCastle stumble over 204 and 404, all read an empty SEQUENCE.
_NO_ATTRIBUTES = b"\x30\x00"


class EstServer:
    """Answers EST requests for one CA."""

    def __init__(
        self,
        authority: RegistrationAuthority,
        cacerts: list[x509.Certificate],
        config: Callable[[], Config],
        crls: Callable[[], Bodies | None] = lambda: None,
    ) -> None:
        """`cacerts` is what /cacerts hands out; `config` returns the configuration in force.

        `crls` returns what /crls hands out, None while there is nothing.
        """
        self._authority = authority
        self._cacerts = wire.certs_only(cacerts)
        self._config = config
        self._crls = crls
        self._said: dict[str, float] = {}

    def exchange_cacerts(self, cacerts: list[x509.Certificate]) -> None:
        """Hand out these at /cacerts from now on."""
        self._cacerts = wire.certs_only(cacerts)

    async def handle(self, request: Request) -> Response:
        """Answer one request; what goes wrong with it is an answer too, never an exception."""
        try:
            return await self._route(request)
        except LocalState as error:
            # Store or configuration: the details are in log and record, not on the wire.
            await self._report(error)
            busy = ("Retry-After", str(_BUSY_SECONDS))
            return _text(503, "the server cannot decide now; ask again", busy)

    async def _report(self, error: LocalState) -> None:
        """Say why requests cannot be answered, but not with each of a thousand devices."""
        now = time.monotonic()
        if now - self._said.get(error.message, -_SAY_SECONDS) < _SAY_SECONDS:
            return
        if len(self._said) >= _MOST_SAID:
            self._said.clear()
        self._said[error.message] = now
        _LOG.error("requests cannot be answered: %s", error.message)
        with contextlib.suppress(StoreFailed):  # then the log has to do
            await self._authority.report(error)

    async def _route(self, request: Request) -> Response:
        label, operation = _split(request.path)
        if operation in _NOT_OFFERED:
            return _text(501, f"{operation} is not offered")
        if operation not in _METHODS:
            return _text(404, f"this is an EST server; its paths begin with {wire.WELL_KNOWN}/")
        config = self._config()
        if label and label not in config.server.labels:
            return _text(404, "this label is not known here")
        if request.method != _METHODS[operation]:
            allowed = ("Allow", _METHODS[operation])
            return _text(405, f"{operation} takes {allowed[1]}", allowed)
        one_line = label in config.server.one_line
        if operation == "cacerts":
            return _certificates(self._cacerts, wire.CERTS, one_line=one_line)
        if operation == "crls":
            return self._lists(one_line=one_line)
        if operation == "csrattrs":
            body = wire.encode_body(_NO_ATTRIBUTES)
            return Response(200, body, (("Content-Type", wire.CSR_ATTRS), _CTE))
        return await self._enroll(request, label, one_line, renewal=operation == "simplereenroll")

    def _lists(self, *, one_line: bool) -> Response:
        """RFC 8295 section 4.2: as /cacerts answers, with lists in place of certificates."""
        bodies = self._crls()
        if bodies is None:
            busy = ("Retry-After", str(_BUSY_SECONDS))
            return _text(503, "there is no revocation list yet; ask again", busy)
        body = bodies.one_line if one_line else bodies.lines
        return Response(200, body, (("Content-Type", wire.CERTS), _CTE))

    async def _enroll(
        self, request: Request, label: str, one_line: bool, *, renewal: bool
    ) -> Response:
        kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
        if kind != wire.PKCS10:
            return _text(415, f"send the CSR with Content-Type: {wire.PKCS10}")
        try:
            login = _login(request.headers.get("authorization"))
        except Malformed as error:
            return _text(401, error.message, _CHALLENGE)
        try:
            asked = _parse(wire.decode_body(request.body))
        except Malformed as error:  # only here: a malformed ca.toml is not the applicant's fault
            return _text(400, error.message)
        enrollment = Enrollment(
            request=asked,
            chain=request.peer.chain,
            login=login,
            label=label,
            renewal=renewal,
            address=request.peer.address,
            bindings=request.peer.bindings,
        )
        return _response(await self._authority.enroll(enrollment), one_line=one_line)


def _parse(der: bytes) -> csr.CertificateRequest:
    """Parse a CSR; remembered while small, for a device that polls sends the same one each time."""
    return _remembered(der) if len(der) <= _SMALL_CSR else csr.parse(der)


_remembered = functools.lru_cache(maxsize=1024)(csr.parse)


def _split(path: str) -> tuple[str, str]:
    """Return label and operation; the label is empty where there is none (RFC 7030 3.2.2)."""
    prefix = wire.WELL_KNOWN + "/"
    if not path.startswith(prefix):
        return "", ""
    label, _, operation = path[len(prefix) :].rpartition("/")
    return label, operation


def _login(header: str | None) -> Login | None:
    """Read an Authorization header with Basic credentials (RFC 7617); raise Malformed."""
    if header is None:
        return None
    scheme, _, encoded = header.partition(" ")
    if scheme.lower() != "basic":
        raise Malformed("only Basic credentials are taken here")
    if len(encoded) > _MAX_CREDENTIALS:
        raise Malformed("the Basic credentials are too long")
    try:
        text = base64.b64decode(encoded.strip(), validate=True).decode("utf-8")
    except (binascii.Error, ValueError):
        raise Malformed("the Basic credentials cannot be read") from None
    user, colon, password = text.partition(":")
    if not colon:
        raise Malformed("the Basic credentials cannot be read")
    return Login(user, password)


def _response(answer: Answer, *, one_line: bool) -> Response:
    match answer:
        case Granted(der):
            return _certificates(pkcs7.of_certificates([der]), wire.CERTS_ONLY, one_line=one_line)
        case Queued(identifier, seconds, in_vain):
            waiting = f"request {identifier} waits for approval; ask again after {seconds} s"
            why = f"; {in_vain}" if in_vain else ""
            return _text(202, waiting + why, ("Retry-After", str(seconds)))
        case Refused(reason, authenticate=True):
            return _text(401, reason, _CHALLENGE)
        case Refused(reason):
            return _text(403, reason)


def _certificates(der: bytes, kind: str, *, one_line: bool) -> Response:
    return Response(200, wire.encode_body(der, one_line=one_line), (("Content-Type", kind), _CTE))


def _text(status: int, reason: str, *headers: tuple[str, str]) -> Response:
    body = safe.text(reason, limit=_REASON_LIMIT).encode() + b"\n"
    return Response(status, body, (("Content-Type", "text/plain; charset=utf-8"), *headers))
