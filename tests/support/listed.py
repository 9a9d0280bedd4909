"""A CA whose revocation list is signed: certificates that are only rows, and the list read back."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta

from cryptography import x509

from cipsec import publishing
from cipsec.ca.profile import ENDPOINT
from cipsec.ca_folder import CaFolder
from cipsec.pki import keys
from cipsec.publishing import Made
from cipsec.store import certificates
from cipsec.store.certificates import CertificateRow
from tests.store import rows

NOW = datetime.now(UTC).replace(microsecond=0)
WEEK, HOUR = timedelta(days=7), timedelta(hours=1)


class Plant:
    """A CA's folder and its store, with certificates that are only rows."""

    def __init__(self, folder: CaFolder) -> None:
        self.folder = folder
        self.store = folder.store()
        self._serial = 0

    def issue(self, *, kind: str = ENDPOINT, ends: datetime = NOW + 52 * WEEK) -> str:
        """Put a certificate on record and return its serial number."""
        self._serial += 1
        made = rows.certificate(f"{self._serial:032x}", not_after=int(ends.timestamp()))
        self.insert(dataclasses.replace(made, kind=kind))
        return made.serial

    def insert(self, row: CertificateRow) -> None:
        """Put a row on record."""
        self.store.write(lambda db: certificates.insert(db, row))

    def revoke(self, serial: str, *, reason: str = "superseded", at: datetime = NOW) -> None:
        """Revoke it."""
        seconds = int(at.timestamp())
        assert self.store.write(
            lambda db: certificates.revoke(db, serial, by="operator", reason=reason, at=seconds)
        )

    def publish(
        self,
        now: datetime = NOW,
        validity: timedelta = WEEK,
        *,
        backdate: timedelta = timedelta(),
        anyway: bool = False,
    ) -> list[Made]:
        """Sign what is due, by default without back-dating, so that one time stands for all."""
        issuers = self.folder.crl_issuers(self.folder.authorities(None, now))
        return publishing.publish(
            self.folder,
            self.store,
            issuers,
            now=now,
            validity=validity,
            backdate=backdate,
            anyway=anyway,
        )

    def due(self, now: datetime = NOW, validity: timedelta = WEEK) -> str | None:
        """Return why another is due."""
        return publishing.why_due(self.folder, self.store, now=now, validity=validity)

    def listed(self) -> set[str]:
        """Return the serial numbers on the list in the folder."""
        return {f"{one.serial_number:032x}" for one in self.list()}

    def list(self) -> x509.CertificateRevocationList:
        """Return the list in the folder, its signature verified."""
        found = x509.load_der_x509_crl(self.folder.crl_file.read_bytes())
        assert found.is_signature_valid(keys.served(self.folder.certificate().public_key()))
        return found

    def number(self) -> int:
        """Return the number of the list in the folder."""
        return self.list().extensions.get_extension_for_class(x509.CRLNumber).value.crl_number


@contextmanager
def opened(folder: CaFolder) -> Iterator[Plant]:
    """Open the CA's store, and close it."""
    plant = Plant(folder)
    try:
        yield plant
    finally:
        plant.store.close()
