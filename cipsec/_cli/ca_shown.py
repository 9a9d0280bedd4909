"""Rows of the store as records for `--json` and as shorter ones for a table."""

from __future__ import annotations

import hashlib
import json
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from cipsec import safe
from cipsec.errors import StoreFailed
from cipsec.store.certificates import CertificateRow
from cipsec.store.requests import RequestRow
from cipsec.times import from_seconds, show_duration, show_time

if TYPE_CHECKING:
    from cipsec.ra.provisioning import Standing
    from cipsec.ra.revocation import Revoked

SHORT_ID = 12  # hex digits of a request's id: enough to tell thousands apart, and to act on
SHORT_SERIAL = 16  # 48 bits of time and 16 at random
_SHORT_TEXT = 120
_REASON = 400  # a reason that is cut is none: file and line stand at its end

Record = dict[str, object]


def request(row: RequestRow) -> Record:
    """Return a request as `ca pending` lists it."""
    return {
        "id": row.id,
        "state": row.state,
        "subject": row.subject,
        "device": row.device,
        "mac": row.mac,
        "proved": row.proved,
        "claimed": row.claimed,
        "address": row.address,
        "first_seen": moment(row.first_seen),
        "last_seen": moment(row.last_seen),
        "polls": row.polls,
        "spki_sha256": row.spki_sha256,
        "rule": row.rule,
        "reason": row.reason,
        "replaces": newest(row.replaces),
        "approvals": row.approvals,
        "note": row.note,
    }


def request_line(row: RequestRow, now: datetime) -> Record:
    """Return what a table has room for."""
    return {
        "id": row.id[:SHORT_ID],
        "state": row.state,
        "waits": show_duration(timedelta(seconds=now.timestamp() - row.first_seen)),
        "subject": brief(row.subject),
        "device": row.device or row.mac,
        "proved": brief(row.proved),
        "claimed": brief(row.claimed),
        "address": row.address,
        "replaces": _replaced(row.replaces),
    }


def certificate(row: CertificateRow, now: datetime) -> Record:
    """Return a certificate as `ca list` lists it."""
    return {
        "serial": row.serial,
        "kind": row.kind,
        "subject": row.subject,
        "device": row.device,
        "mac": row.mac,
        "not_before": moment(row.not_before),
        "not_after": moment(row.not_after),
        "status": row.status(now),
        "reason": row.reason,
        "rule": row.rule,
        "sha256": hashlib.sha256(row.der).hexdigest() if row.der else None,
        "revoked_at": moment(row.revoked_at),
        "revoked_by": row.revoked_by,
        "revocation": row.revocation,
    }


def certificate_line(row: CertificateRow, now: datetime) -> Record:
    """Return what a table has room for."""
    return {
        "serial": row.serial[:SHORT_SERIAL],
        "subject": brief(row.subject),
        "device": row.device or row.mac,
        "not_after": moment(row.not_after),
        "status": row.status(now),
        "rule": row.rule,
        "reason": why(row.reason),
        "revoked_at": moment(row.revoked_at),
        "revocation": row.revocation,
    }


def credential(standing: Standing) -> Record:
    """Return a provisioning certificate as `ca credentials` lists it."""
    row = standing.row
    return {
        "name": row.name,
        "serial": row.serial,
        "uses": row.uses,
        "used": standing.used,
        "not_after": moment(row.not_after),
        "status": standing.status,
        "created_at": moment(row.created_at),
        "created_by": row.created_by,
        "revoked_at": moment(row.revoked_at),
        "revoked_by": row.revoked_by,
        "revocation": row.revocation,
    }


def revoked(done: Revoked, wished: str) -> Record:
    """Return a certificate as `ca revoke` reports it; `wished` is why it would be revoked."""
    row = done.row
    return {
        "serial": row.serial,
        "kind": row.kind,
        "subject": row.subject,
        "device": row.device,
        "reason": row.revocation or wished,
        "revoked_at": moment(row.revoked_at),
        "revoked_by": row.revoked_by,
        "changed": done.changed,
    }


def short(record: Record) -> Record:
    """Return a record as a table has room for it."""
    return {
        **record,
        "serial": str(record["serial"])[:SHORT_SERIAL],
        "subject": brief(str(record.get("subject", ""))),
    }


def newest(serials: str | None) -> str | None:
    """Return the first of the serial numbers that the store keeps in one text."""
    return serials.split()[0] if serials else None


def _replaced(serials: str | None) -> str | None:
    """Return the first serial number, short, and how many more there are."""
    listed = (serials or "").split()
    more = f" +{len(listed) - 1}" if len(listed) > 1 else ""
    return f"{listed[0][:SHORT_SERIAL]}{more}" if listed else None


def brief(text: str | None) -> str | None:
    """Return a text from outside, harmless and short enough for a table's cell."""
    return None if text is None else safe.text(text, limit=_SHORT_TEXT)


def why(text: str | None) -> str | None:
    """Return a reason, harmless, and cut only where somebody has made it endless."""
    return None if text is None else safe.text(text, limit=_REASON)


def moment(seconds: int | None) -> str | None:
    """Return a time of the store as it is shown; raise StoreFailed for what cannot be one."""
    if seconds is None:
        return None
    try:
        return show_time(from_seconds(seconds))
    except (TypeError, ValueError, OverflowError, OSError):
        raise _damaged(f"the time {seconds!r}") from None


def texts(stored: str) -> list[str]:
    """Return a JSON list of texts in the store; raise StoreFailed when it is none."""
    try:
        return [str(item) for item in json.loads(stored)]
    except (TypeError, ValueError):
        raise _damaged("a list that is none") from None


def _damaged(what: str) -> StoreFailed:
    hint = "restore the CA folder from a backup"
    return StoreFailed(f"the store is damaged: it holds {what}", hint=hint)
