"""What this CA reads in a request and in what comes with it, before any rule: as findings.

The rules' answer is `hypothesis`'s; here is what they would have to go by.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime

from cipsec.pki.csr import CertificateRequest
from cipsec.pki.lint import Finding
from cipsec.ra import objections
from cipsec.ra.config import Config
from cipsec.ra.evidence import Evidence, gather
from cipsec.ra.hypothesis import Hypothesis
from cipsec.ra.renewals import Renewals
from cipsec.ra.sources import Sources


def findings(
    request: CertificateRequest,
    chain: tuple[bytes, ...],
    *,
    sources: Sources,
    config: Config,
    own_names: frozenset[str],
    now: datetime,
) -> list[Finding]:
    """Return what is found; `chain` is what the TLS client presents, in DER, leaf first.

    `own_names` are the EST server's, which nobody else gets. Raises StoreFailed.
    """
    evidence = gather(
        Hypothesis(request.der, chain).enrollment(request),
        user=None,
        rules=config.identity,
        sources=sources,
        now=now,
        renewals=config.renewals,
    )
    # What a certificate proves after its end, it proves for its own renewal alone.
    return [
        _limits(request, own_names, config.renewals),
        *_presented(evidence.unrenewed),
        *_renewal(evidence),
        _identity(evidence.unrenewed),
    ]


def _limits(request: CertificateRequest, own_names: frozenset[str], renewals: Renewals) -> Finding:
    objection = objections.to_request(request, own_names)
    if objection is None and not renewals.ignore_change:
        objection = objections.to_change(request)
    if objection:
        return Finding("limits", "fail", f"{objection}: no rule can grant that")
    return Finding("limits", "ok", "it asks for nothing that this CA gives to nobody")


def _presented(evidence: Evidence) -> Iterator[Finding]:
    """Say what the client certificate proves, if one is presented."""
    shown = evidence.presented
    if not evidence.enrollment.chain:
        return
    if shown.broken:
        yield Finding("presented", "fail", f"cannot be judged: {shown.broken}")
    elif shown.own or shown.vendor or shown.credential:
        yield Finding("presented", "ok", f"proves: {evidence.proved}")
    else:
        why = shown.in_vain or shown.not_vendor
        yield Finding("presented", "warn", f"{shown.kind}, which proves nothing: {why}", _VENDOR)


def _renewal(evidence: Evidence) -> Iterator[Finding]:
    """Say what it would be as the renewal of the certificate presented, if that can be renewed."""
    shown = evidence.presented
    if not shown.own:
        return
    if not evidence.same_names:
        yield Finding(
            "renewal",
            "warn",
            f"other names than certificate {shown.own}: as a renewal it is refused",
            "keep subject and alternative names, or enroll anew (RFC 7030 section 4.2.2)",
        )
    elif why := evidence.no_renewal:
        yield Finding("renewal", "warn", f"{why}: as a renewal it is refused", _RENEWAL)
    elif shown.late:
        detail = f"certificate {shown.own} has ended, and may be renewed still"
        yield Finding("renewal", "ok", detail)


_VENDOR = "cipsec vendor add FILE makes a vendor's CA known"


def _identity(evidence: Evidence) -> Finding:
    """Say which device is named, and whether that is proved, claimed, or contradicted."""
    if objection := objections.to_evidence(evidence):
        return Finding("identity", "fail", f"{objection}: it is refused")
    if evidence.proved_identity:
        claimed = evidence.claimed_identity
        rest = f"; {claimed} is only claimed" if claimed else ""
        return Finding("identity", "ok", f"{evidence.proved_identity}, proved{rest}")
    if not evidence.identity:
        detail = "no Vendor ID, serial number or MAC address is found"
        return Finding("identity", "warn", detail, _RULES)
    detail = f"{evidence.claimed_identity}, as it claims; nothing proves it"
    return Finding("identity", "ok", detail, None if evidence.enrollment.chain else _CERT)


_RENEWAL = "what a renewal has to be is said by [renewal] in ca.toml"
_RULES = "where they stand is said by [[identity]] in ca.toml"
_CERT = "what the client presents can be added: --cert FILE"
