"""Granting: certificate, decision, what was spent, who was replaced, all in one transaction.

Everything that was true when the case was judged and might not be any more is looked at again
here; the writer runs one of these at a time, other servers on the store wait.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import timedelta

from cipsec.ca import profile
from cipsec.ca.authority import Authority, Issued
from cipsec.ra import record, replacement
from cipsec.ra.answers import Answer, Granted, Queued, Refused
from cipsec.ra.conditions.held import objection
from cipsec.ra.enrollment import UserProof
from cipsec.ra.judge import Case
from cipsec.ra.revocation import revoke
from cipsec.ra.users import proof
from cipsec.store import certificates, credentials, events, held, requests, users, uses
from cipsec.store.certificates import CertificateRow
from cipsec.store.codes import Code
from cipsec.store.events import Event
from cipsec.store.requests import Standing, State
from cipsec.store.users import UserRow

# A device that lost the answer asks again within minutes and gets the same certificate.
_SAME_CERTIFICATE = timedelta(minutes=10)
_RENEWAL_DUE = 0.66  # of the lifetime; as the endpoint's `renew --if-due` has it
MOST_TRIES = 8  # of judging, where one device asks with many keys at once


class Overtaken(Exception):
    """What the case was judged by has changed since: it is to be judged again."""


@dataclass(frozen=True, slots=True)
class Written:
    """What a transaction leaves behind: the answer, and the events it recorded.

    A refusal is none of them: who is refused with each try is not recorded with each.
    """

    answer: Answer
    events: tuple[Event, ...] = ()


def grant(db: sqlite3.Connection, case: Case, authority: Authority) -> Written:
    """Answer a case that the rules grant: with a new certificate, or the one it got before.

    What an administrator rejected stays rejected until he decides again. Raises Overtaken.
    """
    row = requests.standing(db, case.id)
    if (settled := answered(db, case, row)) is not None:
        return Written(settled)
    _require_current(db, case)
    return issue(db, case, authority, revokes=case.decision.revokes, asked=row is not None)


def answered(db: sqlite3.Connection, case: Case, row: Standing | None) -> Granted | Refused | None:
    """Return what a case that the rules grant is answered without a new certificate, if so.

    `row` is how its request stands, if an administrator was ever asked. Raises Overtaken.
    """
    if row is not None and row.state == State.REJECTED:
        return rejected(row)
    earlier = _earlier(db, case)
    return Granted(earlier.der) if earlier is not None else None


def again(db: sqlite3.Connection, case: Case, row: Standing) -> CertificateRow | None:
    """Return the certificate that a granted request gets once more; None when that is due."""
    granted = _in_force(db, case, row)
    return granted if granted and not _is_due(granted, case.at) else None


def _in_force(db: sqlite3.Connection, case: Case, row: Standing) -> CertificateRow | None:
    granted = certificates.by_serial(db, row.serial or "")
    return granted if granted and granted.status(case.now) == "valid" else None


def _is_due(row: CertificateRow, at: int) -> bool:
    return at > row.issued_at + _RENEWAL_DUE * (row.not_after - row.issued_at)


def _require_current(db: sqlite3.Connection, case: Case) -> None:
    """Raise Overtaken where the predecessors are others by now than those that were judged by.

    A device that asks with many keys at once would else get past whatever replacement asks for.
    """
    rows = replacement.predecessors(db, case.evidence, case.known)
    if rows != case.predecessors:
        raise Overtaken


def _earlier(db: sqlite3.Connection, case: Case) -> CertificateRow | None:
    """Return what this enrollment got before; raise Overtaken when it has nothing left to spend."""
    for row in _gotten(db, case):
        if row is not None:
            return row
    since = int((case.now - _SAME_CERTIFICATE).timestamp())
    row = certificates.latest_for_enrollment(db, case.id, since=since, at=case.at)
    return row if row and row.status(case.now) == "valid" else None


def _gotten(db: sqlite3.Connection, case: Case) -> Iterator[CertificateRow | None]:
    """Yield what this enrollment got for each use that its grant spends.

    Raises Overtaken where others were faster and spent it: the rule's condition does not hold any
    more, and the rules below it have their say, as for whoever comes a moment later.
    """
    for use in case.decision.uses:
        spent = uses.spent(db, use.key, case.id)
        row = certificates.by_serial(db, spent.serial or "")
        if objection(use, spent, row, case.now) is not None:
            raise Overtaken
        yield row


def issue(
    db: sqlite3.Connection,
    case: Case,
    authority: Authority,
    *,
    revokes: Sequence[str],
    asked: bool = True,
    approved_by: str | None = None,
) -> Written:
    """Issue and record a new certificate; `revokes` are the predecessors that go with it.

    `asked` tells that an administrator was asked about it, perhaps: then its request is granted.
    """
    own = case.evidence.presented.own
    presented = certificates.by_serial(db, own) if own is not None else None
    if (reason := _withdrawn(db, case, presented)) is not None:
        return Written(Refused(reason))
    issued = _signed(case, authority)
    row = record.certificate_row(case, issued, renewed=presented, approved=approved_by is not None)
    by = approved_by or f"rule {case.decision.rule}"
    gone = [_revoke(db, serial, row.serial, by, case.at) for serial in revokes]
    certificates.insert(db, row)
    held.insert(db, row.serial, case.known.names)
    for use in case.decision.uses:
        uses.spend(db, use.key, case.id, serial=row.serial, at=case.at)
    if asked:
        requests.grant(db, case.id, row.serial)
    event = record.event(case, Code.GRANTED, case.decision.reason, serial=row.serial)
    events.append(db, event)
    return Written(Granted(row.der), (*(one for one in gone if one is not None), event))


def _signed(case: Case, authority: Authority) -> Issued:
    """Sign what was judged: the MAC address only as it was read, and where it is granted."""
    wanted, asked = case.config.certificate, case.evidence.asked.identity.mac
    return authority.issue(
        case.enrollment.request,
        profile.endpoint(wanted.validity, wanted.backdate, case.config.crl.url),
        now=case.now,
        mac=asked if asked == case.identity.mac else None,
    )


def _withdrawn(db: sqlite3.Connection, case: Case, own: CertificateRow | None) -> str | None:
    """Return why what was shown is good no more, if it was revoked or removed just now."""
    if own is not None and own.revoked_at is not None:
        return f"certificate {own.serial} is revoked"
    user = case.evidence.user
    if user is not None and not _is_user(users.by_name(db, user.name), user):
        return f"user {user.name} has no longer the password that was given"
    shown = case.evidence.presented.credential
    row = credentials.by_serial(db, shown.serial) if shown else None
    if row is None or row.revoked_at is None:
        return None
    return f"the provisioning certificate {row.name} is revoked"


def _is_user(row: UserRow | None, shown: UserProof) -> bool:
    return row is not None and proof(row).key == shown.key


def _revoke(db: sqlite3.Connection, serial: str, successor: str, by: str, at: int) -> Event | None:
    row = certificates.by_serial(db, serial)
    if row is None:
        return None
    note = f"replaced by certificate {successor}"
    return revoke(db, row, by=by, reason="superseded", note=note, at=at)


def grant_approved(
    db: sqlite3.Connection, case: Case, authority: Authority, wait: Queued
) -> Written:
    """Issue for an approved request; its state is read again inside the transaction.

    What the approval does not cover, a newer predecessor or a rule that by now wants more
    administrators, is asked about again. Raises Overtaken.
    """
    row = requests.standing(db, case.id)
    if row is None or row.state == State.PENDING:
        return Written(wait)
    if row.state == State.REJECTED:
        return Written(rejected(row))
    if row.state == State.GRANTED:
        granted = _in_force(db, case, row)
        return Written(Granted(granted.der) if granted else wait)
    _require_current(db, case)
    if not is_as_shown(case, row):
        return Written(wait, reopen(db, case, State.APPROVED))
    require_uses(db, case)
    revokes = (row.replaces or "").split() if row.revokes else []
    case = case.because(approved(row))
    return issue(db, case, authority, revokes=revokes, approved_by=row.decided_by)


def require_uses(db: sqlite3.Connection, case: Case) -> None:
    """Raise Overtaken where others were faster and spent what a grant would spend."""
    for _ in _gotten(db, case):
        pass


def approved(row: Standing) -> str:
    """Return why a certificate is issued for a request that an administrator approved."""
    return f"approved by {row.decided_by}" + (f": {row.note}" if row.note else "")


def is_as_shown(case: Case, row: Standing) -> bool:
    """Tell whether a request is still what an administrator is shown, or was when he decided."""
    fewer = case.replaces in (None, row.replaces)
    return fewer and case.approvals <= row.approvals and case.evidence.proved == row.proved


def rejected(row: Standing) -> Refused:
    """Return what a request is told that an administrator rejected."""
    return Refused(f"rejected by an administrator: {row.note or 'no note'}")


def open_request(db: sqlite3.Connection, case: Case) -> tuple[Event, ...]:
    """Record a request that is to be asked about; two at once for the same id make one."""
    if requests.standing(db, case.id) is not None:
        return ()
    requests.insert(db, record.request_row(case))
    return _asked(db, case, case.decision.reason)


def reopen(db: sqlite3.Connection, case: Case, state: State) -> tuple[Event, ...]:
    """Ask again about a request that was decided, as it is now; two polls at once ask once."""
    if not requests.reopen(db, record.request_row(case), state):
        return ()
    again = "it has a certificate, which is due for renewal or not in force any more"
    return _asked(db, case, again if state is State.GRANTED else case.decision.reason)


def _asked(db: sqlite3.Connection, case: Case, reason: str) -> tuple[Event, ...]:
    what = Code.REPLACEMENT if case.predecessors else Code.PENDING
    if case.predecessors:
        serials = ", ".join(row.serial for row in case.predecessors)
        reason = f"{reason}; would replace certificate {serials}"
    event = record.event(case, what, reason)
    events.append(db, event)
    return (event,)
