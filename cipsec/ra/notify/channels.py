"""What a channel of notification is: whom it tells, of what, and how; parsing is left to `config`.

Nothing here holds a secret: passwords, keys and URLs that are one stand in files of their own.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum
from pathlib import Path
from urllib.parse import urlsplit

from cipsec.store.codes import Code

# What a channel tells unless it says otherwise: what somebody has to do something about.
DEFAULT_EVENTS: frozenset[str] = frozenset(
    {
        Code.PENDING,
        Code.REPLACEMENT,
        Code.POLICY_ERROR,
        Code.CREDENTIAL_LOCKED,
        Code.EXPIRING,
        Code.REMINDER,
        Code.REVOKED,
    }
)


class Tls(StrEnum):
    """How a connection to a mail server is protected."""

    STARTTLS = "starttls"
    TLS = "tls"
    NONE = "none"


class Transport(StrEnum):
    """How syslog is carried: RFC 5426, RFC 6587, RFC 5425."""

    UDP = "udp"
    TCP = "tcp"
    TLS = "tls"


@dataclass(frozen=True, slots=True)
class Email:
    """A mail server and whom to write to; here as elsewhere paths begin in the CA folder."""

    server: str
    port: int
    tls: Tls
    sender: str
    to: tuple[str, ...]
    user: str | None = None
    password_file: Path | None = None
    ca_file: Path | None = None

    def __str__(self) -> str:
        return f"{', '.join(self.to)} by {self.server}:{self.port}"


@dataclass(frozen=True, slots=True)
class Webhook:
    """A URL that takes JSON; `url_file` where the URL itself is a secret."""

    url: str | None
    url_file: Path | None = None
    secret_file: Path | None = None
    ca_file: Path | None = None

    def __str__(self) -> str:
        if self.url is None:
            return f"the URL in {self.url_file}"
        parts = urlsplit(self.url)  # the path may be what lets one in: hosted receivers are so
        return f"{parts.scheme}://{parts.netloc}/…"


@dataclass(frozen=True, slots=True)
class Command:
    """A program that gets JSON on its stdin."""

    argv: tuple[str, ...]

    def __str__(self) -> str:
        return self.argv[0]


@dataclass(frozen=True, slots=True)
class Syslog:
    """A collector of RFC 5424 messages; `facility` by its number in section 6.2.1."""

    server: str
    port: int
    transport: Transport
    facility: int
    ca_file: Path | None = None

    def __str__(self) -> str:
        return f"{self.transport}://{self.server}:{self.port}"


@dataclass(frozen=True, slots=True)
class Lines:
    """A file that gets a line of JSON for each event."""

    path: Path

    def __str__(self) -> str:
        return str(self.path)


@dataclass(frozen=True, slots=True)
class Apprise:
    """A file of Apprise URLs, one a line; the URLs are secrets."""

    urls_file: Path

    def __str__(self) -> str:
        return f"the URLs in {self.urls_file}"


Target = Email | Webhook | Command | Syslog | Lines | Apprise


@dataclass(frozen=True, slots=True)
class Channel:
    """One channel: what happened is gathered for `digest`, and told; `events` None means all."""

    name: str
    type: str
    events: frozenset[str] | None
    digest: timedelta
    target: Target

    @property
    def tells_each(self) -> bool:
        """Tell whether it keeps a record of every event, rather than telling people."""
        return isinstance(self.target, (Lines, Syslog))
