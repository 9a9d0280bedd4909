"""The tables of a report: rows read one by one from the store; their form is left to `as_*`."""

from __future__ import annotations

import hashlib
import sqlite3
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from cipsec.ra import byhand, provisioning, users
from cipsec.ra.policy import BY_HAND
from cipsec.store import certificates, due, requests, uses
from cipsec.store.certificates import CertificateRow
from cipsec.store.events import when
from cipsec.store.requests import RequestRow, State
from cipsec.store.users import listed as all_users
from cipsec.times import show_duration

Row = Mapping[str, object]


@dataclass(frozen=True, slots=True)
class Table:
    """A table of a report: its key, its columns, and its rows, read anew whenever they are asked.

    Values are texts, numbers, lists of texts, or None for nothing.
    """

    name: str
    columns: tuple[str, ...]
    rows: Callable[[], Iterator[Row]]


@dataclass(frozen=True, slots=True)
class Moment:
    """What a report is about: the store at `now`, and what ends within `soon` from then."""

    db: sqlite3.Connection
    now: datetime
    soon: timedelta

    @property
    def at(self) -> int:
        """Return `now` in seconds since 1970."""
        return int(self.now.timestamp())


def tables(moment: Moment) -> tuple[Table, ...]:
    """Return the tables of a report, in its order."""
    return (
        Table("certificates", _CERTIFICATES, lambda: _certificates(moment)),
        Table("expiring", _EXPIRING, lambda: expiring(moment)),
        Table("requests", _REQUESTS, lambda: _requests(moment)),
        Table("revoked", _REVOKED, lambda: _revoked(moment)),
        Table("credentials", _CREDENTIALS, lambda: _credentials(moment)),
        Table("users", _USERS, lambda: _users(moment)),
    )


NAMES = ("certificates", "expiring", "requests", "revoked", "credentials", "users")
_CERTIFICATES = (
    *("device", "mac", "subject", "serial", "not_before", "not_after", "rule", "reason"),
    *("granted_by", "proved", "issued_at", "kind", "sha256"),
)
_EXPIRING = ("device", "mac", "subject", "serial", "not_after", "left", "rule", "reason")
_REQUESTS = (
    *("id", "state", "device", "mac", "subject", "address", "first_seen", "waits", "proved"),
    *("claimed", "rule", "reason", "replaces", "decided_by", "note"),
)
_REVOKED = (
    *("device", "mac", "subject", "serial", "revoked_at", "revoked_by", "revocation"),
    *("not_after", "kind"),
)
_CREDENTIALS = (
    *("name", "serial", "uses", "used", "not_after", "created_at", "created_by"),
)  # fmt: skip
_USERS = ("name", "until", "uses", "used", "labels", "created_at", "changed_at")


def _certificates(moment: Moment) -> Iterator[Row]:
    """Yield the inventory: what is in force of devices and of the server."""
    for row in certificates.in_force(moment.db, at=moment.at):
        yield _device(row) | {
            "not_before": when(row.not_before),
            "not_after": when(row.not_after),
            "rule": row.rule,
            "reason": row.reason,
            "granted_by": _granted_by(moment.db, row),
            "proved": row.proved,
            "issued_at": when(row.issued_at),
            "kind": row.kind,
            "sha256": hashlib.sha256(row.der).hexdigest(),
        }


def _granted_by(db: sqlite3.Connection, row: CertificateRow) -> str:
    """Return who said yes: administrators, who signed by hand, or a rule alone."""
    if row.rule == BY_HAND:
        return byhand.signer(row.reason)
    asked = requests.decided(db, row.enrollment, row.serial)
    return asked or f"rule {row.rule}"


def expiring(moment: Moment) -> Iterator[Row]:
    """Yield what ends soon and was not renewed, the soonest first."""
    before = moment.at + int(moment.soon.total_seconds())
    for row in certificates.expiring(moment.db, after=moment.at, before=before):
        if row.kind == "endpoint" and not due.is_renewed(moment.db, row):
            yield _device(row) | {
                "not_after": when(row.not_after),
                "left": show_duration(timedelta(seconds=row.not_after - moment.at)),
                "rule": row.rule,
                "reason": row.reason,
            }


def _requests(moment: Moment) -> Iterator[Row]:
    """Yield what is open: waits for a decision, or was approved and not fetched yet."""
    for row in requests.listed(moment.db, [State.PENDING, State.APPROVED]):
        yield _request(row, moment.now)


def _request(row: RequestRow, now: datetime) -> Row:
    return {
        "id": row.id,
        "state": row.state,
        "device": row.device,
        "mac": row.mac,
        "subject": row.subject,
        "address": row.address,
        "first_seen": when(row.first_seen),
        "waits": show_duration(timedelta(seconds=now.timestamp() - row.first_seen)),
        "proved": row.proved,
        "claimed": row.claimed,
        "rule": row.rule,
        "reason": row.reason,
        "replaces": (row.replaces or "").split(),
        "decided_by": row.decided_by,
        "note": row.note,
    }


def _revoked(moment: Moment) -> Iterator[Row]:
    """Yield what was revoked and has not ended since: what devices have to be told of."""
    for row in certificates.revoked(moment.db, at=moment.at):
        yield _device(row) | {
            "revoked_at": when(row.revoked_at),
            "revoked_by": row.revoked_by,
            "revocation": row.revocation,
            "not_after": when(row.not_after),
            "kind": row.kind,
        }


def _credentials(moment: Moment) -> Iterator[Row]:
    """Yield the provisioning certificates that can still enroll something."""
    for one in provisioning.listed(moment.db, moment.now):
        if one.status == "valid":
            row = one.row
            yield {
                "name": row.name,
                "serial": row.serial,
                "uses": row.uses,
                "used": one.used,
                "not_after": when(row.not_after),
                "created_at": when(row.created_at),
                "created_by": row.created_by,
            }


def _users(moment: Moment) -> Iterator[Row]:
    """Yield the users whose password can still enroll something."""
    for row in list(all_users(moment.db)):
        used = uses.count(moment.db, users.proof(row).key)
        if users.status(row, moment.now, used=used) == "valid":
            labels = users.labels(row)
            yield {
                "name": row.name,
                "until": when(row.until),
                "uses": row.uses,
                "used": used,
                "labels": None if labels is None else list(labels),
                "created_at": when(row.created_at),
                "changed_at": when(row.changed_at),
            }


def _device(row: CertificateRow) -> dict[str, object]:
    return {"device": row.device, "mac": row.mac, "subject": row.subject, "serial": row.serial}
