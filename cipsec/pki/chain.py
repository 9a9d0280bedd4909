"""Certification paths (RFC 5280 section 6) to given anchors: built, verified, or refused and why.

Names and purposes are left to the callers: a device's certificate and an EST server's need others.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from cryptography import x509
from cryptography.exceptions import InvalidSignature

from cipsec.errors import Untrusted
from cipsec.pki.faults import UNREADABLE, why
from cipsec.pki.names import show_name
from cipsec.times import show_time

_MAX_DEPTH = 8
_UNDERSTOOD = frozenset(
    {
        x509.BasicConstraints.oid,
        x509.KeyUsage.oid,
        x509.ExtendedKeyUsage.oid,
        x509.SubjectAlternativeName.oid,
        x509.SubjectKeyIdentifier.oid,
        x509.AuthorityKeyIdentifier.oid,
    }
)


def verify_chain(
    leaf: x509.Certificate,
    intermediates: Sequence[x509.Certificate],
    anchors: Sequence[x509.Certificate],
    now: datetime,
) -> list[x509.Certificate]:
    """Return the path from `leaf` to an anchor, both included; raise Untrusted and say why.

    Checked: signatures, validity at `now`, basicConstraints, pathLenConstraint, keyCertSign, and
    that no critical extension goes ununderstood. Name constraints are not understood: an
    intermediate that has them is refused.
    """
    try:
        path = _path(leaf, intermediates, anchors)
        for position, certificate in enumerate(path):
            _check_time(certificate, now)
            if certificate not in anchors or position == 0:
                _check_understood(certificate)
            if position:
                _check_ca(certificate, below=position - 1)
    except UNREADABLE as error:
        raise Untrusted(f"a certificate of the path cannot be read: {why(error)}") from None
    return path


def _path(
    leaf: x509.Certificate,
    intermediates: Sequence[x509.Certificate],
    anchors: Sequence[x509.Certificate],
) -> list[x509.Certificate]:
    """Return a path whose signatures are good; each certificate is followed once, to one issuer."""
    path = [leaf]
    while path[-1] not in anchors:
        if len(path) >= _MAX_DEPTH:
            raise Untrusted(f"the path is longer than {_MAX_DEPTH} certificates")
        path.append(_issuer(path, intermediates, anchors))
    return path


def directly_issued(certificate: x509.Certificate, issuer: x509.Certificate) -> bool:
    """Tell whether `issuer` is named in `certificate` and its key made the signature."""
    try:
        certificate.verify_directly_issued_by(issuer)
    except (InvalidSignature, *UNREADABLE):
        return False
    return True


def is_self_issued(certificate: x509.Certificate) -> bool:
    """Tell whether subject and issuer are the same name, as in a root."""
    return certificate.subject == certificate.issuer


def _issuer(
    path: Sequence[x509.Certificate],
    intermediates: Sequence[x509.Certificate],
    anchors: Sequence[x509.Certificate],
) -> x509.Certificate:
    child = path[-1]
    for candidate in (*anchors, *intermediates):
        if candidate not in path and directly_issued(child, candidate):
            return candidate
    raise Untrusted(
        f"no trusted CA issued the certificate of {show_name(child.subject) or 'no name'}"
        f" (its issuer is {show_name(child.issuer) or 'no name'})"
    )


def _check_time(certificate: x509.Certificate, now: datetime) -> None:
    name = show_name(certificate.subject)
    if now < certificate.not_valid_before_utc:
        since = show_time(certificate.not_valid_before_utc)
        raise Untrusted(f"the certificate of {name} is valid only from {since}", hint=_CLOCK)
    if now > certificate.not_valid_after_utc:
        end = show_time(certificate.not_valid_after_utc)
        raise Untrusted(f"the certificate of {name} expired at {end}", hint=_CLOCK)


_CLOCK = "check this machine's clock with: date -u"


def _check_understood(certificate: x509.Certificate) -> None:
    for extension in certificate.extensions:
        # Name constraints bind whether or not their CA remembered to mark them critical.
        binding = extension.critical or extension.oid == x509.NameConstraints.oid
        if binding and extension.oid not in _UNDERSTOOD:
            name = show_name(certificate.subject)
            oid = extension.oid.dotted_string
            raise Untrusted(f"the certificate of {name} has the extension {oid}: not understood")


def _check_ca(certificate: x509.Certificate, *, below: int) -> None:
    """Check that it may sign certificates with `below` CA certificates between it and the leaf."""
    name = show_name(certificate.subject)
    try:
        constraints = certificate.extensions.get_extension_for_class(x509.BasicConstraints).value
    except x509.ExtensionNotFound:
        raise Untrusted(f"{name} is not a CA") from None
    if not constraints.ca:
        raise Untrusted(f"{name} is not a CA")
    if constraints.path_length is not None and below > constraints.path_length:
        raise Untrusted(f"{name} may have {constraints.path_length} CAs below it, not {below}")
    if not _may_sign(certificate):
        raise Untrusted(f"{name} may not sign certificates")


def _may_sign(certificate: x509.Certificate) -> bool:
    try:
        usage = certificate.extensions.get_extension_for_class(x509.KeyUsage).value
    except x509.ExtensionNotFound:
        return True  # RFC 5280 section 6.1.4 (n): only when the extension is there
    return usage.key_cert_sign
