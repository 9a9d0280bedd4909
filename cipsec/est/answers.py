"""What an EST server's answer means: certificates, a wait, or an error of the tree.

Lenient where the servers of the field are not exact; fetching it is left to `est.connection`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime

from cryptography import x509

from cipsec import safe
from cipsec.errors import (
    BadAnswer,
    Busy,
    CipsecError,
    CredentialsRefused,
    Malformed,
    NotFound,
    Pending,
    Rejected,
)
from cipsec.est import wire
from cipsec.pki import legible
from cipsec.pki.faults import UNREADABLE

DEFAULT_RETRY = 60  # seconds; BouncyCastle's server and others leave Retry-After out
_LONGEST_RETRY = timedelta(days=366)
_REASON_LIMIT = 300
_SHORT = 40
_PEM_CERTIFICATE = b"-----BEGIN CERTIFICATE-----"
_REQUEST_ID = re.compile(r"\brequest ([0-9a-f]{8,64})\b")
_IN_VAIN = re.compile(r"\bask again after \d+ s; (\S.*)")  # so cipsec's server says what is wrong


@dataclass(frozen=True, slots=True)
class Answer:
    """One HTTP response read whole; `headers` has lower-case names."""

    status: int
    headers: Mapping[str, str]
    body: bytes


def certificates(answer: Answer) -> list[x509.Certificate]:
    """Return the certificates in a body; raise BadAnswer when it holds none.

    RFC 7030 wants base64 of a certs-only PKCS#7. Read as well: DER, PEM of either kind, and bare
    certificates, which some servers send instead. One that cannot be read whole is left out, so
    that nobody stumbles over it later.
    """
    try:
        found = [c for c in _read_certificates(answer) if _is_whole(c)]
    except (Malformed, *UNREADABLE) as error:
        why = _wrapped(answer.headers) or error
        raise BadAnswer(f"the answer holds no certificates that can be read: {why}") from None
    if not found:
        raise BadAnswer("the answer holds no certificate that can be read")
    return found


def _wrapped(headers: Mapping[str, str]) -> str | None:
    """Say how a body was changed on its way, mostly by a proxy; that is not undone here."""
    encoding = headers.get("content-encoding", "identity").strip().lower()
    if encoding not in ("", "identity"):
        return f"it is encoded ({safe.text(encoding, limit=_SHORT)}), which was not asked for"
    kind = headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind.startswith("multipart/"):
        return f"it is in parts ({safe.text(kind, limit=_SHORT)}) and not certs-only PKCS#7"
    return None


def _is_whole(certificate: x509.Certificate) -> bool:
    """Tell whether everything can be read, both names are there, and it is valid at some time."""
    if legible.problem(certificate):
        return False
    life = certificate.not_valid_after_utc - certificate.not_valid_before_utc
    return all(map(list, (certificate.subject, certificate.issuer))) and life > timedelta()


def decoded(answer: Answer) -> bytes:
    """Return the DER in a body, whatever its layout; raise Malformed."""
    text = answer.body.rstrip(b"\0")  # libest's server ends bodies with a NUL
    return wire.decode_body(text if text.isascii() else answer.body)


def _read_certificates(answer: Answer) -> list[x509.Certificate]:
    if _PEM_CERTIFICATE in answer.body:
        return x509.load_pem_x509_certificates(answer.body)
    der = decoded(answer)
    if _PEM_CERTIFICATE in der:
        return x509.load_pem_x509_certificates(der)
    try:
        return wire.parse_certs_only(der)
    except Malformed:
        return [x509.load_der_x509_certificate(der)]


# The server may be anybody's: what to type is said for one of ours.
_ASK = "ask whoever runs the CA; there, by cipsec:"
_PASSWORD = f"{_ASK} cipsec user list, cipsec user set-password NAME"
_REFUSED = f"{_ASK} cipsec ca log --event refused --event rejected"


def refusal(answer: Answer, where: str, now: datetime) -> CipsecError:
    """Return the error that a status other than success stands for."""
    said = _reason(answer)
    match answer.status:
        case 202:
            return _pending(answer, said, now)
        case 401:
            said = f"{where} does not accept the credentials{said}"
            return CredentialsRefused(said, hint=_PASSWORD)
        case 404:
            return NotFound(f"{where} has no such EST service or label{said}")
        case 405 | 501:
            return BadAnswer(f"{where} does not do this operation{said}")
        case 408 | 429 | 503:
            wait = retry_after(answer.headers, now)
            return Busy(f"{where} cannot answer now{said}", retry_after=wait)
        case status if 400 <= status < 500:
            said = f"{where} refuses the request{said or f' ({status})'}"
            return Rejected(said, hint=_REFUSED)
        case status if 500 <= status < 600:
            return BadAnswer(f"{where} reports an error of its own ({status}){said}")
        case status:
            return BadAnswer(f"{where} answers with the unexpected status {status}{said}")


def login_wanted(answer: Answer, where: str) -> CredentialsRefused:
    """Return what a 401 stands for where nothing was shown that could have been refused."""
    hint = "add --user NAME, or --cert FILE --key FILE"
    challenge = answer.headers.get("www-authenticate", "").lower()
    if challenge and not any(scheme in challenge for scheme in ("basic", "digest")):
        hint = "add --cert FILE --key FILE: it knows neither Basic nor Digest"
    return CredentialsRefused(f"{where} wants to know who asks{_reason(answer)}", hint=hint)


def _pending(answer: Answer, said: str, now: datetime) -> Pending:
    text = answer.body[: 2 * _REASON_LIMIT].decode("utf-8", "replace")
    found, vain = _REQUEST_ID.search(text), _IN_VAIN.search(text)
    why = f": {safe.text(vain[1].strip(), limit=_REASON_LIMIT)}" if vain else ""
    return Pending(
        f"request {found[1][:12]} waits for a decision{why}"
        if found
        else f"the request waits{said}",
        retry_after=retry_after(answer.headers, now),
        request=found[1] if found else None,
    )


def _reason(answer: Answer) -> str:
    """Return `: reason` when the body is plain text (RFC 8951), as one short harmless line."""
    kind = answer.headers.get("content-type", "text/plain").partition(";")[0].strip().lower()
    text = answer.body[: _REASON_LIMIT * 4].decode("utf-8", "replace").strip(" \t\r\n\0.")
    if kind != "text/plain" or not text:
        return ""
    return f": {safe.text(text, limit=_REASON_LIMIT)}"


def retry_after(headers: Mapping[str, str], now: datetime) -> int:
    """Return the seconds to wait: a number, an HTTP date, or the default (RFC 9110 10.2.3).

    A date counts from the server's own Date where it gives one, so that no clock of ours matters.
    """
    text = headers.get("retry-after", "").strip()
    if text.isascii() and text.isdigit():
        return min(int(text[:12]), int(_LONGEST_RETRY.total_seconds()))
    until = _http_date(text)
    if until is None:
        return DEFAULT_RETRY
    wait = until - (_http_date(headers.get("date", "")) or now)
    return max(0, int(min(wait, _LONGEST_RETRY).total_seconds()))


def _http_date(text: str) -> datetime | None:
    try:
        moment = parsedate_to_datetime(text)
    except (ValueError, TypeError, OverflowError):
        return None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
