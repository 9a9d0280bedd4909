"""Evidence about applicants, gathered by real sources: record, vendors, lists, programs."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from cipsec.pki.csr import CertificateRequest
from cipsec.pki.identity import DEFAULT, Rules
from cipsec.ra.enrollment import Enrollment, UserProof
from cipsec.ra.evidence import Evidence, gather
from tests.support import ca
from tests.support.est import Server


def enrollment(
    asked: CertificateRequest | None = None,
    *,
    chain: Sequence[bytes] = (),
    label: str = "",
    renewal: bool = False,
    address: str = "192.0.2.7",
) -> Enrollment:
    """Return what an applicant sends, without a login."""
    return Enrollment(
        request=asked or ca.request(),
        chain=tuple(chain),
        login=None,
        label=label,
        renewal=renewal,
        address=address,
        bindings=tuple,
    )


def about(
    server: Server,
    asked: CertificateRequest | None = None,
    *,
    chain: Sequence[bytes] = (),
    user: str | UserProof | None = None,
    label: str = "",
    renewal: bool = False,
    address: str = "192.0.2.7",
    rules: Rules = DEFAULT,
    now: datetime | None = None,
) -> Evidence:
    """Return what the server finds out about an applicant; `user` gave the right password."""
    sent = enrollment(asked, chain=chain, label=label, renewal=renewal, address=address)
    proof = UserProof(user, None, f"user:{user}:0") if isinstance(user, str) else user
    return gather(sent, user=proof, rules=rules, sources=server.sources, now=now or server.now)
