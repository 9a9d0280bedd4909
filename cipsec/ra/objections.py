"""What no rule can allow: requests that are refused whatever the policy says, and why."""

from __future__ import annotations

import base64
import binascii
import hmac
from collections.abc import Callable, Iterable

from cryptography import x509
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from cipsec.ca.profile import kept
from cipsec.pki.csr import MOST_NAMES, CertificateRequest
from cipsec.ra.evidence import Evidence

_USAGES = frozenset({ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH})


def to_request(request: CertificateRequest, own_names: Iterable[str]) -> str | None:
    """Return why the CSR asks for what no endpoint gets; `own_names` are the EST server's."""
    return (
        _asks_too_much(request)
        or _names_nothing(request)
        or _wants_ca(request)
        or _wants_usages(request)
        or _wants_server_name(request, frozenset(own_names))
    )


def _asks_too_much(request: CertificateRequest) -> str | None:
    """Each name is compared with all that are held: a thousand would stop the server."""
    common = request.subject.get_attributes_for_oid(NameOID.COMMON_NAME)
    for names, kind in ((request.sans, "alternative"), (common, "common")):
        if len(names) > MOST_NAMES:
            return f"the CSR asks for {len(names)} {kind} names, {MOST_NAMES} are the most"
    return None


def _names_nothing(request: CertificateRequest) -> str | None:
    if list(request.subject) or kept(request.sans):
        return None
    return "the CSR has neither a subject nor a DNS name or IP address"


def _wants_ca(request: CertificateRequest) -> str | None:
    for extension in request.extensions:
        match extension.value:
            case x509.BasicConstraints(ca=True):
                return "the CSR asks for a CA certificate"
            case x509.KeyUsage() as usage if usage.key_cert_sign or usage.crl_sign:
                return "the CSR asks for the right to sign certificates or CRLs"
    return None


def _wants_usages(request: CertificateRequest) -> str | None:
    for extension in request.extensions:
        if isinstance(extension.value, x509.ExtendedKeyUsage):
            foreign = [oid.dotted_string for oid in extension.value if oid not in _USAGES]
            if foreign:
                return f"the CSR asks for the extended key usage {foreign[0]}"
    return None


def _wants_server_name(request: CertificateRequest, own_names: frozenset[str]) -> str | None:
    """A certificate for the EST server's own name would let its holder pose as the server."""
    for name in request.shown_sans:
        if name.startswith("dns:") and "*" in name:
            return f"the CSR asks for the wildcard {name}"
        if name.rstrip(".").casefold() in own_names:
            return f"the CSR asks for this server's own name, {name}"
    # Clients that find no dNSName fall back to the common name (RFC 6125 section 6.4.4).
    for attribute in request.subject.get_attributes_for_oid(x509.NameOID.COMMON_NAME):
        # Bytes only in odd string types; up to a NUL, as a client in C reads it.
        name = str(attribute.value).partition("\0")[0].rstrip(".").casefold()
        if name.startswith("*."):
            return f"the CSR asks for the wildcard CN={name}"
        if f"dns:{name}" in own_names or f"ip:{name}" in own_names:
            return f"the CSR asks for this server's own name, CN={name}"
    return None


def to_evidence(evidence: Evidence) -> str | None:
    """Return why CSR and TLS client certificate contradict each other or themselves, if they do."""
    shown, asked = evidence.presented, evidence.asked
    if asked.conflict:
        return f"the CSR {asked.conflict}"
    if shown.reading.conflict:
        return f"the client certificate {shown.reading.conflict}"
    if not asked.identity.agrees(shown.reading.identity):
        return f"the CSR names device {asked.identity}, the certificate {shown.reading.identity}"
    if evidence.enrollment.renewal and shown.own and not evidence.same_names:
        # RFC 7030 section 4.2.2.
        return f"a renewal must keep the names of certificate {shown.own}"
    return evidence.no_renewal if evidence.enrollment.renewal else None


def to_change(request: CertificateRequest) -> str | None:
    """Return why the CSR's ChangeSubjectName is not heeded (RFC 7030 section 4.2.2), if present.

    Who asks for new names and gets a certificate for the old ones would not notice.
    """
    if not request.changes_names:
        return None
    return "the CSR asks for other names by ChangeSubjectName; ask for them by /simpleenroll"


def to_binding(
    request: CertificateRequest, bindings: Callable[[], tuple[bytes, ...]]
) -> str | None:
    """Return why the challengePassword is not this connection's channel binding, if present.

    RFC 7030 section 3.5: tls-unique in base64; tls-exporter (RFC 9266) where it is defined.
    """
    if request.challenge is None:
        return None
    try:
        given = base64.b64decode(request.challenge, validate=True)
    except (binascii.Error, ValueError):
        given = b""
    if any(hmac.compare_digest(given, binding) for binding in bindings()):
        return None
    return (
        "the challengePassword in the CSR is not this TLS connection's channel binding"
        " (RFC 7030 section 3.5); leave it out, or sign the CSR on the connection that sends it"
    )
