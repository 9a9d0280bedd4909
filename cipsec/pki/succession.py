"""Which roots follow from those that are trusted: by the link that the older key signed.

RFC 7030 section 4.1.3 lets a client take up every root that its authenticated EST server hands out.
That would let whoever has the server's key, which is in use all day, plant a CA for ever. A root
comes in by NewWithOld (RFC 4210 section 4.4), made with the key that was trusted before; or above
an issuing CA that is trusted already. What is done with the roots is left to the caller.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

from cryptography import x509

from cipsec.errors import Untrusted
from cipsec.pki import keys
from cipsec.pki.chain import verify_chain
from cipsec.pki.faults import UNREADABLE, why
from cipsec.pki.issued import directly_issued, is_root, is_self_issued
from cipsec.pki.names import show_name
from cipsec.pki.path import anchor, weak_signature

_MOST = 100  # certificates that are looked at: a CA hands out a handful


@dataclass(frozen=True, slots=True)
class Refused:
    """A root that is not taken up, and why."""

    root: x509.Certificate
    reason: str


@dataclass(frozen=True, slots=True)
class Followed:
    """The roots that follow from trusted ones, and those that do not."""

    adopted: tuple[x509.Certificate, ...]
    refused: tuple[Refused, ...]


def follow(
    trusted: Sequence[x509.Certificate], offered: Sequence[x509.Certificate], now: datetime
) -> Followed:
    """Sort the roots in `offered` that are not yet `trusted`.

    Several in a row are followed too: who slept through one roll-over learns of it with the next.
    """
    known = list(dict.fromkeys(offered))[:_MOST]
    waiting = [c for c in known if c not in trusted and _is_root(c)]
    adopted: list[x509.Certificate] = []
    reasons: dict[x509.Certificate, str] = {}
    while True:
        anchors = [*trusted, *adopted]
        reasons = {root: _objection(root, known, anchors, now) or "" for root in waiting}
        found = [root for root in waiting if not reasons[root]]
        if not found:
            break
        adopted += found
        waiting = [root for root in waiting if reasons[root]]
    return Followed(tuple(adopted), tuple(Refused(root, reasons[root]) for root in waiting))


def link_to(
    root: x509.Certificate,
    offered: Iterable[x509.Certificate],
    trusted: Sequence[x509.Certificate],
    now: datetime,
) -> tuple[x509.Certificate, x509.Certificate] | None:
    """Return the link by which `root` follows from another that is trusted, and that one."""
    for link in offered:
        if _is_for(link, root):
            try:
                return link, _signer(link, root, [c for c in trusted if c != root], now)
            except Untrusted:
                continue
    return None


def _is_root(certificate: x509.Certificate) -> bool:
    try:
        return is_root(certificate)
    except UNREADABLE:
        return False


def _objection(
    root: x509.Certificate,
    offered: Sequence[x509.Certificate],
    trusted: Sequence[x509.Certificate],
    now: datetime,
) -> str | None:
    """Return why a root is not taken up; None where it is."""
    try:
        _check_ca(root)
        # Its key too: with a chosen exponent anybody makes one that fits a signature that is there.
        anchor(root)
        verify_chain(root, (), [root], now)  # its own time
    except (Untrusted, *UNREADABLE) as error:
        return error.message if isinstance(error, Untrusted) else why(error)
    if any(not is_self_issued(c) and directly_issued(c, root) for c in trusted):
        return None
    reason = "no certificate joins it with a CA that is trusted"
    for link in offered:
        if not _is_for(link, root):
            continue
        try:
            _signer(link, root, trusted, now)
        except Untrusted as error:
            reason = f"the certificate that is to join it proves nothing: {error.message}"
        else:
            return None
    return reason


def _is_for(link: x509.Certificate, root: x509.Certificate) -> bool:
    """Tell whether a certificate is another one for the root's key."""
    try:
        return link != root and keys.spki(link.public_key()) == keys.spki(root.public_key())
    except UNREADABLE:
        return False


def _signer(
    link: x509.Certificate,
    root: x509.Certificate,
    trusted: Sequence[x509.Certificate],
    now: datetime,
) -> x509.Certificate:
    """Return the trusted certificate that signed a good NewWithOld; raise Untrusted."""
    try:
        names = {c.public_bytes() for c in (link.subject, link.issuer, root.subject)}
        if len(names) != 1:
            raise Untrusted(f"it is for {show_name(link.subject)}, issued by another name")
        if weak := weak_signature(link):
            raise Untrusted(weak)
        _check_ca(link)
        path = verify_chain(link, (), trusted, now)
    except UNREADABLE as error:
        raise Untrusted(f"it cannot be read: {why(error)}") from None
    return path[-1]


def _check_ca(certificate: x509.Certificate) -> None:
    """Raise Untrusted for what may not sign certificates."""
    name, extensions = show_name(certificate.subject), certificate.extensions
    try:
        constraints = extensions.get_extension_for_class(x509.BasicConstraints).value
    except x509.ExtensionNotFound:
        raise Untrusted(f"{name} is not a CA") from None
    if not constraints.ca:
        raise Untrusted(f"{name} is not a CA")
    try:
        usage = extensions.get_extension_for_class(x509.KeyUsage).value
    except x509.ExtensionNotFound:
        return
    if not usage.key_cert_sign:
        raise Untrusted(f"{name} may not sign certificates")
