"""The table `[crl]` of ca.toml: how long a revocation list is good for, and where it is published.

Signing and serving it is left to `publishing` and `serve`.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from urllib.parse import SplitResult, urlsplit

from cipsec import times
from cipsec.ca import crl
from cipsec.errors import CipsecError, Malformed
from cipsec.pki import names
from cipsec.ra import tables

_SHORTEST, _LONGEST = timedelta(minutes=10), timedelta(days=3650)
_BACKDATE = timedelta(hours=24)
_LONGEST_URL = 200  # it stands in every certificate
_DEFAULT_URL = "http://localhost/ca.crl"  # of which only the path is looked at
_ADDRESS = re.compile(r"(?:(?P<host>[0-9.]+|\[[0-9A-Fa-f:.]+\]|all|\*)?:)?(?P<port>[0-9]{1,5})")
_HIGHEST_PORT = 0xFFFF


@dataclass(frozen=True, slots=True)
class CrlConfig:
    """The table `[crl]`.

    `url` is where certificates say that the list is, None for nowhere; `listen` is the address and
    port at which the server itself hands it out by plain HTTP, None for not at all. `backdate` is
    that of certificates: a clock that is behind by less than that takes both.
    """

    validity: timedelta = timedelta(days=7)
    url: str | None = None
    listen: str | None = None
    backdate: timedelta = _BACKDATE

    def paths(self, mark: str) -> set[str]:
        """Return the paths under which the list of one root is handed out (`ca.crl.place`)."""
        urls = [_DEFAULT_URL, *([self.url] if self.url else [])]
        return {urlsplit(crl.place(url, mark)).path or "/" for url in urls}


def parse_crl(table: Mapping[str, Any], backdate: timedelta = _BACKDATE) -> CrlConfig:
    """Read the table, beside `backdate` of `[certificate]`; raise Malformed naming the key."""
    tables.known(table, {"validity", "url", "listen"}, "crl")
    default = CrlConfig()
    validity = tables.duration(table, "validity", default.validity)
    if not _SHORTEST <= validity <= _LONGEST:
        shown = times.show_duration(_SHORTEST), times.show_duration(_LONGEST)
        raise Malformed(f"[crl]: validity is between {shown[0]} and {shown[1]}")
    url, listen = tables.text(table, "url", ""), tables.text(table, "listen", "")
    return CrlConfig(
        validity, _url(url) if url else None, _listen(listen) if listen else None, backdate
    )


def _url(text: str) -> str:
    """Return a URL that certificates can name (RFC 5280 section 4.2.1.13); raise Malformed."""
    try:
        parts = urlsplit(text)
        names.host_name(parts.hostname or "")
        whole = _is_plain(text, parts) and parts.port != 0
    except (CipsecError, ValueError):
        whole = False
    if not whole:
        raise Malformed(
            f"[crl]: {text!r} cannot be the URL of a revocation list",
            hint='write e.g. url = "http://crl.plant.example/ca.crl"; http, for the list is signed',
        )
    return text


def _is_plain(text: str, parts: SplitResult) -> bool:
    printable = text.isascii() and text.isprintable() and " " not in text
    more = parts.query or parts.fragment or parts.username is not None
    return parts.scheme == "http" and printable and not more and len(text) <= _LONGEST_URL


def _listen(text: str) -> str:
    found = _ADDRESS.fullmatch(text)
    try:
        if not found or not 1 <= int(found["port"]) <= _HIGHEST_PORT:
            raise ValueError
        if found["host"] not in {None, "all", "*"}:
            ipaddress.ip_address(found["host"].strip("[]"))
    except ValueError:
        raise Malformed(
            f"[crl]: {text!r} is not ADDR:PORT", hint='write e.g. listen = "192.168.1.5:8080"'
        ) from None
    return text
