"""What a server is to be: options, names, TLS identity; running it is left to `run`."""

from __future__ import annotations

import socket
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import timedelta

from cryptography import x509
from OpenSSL import SSL

from cipsec import times
from cipsec.ca_folder import CaFolder, CrlIssuer, fingerprint
from cipsec.discovery.announce import host_name
from cipsec.discovery.interfaces import announced_on, choose, interfaces
from cipsec.passphrase import settle
from cipsec.pki.issued import is_self_issued
from cipsec.serve.certificate import ServerCertificate
from cipsec.serve.keyring import Keyring
from cipsec.serve.listen import Listen
from cipsec.store import chain
from cipsec.store.chain import Head
from cipsec.tls.server import TlsProfile, server_context


@dataclass(frozen=True, slots=True)
class Options:
    """How to serve; `interfaces` empty for all, `duration` None for ever."""

    listen: Listen = field(default_factory=Listen)
    interfaces: tuple[str, ...] = ()
    announce: bool = True
    instance: str | None = None
    workers: int = 1
    duration: timedelta | None = None

    @property
    def announce_on(self) -> tuple[str, ...]:
        """Where to announce: the interfaces named, else that of the address listened on."""
        address = self.listen.address
        return self.interfaces or ((address,) if address else ())


@dataclass(frozen=True, slots=True)
class Ready:
    """What is told once requests are accepted.

    `announced` names the interfaces, `global_grants` the rules that grant to anyone; `head` is that
    of the log before the first request.
    """

    url: str
    port: int
    ca_sha256: str
    names: tuple[str, ...]
    announced: tuple[str, ...]
    global_grants: tuple[str, ...]
    head: Head


@dataclass(frozen=True, slots=True)
class Plan:
    """Everything that is known before the first request."""

    folder: CaFolder
    keyring: Keyring
    options: Options
    certificate: ServerCertificate

    def hosts(self) -> list[str]:
        """Return every name and address under which this server is reached now."""
        hosts = [*self.folder.configuration().server.hosts, *_own_hosts(self.options)]
        return list(dict.fromkeys(hosts))

    def renew(self) -> bool:
        """Issue a new server certificate where the present one does not fit; tell whether."""
        database = self.folder.store()
        try:
            signer = self.keyring.current()
            return self.certificate.ensure(signer, database, self.hosts(), times.now())
        finally:
            database.close()

    def crl_issuers(self) -> tuple[CrlIssuer, ...]:
        """Return who signs a revocation list; raise Locked, LocalState."""
        return self.folder.crl_issuers(self.keyring.every(times.now()))

    def tls(self) -> tuple[list[x509.Certificate], TlsProfile]:
        """Return what the TLS context is made of, as folder and ca.toml have it now.

        With the CAs between the server and the root, so that who trusts the root alone accepts it;
        and with what leads to the roots before the one that issues, for who knows only those.
        """
        folder, now = self.folder, times.now()
        between = [one for one in folder.path_to_root() if not is_self_issued(one)]
        chain = [self.certificate.load()[0], *between, *folder.links(now)]
        return chain, TlsProfile(folder.configuration().server.tls)

    def context(self) -> SSL.Context:
        """Return a TLS context as folder and ca.toml have it now."""
        chain, profile = self.tls()
        return server_context(chain, self.certificate.load()[1], profile=profile)

    def ready(self, sockets: Sequence[socket.socket]) -> Ready:
        """Return what is told once requests are accepted on `sockets`."""
        port = port_of(sockets)
        address = self.options.listen.address or _first_address(self.options)
        host = f"[{address}]" if ":" in address else address
        policy = self.folder.configuration().policy
        return Ready(
            url=f"https://{host}:{port}/.well-known/est",
            port=port,
            ca_sha256=fingerprint(self.folder.root()),
            names=tuple(self.hosts()),
            announced=self._announced(),
            global_grants=tuple(rule.name for rule in policy.global_grants(times.now())),
            head=log_head(self.folder),
        )

    def _announced(self) -> tuple[str, ...]:
        if not self.options.announce:
            return ()
        there = announced_on(interfaces(), self.options.announce_on)
        return tuple(interface.name for interface in there)


def log_head(folder: CaFolder) -> Head:
    """Return the head of the log as it is now; raise StoreFailed."""
    database = folder.store()
    try:
        return database.read(chain.head)
    finally:
        database.close()


def port_of(sockets: Sequence[socket.socket]) -> int:
    """Return the port that all the sockets listen on."""
    return int(sockets[0].getsockname()[1])


def make(folder: CaFolder, passphrase: str | None, options: Options) -> Plan:
    """Open the CA and see to the server's certificate; raise LocalState."""
    keyring = Keyring(folder, passphrase, now=times.now())
    plan = Plan(folder, keyring, options, ServerCertificate(folder))
    settle(folder, passphrase)
    plan.renew()
    return plan


def _own_hosts(options: Options) -> list[str]:
    """Return this machine's names and addresses on the interfaces that are served."""
    machine = socket.gethostname().lower()
    names = [host_name(), f"{machine.partition('.')[0]}.local", "localhost"]
    if "." in machine:
        names.append(machine)
    if options.listen.address is not None:
        return [*names, options.listen.address, "127.0.0.1"]
    attached = [a.ip for i in choose(options.interfaces) for a in i.addresses]
    plain = [str(a) for a in attached if not a.is_link_local]
    return [*names, *plain, "127.0.0.1", "::1"]


def _first_address(options: Options) -> str:
    addresses = [a.ip for i in announced_on(interfaces(), options.interfaces) for a in i.addresses]
    plain = [str(a) for a in addresses if not a.is_link_local]
    return plain[0] if plain else "127.0.0.1"
