"""From an unknown server to CA certificates to trust: by file, by fingerprint, or by a person.

What the TLS connection then proves is `tls.client`'s; until it has, nothing of value is sent.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from cryptography import x509

from cipsec import named
from cipsec.endpoint.server import Server
from cipsec.errors import CipsecError, Malformed, NotFound, Unreachable, Untrusted, UsageError
from cipsec.est.client import Session, fetch_cacerts_unverified
from cipsec.pki import legible, load
from cipsec.pki.faults import UNREADABLE
from cipsec.pki.fingerprint import sha256
from cipsec.pki.issued import directly_issued
from cipsec.tls.client import client_context

if TYPE_CHECKING:
    from cipsec.discovery.interfaces import Interface

TIMEOUT = 30.0  # seconds, for one exchange with a server
_BROWSE = 3.0
_LONGER = 7.0  # seconds more while nobody answers: a busy network, a server that is starting
_MOST_COMPARED = 8  # a CA has one or two roots, while a roll-over lasts


class Person(Protocol):
    """Who is told and asked; `_cli` has the one at the terminal."""

    def tell(self, line: str) -> None:
        """Say what happens."""

    def warn(self, line: str) -> None:
        """Say what somebody should look at."""

    def confirmed(
        self, server: Server, candidates: Sequence[x509.Certificate]
    ) -> list[x509.Certificate]:
        """Ask of each whether it is the plant's CA, and return those that are.

        Raises Untrusted where nobody can be asked.
        """

    def password(self, user: str) -> str:
        """Ask for a password; raise UsageError where nobody can be asked."""

    def wait(self, seconds: float, why: str) -> None:
        """Return after that many seconds."""


@dataclass(frozen=True, slots=True)
class Trust:
    """What is known of the CA beforehand: its certificates, or the SHA-256 of one of them."""

    anchors: tuple[x509.Certificate, ...] = ()
    fingerprint: str | None = None

    def __bool__(self) -> bool:
        return bool(self.anchors or self.fingerprint)


def read_anchors(path: Path) -> tuple[x509.Certificate, ...]:
    """Return the CA certificates in a file; raise LocalState, Malformed for none or one damaged."""
    found = load.certificates(named.read(path), str(path))
    legible.require(found, str(path))
    anchors = tuple(c for c in found if is_ca(c))
    if not anchors:
        # Trusted, it would vouch for nobody but itself, and surprise whoever named it.
        raise Malformed(f"{path} holds no CA certificate")
    return anchors


def is_ca(certificate: x509.Certificate) -> bool:
    """Tell whether it may be an anchor: basicConstraints with CA, or a root that has none."""
    try:
        return certificate.extensions.get_extension_for_class(x509.BasicConstraints).value.ca
    except x509.ExtensionNotFound:
        return certificate.version == x509.Version.v1 and directly_issued(certificate, certificate)
    except UNREADABLE:
        return False


def establish(server: Server, trust: Trust, person: Person) -> tuple[x509.Certificate, ...]:
    """Return anchors under which `server` has proved itself in a TLS session of its own.

    RFC 7030 section 4.1.1: what an unverified server hands out is compared with a fingerprint, or
    by a person, and the connection ends; only a new one, authenticated, is spoken to. Raises
    Untrusted, Unreachable.
    """
    anchors = trust.anchors or _bootstrap(server, trust.fingerprint, person)
    with Session(server.url, client_context(anchors, by_name=server.named)) as session:
        session.cacerts()
    return anchors


def _bootstrap(server: Server, wanted: str | None, person: Person) -> tuple[x509.Certificate, ...]:
    offered = [c for c in fetch_cacerts_unverified(server.url, timeout=TIMEOUT) if is_ca(c)]
    if wanted:
        matching = tuple(c for c in offered if sha256(c) == wanted)
        if not matching:
            found = ", ".join(map(sha256, offered)) or "none"
            raise Untrusted(f"no CA of {server} has this fingerprint; it offers {found}")
        return matching
    candidates = [c for c in offered if directly_issued(c, c)] or offered
    if not candidates:
        raise Untrusted(f"{server} offers no CA certificate")
    if len(candidates) > _MOST_COMPARED:
        raise Untrusted(
            f"{server} offers {len(candidates)} CA certificates, more than anybody compares",
            hint="ask the CA's operator for its fingerprint, then add --fingerprint SHA256",
        )
    # Each by itself: an attacker may hand out the plant's CA, which is no secret, beside his own.
    confirmed = tuple(person.confirmed(server, candidates))
    if not confirmed:
        raise Untrusted(f"the CA of {server} is not confirmed")
    return confirmed


def reach(
    server: Server, trust: Trust, interfaces: Sequence[Interface], person: Person
) -> tuple[Server, tuple[x509.Certificate, ...]]:
    """Return the server and the anchors it proved under; one that was discovered may have moved.

    Raises as `establish` and `find` do.
    """
    try:
        return server, establish(server, trust, person)
    except Unreachable as error:
        if server.named:
            raise
        person.tell(f"{error.message}; looking for it on the local network")
        return find(trust, server.label, interfaces, person)


def find(
    trust: Trust, label: str | None, interfaces: Sequence[Interface], person: Person
) -> tuple[Server, tuple[x509.Certificate, ...]]:
    """Return the server on the local network that `trust` fits, and the anchors it proved under.

    Raises NotFound when none answers, UsageError when there are several and nothing to choose by,
    Untrusted when none of several fits.
    """
    found = discover(label, interfaces)
    if len(found) > 1 and not trust:
        names = ", ".join(f"{name} ({server})" for name, server in found)
        raise UsageError(
            f"there are {len(found)} EST servers: {names}",
            hint="name one with --server, or its CA with --fingerprint or --trust",
        )
    failures: list[CipsecError] = []
    for name, server in found:
        person.tell(f"found {name} at {server}")
        try:
            return server, establish(server, trust, person)
        except (Untrusted, Unreachable, NotFound) as error:
            if len(found) > 1:
                person.warn(error.message)
            failures.append(error)
    if len(failures) == 1:
        raise failures[0]
    raise Untrusted(
        f"none of the {len(failures)} EST servers found is trusted", hint="cipsec discover"
    )


def discover(label: str | None, interfaces: Sequence[Interface]) -> list[tuple[str, Server]]:
    """Return name and address of the EST servers heard, one address for each name; NotFound."""
    from cipsec.discovery.browse import browse

    found: dict[str, Server] = {}
    for heard in browse(timeout=_BROWSE, longer=_LONGER, interfaces=interfaces):
        if heard.url:
            server = Server.at(heard.url, label or heard.label, named=False)
            found.setdefault(heard.name, server)
    if not found:
        raise NotFound(
            "no EST server answers on the local network", hint="name one with --server HOST:PORT"
        )
    return list(found.items())
