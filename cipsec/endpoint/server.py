"""Which EST server: what a person wrote or discovery found, as one URL; trust is `trust`'s."""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass
from urllib.parse import SplitResult, urlsplit

from cipsec.errors import UsageError
from cipsec.est.wire import WELL_KNOWN
from cipsec.pki.names import is_host_name

DEFAULT_PORT = 8443  # no port is registered for EST; it is the one `cipsec ca serve` listens on

_LABEL = re.compile(r"[A-Za-z0-9._~-]{1,64}")
_OPERATIONS = frozenset(
    {"cacerts", "csrattrs", "simpleenroll", "simplereenroll", "fullcmc", "serverkeygen"}
)
_HINT = "write HOST, HOST:PORT or https://HOST:PORT/.well-known/est/LABEL"


@dataclass(frozen=True, slots=True)
class Server:
    """An EST service: its URL up to the operation's name.

    `named` tells whether a person named the host. What discovery found, anybody on the network
    may have announced: then a certificate with that name proves nothing (see `tls.client`).
    """

    url: str
    named: bool = True

    @classmethod
    def parse(cls, text: str, label: str | None = None) -> Server:
        """Read `HOST[:PORT]` (port 8443 when none is said) or a URL (443 then); UsageError."""
        if "@" in text:  # not shown: a password stands before it
            raise UsageError("a server is named without a user", hint="add --user NAME")
        try:
            parts = urlsplit(text if "://" in text else f"https://{_bracketed(text)}")
            port = parts.port
        except ValueError:
            raise UsageError(f"{text!r} is not a server", hint=_HINT) from None
        host = parts.hostname or ""
        if not text.isprintable() or not _is_https_origin(parts) or not _is_host(host) or port == 0:
            raise UsageError(f"{text!r} is not a server", hint=_HINT)
        port = port or (443 if "://" in text else DEFAULT_PORT)
        return cls.at(f"https://{_bracketed(host)}:{port}", _label(text, parts.path, label))

    @classmethod
    def at(cls, origin: str, label: str | None, *, named: bool = True) -> Server:
        """Return the service with `label`, or without, at an origin; raise UsageError."""
        if label and (not _LABEL.fullmatch(label) or label in _OPERATIONS or label in {".", ".."}):
            raise UsageError(f"{label!r} is not an EST label", hint="letters, digits and . _ ~ -")
        return cls(f"{origin}{WELL_KNOWN}{f'/{label}' if label else ''}", named)

    @property
    def label(self) -> str | None:
        """The EST label, None without one."""
        return self.url.partition(WELL_KNOWN)[2].strip("/") or None

    def __str__(self) -> str:
        return self.url.removeprefix("https://").replace(WELL_KNOWN, "")


def _is_https_origin(parts: SplitResult) -> bool:
    """Tell whether nothing but host, port and path is said: above all no password."""
    return parts.scheme == "https" and not (parts.query or parts.fragment or "@" in parts.netloc)


def _bracketed(host: str) -> str:
    return f"[{host}]" if _is_address(host) and ":" in host else host


def _is_host(host: str) -> bool:
    return _is_address(host) or (is_host_name(host) and not host.startswith("*"))


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


def _label(text: str, path: str, label: str | None) -> str | None:
    """Return the label the URL's path names, or `label`; raise UsageError when both differ."""
    if path.rstrip("/") in {"", WELL_KNOWN}:
        return label
    prefix, _, found = path.rstrip("/").rpartition("/")
    if prefix != WELL_KNOWN:
        raise UsageError(f"{text!r} does not end in {WELL_KNOWN}/LABEL", hint=_HINT)
    if label and label != found:
        raise UsageError(f"the URL names the label {found!r} and --label {label!r}")
    return found
