"""ca.toml: read, checked once, and turned into values that cannot be wrong."""

from __future__ import annotations

import re
import time
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

from cipsec import files, times
from cipsec.errors import CipsecError, LocalState, Malformed
from cipsec.pki import names
from cipsec.ra.policy import Policy, parse_rules

# RFC 7030 section 3.2.2: a label must not be the name of an operation.
_OPERATIONS = frozenset(
    {"cacerts", "simpleenroll", "simplereenroll", "fullcmc", "serverkeygen", "csrattrs", "crls"}
)
_LOOK_SECONDS = 1.0
_SHORTEST_RETRY = timedelta(seconds=1)
_LONGEST_BACKDATE = timedelta(days=3650)  # UTCTime goes back to 1950 and no further
_LABEL = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")


@dataclass(frozen=True, slots=True)
class ServerConfig:
    """The table `[server]`: names, labels and manners of the EST server."""

    hosts: tuple[str, ...] = ()
    labels: frozenset[str] = frozenset()
    retry_after: timedelta = timedelta(seconds=5)
    tls: str = "default"
    one_line: frozenset[str] = frozenset()
    check_binding: bool = True
    max_pending: int = 20_000
    max_pending_per_address: int = 1_000


@dataclass(frozen=True, slots=True)
class CertificateConfig:
    """The table `[certificate]`: what endpoints get."""

    validity: timedelta = timedelta(days=730)
    backdate: timedelta = timedelta(hours=24)


@dataclass(frozen=True, slots=True)
class Config:
    """All of ca.toml."""

    name: str
    server: ServerConfig
    certificate: CertificateConfig
    policy: Policy


def load(path: Path) -> Config:
    """Read ca.toml; raise LocalState when it cannot be read, Malformed naming file and place."""
    try:
        return parse(files.read(path, limit=1024 * 1024))
    except Malformed as error:
        raise Malformed(f"{path.name}: {error.message}", hint=error.hint) from None


def parse(data: bytes) -> Config:
    """Read the text of ca.toml; raise Malformed naming table and key."""
    try:
        tables = tomllib.loads(data.decode("utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise Malformed(f"this is not TOML: {error}") from None
    _known(tables, {"name", "server", "certificate", "rule"}, "")
    return Config(
        name=_text(tables, "name", ""),
        server=_server(_table(tables, "server")),
        certificate=_certificate(_table(tables, "certificate")),
        policy=parse_rules(tables.get("rule")),
    )


class ConfigFile:
    """ca.toml as it is now: read again when it changes, at most once in a second."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._looked_at = -_LOOK_SECONDS
        self._seen: tuple[int, int, int] | None = None
        self._current: Config | Malformed | None = None

    def current(self) -> Config:
        """Return the configuration in force; raise LocalState while the file is broken.

        A broken file does not leave yesterday's rules in force: whoever edited it meant to change
        them, perhaps to take a right away.
        """
        now = time.monotonic()
        if now - self._looked_at >= _LOOK_SECONDS:
            self._look()
            self._looked_at = now
        match self._current:
            case Config() as config:
                return config
            case Malformed() as error:
                # Raised anew: one that is raised again and again grows by a traceback each time.
                raise Malformed(error.message, hint=error.hint)
        raise LocalState(f"{self._path} cannot be read")

    def _look(self) -> None:
        try:
            stat = self._path.stat()
            seen = (stat.st_mtime_ns, stat.st_size, stat.st_ino)
        except OSError:
            self._seen, self._current = None, None
            return
        if seen == self._seen:
            return
        self._seen = seen
        try:
            self._current = load(self._path)
        except Malformed as error:
            self._current = error
        except LocalState:
            self._seen, self._current = None, None


def _server(table: Mapping[str, Any]) -> ServerConfig:
    known = {"hosts", "labels", "retry_after", "tls", "one_line", "challenge_password"}
    _known(table, known | {"max_pending", "max_pending_per_address"}, "server")
    default = ServerConfig()
    labels = frozenset(_label(text) for text in _texts(table, "labels"))
    retry_after = _duration(table, "retry_after", default.retry_after)
    if retry_after < _SHORTEST_RETRY:
        raise Malformed("retry_after is at least 1s: devices would ask without pause")
    return ServerConfig(
        hosts=tuple(_host(text) for text in _texts(table, "hosts")),
        labels=labels,
        retry_after=retry_after,
        tls=_choice(table, "tls", ("default", "legacy")),
        one_line=frozenset(_texts(table, "one_line")),
        check_binding=_choice(table, "challenge_password", ("binding", "ignore")) == "binding",
        max_pending=_number(table, "max_pending", default.max_pending),
        max_pending_per_address=_number(
            table, "max_pending_per_address", default.max_pending_per_address
        ),
    )


def _certificate(table: Mapping[str, Any]) -> CertificateConfig:
    _known(table, {"validity", "backdate"}, "certificate")
    default = CertificateConfig()
    validity = _duration(table, "validity", default.validity)
    backdate = _duration(table, "backdate", default.backdate)
    if not validity:
        raise Malformed("validity must be longer than nothing")
    if backdate > _LONGEST_BACKDATE:
        raise Malformed(f"backdate is at most {times.show_duration(_LONGEST_BACKDATE)}")
    return CertificateConfig(validity, backdate)


def _known(table: Mapping[str, Any], keys: set[str], where: str) -> None:
    unknown = sorted(set(table) - keys)
    if unknown:
        place = f"[{where}]: " if where else ""
        raise Malformed(f"{place}{unknown[0]!r} is not known")


def _table(tables: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    table = tables.get(key, {})
    if not isinstance(table, dict):
        raise Malformed(f"{key} is not a table")
    return table


def _text(table: Mapping[str, Any], key: str, default: str) -> str:
    value = table.get(key, default)
    if not isinstance(value, str):
        raise Malformed(f"{key} is not a text")
    return value


def _texts(table: Mapping[str, Any], key: str) -> list[str]:
    value = table.get(key, [])
    if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
        raise Malformed(f"{key} is not a list of texts")
    return value


def _choice(table: Mapping[str, Any], key: str, choices: tuple[str, ...]) -> str:
    value = table.get(key, choices[0])
    if value not in choices:
        raise Malformed(f"{key} must be one of {', '.join(choices)}")
    return str(value)


def _number(table: Mapping[str, Any], key: str, default: int) -> int:
    value = table.get(key, default)
    if not isinstance(value, int) or isinstance(value, bool) or value < 1:
        raise Malformed(f"{key} is not a whole number above zero")
    return value


def _duration(table: Mapping[str, Any], key: str, default: timedelta) -> timedelta:
    if key not in table:
        return default
    text = _text(table, key, "")
    try:
        return times.parse_duration(text)
    except CipsecError as error:
        raise Malformed(f"{key}: {error.message}", hint=error.hint) from None


def _label(text: str) -> str:
    if not _LABEL.fullmatch(text) or text in _OPERATIONS:
        raise Malformed(f"labels: {text!r} cannot be a label")
    return text


def _host(text: str) -> str:
    try:
        names.host_name(text)
    except CipsecError as error:
        raise Malformed(f"hosts: {error.message}") from None
    return text
