"""Second opinions on a vendor's paths: openssl's, and that of cryptography's own verifier."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from pathlib import Path

from cryptography import x509
from cryptography.x509.verification import (
    Criticality,
    ExtensionPolicy,
    Policy,
    PolicyBuilder,
    Store,
    VerificationError,
)

from tests.support import programs
from tests.support.vendor import Party

# Any anchor, any time, and 112 bits of strength: no SHA-1, no RSA below 2048 bits.
_AS_HERE = ["-partial_chain", "-no_check_time", "-auth_level", "2"]


def openssl(folder: Path, chain: Sequence[bytes], anchors: Sequence[Party]) -> bool:
    """Tell whether `openssl verify` accepts, whatever the time and the purpose."""
    leaf, others, trusted = folder / "leaf.der", folder / "others.pem", folder / "trusted.pem"
    leaf.write_bytes(chain[0])
    others.write_bytes(b"".join(map(_pem, chain[1:])))
    trusted.write_bytes(b"".join(anchor.pem for anchor in anchors))
    untrusted = ["-untrusted", str(others)] if chain[1:] else []
    ran = programs.run(
        "openssl", "verify", *_AS_HERE, "-trusted", str(trusted), *untrusted, str(leaf)
    )
    return ran.returncode == 0


def _pem(der: bytes) -> bytes:
    from cryptography.hazmat.primitives.serialization import Encoding

    return x509.load_der_x509_certificate(der).public_bytes(Encoding.PEM)


def _signs(_: Policy, certificate: x509.Certificate, usage: x509.KeyUsage | None) -> None:
    if usage is not None and not usage.key_cert_sign:
        raise ValueError(f"{certificate.subject} may not sign")


def verifier(chain: Sequence[bytes], anchors: Sequence[Party], at: datetime) -> bool:
    """Tell whether cryptography's verifier accepts, with what is optional here switched off."""
    if not anchors:
        return False  # which a Store refuses to hold
    leaf, *others = map(x509.load_der_x509_certificate, chain)
    issuer = (
        ExtensionPolicy.permit_all()
        .require_present(x509.BasicConstraints, Criticality.AGNOSTIC, None)
        .may_be_present(x509.KeyUsage, Criticality.AGNOSTIC, _signs)
    )
    builder = (
        PolicyBuilder()
        .store(Store([anchor.certificate for anchor in anchors]))
        .time(at)
        .extension_policies(ca_policy=issuer, ee_policy=ExtensionPolicy.permit_all())
    )
    try:
        builder.build_client_verifier().verify(leaf, others)
    except VerificationError:
        return False
    return True
