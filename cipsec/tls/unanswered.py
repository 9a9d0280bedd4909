"""Why no certificate came of a TLS handshake, in words, with something to try."""

from __future__ import annotations

from OpenSSL import SSL

from cipsec import files
from cipsec.errors import BadAnswer, Unreachable

_NOT_TLS = frozenset(
    {
        "wrong version number",
        "http request",
        "record layer failure",
        "packet length too long",
        "bad record type",
        "unexpected message",
    }
)
_WORDS = {
    "excessive message size": "it sends more certificates than are read (100 KiB)",
    "unsupported protocol": "it speaks only versions of TLS that are no longer spoken",
    "protocol version": "it speaks only versions of TLS that are no longer spoken",
    "handshake failure": (
        "it found nothing in common, or wants what is not given (alert: handshake failure)"
    ),
    "unrecognized name": "it does not go by this name (alert: unrecognized name)",
}
# Where people expect TLS, and where it is.
_TLS_OF = {80: 443, 8080: 8443, 44818: 2221, 2222: 2221}


def not_connected(where: str, error: Exception) -> Unreachable:
    """Return what it means that no connection came about."""
    match error:
        case TimeoutError():
            return Unreachable(f"{where} does not answer in time")
        case OSError():
            return Unreachable(f"{where} cannot be reached: {files.reason(error)}")
        case _:
            return Unreachable(f"{where} cannot be reached: that is not a host and port")


def refused(where: str, port: int, error: SSL.Error | OSError, heard: bytes) -> Unreachable:
    """Return what it means that a connection brought no certificate; `heard` is how it began."""
    hint = _hint(where, port)
    if isinstance(error, TimeoutError):
        what = "does not answer in time; it accepted the connection"
        return Unreachable(f"{where} {what}", hint=hint)
    if isinstance(error, OSError):
        return BadAnswer(f"{where} closes the connection and shows no certificate", hint=hint)
    if heard.startswith(b"HTTP/"):
        return BadAnswer(f"{where} answers in plain HTTP, not in TLS", hint=hint)
    if reason_of(error) in _NOT_TLS or heard[:1] not in (b"\x15", b"\x16"):
        return BadAnswer(f"{where} answers, and not in TLS this program speaks", hint=hint)
    return BadAnswer(f"{where} ends the TLS handshake: {_words(error)}", hint=hint)


def _hint(where: str, port: int) -> str | None:
    if port not in _TLS_OF:
        return None
    host = where.rpartition(":")[0]
    return f"TLS has a port of its own: cipsec cert show {host}:{_TLS_OF[port]}"


def _words(error: SSL.Error) -> str:
    reason = reason_of(error)
    return _WORDS.get(reason, reason)


def reason_of(error: SSL.Error) -> str:
    """Return the reason that OpenSSL gives, of an alert its name, which has several prefixes."""
    for entries in error.args:
        if entries and isinstance(entries, list):
            reason = str(entries[0][2])
            return reason.partition(" alert ")[2] or reason
    return "no reason given"
