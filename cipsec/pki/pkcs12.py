"""PKCS#12 (RFC 7292): the certificates in it, behind a passphrase; its key is never handed out.

Asking for the passphrase is left to the caller.
"""

from __future__ import annotations

import contextlib
from dataclasses import dataclass

from cryptography import x509

from cipsec.errors import Locked, Malformed
from cipsec.pki import rounds
from cipsec.pki.faults import UNREADABLE
from cipsec.pki.mistaken import typed

_VERSION = b"\x02\x01\x03\x30"  # version 3, then authSafe
_MAX_SIZE = 1 << 20  # bytes; a store with the CAs of the whole world is a quarter of it
_MAX_PASSPHRASE = 1023  # bytes, as OpenSSL has it


@dataclass(frozen=True, slots=True)
class Archive:
    """The certificates, that of the key first, and whether there is a key."""

    certificates: tuple[x509.Certificate, ...]
    has_key: bool


def is_archive(der: bytes) -> bool:
    """Tell PKCS#12 by how it begins."""
    content = 2 + (der[1] & 0x7F if der[1:2] > b"\x80" else 0)
    return der[content : content + 4] == _VERSION


def read(der: bytes, source: str, passphrase: str | None) -> Archive:
    """Open PKCS#12; None tries without a passphrase, and with an empty one.

    Raises Locked where that does not open it, and Malformed for what would take minutes to try,
    or forever: how often a passphrase is to be hashed is written in the file.
    """
    from cryptography.hazmat.primitives.serialization import pkcs12

    check(der, source)
    tried = [None, b""] if passphrase is None else [passphrase.encode()[:_MAX_PASSPHRASE]]
    for word in tried:
        with contextlib.suppress(*UNREADABLE):
            found = pkcs12.load_pkcs12(der, word)
            first = [found.cert] if found.cert else []
            every = [held.certificate for held in (*first, *found.additional_certs)]
            return Archive(tuple(every), found.key is not None)
    if passphrase is None:
        raise Locked(f"{source} needs its passphrase", hint="add --passphrase-file FILE")
    raise Locked(
        f"this passphrase does not open {source}, or it is damaged",
        hint=f"try another, or see: {_by_openssl(source)}",
    )


def check(der: bytes, source: str) -> None:
    """Raise Malformed for PKCS#12 that is too large, damaged, or would take forever to open."""
    if len(der) > _MAX_SIZE:
        raise Malformed(
            f"{source} is PKCS#12 of more than {_MAX_SIZE} bytes, which is not opened",
            hint=_by_openssl(source),
        )
    try:
        rounds.check(der, source, f"if you made it: {_by_openssl(source)}")
    except ValueError:
        raise Malformed(
            f"{source} begins as PKCS#12 and is damaged", hint=_by_openssl(source)
        ) from None


def _by_openssl(source: str) -> str:
    return f"openssl pkcs12 -info -noout -in {typed(source)}"
