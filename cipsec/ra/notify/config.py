"""The `[[channel]]` tables of ca.toml: read and checked; no file is opened, nobody is reached."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any
from urllib.parse import SplitResult, urlsplit

from cipsec import times
from cipsec.errors import CipsecError, Malformed
from cipsec.pki import names
from cipsec.ra.notify.channels import (
    DEFAULT_EVENTS,
    Apprise,
    Channel,
    Command,
    Email,
    Lines,
    Syslog,
    Target,
    Tls,
    Transport,
    Webhook,
)
from cipsec.store.codes import Code

Table = Mapping[str, Any]

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_EVENTS = frozenset(Code) - {Code.TEST}
_ALL = "all"
# RFC 5321 section 4.1.2, without quoted strings: nobody has such an address, but for attackers.
_ADDRESS = re.compile(r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~.-]{1,64}@[A-Za-z0-9](?:[A-Za-z0-9.-]{0,252})")
_DIGEST = timedelta(seconds=30)
_LONGEST_DIGEST = timedelta(days=1)
_MAIL_PORTS = {Tls.STARTTLS: 587, Tls.TLS: 465, Tls.NONE: 25}
_SYSLOG_PORTS = {Transport.UDP: 514, Transport.TCP: 514, Transport.TLS: 6514}
# RFC 5424 section 6.2.1, those that a collector would expect a service to use.
_FACILITIES = {"daemon": 3, "auth": 4, "authpriv": 10} | {f"local{n}": 16 + n for n in range(8)}


def parse_channels(tables: object) -> tuple[Channel, ...]:
    """Read the `[[channel]]` tables of ca.toml; raise Malformed naming channel and key."""
    if tables is None:
        return ()
    if not isinstance(tables, list):
        raise Malformed("channel is not a list of tables", hint="write [[channel]]")
    channels = tuple(_channel(number, table) for number, table in enumerate(tables, start=1))
    seen = [channel.name for channel in channels]
    twice = next((name for name in seen if seen.count(name) > 1), None)
    if twice is not None:
        raise Malformed(f"two channels are named {twice!r}")
    return channels


def _channel(number: int, table: object) -> Channel:
    if not isinstance(table, dict):
        raise Malformed(f"channel {number} is not a table", hint="write [[channel]]")
    name = table.get("name")
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        raise Malformed(f"channel {number} has no name of letters, digits, '.', '_' and '-'")
    try:
        return _named(name, table)
    except CipsecError as error:
        message = f"channel {number} ({name}): {error.message}"
        raise Malformed(message, hint=error.hint) from None


def _named(name: str, table: Table) -> Channel:
    kind = table.get("type")
    if not isinstance(kind, str) or kind not in _TARGETS:
        raise Malformed(f"type must be one of {', '.join(_TARGETS)}")
    own, target = _TARGETS[kind]
    for key in sorted(set(table) - own - {"name", "type", "events", "digest"}):
        raise Malformed(f"{key!r} is not known")
    made = Channel(name, kind, _events(table), timedelta(), target(table))
    # A record is kept as things happen; people are told when it is known what all happened.
    digest = _digest(table, timedelta() if made.tells_each else _DIGEST)
    return replace(made, digest=digest)


def _events(table: Table) -> frozenset[str] | None:
    if "events" not in table:
        return DEFAULT_EVENTS
    wanted = frozenset(_texts(table, "events"))
    for event in sorted(wanted - _EVENTS - {_ALL}):
        raise Malformed(
            f"events: {event!r} is not known",
            hint=f"choose among {', '.join(sorted(_EVENTS))}, or {_ALL}",
        )
    return None if _ALL in wanted else wanted


def _digest(table: Table, default: timedelta) -> timedelta:
    if "digest" not in table:
        return default
    try:
        digest = times.parse_duration(_text(table, "digest"))
    except CipsecError as error:
        raise Malformed(f"digest: {error.message}", hint=error.hint) from None
    if digest > _LONGEST_DIGEST:
        raise Malformed(f"digest is at most {times.show_duration(_LONGEST_DIGEST)}")
    return digest


def _email(table: Table) -> Email:
    server = _host(table)
    tls = Tls(_choice(table, "tls", tuple(Tls)))
    user = _optional(table, "user")
    if tls is Tls.NONE:
        _require_plain(table, server, with_password=user is not None)
    password_file = _path(table, "password_file")
    if (user is None) != (password_file is None):
        raise Malformed("user and password_file belong together")
    return Email(
        server=server,
        port=_port(table, _MAIL_PORTS[tls]),
        tls=tls,
        sender=_address("from", _text(table, "from")),
        to=tuple(_address("to", text) for text in _texts(table, "to")),
        user=user,
        password_file=password_file,
        ca_file=_path(table, "ca_file"),
    )


def _require_plain(table: Table, server: str, *, with_password: bool) -> None:
    """Raise Malformed unless mail may go to the server unprotected; a password never may."""
    if is_loopback(server):
        return
    if with_password:
        raise Malformed(
            'tls = "none" would show the password to the network',
            hint='write tls = "starttls" or "tls"',
        )
    if table.get("allow_plaintext") is not True:
        raise Malformed(
            'tls = "none" would show every message to the network',
            hint='write tls = "starttls", or allow_plaintext = true if it must be',
        )


def _webhook(table: Table) -> Webhook:
    url, url_file = _optional(table, "url"), _path(table, "url_file")
    if (url is None) == (url_file is None):
        raise Malformed("write url, or url_file where the URL is a secret")
    if url is not None:
        checked_url(url)
    secret_file, ca_file = _path(table, "secret_file"), _path(table, "ca_file")
    return Webhook(url, url_file, secret_file, ca_file)


def checked_url(url: str) -> SplitResult:
    """Return the parts of a webhook's URL; raise Malformed, without telling what it says."""
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        raise Malformed("url is not a URL") from None
    if not url.isascii() or not url.isprintable() or " " in url or port == 0:
        raise Malformed("url is not a URL")
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise Malformed("url does not begin with https:// and a host")
    if parts.scheme == "http" and not is_loopback(parts.hostname):
        raise Malformed(
            "url would show every message to the network", hint="write https:// in place of http://"
        )
    if parts.username is not None or parts.fragment:
        raise Malformed("url holds a user name or a fragment", hint="put it into url_file")
    return parts


def _command(table: Table) -> Command:
    argv = _texts(table, "command")
    if not argv[0] or any("\0" in word for word in argv):
        raise Malformed("command names no program")
    return Command(tuple(argv))


def _syslog(table: Table) -> Syslog:
    transport = Transport(_choice(table, "transport", tuple(Transport)))
    ca_file = _path(table, "ca_file")
    if ca_file is not None and transport is not Transport.TLS:
        raise Malformed('ca_file is for transport = "tls"')
    facility = _choice(table, "facility", ("authpriv", *_FACILITIES))
    port = _port(table, _SYSLOG_PORTS[transport])
    return Syslog(_host(table), port, transport, _FACILITIES[facility], ca_file)


def _lines(table: Table) -> Lines:
    path = _path(table, "path")
    if path is None:
        raise Malformed("path is missing")
    return Lines(path)


def _apprise(table: Table) -> Apprise:
    path = _path(table, "urls_file")
    if path is None:
        raise Malformed(
            "urls_file is missing", hint="put the URLs, which are secrets, into a file of their own"
        )
    return Apprise(path)


_TARGETS: dict[str, tuple[frozenset[str], Callable[[Table], Target]]] = {
    "email": (
        frozenset(
            {"server", "port", "tls", "allow_plaintext", "user", "password_file", "ca_file"}
            | {"from", "to"}
        ),
        _email,
    ),
    "webhook": (frozenset({"url", "url_file", "secret_file", "ca_file"}), _webhook),
    "command": (frozenset({"command"}), _command),
    "syslog": (frozenset({"server", "port", "transport", "facility", "ca_file"}), _syslog),
    "file": (frozenset({"path"}), _lines),
    "apprise": (frozenset({"urls_file"}), _apprise),
}


def is_loopback(host: str) -> bool:
    """Tell whether a host's name or address is this machine."""
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return host.lower() == "localhost"


def _text(table: Table, key: str) -> str:
    value = table.get(key)
    if not isinstance(value, str) or not value:
        raise Malformed(f"{key} is missing" if key not in table else f"{key} is not a text")
    return value


def _optional(table: Table, key: str) -> str | None:
    return _text(table, key) if key in table else None


def _texts(table: Table, key: str) -> list[str]:
    value = table.get(key)
    if not isinstance(value, list) or not value or not all(isinstance(x, str) for x in value):
        raise Malformed(f"{key} is not a list of texts")
    return value


def _choice(table: Table, key: str, choices: tuple[str, ...]) -> str:
    value = table.get(key, choices[0])
    if value not in choices:
        raise Malformed(f"{key} must be one of {', '.join(dict.fromkeys(choices))}")
    return str(value)


def _port(table: Table, default: int) -> int:
    value = table.get("port", default)
    if not isinstance(value, int) or isinstance(value, bool) or not 1 <= value <= 65535:
        raise Malformed("port is not a number from 1 to 65535")
    return value


def _path(table: Table, key: str) -> Path | None:
    text = _optional(table, key)
    if text is None:
        return None
    path = Path(text)
    if not text.isprintable() or not path.name or ".." in path.parts:
        raise Malformed(f"{key} is not the name of a file", hint="relative ones: in the CA folder")
    return path


def _address(key: str, text: str) -> str:
    if not _ADDRESS.fullmatch(text):
        raise Malformed(f"{key}: {text!r} is not a mail address")
    return text


def _host(table: Table) -> str:
    text = _text(table, "server")
    try:
        names.host_name(text)
    except CipsecError as error:
        raise Malformed(f"server: {error.message}") from None
    if "*" in text:
        raise Malformed(f"server: {text!r} is not the name of a host")
    return text
