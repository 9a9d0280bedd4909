"""Certificates and revocation lists as `cert show` prints them: records for people, or as JSON."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import TYPE_CHECKING

from cipsec._cli import lines
from cipsec._cli.talk import Talk

if TYPE_CHECKING:
    from cryptography import x509

    Certificates = Sequence[x509.Certificate]
    Lists = Sequence[x509.CertificateRevocationList]


def document(certificates: Certificates, crls: Lists, now: datetime) -> dict[str, object]:
    """Return the JSON object; its keys are there also where nothing is."""
    from cipsec.pki.describe import certificate
    from cipsec.pki.describe_crl import revocation_list

    return {
        "certificates": [certificate(one, now) for one in certificates],
        "crls": [revocation_list(one, now) for one in crls],
    }


def show(talk: Talk, certificates: Certificates, crls: Lists, now: datetime) -> None:
    """Print them for people, numbered where there are several, an empty line between them."""
    from cipsec.pki.describe import certificate
    from cipsec.pki.describe_crl import revocation_list

    kinds = {
        "certificate": [certificate(one, now) for one in certificates],
        "CRL": [revocation_list(one, now) for one in crls],
    }
    first = True
    for kind, records in kinds.items():
        for number, record in enumerate(records, start=1):
            if not first:
                talk.line("")
            first = False
            several = len(records) > 1 or kind == "CRL"
            counted = {kind: f"{number} of {len(records)}"} if several else {}
            talk.fields(kind, {**counted, **lines.of(record)})
