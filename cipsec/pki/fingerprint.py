"""The SHA-256 of a certificate, by which people compare: made and read; comparing is one `==`."""

from __future__ import annotations

import re

from cryptography import x509
from cryptography.hazmat.primitives import hashes

from cipsec.errors import UsageError

_WRITTEN = re.compile(r"(?:sha-?256(?: fingerprint)?[:=])?((?:[0-9a-f]{2}[: ]?){31}[0-9a-f]{2})")


def sha256(certificate: x509.Certificate) -> str:
    """Return the SHA-256 of the certificate's DER in lower-case hex."""
    return certificate.fingerprint(hashes.SHA256()).hex()


def parse(text: str) -> str:
    """Read a SHA-256 as people and openssl write it; raise UsageError.

    Any case, with or without colons or spaces between bytes, with or without
    `SHA256 Fingerprint=` before it. Returned in lower-case hex.
    """
    written = _WRITTEN.fullmatch(text.strip().lower())
    if not written:
        raise UsageError(
            f"{text!r} is not a SHA-256 fingerprint", hint="it has 64 hexadecimal digits"
        )
    return re.sub(r"[: ]", "", written.group(1))
