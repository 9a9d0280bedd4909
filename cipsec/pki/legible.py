"""Whether all of a certificate can be read: cryptography looks at most parts when asked for them.

What `cert verify` judges may be as damaged as it likes; what is acted on may not.
"""

from __future__ import annotations

from collections.abc import Iterable

from cryptography import x509

from cipsec.errors import Malformed
from cipsec.pki.faults import UNREADABLE, why
from cipsec.pki.mistaken import see


def problem(certificate: x509.Certificate) -> str | None:
    """Return why a part of the certificate cannot be read; None where all can be."""
    try:
        certificate.public_key()
        list(certificate.extensions)
        for name in (certificate.subject, certificate.issuer):
            list(name)
        certificate.not_valid_before_utc, certificate.not_valid_after_utc  # noqa: B018  # lazy too
    except UNREADABLE as error:
        return why(error)
    return None


def require(certificates: Iterable[x509.Certificate], source: str) -> None:
    """Raise Malformed for the first that cannot be read whole; `source` names where they are."""
    for number, one in enumerate(certificates, start=1):
        if reason := problem(one):
            raise Malformed(
                f"certificate {number} in {source} cannot be read: {reason}", hint=see(source)
            )
