"""The certificate that came: mine, of this CA, valid now, as asked? Judgement without a file."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime

from cryptography import x509

from cipsec.endpoint.folder import Draft, Issued
from cipsec.endpoint.trust import is_ca
from cipsec.errors import BadAnswer, Untrusted
from cipsec.pki import keys
from cipsec.pki.chain import directly_issued, verify_chain
from cipsec.pki.csr import CertificateRequest
from cipsec.pki.names import same_name, sans_of, show_name, show_san


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
    return Issued(leaf, tuple(path[1:]), anchors)


def _anchors(
    trusted: Sequence[x509.Certificate], known: Sequence[x509.Certificate], now: datetime
) -> tuple[x509.Certificate, ...]:
    """Return the anchors from now on: those that stand, and the roots of the authenticated CA.

    RFC 7030 section 4.1.3: how the next root of a CA reaches its endpoints before it is used.
    """
    roots = (c for c in known if is_ca(c) and directly_issued(c, c))
    every = dict.fromkeys([*trusted, *roots])
    return tuple(c for c in every if c.not_valid_after_utc > now) or tuple(trusted)


def differences(request: CertificateRequest, certificate: x509.Certificate) -> Iterator[str]:
    """Yield, for people, what the CA changed of the names asked for."""
    if not same_name(request.subject, certificate.subject):
        got = show_name(certificate.subject) or "none"
        yield f"the CA changed the subject: {got} instead of {show_name(request.subject) or 'none'}"
    granted = {show_san(name).casefold() for name in sans_of(certificate)}
    missing = [show_san(n) for n in request.sans if show_san(n).casefold() not in granted]
    if missing:
        yield f"the CA left out alternative names: {', '.join(missing)}"
