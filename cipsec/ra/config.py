"""ca.toml: read, checked once, and turned into values that cannot be wrong."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

from cipsec import files, times
from cipsec.current import CurrentFile
from cipsec.errors import CipsecError, LocalState, Malformed
from cipsec.pki import identity, names
from cipsec.pki.identity import Rules
from cipsec.ra import tables
from cipsec.ra.notify.channels import Channel
from cipsec.ra.notify.config import parse_channels
from cipsec.ra.policy import Policy
from cipsec.ra.publication import CrlConfig, parse_crl
from cipsec.ra.renewals import ALWAYS, Renewals, parse_renewals
from cipsec.ra.rules import parse_rules

# RFC 7030 section 3.2.2: a label must not be the name of an operation.
_OPERATIONS = frozenset(
    {"cacerts", "simpleenroll", "simplereenroll", "fullcmc", "serverkeygen", "csrattrs", "crls"}
)
_TABLES = {"name", "server", "certificate", "renewal", "rule", "identity", "channel", "crl"}
_SHORTEST_RETRY = timedelta(seconds=1)
_LONGEST_BACKDATE = timedelta(days=3650)  # UTCTime goes back to 1950 and no further
_LABEL = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")


@dataclass(frozen=True, slots=True)
class ServerConfig:
    """The table `[server]`: names, labels and manners of the EST server.

    `remind` is how long a request waits before people are reminded, `expiring` how long before its
    end they hear of a certificate that nobody renewed; none for nothing of the kind.
    """

    hosts: tuple[str, ...] = ()
    labels: frozenset[str] = frozenset()
    retry_after: timedelta = timedelta(seconds=5)
    tls: str = "default"
    one_line: frozenset[str] = frozenset()
    check_binding: bool = True
    max_pending: int = 20_000
    max_pending_per_address: int = 1_000
    remind: timedelta = timedelta(hours=1)
    expiring: timedelta = timedelta(days=30)


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
    identity: Rules
    channels: tuple[Channel, ...]
    crl: CrlConfig
    renewals: Renewals = ALWAYS


def load(path: Path) -> Config:
    """Read ca.toml; raise LocalState when it cannot be read, Malformed naming file and place."""
    try:
        return parse(files.read(path, limit=1024 * 1024))
    except Malformed as error:
        raise Malformed(f"{path.name}: {error.message}", hint=error.hint) from None


def parse(data: bytes) -> Config:
    """Read the text of ca.toml; raise Malformed naming table and key."""
    try:
        found = tomllib.loads(data.decode("utf-8-sig"))  # Notepad marks it
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise Malformed(f"this is not TOML: {error}") from None
    tables.known(found, _TABLES, "")
    rules = found.get("identity")
    policy, channels = parse_rules(found.get("rule")), parse_channels(found.get("channel"))
    _check_recipients(policy, frozenset(channel.name for channel in channels))
    certificate = _certificate(tables.table(found, "certificate"))
    return Config(
        name=tables.text(found, "name", ""),
        server=_server(tables.table(found, "server")),
        certificate=certificate,
        policy=policy,
        identity=identity.DEFAULT if rules is None else identity.parse_rules(rules),
        channels=channels,
        crl=parse_crl(tables.table(found, "crl"), certificate.backdate),
        renewals=parse_renewals(tables.table(found, "renewal")),
    )


def _check_recipients(policy: Policy, channels: frozenset[str]) -> None:
    for rule in policy.rules:
        unknown = sorted((rule.notify or frozenset()) - channels)
        if unknown:
            raise Malformed(
                f"the rule {rule.name!r} notifies {unknown[0]!r}, and there is no such channel",
                hint=f'add [[channel]] with name = "{unknown[0]}", or take it out of the rule',
            )


class ConfigFile:
    """ca.toml as it is now."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file = CurrentFile(path, lambda: load(path))

    def current(self) -> Config:
        """Return the configuration in force; raise LocalState while the file is broken.

        A broken file does not leave yesterday's rules in force: whoever edited it meant to change
        them, perhaps to take a right away.
        """
        config = self._file()
        if config is None:
            raise LocalState(f"{self._path} cannot be read")
        return config


def _server(table: Mapping[str, Any]) -> ServerConfig:
    known = {"hosts", "labels", "retry_after", "tls", "one_line", "challenge_password"}
    known |= {"max_pending", "max_pending_per_address", "remind", "expiring"}
    tables.known(table, known, "server")
    default = ServerConfig()
    labels = frozenset(_label(text) for text in tables.texts(table, "labels"))
    retry_after = tables.duration(table, "retry_after", default.retry_after)
    if retry_after < _SHORTEST_RETRY:
        raise Malformed("retry_after is at least 1s: devices would ask without pause")
    binding = tables.choice(table, "challenge_password", ("binding", "ignore"))
    return ServerConfig(
        hosts=tuple(_host(text) for text in tables.texts(table, "hosts")),
        labels=labels,
        retry_after=retry_after,
        tls=tables.choice(table, "tls", ("default", "legacy")),
        one_line=frozenset(tables.texts(table, "one_line")),
        check_binding=binding == "binding",
        max_pending=tables.number(table, "max_pending", default.max_pending),
        max_pending_per_address=tables.number(
            table, "max_pending_per_address", default.max_pending_per_address
        ),
        remind=tables.duration(table, "remind", default.remind),
        expiring=tables.duration(table, "expiring", default.expiring),
    )


def _certificate(table: Mapping[str, Any]) -> CertificateConfig:
    tables.known(table, {"validity", "backdate"}, "certificate")
    default = CertificateConfig()
    validity = tables.duration(table, "validity", default.validity)
    backdate = tables.duration(table, "backdate", default.backdate)
    if not validity:
        raise Malformed("validity must be longer than nothing")
    if backdate > _LONGEST_BACKDATE:
        raise Malformed(f"backdate is at most {times.show_duration(_LONGEST_BACKDATE)}")
    return CertificateConfig(validity, backdate)


def is_label(text: str) -> bool:
    """Tell whether an EST label can have this name."""
    return _LABEL.fullmatch(text) is not None and text not in _OPERATIONS


def _label(text: str) -> str:
    if not is_label(text):
        raise Malformed(f"labels: {text!r} cannot be a label")
    return text


def _host(text: str) -> str:
    try:
        names.host_name(text)
    except CipsecError as error:
        raise Malformed(f"hosts: {error.message}") from None
    return text
