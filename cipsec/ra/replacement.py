"""Whether an enrollment would replace somebody: a device, name or slot that has a certificate.

A known device with another key may be the same one after a reset, its successor in the cabinet, or
an impostor; no certificate tells. So by default a person decides, old beside new, and nothing is
ever revoked by itself because somebody claims its names.
"""

from __future__ import annotations

import dataclasses
import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass

from cryptography import x509
from cryptography.x509.oid import NameOID

from cipsec.ca.profile import ENDPOINT, kept
from cipsec.pki import keys
from cipsec.pki.device import Identity
from cipsec.pki.names import show_host, show_san
from cipsec.ra.evidence import Evidence
from cipsec.ra.policy import Decision, Outcome, Replacement, Rule
from cipsec.store import certificates, held
from cipsec.store.certificates import CertificateRow

_MOST = 50  # of one name: beyond that nobody looks at them one by one
# What the applicant reads while he waits: his proof was good, and he would else look for another.
_TOLD = "it would replace a certificate in force, which an administrator decides"


@dataclass(frozen=True, slots=True)
class Known:
    """Under which names the applicant would be known, as `store.held` keeps them.

    `slot` is the one of these that an allowlist gives, if any.
    """

    names: tuple[str, ...] = ()
    slot: str | None = None


def granted_identity(evidence: Evidence, rule: Rule | None) -> Identity:
    """Return the device that a certificate granted by this rule would be for."""
    if rule is None or rule.takes_claims or evidence.same_names:
        return evidence.identity
    return Identity(evidence.identity.device, evidence.proved_identity.mac)


def known(evidence: Evidence, identity: Identity, slot: str | None) -> Known:
    """Return the names under which the applicant would be known."""
    request = evidence.request
    place = held.texts(slot=slot) if slot else ()
    found = held.texts(
        device=str(identity.device) if identity.device else None,
        mac=str(identity.mac) if identity.mac else None,
        # Drives of a make may all ask for the same name; what tells them apart is their number.
        subject=None if identity else request.shown_subject,
        slot=slot,
        others=(
            *_hosts(request.subject, dotted=bool(identity)),
            *(show_san(n).rstrip(".") for n in kept(request.sans)),
        ),
    )
    return Known(found, place[0] if place else None)


def _hosts(subject: x509.Name, *, dotted: bool) -> list[str]:
    """Return the common names that clients take for host names (RFC 6125 section 6.4.4).

    With `dotted` only those that no make of drives has: `1756-EN2TR` is a product's name.
    """
    found = []
    for attribute in subject.get_attributes_for_oid(NameOID.COMMON_NAME):
        text = str(attribute.value).rstrip(".")
        if dotted and not set(".:") & set(text):
            continue
        if (host := show_host(text)) is not None:
            found.append(host)
    return found


def predecessors(
    db: sqlite3.Connection, evidence: Evidence, asked: Known
) -> tuple[CertificateRow, ...]:
    """Return the certificates in force that this enrollment would replace, newest first.

    Not its own: those of the same key, the one presented in a renewal, and those that the same user
    got for a name that is no device. After its end a certificate may have had a successor: whoever
    renews it late is compared with that.
    """
    shown = evidence.presented
    if shown.own is not None and evidence.same_names and not shown.late:
        return ()
    serials = held.serials(db, asked.names, limit=_MOST)
    rows = (certificates.by_serial(db, serial) for serial in serials)
    return tuple(row for row in rows if row is not None and _is_replaced(row, evidence))


def _is_replaced(row: CertificateRow, evidence: Evidence) -> bool:
    if row.kind != ENDPOINT or row.status(evidence.now) == "expired" or row.revoked_at is not None:
        return False
    if row.serial == evidence.presented.own or _same_user(row, evidence):
        return False
    key = x509.load_der_x509_certificate(row.der).public_key()
    return keys.spki(key) != evidence.request.spki


def _same_user(row: CertificateRow, evidence: Evidence) -> bool:
    user = evidence.user
    is_device = bool(evidence.identity or row.device or row.mac)
    return user is not None and row.user == user.name and not is_device


def considered(
    db: sqlite3.Connection,
    decision: Decision,
    rows: Sequence[CertificateRow],
    evidence: Evidence,
    asked: Known,
) -> Decision:
    """Return the decision with what is to become of the predecessors, if there are any."""
    rule = decision.applied
    if not rows or decision.outcome is not Outcome.GRANT or rule is None:
        return decision
    mode = rule.replacement or (Replacement.KEEP if rule.grants_to_anyone else None)
    if mode is Replacement.KEEP:
        return decision
    same = [row for row in rows if _is_same_device(row, evidence.proved_identity)]
    in_slot = set(held.serials(db, [asked.slot], limit=_MOST)) if asked.slot else set()
    others = [row for row in rows if row not in same and row.serial not in in_slot]
    # An entry awaits the next device, not who was replaced by it and comes back late.
    expected = decision.expected and not evidence.presented.late
    if others or mode is Replacement.ASK or not (mode or expected):
        why = f"{decision.reason}; but {_in_force(others or rows)}"
        told = _TOLD if _proves(evidence) else None  # others would learn who is listed
        return dataclasses.replace(decision, outcome=Outcome.ASK, reason=why, in_vain=told)
    # An entry with an end or a count was written for this: "the next one, tonight". What the old
    # one of the slot has is not taken from it unasked.
    gone = rows if mode is Replacement.REVOKE else same
    stays = [row for row in rows if row not in gone]
    reason = decision.reason + "".join(f"; replaces certificate {row.serial}" for row in gone)
    reason += f"; {_in_force(stays)}" if stays else ""
    revokes = tuple(row.serial for row in gone)
    return dataclasses.replace(decision, reason=reason, revokes=revokes)


def _proves(evidence: Evidence) -> bool:
    shown = evidence.presented
    return bool(evidence.user or shown.own or shown.vendor or shown.credential)


def _is_same_device(row: CertificateRow, proved: Identity) -> bool:
    device, mac = str(proved.device), str(proved.mac)
    return (bool(proved.device) and row.device == device) or (bool(proved.mac) and row.mac == mac)


def _in_force(rows: Sequence[CertificateRow]) -> str:
    row = rows[0]
    more = f" (and {len(rows) - 1} more)" if len(rows) > 1 else ""
    who = row.device or row.mac or row.subject
    return f"certificate {row.serial} of {who}, with another key, is in force{more}"
