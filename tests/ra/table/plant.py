"""One plant for one model: a server, a vendor, a list, users; and what its CA has on record."""

from __future__ import annotations

import contextlib
import dataclasses
import sqlite3
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from cipsec.ca import profile
from cipsec.pki import keys
from cipsec.pki.csr import CertificateRequest
from cipsec.ra import provisioning
from cipsec.ra.users import hash_password, proof
from cipsec.store import certificates, held, requests, users, uses
from cipsec.store.certificates import CertificateRow
from cipsec.store.credentials import CredentialRow
from cipsec.store.requests import RequestRow
from cipsec.store.users import UserRow
from tests.support import est, vendor
from tests.support.est import NOW, PASSWORD, Server
from tests.support.vendor import Pki

from .models import Model

DAY, MINUTES = timedelta(days=1), timedelta(minutes=2)
START = NOW + 3 * DAY  # so that what has expired was issued while there was a CA
MOST = 400  # applicants of one plant
ONE_TIME = "once and no more"
VENDOR_ID = "0001"
REVOKED = 0x5000_0000  # the serial numbers on the vendor's revocation list begin here


def listed(number: int) -> str:
    """Return the device of an applicant: the vendor's, and on the list."""
    return f"{VENDOR_ID}:{0x1000_0000 + number:08X}"


def other(number: int) -> str:
    """Return another one on the list, which is not the applicant's."""
    return f"{VENDOR_ID}:{0x2000_0000 + number:08X}"


def foreign(number: int) -> str:
    """Return one of another Vendor ID, on the list."""
    return f"0002:{0x3000_0000 + number:08X}"


def unlisted(number: int) -> str:
    """Return one of the vendor's that is on no list."""
    return f"{VENDOR_ID}:{0x4000_0000 + number:08X}"


def line(device: str) -> int:
    """Return the line of the list on which a device stands."""
    group, number = divmod(int(device[5:], 16), 0x1000_0000)
    return 2 + (group - 1) * MOST + number


class Plant:
    """What all applicants to one model share."""

    def __init__(self, server: Server, *, vendor_ids: list[str] | None) -> None:
        self.server = server
        self.pki = vendor.make()
        self.stranger = vendor.make("Stranger")
        self.look_alike = _look_alike(self.pki)
        folder = server.folder.path
        devices = [make(number) for make in (listed, other, foreign) for number in range(MOST)]
        (folder / "allowlists" / "default.csv").write_text("\n".join(["device", *devices, ""]))
        crl = vendor.crl(self.pki.issuing, *range(REVOKED, REVOKED + MOST))
        vendor.install(folder / "vendors", "acme", self.pki.root, vendor_ids=vendor_ids, crls=crl)
        self._add_users()
        self._issuer = server.folder.provisioning_authority(None, NOW)

    def _add_users(self) -> None:
        at, hashed = int(START.timestamp()), hash_password(PASSWORD)
        otto = UserRow("otto", hash_password(ONE_TIME), at, at, uses=1)
        rows = [UserRow("anna", hashed, at, at), UserRow("bert", hashed, at, at, until=at - 1)]
        self.server.database.write(lambda db: [users.insert(db, row) for row in (*rows, otto)])
        self.spend(proof(otto).key)

    def spend(self, key: str) -> None:
        """Let somebody else use what is counted under a key."""
        at = int(START.timestamp())
        self.server.database.write(lambda db: uses.spend(db, key, "another", serial="01", at=at))

    def row(self, serial: str) -> CertificateRow:
        """Return a certificate on record."""
        row = self.server.database.read(lambda db: certificates.by_serial(db, serial))
        assert row
        return row

    def request(self, identifier: str) -> RequestRow:
        """Return a request on record."""
        row = self.server.database.read(lambda db: requests.by_id(db, identifier))
        assert row
        return row

    def certificate(
        self,
        asked: CertificateRequest,
        device: str,
        *,
        kind: str = profile.ENDPOINT,
        age: timedelta = timedelta(),
        validity: timedelta = 30 * DAY,
        known: bool = True,
        proved: bool = True,
    ) -> CertificateRow:
        """Return a certificate of this CA, `age` ago, on record as that of a device if `known`.

        `proved` tells whether it was proved then that the device is the one.
        """
        now = self.server.now - age
        form = dataclasses.replace(profile.endpoint(validity, DAY), kind=kind)
        issued = self.server.authority.issue(asked, form, now=now)
        row = CertificateRow(
            serial=issued.serial,
            enrollment="an earlier one",
            kind=kind,
            subject="",
            device=device,
            mac=None,
            not_before=int(issued.not_before.timestamp()),
            not_after=int(issued.not_after.timestamp()),
            issued_at=int(now.timestamp()),
            rule="",
            reason="",
            proved="",
            der=issued.der,
            device_proved=int(proved),
        )
        if known:
            self.server.database.write(lambda db: _insert(db, row))
        return row

    def provision(
        self, name: str, *, age: timedelta = timedelta(), validity: timedelta = 30 * DAY
    ) -> tuple[CredentialRow, bytes]:
        """Return a provisioning certificate for one use, made `age` ago, and its DER."""
        now = self.server.now - age
        order = provisioning.Order(name, 1, validity, timedelta(), "carla", None, now)
        request = provisioning.request_for(name, keys.generate(keys.KeyType.EC_P256))
        row = provisioning.sign(order, request, self._issuer)
        return self.server.database.write(lambda db: provisioning.keep(db, order, row)), row.der


def _insert(db: sqlite3.Connection, row: CertificateRow) -> None:
    certificates.insert(db, row)
    held.insert(db, row.serial, held.texts(device=row.device))


def _look_alike(pki: Pki) -> Pki:
    """Return a PKI with the vendor's names, serial numbers and key ids, and other keys."""
    root = vendor.look_alike(pki.root)
    issuing = vendor.look_alike(pki.issuing, root)
    return Pki(root, issuing, vendor.look_alike(pki.device, issuing))


@contextlib.contextmanager
def running(path: Path, model: Model) -> Iterator[Plant]:
    """Yield a plant whose server follows the model."""
    with est.serving(path, model.text) as server:
        server.now = START
        yield Plant(server, vendor_ids=[VENDOR_ID] if model.bound else None)


def der(certificate: x509.Certificate) -> bytes:
    """Return a certificate as TLS presents it."""
    return certificate.public_bytes(Encoding.DER)
