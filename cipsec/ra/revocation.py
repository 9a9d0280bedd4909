"""Revoking certificates: found, then row and event in the caller's transaction.

Effective with its commit: evidence looks at the row each time. Telling others, by the revocation
list, is left to `publishing`; whether the holder may get another certificate is the rules' to say.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime

from cipsec.ca.profile import ENDPOINT, PROVISIONING
from cipsec.errors import NotFound, StoreFailed, UsageError
from cipsec.pki.device import DeviceId
from cipsec.pki.names import show_serial
from cipsec.ra import provisioning
from cipsec.store import certificates, credentials, events, requests
from cipsec.store.certificates import CertificateRow
from cipsec.store.codes import Code
from cipsec.store.events import Event

# RFC 5280 section 5.3.1, without those that make no sense for an endpoint's certificate.
REASONS = (
    "unspecified",
    "keyCompromise",
    "affiliationChanged",
    "superseded",
    "cessationOfOperation",
    "privilegeWithdrawn",
)

UNKNOWN = "not on record"  # stands for the rule of a certificate that only its holder has
_LONGEST = 40  # hex digits: RFC 5280 section 4.1.2.2
_SHORT_ID = 12  # hex digits of a request's id, as `ca pending` shows them
_SHORTEST = 8  # hex digits of a serial number; fewer begin too many


@dataclass(frozen=True, slots=True)
class Choice:
    """What is to be revoked, and all that the credential it was chosen by ever enrolled.

    `approved` are requests of the device that get a certificate all the same, when it asks next.
    """

    rows: tuple[CertificateRow, ...]
    enrolled: tuple[CertificateRow, ...] = ()
    approved: tuple[str, ...] = ()

    @property
    def take_back(self) -> str:
        """Return what to type so that the requests that are approved get nothing."""
        return f"cipsec ca reject -f {' '.join(one[:_SHORT_ID] for one in self.approved)}"

    @property
    def serials(self) -> frozenset[str]:
        """Return the serial numbers of what is to be revoked."""
        return frozenset(row.serial for row in self.rows)


@dataclass(frozen=True, slots=True)
class Revoked:
    """A certificate as it stands now; `changed` is False when it was revoked before."""

    row: CertificateRow
    changed: bool


def revoke(
    db: sqlite3.Connection, row: CertificateRow, *, by: str, reason: str, note: str | None, at: int
) -> Event | None:
    """Revoke one certificate and record it; None when it was revoked before.

    A provisioning certificate ends as a credential too.
    """
    if not certificates.revoke(db, row.serial, by=by, reason=reason, at=at):
        return None
    if row.kind == PROVISIONING:
        credentials.revoke(db, row.serial, by=by, reason=reason, at=at)
    event = Event(
        at=at,
        event=Code.REVOKED,
        actor=by,
        serial=row.serial,
        subject=row.subject,
        device=row.device,
        rule=row.rule,
        reason=f"{reason}: {note}" if note else reason,
    )
    events.append(db, event)
    return event


def revoke_all(
    db: sqlite3.Connection,
    rows: Iterable[CertificateRow],
    *,
    by: str,
    reason: str,
    note: str | None,
    at: int,
) -> list[Revoked]:
    """Revoke certificates; what was revoked before keeps its time and reason."""
    done = []
    for row in rows:
        changed = revoke(db, row, by=by, reason=reason, note=note, at=at) is not None
        now = replace(row, revoked_at=at, revoked_by=by, revocation=reason) if changed else row
        done.append(Revoked(now, changed))
    return done


def reason_named(text: str) -> str:
    """Return the reason of RFC 5280 section 5.3.1 that is meant, in any case; raise UsageError."""
    for reason in REASONS:
        if reason.casefold() == text.casefold():
            return reason
    raise UsageError(f"{text!r} is not a reason", hint=f"choose one of {', '.join(REASONS)}")


def by_serials(db: sqlite3.Connection, given: Iterable[str]) -> Choice:
    """Choose certificates by their serial numbers, 8 or more digits; each once.

    Raises NotFound, and UsageError for what is no serial number or begins more than one.
    """
    rows = {row.serial: row for row in (_by_prefix(db, text) for text in given)}
    return Choice(tuple(rows.values()))


def _by_prefix(db: sqlite3.Connection, text: str) -> CertificateRow:
    digits = text.strip().lower().replace(":", "")
    if len(digits) < _SHORTEST or not set(digits) <= set("0123456789abcdef"):
        raise UsageError(
            f"{text!r} is not a serial number",
            hint=f"give {_SHORTEST} or more of its digits, from: cipsec ca list",
        )
    found = certificates.by_serial_prefix(db, digits)
    if not found:
        hint = "list them with: cipsec ca list"
        raise NotFound(f"there is no certificate {digits}", hint=hint)
    if len(found) > 1:
        raise UsageError(f"{digits} begins more than one serial number", hint="give more digits")
    return found[0]


def by_unknown(
    db: sqlite3.Connection, given: Iterable[str], end_of_ca: datetime, now: datetime
) -> Choice:
    """Choose certificates that the record may not have: it was restored from a backup.

    By their whole serial numbers. Rows of those that are not on record are not there yet: see
    `record_unknown`. Raises UsageError for what is no serial number.
    """
    rows = {}
    for text in given:
        digits = text.strip().lower().replace(":", "")
        if not 0 < len(digits) <= _LONGEST or not set(digits) <= set("0123456789abcdef"):
            raise UsageError(
                f"{text!r} is not a whole serial number",
                hint=f"give all of its digits, {_LONGEST} at most: cipsec cert show FILE",
            )
        serial = show_serial(int(digits, 16))
        known = certificates.by_serial(db, serial)
        rows[serial] = known or _unknown(serial, end_of_ca, now)
    return Choice(tuple(rows.values()))


def _unknown(serial: str, end_of_ca: datetime, now: datetime) -> CertificateRow:
    """Return what can be said of a certificate that nobody has: it ends with the CA at the latest.

    Its time of issue stands in its serial number, where this program made that.
    """
    at = min(int(serial[:12] or "0", 16) // 1000, int(now.timestamp()))
    return CertificateRow(
        serial=serial,
        enrollment="",
        kind=ENDPOINT,
        subject="not on record",
        device=None,
        mac=None,
        not_before=at,
        not_after=int(end_of_ca.timestamp()),
        issued_at=at,
        rule=UNKNOWN,
        reason="revoked by its serial number; the record does not have it",
        proved="nothing",
        der=b"",
    )


def record_unknown(db: sqlite3.Connection, rows: Iterable[CertificateRow]) -> None:
    """Put on record those of `by_unknown` that are not, in the caller's transaction."""
    for row in rows:
        if row.rule == UNKNOWN and certificates.by_serial(db, row.serial) is None:
            certificates.insert(db, row)


def by_device(db: sqlite3.Connection, device: DeviceId, now: datetime) -> Choice:
    """Choose the certificates of a device that had not expired at `now`; NotFound for none."""
    rows = _current(certificates.listed(db, device=str(device)), now)
    choice = Choice(rows, approved=tuple(requests.approved_for(db, str(device))))
    if rows:
        return choice
    problem = f"the device {device} has no certificate in force"
    if choice.approved:  # by mistake, as a rule, and noticed before the device asked again
        raise NotFound(f"{problem} yet, but a request is approved", hint=choice.take_back)
    raise NotFound(problem, hint=f"see what it had: cipsec ca list --device {device}")


def by_credential(
    db: sqlite3.Connection, name: str, now: datetime, *, with_enrolled: bool
) -> Choice:
    """Choose the provisioning certificates of a name, and what they enrolled if wanted.

    Of both what has not expired; raises NotFound when there never was one of that name.
    """
    found = provisioning.find(db, name)
    own = _current((_certificate(db, row.serial) for row in found), now)
    enrolled = tuple(provisioning.enrolled(db, found))
    return Choice(own + _current(enrolled, now) if with_enrolled else own, enrolled)


def _certificate(db: sqlite3.Connection, serial: str) -> CertificateRow:
    row = certificates.by_serial(db, serial)
    if row is None:  # both are written in one transaction
        raise StoreFailed(
            f"the store is damaged: it lacks the provisioning certificate {serial}",
            hint="restore the CA folder from a backup",
        )
    return row


def _current(rows: Iterable[CertificateRow], now: datetime) -> tuple[CertificateRow, ...]:
    """Return those that have not expired: also what was revoked, to be reported as it stands."""
    return tuple(row for row in rows if row.status(now) != "expired")
