"""One enrollment as the RA sees it, and the id under which people decide about it."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, field

from cipsec.pki import names
from cipsec.pki.csr import CertificateRequest


@dataclass(frozen=True, slots=True)
class Login:
    """User name and password as sent; neither is checked here, the password is never shown."""

    user: str
    password: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class Enrollment:
    """What an applicant sends: a CSR, over a TLS connection, perhaps with a login.

    `chain` is what the TLS client presented, in DER, leaf first, unverified but for the possession
    of the leaf's key. `renewal` tells /simplereenroll from /simpleenroll. `bindings` computes the
    connection's channel bindings.
    """

    request: CertificateRequest
    chain: tuple[bytes, ...]
    login: Login | None
    label: str
    renewal: bool
    address: str
    bindings: Callable[[], tuple[bytes, ...]]


def enrollment_id(request: CertificateRequest, applicant: str) -> str:
    """Return the id, SHA-256 in hex: of key, subject, names, MAC address and `applicant`.

    Neither the signature nor the challengePassword is part of it: a device that binds its CSR to
    the TLS connection signs a new one for each poll and keeps its id. A swapped key changes it.
    """
    digest = hashlib.sha256()
    sans = sorted(names.show_san(name) for name in request.sans)
    # The MAC address can stand outside the subject, and goes into the certificate.
    texts = (applicant, str(request.identity.mac), *sans)
    for data in (request.spki, request.subject.public_bytes(), *map(str.encode, texts)):
        # Length first, so that no two lists of parts are the same bytes.
        digest.update(len(data).to_bytes(4, "big") + data)
    return digest.hexdigest()
