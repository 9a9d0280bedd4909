"""A certificate judged against what it is to be used for: every finding, not the first."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime

from cryptography import x509
from cryptography.x509.oid import ExtendedKeyUsageOID

from cipsec.errors import Untrusted
from cipsec.pki import keys
from cipsec.pki.chain import verify_chain
from cipsec.pki.lint import Finding
from cipsec.pki.names import sans_of, show_name, show_san
from cipsec.times import show_duration, show_time

_PURPOSES = {
    "client": ExtendedKeyUsageOID.CLIENT_AUTH,
    "server": ExtendedKeyUsageOID.SERVER_AUTH,
}
PURPOSES = ("any", *_PURPOSES)


@dataclass(frozen=True, slots=True)
class Expected:
    """What the certificate is to be: None leaves a check out; `purpose` is one of PURPOSES."""

    anchors: Sequence[x509.Certificate] | None = None
    intermediates: Sequence[x509.Certificate] = ()
    key: keys.PublicKey | None = None
    name: x509.GeneralName | None = None
    purpose: str = "any"


def certificate(leaf: x509.Certificate, expected: Expected, at: datetime) -> list[Finding]:
    """Return what is found on a certificate, for use at the time `at`."""
    return list(_findings(leaf, expected, at))


def _findings(leaf: x509.Certificate, expected: Expected, at: datetime) -> Iterator[Finding]:
    yield _validity(leaf, at)
    if expected.anchors is not None:
        yield _path(leaf, expected.anchors, expected.intermediates, at)
    if expected.key is not None:
        yield _key(leaf, expected.key)
    if expected.name is not None:
        yield _name(leaf, expected.name)
    if expected.purpose != "any":
        yield _purpose(leaf, expected.purpose)


def _validity(leaf: x509.Certificate, at: datetime) -> Finding:
    begin, end = leaf.not_valid_before_utc, leaf.not_valid_after_utc
    if at < begin:
        return Finding("validity", "fail", f"not valid before {show_time(begin)}")
    if at > end:
        return Finding("validity", "fail", f"expired at {show_time(end)}")
    return Finding("validity", "ok", f"until {show_time(end)}, {show_duration(end - at)} more")


def _path(
    leaf: x509.Certificate,
    anchors: Sequence[x509.Certificate],
    intermediates: Sequence[x509.Certificate],
    at: datetime,
) -> Finding:
    try:
        path = verify_chain(leaf, intermediates, anchors, at)
    except Untrusted as error:
        return Finding("path", "fail", error.message)
    return Finding("path", "ok", f"leads to {show_name(path[-1].subject)}")


def _key(leaf: x509.Certificate, key: keys.PublicKey) -> Finding:
    if keys.spki(leaf.public_key()) == keys.spki(key):
        return Finding("key", "ok", "the key belongs to the certificate")
    return Finding("key", "fail", "the key belongs to another certificate")


def _name(leaf: x509.Certificate, name: x509.GeneralName) -> Finding:
    """Compare whole names (RFC 6125 section 6.4.1); devices have no use for wildcards."""
    wanted = show_san(name)
    present = [show_san(san) for san in sans_of(leaf)]
    if wanted.casefold() in (san.casefold() for san in present):
        return Finding("name", "ok", f"it is for {wanted}")
    return Finding("name", "fail", f"not for {wanted}, but for {', '.join(present) or 'no name'}")


def _purpose(leaf: x509.Certificate, purpose: str) -> Finding:
    try:
        usages = leaf.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    except x509.ExtensionNotFound:
        return Finding("purpose", "warn", "no extended key usage: it may be used for anything")
    if _PURPOSES[purpose] in usages or ExtendedKeyUsageOID.ANY_EXTENDED_KEY_USAGE in usages:
        return Finding("purpose", "ok", f"it may be used as {purpose}")
    return Finding("purpose", "fail", f"it may not be used as {purpose}")
