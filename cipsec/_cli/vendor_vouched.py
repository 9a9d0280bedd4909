"""Whether certificates are a vendor's: by its fingerprints, or by a person who compares them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from cipsec import safe
from cipsec._cli import ask
from cipsec._cli.talk import Talk
from cipsec.errors import Untrusted

if TYPE_CHECKING:
    from cryptography import x509


def vouched(
    talk: Talk, certificates: Sequence[x509.Certificate], given_by: Sequence[str], *, yes: bool
) -> bool:
    """Tell whether the certificates are the vendor's: by fingerprint, `-y`, or a person.

    A fingerprint vouches for its certificate and for those that one issued. Raises Untrusted where
    a certificate has another.
    """
    from cipsec.pki import fingerprint
    from cipsec.pki.names import show_name

    if given_by:
        _check_fingerprints(certificates, [fingerprint.parse(text) for text in given_by])
        return True
    for certificate in () if yes else certificates:
        shown = f"{show_name(certificate.subject)}, SHA-256 {fingerprint.sha256(certificate)}"
        question = f"Is this CA the vendor's: {safe.text(shown)}?"
        if not ask.confirm(talk, question, option="--fingerprint SHA256, or -y"):
            return False
    return True


def _check_fingerprints(certificates: Sequence[x509.Certificate], wanted: Sequence[str]) -> None:
    from cipsec.pki import fingerprint
    from cipsec.pki.issued import directly_issued
    from cipsec.pki.names import show_name

    vouched = [c for c in certificates if fingerprint.sha256(c) in wanted]
    if len(vouched) < len(set(wanted)):
        shown = ", ".join(map(fingerprint.sha256, certificates))
        raise Untrusted(
            "a fingerprint is none of the certificates'", hint=f"those there have: {shown}"
        )
    for issuer in vouched:  # which grows meanwhile
        below = (c for c in certificates if c not in vouched and directly_issued(c, issuer))
        vouched += list(below)
    for certificate in certificates:
        if certificate not in vouched:
            subject = show_name(certificate.subject)
            hint = f"--fingerprint {fingerprint.sha256(certificate)}, if it is the vendor's"
            raise Untrusted(f"no fingerprint vouches for {subject}", hint=hint)
