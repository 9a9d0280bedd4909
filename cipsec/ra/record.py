"""What is written down of a case: rows and events; when and where is left to who acts on it."""

from __future__ import annotations

import json

from cipsec.ca.authority import Issued
from cipsec.ca.profile import ENDPOINT
from cipsec.pki import keys
from cipsec.ra.enrollment import Enrollment
from cipsec.ra.judge import Case
from cipsec.store.certificates import CertificateRow
from cipsec.store.codes import Code
from cipsec.store.events import Event
from cipsec.store.requests import RequestRow, State

_LONGEST = 1_000


def certificate_row(
    case: Case, issued: Issued, *, renewed: CertificateRow | None = None, approved: bool = False
) -> CertificateRow:
    """Return the row of an endpoint's certificate that was issued for the case.

    What a renewal makes goes back to the provisioning certificate that `renewed` goes back to: a
    lost card takes along whatever came of it. Its device counts as proved where it was, or where a
    person `approved` what he was shown. A renewal is as old as the grant it goes back to; what a
    person approved is a grant of its own.
    """
    identity, proved, shown = case.identity, case.evidence.proved_identity, case.evidence.presented
    origin = renewed.credential if renewed else None
    applied = case.decision.applied
    is_renewal = not approved and applied is not None and applied.renews
    return CertificateRow(
        serial=issued.serial,
        enrollment=case.id,
        kind=ENDPOINT,
        subject=case.enrollment.request.shown_subject,
        device=str(identity.device) if identity.device else None,
        mac=str(identity.mac) if identity.mac else None,
        not_before=int(issued.not_before.timestamp()),
        not_after=int(issued.not_after.timestamp()),
        issued_at=case.at,
        rule=case.decision.rule,
        reason=case.decision.reason,
        proved=case.evidence.proved,
        der=issued.der,
        user=case.evidence.user.name if case.evidence.user else None,
        credential=shown.credential.serial if shown.credential else origin,
        device_proved=int(bool(identity.device) and (approved or bool(proved.device))),
        mac_proved=int(bool(identity.mac) and (approved or bool(proved.mac))),
        granted_at=renewed.first_granted if renewed and is_renewal else None,
    )


def request_row(case: Case) -> RequestRow:
    """Return the row of a request that waits for an administrator from now on."""
    request, evidence = case.enrollment.request, case.evidence
    identity = evidence.identity
    return RequestRow(
        id=case.id,
        state=State.PENDING,
        subject=request.shown_subject,
        sans=json.dumps(request.shown_sans),
        device=str(identity.device) if identity.device else None,
        mac=str(identity.mac) if identity.mac else None,
        proved=evidence.proved,
        claimed=evidence.claimed,
        address=case.enrollment.address,
        label=case.enrollment.label,
        spki_sha256=keys.spki_sha256(request.public_key),
        rule=case.decision.rule,
        reason=case.decision.reason,
        first_seen=case.at,
        last_seen=case.at,
        polls=1,
        decided_at=None,
        decided_by=None,
        note=None,
        serial=None,
        csr=request.der,
        replaces=case.replaces,
        approvals=case.approvals,
    )


def event(
    case: Case, what: Code, reason: str, *, actor: str | None = None, serial: str | None = None
) -> Event:
    """Return the event `what`; the actor is whoever applied unless another is named."""
    user = case.evidence.user
    identity = case.evidence.identity
    return Event(
        at=case.at,
        event=what,
        actor=actor or (f"user {user.name}" if user is not None else "endpoint"),
        address=case.enrollment.address or None,
        request=case.id,
        serial=serial,
        subject=_short(case.enrollment.request.shown_subject),
        device=str(identity) if identity else None,
        rule=case.decision.rule,
        reason=_short(reason),
    )


def refused_login(enrollment: Enrollment, user: str, reason: str, at: int) -> Event:
    """Return the event of a login that was refused, before anything else was looked at."""
    return Event(
        at=at,
        event=Code.REFUSED,
        actor=f"user {user}",
        address=enrollment.address or None,
        subject=_short(enrollment.request.shown_subject),
        reason=reason,
    )


def _short(text: str) -> str:
    """Cut what an applicant may have made as long as a CSR: events are many, and are kept."""
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 1]}…"
