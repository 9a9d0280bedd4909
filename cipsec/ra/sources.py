"""Where judgement looks things up: the record, vendor anchors, allowlists, programs of others."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from cryptography import x509

from cipsec.ra.allowlist.live import Allowlists
from cipsec.ra.external import Programs
from cipsec.ra.vendors.proving import Vendors
from cipsec.store import certificates, credentials, uses
from cipsec.store.certificates import CertificateRow
from cipsec.store.credentials import CredentialRow
from cipsec.store.database import Database
from cipsec.store.uses import Spent


@dataclass(frozen=True, slots=True)
class Sources:
    """What a judge may ask.

    `cas` are the roots of this CA, the one that issues first; `provisioning` returns the issuer of
    provisioning certificates, None before the first was made.
    """

    database: Database
    cas: tuple[x509.Certificate, ...]
    provisioning: Callable[[], x509.Certificate | None]
    vendors: Vendors
    lists: Allowlists
    programs: Programs

    def certificate(self, serial: str) -> CertificateRow | None:
        """Return a certificate of this CA on record."""
        return self.database.read(lambda db: certificates.by_serial(db, serial))

    def credential(self, serial: str) -> CredentialRow | None:
        """Return a provisioning certificate on record."""
        return self.database.read(lambda db: credentials.by_serial(db, serial))

    def spent(self, credential: str, enrollment: str) -> Spent:
        """Return how far a credential is used up."""
        return self.database.read(lambda db: uses.spent(db, credential, enrollment))
