"""Provisioning certificates on record: made, found by name, and what each was used for.

Counting a use is part of the grant (`ra.granting`), signing is `ca.provisioning`'s, files are
`ca_folder`'s.
"""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta

from cryptography.hazmat.primitives.serialization import Encoding

from cipsec.ca import profile, provisioning
from cipsec.ca.authority import Authority
from cipsec.errors import AlreadyExists, NotFound, UsageError
from cipsec.pki import csr, keys
from cipsec.pki.csr import CertificateRequest
from cipsec.ra.policy import BY_HAND
from cipsec.store import certificates, credentials, events, uses
from cipsec.store.certificates import CertificateRow
from cipsec.store.codes import Code
from cipsec.store.credentials import CredentialRow
from cipsec.store.events import Event

# ASCII, no separator of paths, no option, no control: it stands in file names, logs and commands.
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
MOST_USES = 1_000_000


def check_name(name: str) -> str:
    """Return a name that a provisioning certificate may have; raise UsageError."""
    if not _NAME.fullmatch(name):
        raise UsageError(
            f"{name!r} is not a name for a provisioning certificate",
            hint="use letters, digits and . _ -, at most 64, beginning with a letter or digit",
        )
    return name


@dataclass(frozen=True, slots=True)
class Order:
    """What an operator orders: a certificate `name` good for `uses` enrollments from `now` on."""

    name: str
    uses: int
    validity: timedelta
    backdate: timedelta
    by: str
    note: str | None
    now: datetime

    def __post_init__(self) -> None:
        check_name(self.name)
        if not 1 <= self.uses <= MOST_USES:
            raise UsageError(f"a provisioning certificate is good for 1 to {MOST_USES} enrollments")

    @property
    def reason(self) -> str:
        """Return why the certificate is there, in words."""
        times = "1 enrollment" if self.uses == 1 else f"{self.uses} enrollments"
        return f"made by {self.by} for {times}" + (f": {self.note}" if self.note else "")


@dataclass(frozen=True, slots=True)
class Standing:
    """A provisioning certificate and how far it is used up."""

    row: CredentialRow
    used: int
    status: str


def request_for(name: str, key: keys.PrivateKey) -> CertificateRequest:
    """Return the request for a provisioning certificate whose key lies in a file."""
    built = csr.build(key, provisioning.subject(name))
    return csr.parse(built.public_bytes(Encoding.DER))


def sign(order: Order, request: CertificateRequest, issuer: Authority) -> CertificateRow:
    """Return a provisioning certificate that is signed and not yet recorded.

    Raises Malformed for a request that asks for more than the name, LocalState when the CA has
    expired.
    """
    kind = profile.provisioning(order.validity, order.backdate)
    issued = provisioning.issue(issuer, request, order.name, kind, now=order.now)
    return CertificateRow(
        serial=issued.serial,
        enrollment="",  # no request by EST is answered with it
        kind=kind.kind,
        subject=request.shown_subject,
        device=None,
        mac=None,
        not_before=int(issued.not_before.timestamp()),
        not_after=int(issued.not_after.timestamp()),
        issued_at=int(order.now.timestamp()),
        rule=BY_HAND,
        reason=order.reason,
        proved="nothing",
        der=issued.der,
    )


def keep(db: sqlite3.Connection, order: Order, row: CertificateRow) -> CredentialRow:
    """Record certificate, credential and event, inside the caller's transaction.

    Raises AlreadyExists when a provisioning certificate of that name is in force.
    """
    require_free(db, order.name, order.now)
    credential = CredentialRow(
        serial=row.serial,
        name=order.name,
        uses=order.uses,
        not_after=row.not_after,
        created_at=row.issued_at,
        created_by=order.by,
    )
    certificates.insert(db, row)
    credentials.insert(db, credential)
    event = Event(
        at=row.issued_at,
        event=Code.PROVISIONED,
        actor=order.by,
        serial=row.serial,
        subject=row.subject,
        rule=row.rule,
        reason=row.reason,
    )
    events.append(db, event)
    return credential


def require_free(db: sqlite3.Connection, name: str, now: datetime) -> None:
    """Raise AlreadyExists when a provisioning certificate of that name is in force."""
    for row in credentials.by_name(db, name):
        if standing(db, row, now).status == "valid":
            raise AlreadyExists(
                f"the provisioning certificate {name} is in force",
                hint=f"choose another name, or: cipsec ca revoke --credential {name}",
            )


def standing(db: sqlite3.Connection, row: CredentialRow, now: datetime) -> Standing:
    """Return how far a provisioning certificate is used up."""
    used = uses.count(db, row.key)
    return Standing(row, used, row.status(now, spent=used))


def listed(db: sqlite3.Connection, now: datetime) -> list[Standing]:
    """Return all provisioning certificates, newest first."""
    return [standing(db, row, now) for row in list(credentials.listed(db))]


def find(db: sqlite3.Connection, name: str) -> list[CredentialRow]:
    """Return the provisioning certificates that have or had the name; raise NotFound.

    Newest first: a name is free again once its certificate is spent, expired or revoked.
    """
    found = credentials.by_name(db, name)
    if not found:
        hint = "list them with: cipsec ca credentials"
        raise NotFound(f"there is no provisioning certificate {name}", hint=hint)
    return found


def enrolled(db: sqlite3.Connection, rows: Iterable[CredentialRow]) -> list[CertificateRow]:
    """Return all certificates that were granted to holders of these, oldest first."""
    found = [
        row for credential in rows for row in certificates.by_credential(db, credential.serial)
    ]
    return sorted(found, key=lambda row: row.serial)
