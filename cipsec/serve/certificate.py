"""The EST server's own certificate: issued by the CA for the names it is reached by, renewed."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable
from datetime import datetime, timedelta

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from cipsec import files
from cipsec.ca import profile
from cipsec.ca.authority import Authority, Issued
from cipsec.ca_folder import CaFolder
from cipsec.errors import CipsecError, Malformed
from cipsec.pki import csr, keys
from cipsec.pki.names import host_name, sans_of, show_name, show_san
from cipsec.store import certificates, events
from cipsec.store.certificates import CertificateRow
from cipsec.store.codes import Code
from cipsec.store.database import Database

_DUE = 0.66  # of the lifetime


class ServerCertificate:
    """Certificate and key under which the server speaks, kept in the CA's folder."""

    def __init__(self, folder: CaFolder) -> None:
        self._folder = folder
        self._loaded: tuple[bytes, x509.Certificate, keys.PrivateKey] | None = None
        self._names: frozenset[str] = frozenset()

    def load(self) -> tuple[x509.Certificate, keys.PrivateKey]:
        """Return certificate and key as they lie in the folder; raise LocalState."""
        pem = files.read(self._folder.server_certificate_file)
        if self._loaded is None or self._loaded[0] != pem:
            try:
                certificate = x509.load_pem_x509_certificate(pem)
            except ValueError:
                file = self._folder.server_certificate_file
                raise Malformed(f"{file} holds no certificate") from None
            key = keys.from_pem(files.read(self._folder.server_key_file))
            self._loaded = pem, certificate, key
            self._names = frozenset(show_san(name).casefold() for name in sans_of(certificate))
        return self._loaded[1:]

    def names(self) -> frozenset[str]:
        """Return the alternative names it was last loaded with, as `names.show_san` has them."""
        return self._names

    def ensure(
        self, authority: Authority, database: Database, hosts: Iterable[str], now: datetime
    ) -> bool:
        """Issue a new certificate when there is none that fits; return whether one was issued.

        It fits while it is this CA's, has two thirds of its life before it, carries exactly the
        names of `hosts` and belongs to the key. Certificate and event are recorded first.
        """
        wanted = [host_name(host) for host in dict.fromkeys(hosts)]
        if self._fits(authority, wanted, now):
            return False
        key = keys.generate(keys.KeyType.EC_P256)
        request = csr.parse(
            csr.build(key, x509.Name([_common_name(wanted)]), sans=wanted).public_bytes(
                Encoding.DER
            )
        )
        kind = profile.est_server(timedelta(hours=24), self._folder.configuration().crl.url)
        issued = authority.issue(request, kind, now=now)
        database.write(lambda db: _record(db, issued, show_name(request.subject), now))
        # Key first: a crash in between leaves a pair that does not fit, and a new one is issued.
        files.replace(self._folder.server_key_file, keys.to_pem(key))
        pem = x509.load_der_x509_certificate(issued.der).public_bytes(Encoding.PEM)
        files.replace(self._folder.server_certificate_file, pem, mode=files.PUBLIC)
        return True

    def _fits(self, authority: Authority, wanted: list[x509.GeneralName], now: datetime) -> bool:
        try:
            certificate, key = self.load()
        except (CipsecError, ValueError):
            return False
        begin, end = certificate.not_valid_before_utc, certificate.not_valid_after_utc
        return (
            begin <= now < begin + (end - begin) * _DUE
            and set(sans_of(certificate)) == set(wanted)
            and authority.signed(certificate)
            and keys.spki(certificate.public_key()) == keys.spki(key.public_key())
        )


def own_names(folder: CaFolder) -> frozenset[str]:
    """Return the server's alternative names, as `ServerCertificate.names`, also while none runs.

    Before it ran first, and where its certificate is damaged, they are the hosts of ca.toml.
    """
    try:
        certificate = ServerCertificate(folder)
        certificate.load()
        return certificate.names()
    except (CipsecError, ValueError):
        hosts = folder.configuration().server.hosts
        return frozenset(show_san(host_name(host)).casefold() for host in hosts)


def _common_name(wanted: list[x509.GeneralName]) -> x509.NameAttribute[str]:
    first = next((name.value for name in wanted if isinstance(name, x509.DNSName)), "EST server")
    return x509.NameAttribute(x509.NameOID.COMMON_NAME, first[:64])


def _record(db: sqlite3.Connection, issued: Issued, subject: str, now: datetime) -> None:
    at = int(now.timestamp())
    reason = "the EST server's own TLS certificate"
    row = CertificateRow(
        serial=issued.serial,
        enrollment="",
        kind=profile.SERVER,
        subject=subject,
        device=None,
        mac=None,
        not_before=int(issued.not_before.timestamp()),
        not_after=int(issued.not_after.timestamp()),
        issued_at=at,
        rule="server",
        reason=reason,
        proved="nothing",
        der=issued.der,
    )
    certificates.insert(db, row)
    events.append(
        db,
        events.Event(
            at, Code.GRANTED, "server", serial=issued.serial, subject=subject, reason=reason
        ),
    )
