"""A certificate judged against what it is to be used for: every finding, not the first.

What is found in the certificate alone, by a profile, is left to `pki.rfc5280` and `pki.cip`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime

from cryptography import x509

from cipsec.errors import Malformed, NoIssuer, Untrusted
from cipsec.pki import keys, revoked, usable
from cipsec.pki.chain import Chain, build
from cipsec.pki.faults import UNREADABLE, why
from cipsec.pki.issued import points_elsewhere
from cipsec.pki.lint import Finding
from cipsec.pki.names import show_name
from cipsec.pki.revocation import RevocationList
from cipsec.times import show_duration, show_time

PURPOSES = usable.PURPOSES
_NO_END = 9999  # the year (RFC 5280 section 4.1.2.5)
_CLOCK = "check this machine's clock with: date -u; or give another time with --at"


@dataclass(frozen=True, slots=True)
class Expected:
    """What the certificate is to be: None leaves a check out; `purpose` is one of PURPOSES.

    `lists` are revocation lists, or why one given cannot be used; they need `anchors`.
    """

    anchors: Sequence[x509.Certificate] | None = None
    intermediates: Sequence[x509.Certificate] = ()
    lists: Sequence[RevocationList | Malformed] | None = None
    key: keys.PublicKey | None = None
    name: x509.GeneralName | None = None
    purpose: str = "any"


def certificate(leaf: x509.Certificate, expected: Expected, at: datetime) -> list[Finding]:
    """Return what is found on a certificate, for use at the time `at`; never raises for it."""
    findings = [_validity(leaf, at)]
    chain: Chain | None = None
    if expected.anchors is not None:
        chain, path = _path(leaf, expected.anchors, expected.intermediates, at)
        findings.append(path)
    findings += _revocation(chain, expected.lists, at)
    try:
        findings += _use(leaf, expected, chain)
    except UNREADABLE as error:
        findings.append(Finding("extensions", "fail", f"cannot be read: {why(error)}", _ANEW))
    return findings


_ANEW = "have another one issued; what is in this one cannot be used"


def _use(leaf: x509.Certificate, expected: Expected, chain: Chain | None) -> Iterator[Finding]:
    if expected.key is not None:
        yield usable.key(leaf, expected.key)
    if expected.name is not None:
        yield usable.name(leaf, expected.name)
    if expected.purpose != "any":
        yield from usable.purpose(chain.certificates if chain else [leaf], expected.purpose)


def _validity(leaf: x509.Certificate, at: datetime) -> Finding:
    try:
        begin, end = leaf.not_valid_before_utc, leaf.not_valid_after_utc
    except UNREADABLE as error:
        return Finding("validity", "fail", f"cannot be read: {why(error)}", _ANEW)
    if at < begin:
        return Finding("validity", "fail", f"not valid before {show_time(begin)}", _CLOCK)
    if at > end:
        return Finding("validity", "fail", f"expired at {show_time(end)}", "cipsec renew")
    if end.year == _NO_END:
        return Finding("validity", "ok", f"since {show_time(begin)}, with no well-defined end")
    return Finding("validity", "ok", f"until {show_time(end)}, {show_duration(end - at)} more")


def _path(
    leaf: x509.Certificate,
    anchors: Sequence[x509.Certificate],
    intermediates: Sequence[x509.Certificate],
    at: datetime,
) -> tuple[Chain | None, Finding]:
    try:
        chain = build(leaf, intermediates, anchors, at)
    except Untrusted as error:
        remedy = _CAS if isinstance(error, NoIssuer) else _OTHER_CA
        return None, Finding("path", "fail", error.message, error.hint or remedy)
    above = [show_name(one.subject) for one in chain.certificates[1:]]
    if not above:
        return chain, Finding("path", "ok", "it is itself trusted")
    way = f"leads to {' by way of '.join(reversed(above))}"
    for child, issuer in chain.links():
        if points_elsewhere(child, issuer):
            detail = f"{way}, but {show_name(child.subject)} has the key identifier of another CA"
            return chain, Finding("path", "warn", detail, _POINTS)
    return chain, Finding("path", "ok", way)


_POINTS = "have it issued anew with that of its CA: programs with OpenSSL refuse it as it is"
_CAS = "give the CAs that are missing: --trust FILE for the root, --intermediates FILE"
_OTHER_CA = "no file that is added mends this: have it issued anew, by a CA that is fit for it"


_COMPLETE = "get the complete list of one CA"


def _revocation(
    chain: Chain | None, lists: Sequence[RevocationList | Malformed] | None, at: datetime
) -> Iterator[Finding]:
    if lists is None:
        return
    for one in lists:
        if isinstance(one, Malformed):
            yield Finding("revocation list", "warn", one.message, _COMPLETE)
        elif one.lacks:
            detail = f"{one.source} clears no certificate: {one.lacks}"
            yield Finding("revocation list", "warn", detail, _COMPLETE)
    if chain is None:
        detail = "not judged: without a path it is not known whose lists count"
        yield Finding("revocation", "fail", detail, "see what is said of the path")
    else:
        yield from revoked.findings(chain, [o for o in lists if not isinstance(o, Malformed)], at)
