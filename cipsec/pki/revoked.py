"""What revocation lists say of a verified path (RFC 5280 section 6.3), each certificate on it.

Reading the lists is left to `pki.revocation`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime

from cryptography import x509

from cipsec.pki.chain import Chain
from cipsec.pki.extensions import value
from cipsec.pki.lint import Finding
from cipsec.pki.names import same_name, show_name, show_serial
from cipsec.pki.revocation import RevocationList, is_signed
from cipsec.times import show_time

_CHECK = "revocation"
_GET = "get the CA's current list, of cipsec by: cipsec ca crl"


def findings(chain: Chain, lists: Sequence[RevocationList], at: datetime) -> Iterator[Finding]:
    """Yield what is known of the revocation of each certificate below the anchor."""
    for child, issuer in chain.links():
        alike = (one for one in chain.alike(issuer) if not _is_revoked(one, chain, lists))
        yield _finding(child, _Lists(child, (issuer, *alike), lists), at)


def _is_revoked(signer: x509.Certificate, chain: Chain, lists: Sequence[RevocationList]) -> bool:
    """Tell whether a CA of the path has revoked what is not on the path itself."""
    return any(
        signer.serial_number in one.serials
        and any(is_signed(one, ca) for ca in chain.certificates[1:])
        for one in lists
        if same_name(one.issuer, signer.issuer)
    )


class _Lists:
    """The lists that may speak of one certificate, by what they are worth."""

    def __init__(
        self,
        child: x509.Certificate,
        issuers: Sequence[x509.Certificate],
        lists: Sequence[RevocationList],
    ) -> None:
        self.named = [one for one in lists if same_name(one.issuer, child.issuer)]
        self.signed = [one for one in self.named if any(is_signed(one, i) for i in issuers)]
        self.covering = [one for one in self.signed if _covers(one, child)]


def _finding(child: x509.Certificate, lists: _Lists, at: datetime) -> Finding:
    name = show_name(child.subject) or show_serial(child.serial_number)
    for one in lists.signed:  # whatever is listed is revoked, also by a list that is old, or lacks
        if child.serial_number in one.serials:
            return Finding(_CHECK, "fail", f"{name} is revoked {_entry(one, child)}", _REPLACE)
    current = [one for one in lists.covering if one.begin <= at <= one.end]
    if current:
        newest = max(current, key=lambda one: one.begin)
        return Finding(_CHECK, "ok", f"{name} is not on {newest.source}, {_until(newest)}")
    return _not_known(name, show_name(child.issuer), lists, at)


_REPLACE = "enroll anew with another key, and ask whoever runs the CA why"


def _not_known(name: str, issuer: str, lists: _Lists, at: datetime) -> Finding:
    if lists.covering:
        newest = max(lists.covering, key=lambda one: one.begin)
        if at < newest.begin:
            since = show_time(newest.begin)
            return Finding(_CHECK, "fail", f"{newest.source} begins only at {since}", _CLOCK)
        detail = f"{newest.source} is out of date since {show_time(newest.end)}"
        return Finding(_CHECK, "fail", detail, _GET)
    if lists.signed:
        detail = f"{lists.signed[0].source} says nothing about certificates such as that of {name}"
        return Finding(_CHECK, "warn", detail, _GET)
    if lists.named:
        detail = f"{lists.named[0].source} is not signed by {issuer}, the CA it says it is of"
        return Finding(_CHECK, "fail", detail, _GET)
    detail = f"no list of {issuer} is given that can be used: whether {name} is revoked is open"
    return Finding(_CHECK, "warn", detail, _GET)


_CLOCK = "check this machine's clock with: date -u; or give another time with --at"


def _entry(one: RevocationList, child: x509.Certificate) -> str:
    # Not by cryptography's own look-up, which refuses negative numbers.
    entry = next(e for e in one.parsed if e.serial_number == child.serial_number)
    since = show_time(entry.revocation_date_utc)
    return f"since {since}, {_reason(entry)}, says {one.source}"


def _reason(entry: x509.RevokedCertificate) -> str:
    found = value(entry.extensions, x509.CRLReason)
    return f"reason {found.reason.value}" if found else "without a reason"


def _until(one: RevocationList) -> str:
    if one.parsed.next_update_utc is None:
        return f"of {show_time(one.begin)}, which says no end"
    return f"in force until {show_time(one.end)}"


def _covers(one: RevocationList, child: x509.Certificate) -> bool:
    """Tell whether the certificate would be listed were it revoked (RFC 5280 section 6.3.3 (b))."""
    if one.lacks:
        return False
    scope = value(one.parsed.extensions, x509.IssuingDistributionPoint)
    if scope is None:
        return True
    basic = value(child.extensions, x509.BasicConstraints)
    is_ca = basic is not None and basic.ca
    if scope.only_contains_ca_certs if not is_ca else scope.only_contains_user_certs:
        return False
    names = _names(scope.full_name, scope.relative_name, child.issuer)
    return not names or not names.isdisjoint(_pointed_at(child))


def _pointed_at(child: x509.Certificate) -> set[object]:
    points = value(child.extensions, x509.CRLDistributionPoints)
    return {
        name
        for point in points or ()
        if not point.reasons and not point.crl_issuer
        for name in _names(point.full_name, point.relative_name, child.issuer)
    }


def _names(
    full: list[x509.GeneralName] | None,
    relative: x509.RelativeDistinguishedName | None,
    issuer: x509.Name,
) -> set[object]:
    """Return the names of a distribution point; a relative one is below the issuer's."""
    if relative is not None:
        return {x509.DirectoryName(x509.Name([*issuer.rdns, relative]))}
    return set(full or ())
