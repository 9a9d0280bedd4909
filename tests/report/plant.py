"""A CA with something in every table of a report."""

from __future__ import annotations

import dataclasses
import sqlite3
from contextlib import closing
from datetime import timedelta

from cipsec import times
from cipsec.ca_folder import CaFolder
from cipsec.ra.users import proof
from cipsec.store import certificates, credentials, held, requests, users, uses
from cipsec.store.credentials import CredentialRow
from cipsec.store.database import Database
from cipsec.store.users import UserRow
from tests.store import rows

NOW = times.now()
AT = int(NOW.timestamp())
DAY = 86400
SOON = timedelta(days=30)


def certificate(database: Database, serial: str, **values: object) -> None:
    """Record a certificate of a year, in force for a hundred days, but for what is said."""
    row = dataclasses.replace(
        rows.certificate(serial, issued_at=AT - 265 * DAY, not_after=AT + 100 * DAY),
        **values,  # type: ignore[arg-type]  # the tests' own
    )

    def work(db: sqlite3.Connection) -> None:
        certificates.insert(db, row)
        names = held.texts(device=row.device, subject=row.subject)
        held.insert(db, row.serial, names)

    database.write(work)


def request(database: Database, identifier: str, **values: object) -> None:
    """Record a request that has waited for two hours, but for what is said."""
    row = dataclasses.replace(rows.request(identifier, first_seen=AT - 7200), **values)  # type: ignore[arg-type]  # likewise
    database.write(lambda db: requests.insert(db, row))


def fill(folder: CaFolder, text: str = "anna") -> None:
    """Put something into every table; `text` wherever an applicant or an operator has a say."""
    with closing(folder.store()) as database:
        certificate(database, "01a1", subject=f"CN={text}", device="0001:00000001", reason=text)
        certificate(database, "01a2", subject=f"CN={text},O=two", not_after=AT + 5 * DAY)
        gone = {"revoked_at": AT - DAY, "revoked_by": text, "revocation": "keyCompromise"}
        certificate(database, "01a3", subject=f"CN={text},O=three", **gone)
        certificate(database, "01a4", subject="CN=old", not_after=AT - DAY)
        certificate(database, "01a5", subject="CN=old", not_after=AT - DAY, **gone)
        request(database, "aa" * 32, subject=text, proved=text, claimed=text, note=text)
        database.write(lambda db: _credentials(db, text))


def _credentials(db: sqlite3.Connection, text: str) -> None:
    card = CredentialRow("0c" * 16, "card-1", 5, AT + DAY, AT - DAY, text)
    bob = UserRow("bob", "hash", AT - DAY, AT - DAY, AT + DAY, 1, '["line-3"]')
    for row in (card, dataclasses.replace(card, serial="0d" * 16, name="card-2", uses=1)):
        credentials.insert(db, row)
    for user in (bob, dataclasses.replace(bob, name="carl"), UserRow("dora", "x", AT, AT, AT - 1)):
        users.insert(db, user)
    spent = (f"provisioning:{'0c' * 16}", f"provisioning:{'0d' * 16}", proof(bob).key)
    for key in spent:
        uses.spend(db, key, "e", serial="01", at=AT)
