"""The certificate that came: mine, of this CA, valid now, as asked? Judgement without a file."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime

from cryptography import x509

from cipsec.endpoint.folder import Draft, Issued
from cipsec.endpoint.trust import is_ca
from cipsec.errors import BadAnswer, Untrusted
from cipsec.pki import keys
from cipsec.pki.chain import verify_chain
from cipsec.pki.csr import CertificateRequest
from cipsec.pki.fingerprint import sha256
from cipsec.pki.names import same_name, sans_of, show_name, show_san
from cipsec.pki.succession import follow, link_to
from cipsec.times import show_time


def judge(
    answer: Sequence[x509.Certificate],
    known: Sequence[x509.Certificate],
    draft: Draft,
    now: datetime,
) -> Issued:
    """Return what to keep of an answer; `known` is what /cacerts hands out under `draft.anchors`.

    Some servers send the CA's certificates along; the one with our key is ours. Raises BadAnswer
    when none has it, Untrusted when it leads to no anchor or is not valid now.
    """
    mine = keys.spki(draft.key.public_key())
    leaf = next((c for c in answer if keys.spki(c.public_key()) == mine), None)
    if leaf is None:
        raise BadAnswer("the certificate received is for another key; it is not kept")
    anchors = _anchors(draft.anchors, known, now)
    try:
        path = verify_chain(leaf, [*answer, *known], anchors, now)
    except Untrusted as error:
        raise Untrusted(
            f"the certificate received is not kept: {error.message}", hint=error.hint
        ) from None
    return Issued(leaf, _above(path, known, anchors, now), anchors)


def _anchors(
    trusted: Sequence[x509.Certificate], known: Sequence[x509.Certificate], now: datetime
) -> tuple[x509.Certificate, ...]:
    """Return the anchors from now on: those that stand, and the roots that follow from them."""
    every = dict.fromkeys([*trusted, *follow(trusted, known, now).adopted])
    return tuple(c for c in every if c.not_valid_after_utc > now) or tuple(trusted)


def _above(
    path: Sequence[x509.Certificate],
    known: Sequence[x509.Certificate],
    anchors: Sequence[x509.Certificate],
    now: datetime,
) -> tuple[x509.Certificate, ...]:
    """Return the chain to present with a certificate.

    While a roll-over lasts it leads by NewWithOld to the old root: peers that know only that one
    can follow, and those that know the new one need not. The new root itself would be in the way:
    OpenSSL goes no further where it finds one that it does not trust.
    """
    joined = link_to(path[-1], known, anchors, now) if len(path) > 1 else None
    return (*path[1:-1], *joined) if joined else tuple(path[1:])


def root_news(
    trusted: Sequence[x509.Certificate], known: Sequence[x509.Certificate], now: datetime
) -> Iterator[tuple[bool, str]]:
    """Yield, for people, what became of each root that was not trusted before, and whether good."""
    found = follow(trusted, known, now)
    for root in found.adopted:
        end = show_time(root.not_valid_after_utc)
        yield True, f"the CA has a new root, trusted from now on: {_named(root)}, until {end}"
    for refused in found.refused:
        said = f"{_named(refused.root)}: {refused.reason}"
        yield False, f"the server offers a root that is not trusted: {said}"


def _named(root: x509.Certificate) -> str:
    return f"{show_name(root.subject)}, SHA-256 {sha256(root)}"


def differences(request: CertificateRequest, certificate: x509.Certificate) -> Iterator[str]:
    """Yield, for people, what the CA changed of what was asked for."""
    if is_ca(certificate):
        yield "the CA made this a CA's certificate: whoever has its key can issue others"
    if not same_name(request.subject, certificate.subject):
        got = show_name(certificate.subject) or "none"
        yield f"the CA changed the subject: {got} instead of {show_name(request.subject) or 'none'}"
    granted = {show_san(name).casefold() for name in sans_of(certificate)}
    missing = [show_san(n) for n in request.sans if show_san(n).casefold() not in granted]
    if missing:
        yield f"the CA left out alternative names: {', '.join(missing)}"
