"""One enrollment as the RA sees it, and the id under which people decide about it."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, field

from cipsec.pki.csr import CertificateRequest
from cipsec.pki.device import Identity


@dataclass(frozen=True, slots=True)
class Login:
    """User name and password as sent; neither is checked here, the password is never shown."""

    user: str
    password: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class UserProof:
    """What a right password proves: who, and for how many enrollments it is good, None unlimited.

    `key` is under what these are counted; another password of the same user is another key.
    """

    name: str
    uses: int | None
    key: str


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


def enrollment_id(enrollment: Enrollment, applicant: str, identity: Identity) -> str:
    """Return the id, SHA-256 in hex: of key, subject, names, device, label and `applicant`.

    Neither the signature nor the challengePassword is part of it: a device that binds its CSR to
    the TLS connection signs a new one for each poll and keeps its id. A swapped key changes it.
    `identity` is what the CSR says of its device by the rules in force.
    """
    request, digest = enrollment.request, hashlib.sha256()
    sans = sorted(request.shown_sans)
    # The MAC address can stand outside the subject, and goes into the certificate; a device that
    # the usual rules do not find stands who knows where, and goes into the record.
    unusual = [] if identity.device == request.identity.device else [str(identity.device)]
    # Other labels have other rules: what was approved at one is not approved at another.
    label = [f"label:{enrollment.label}"] if enrollment.label else []
    texts = (applicant, str(identity.mac), *sans, *unusual, *label)
    for data in (request.spki, request.subject.public_bytes(), *map(str.encode, texts)):
        # Length first, so that no two lists of parts are the same bytes.
        digest.update(len(data).to_bytes(4, "big") + data)
    return digest.hexdigest()
