"""Certification paths (RFC 5280 section 6) to given anchors: built, verified, or refused and why.

Names and purposes are left to the callers: a device's certificate and an EST server's need others.
The paths are those of `pki.path`, found by `pki.search`; here is what time makes of them, and who
is missing when there is none.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from cryptography import x509

# From where `serialization` has it, which is slow to import.
from cryptography.hazmat.primitives._serialization import Encoding

from cipsec.errors import NoIssuer, Untrusted
from cipsec.pki import path
from cipsec.pki.faults import UNREADABLE, why
from cipsec.pki.issued import directly_issued, is_whole
from cipsec.pki.names import comparable, same_name, show_name
from cipsec.pki.path import Authority
from cipsec.pki.search import MAX_CAS_FOUND, RELATED, Anchors, Comparable, Objection, ends
from cipsec.times import show_time

_CLOCK = "check this machine's clock with: date -u"
_MAX_STEPS = 16  # up, to say who is missing
_WEIGHTIEST = 4


@dataclass(frozen=True, slots=True)
class _Searched:
    """What the path was found among, to be asked for others that share a CA's name."""

    trusted: Anchors
    others: Sequence[x509.Certificate]
    anchor_sha256: str
    now: datetime

    def leads_there(self, one: x509.Certificate) -> bool:
        """Tell whether a certificate has a valid path to the same anchor."""
        paths, _ = ends(one, self.trusted.issuers(one.issuer, self.others), path.end)
        return any(
            p.authority.anchor_sha256 == self.anchor_sha256 and p.begin <= self.now <= p.end
            for p in paths
        )


@dataclass(frozen=True, slots=True, eq=False)
class Chain:
    """A verified path: `certificates` from the leaf to the anchor, both included."""

    certificates: tuple[x509.Certificate, ...]
    _searched: _Searched | None = None

    def links(self) -> Iterator[tuple[x509.Certificate, x509.Certificate]]:
        """Yield each certificate below the anchor with its issuer's, the leaf first."""
        return itertools.pairwise(self.certificates)

    def alike(self, issuer: x509.Certificate) -> Iterator[x509.Certificate]:
        """Yield the certificates of a CA's name, but its own, that lead to the same anchor.

        A CA may sign its CRLs with another key than its certificates (RFC 5280 section 6.3.3 (f)).
        """
        if self._searched is None:
            return
        named = (one for one in self._searched.others if _is_named(one, issuer.subject))
        for one in itertools.islice(named, MAX_CAS_FOUND):
            if one != issuer and self._searched.leads_there(one):
                yield one


def leaf_first(certificates: Sequence[x509.Certificate]) -> list[x509.Certificate]:
    """Return a file's certificates with the first that is the issuer of none other in front.

    By their names: PKCS#7 is a set, and has them in any order. Each name is read once, for there
    may be a thousand, and they may be long.
    """
    below: dict[Comparable, set[x509.Certificate]] = {}
    for one in certificates:
        if (named := _compared(one, lambda c: c.issuer)) is not None:
            below.setdefault(named, set()).add(one)
    leaf = next((one for one in certificates if not _is_above(one, below)), certificates[0])
    return [leaf, *(one for one in certificates if one != leaf)]


def _is_above(ca: x509.Certificate, below: Mapping[Comparable, set[x509.Certificate]]) -> bool:
    named = _compared(ca, lambda c: c.subject)
    return named is not None and below.get(named, {ca}) != {ca}


def _compared(
    certificate: x509.Certificate, name: Callable[[x509.Certificate], x509.Name]
) -> Comparable | None:
    try:
        return comparable(name(certificate))
    except UNREADABLE:
        return None


def verify_chain(
    leaf: x509.Certificate,
    intermediates: Sequence[x509.Certificate],
    anchors: Sequence[x509.Certificate],
    now: datetime,
) -> list[x509.Certificate]:
    """Return the path from `leaf` to an anchor, both included; raise Untrusted and say why.

    Checked: signatures, strength of the CAs' keys, validity at `now`, basicConstraints,
    pathLenConstraint, keyCertSign, name constraints, policies where a CA demands one, and that no
    critical extension goes ununderstood. Of several paths a valid one is found. A leaf that is an
    anchor is its own path.
    """
    return list(build(leaf, intermediates, anchors, now).certificates)


def build(
    leaf: x509.Certificate,
    intermediates: Sequence[x509.Certificate],
    anchors: Sequence[x509.Certificate],
    now: datetime,
) -> Chain:
    """Return what `verify_chain` does, to be asked for more."""
    try:
        if leaf in anchors:
            return _alone(leaf, now)
        return _below(leaf, intermediates, anchors, now)
    except UNREADABLE as error:
        raise Untrusted(f"a certificate of the path cannot be read: {why(error)}") from None


def _alone(leaf: x509.Certificate, now: datetime) -> Chain:
    path.check_understood(leaf)
    _check_times([leaf], now)
    return Chain((leaf,))


def _below(
    leaf: x509.Certificate,
    intermediates: Sequence[x509.Certificate],
    anchors: Sequence[x509.Certificate],
    now: datetime,
) -> Chain:
    weak = path.weak_signature(leaf) or _cut_off(leaf)
    if weak:
        raise Untrusted(f"the certificate of {show_name(leaf.subject)} proves nothing: {weak}")
    intermediates = [one for one in intermediates if not _cut_off(one)]
    trusted, objection = _anchors(anchors)
    issuers = trusted.issuers(leaf.issuer, intermediates)
    found, refused = ends(leaf, issuers, path.end)
    if not found and refused.weight >= RELATED:
        raise Untrusted(refused.sentence)
    if not found:
        if missing := _who_is_missing(leaf, intermediates, anchors):
            raise NoIssuer(missing)
        raise Untrusted(objection.or_else(refused).sentence)
    chosen = next((one for one in found if one.begin <= now <= one.end), found[0])
    certificates = (leaf, *chosen.authority.path)
    _check_times(certificates, now)
    anchor = chosen.authority.anchor_sha256
    return Chain(certificates, _Searched(trusted, intermediates, anchor, now))


def _cut_off(certificate: x509.Certificate) -> str | None:
    whole = is_whole(certificate.signature, certificate.public_bytes(Encoding.DER))
    return None if whole else "its signature ends within an octet"


def _anchors(anchors: Iterable[x509.Certificate]) -> tuple[Anchors, Objection]:
    """Return those that can be anchors, and why the last of the others cannot."""
    authorities, objection = list[Authority](), Objection(0, "")
    for one in dict.fromkeys(anchors):
        try:
            authorities.append(path.anchor(one))
        except Untrusted as error:
            objection = Objection(_WEIGHTIEST, error.message)
    return Anchors(authorities), objection


def _is_named(certificate: x509.Certificate, name: x509.Name) -> bool:
    try:
        return same_name(certificate.subject, name)
    except UNREADABLE:
        return False


def _check_times(certificates: Iterable[x509.Certificate], now: datetime) -> None:
    for certificate in certificates:
        name = show_name(certificate.subject)
        if now < certificate.not_valid_before_utc:
            since = show_time(certificate.not_valid_before_utc)
            raise Untrusted(f"the certificate of {name} is valid only from {since}", hint=_CLOCK)
        if now > certificate.not_valid_after_utc:
            end = show_time(certificate.not_valid_after_utc)
            raise Untrusted(f"the certificate of {name} expired at {end}", hint=_CLOCK)


def _who_is_missing(
    leaf: x509.Certificate,
    intermediates: Sequence[x509.Certificate],
    anchors: Sequence[x509.Certificate],
) -> str | None:
    """Return which certificate's issuer is not there; None where signatures lead to an anchor."""
    climbed, candidates = [leaf], list(dict.fromkeys((*anchors, *intermediates)))
    while climbed[-1] not in anchors:
        child = climbed[-1]
        issuer = next((c for c in candidates if _may_have_issued(c, child, climbed)), None)
        if issuer is None:
            return (
                f"no trusted CA issued the certificate of {show_name(child.subject) or 'no name'}"
                f" (its issuer is {show_name(child.issuer) or 'no name'})"
            )
        if len(climbed) > _MAX_STEPS:
            return None
        climbed.append(issuer)
    return None


def _may_have_issued(
    candidate: x509.Certificate, child: x509.Certificate, climbed: Sequence[x509.Certificate]
) -> bool:
    if candidate in climbed or not _is_named(candidate, child.issuer):
        return False
    return directly_issued(child, candidate)
