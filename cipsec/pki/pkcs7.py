"""PKCS#7 (RFC 2315, RFC 5652) as a bag of certificates and revocation lists: opened, in DER or BER,
and filled, in DER.

Signatures over content are not looked at: these are files that carry a chain, or a device's lists.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from cryptography import x509

from cipsec.pki import ber
from cipsec.pki.der import element

_OID, _SEQUENCE, _EXPLICIT, _CERTIFICATES, _CRLS = 0x06, 0x30, 0xA0, 0xA0, 0xA1
_DATA = bytes.fromhex("2a864886f70d010701")
_SIGNED = bytes.fromhex("2a864886f70d010702")
_CONTENT_TYPES = {
    bytes.fromhex("2a864886f70d010703"): "PKCS#7 that is encrypted",
    _DATA: "PKCS#7 that holds mere data",
}
# What SignedData has beside its bag (RFC 5652 section 5.1): version 1, no digest algorithms and no
# content before it, no signers after it.
_BEFORE = bytes.fromhex("020101 3100") + element(_SEQUENCE, element(_OID, _DATA))
_AFTER = bytes.fromhex("3100")
_NO_CERTIFICATES = "no certificate data"


def certificates(data: bytes) -> list[x509.Certificate]:
    """Return the certificates, none where there are only lists; raises what `cryptography` does."""
    from cryptography.hazmat.primitives.serialization import pkcs7

    try:
        return list(pkcs7.load_der_pkcs7_certificates(data))
    except ValueError as error:
        if _NO_CERTIFICATES in str(error) and _content_type(data) == _SIGNED:
            return []
        raise


def of_certificates(certificates: Iterable[bytes]) -> bytes:
    """Return a bag of certificates in DER, which go in as they are (certs-only, RFC 5272).

    cryptography would parse each one to write it again: three quarters of the time.
    """
    return _filled(_CERTIFICATES, certificates)


def of_lists(lists: Iterable[bytes]) -> bytes:
    """Return a bag of revocation lists in DER, which may be megabytes long."""
    return _filled(_CRLS, lists)


def _filled(tag: int, held: Iterable[bytes]) -> bytes:
    bag = element(tag, *sorted(held))  # sorted: a SET, in DER
    signed = element(_SEQUENCE, _BEFORE, bag, _AFTER)
    return element(_SEQUENCE, element(_OID, _SIGNED), element(_EXPLICIT, signed))


def lists(data: bytes) -> list[x509.CertificateRevocationList]:
    """Return the revocation lists in signed data (RFC 5652 section 5.1); raise ValueError."""
    return [x509.load_der_x509_crl(der) for der in _lists(data)]


def unread_lists(data: bytes) -> list[bytes] | None:
    """Return the revocation lists in DER, None for what is no signed data; raise ValueError."""
    return list(_lists(data)) if _content_type(data) == _SIGNED else None


def other_kind(data: bytes) -> str | None:
    """Return the name of PKCS#7 that carries no certificates."""
    return _CONTENT_TYPES.get(_content_type(data) or b"")


def _content_type(data: bytes) -> bytes | None:
    try:
        outer = next(ber.elements(data))
        first = next(ber.inside(data, outer))
    except (ValueError, StopIteration):
        return None
    return data[first.start : first.end] if first.tag == _OID else None


def _lists(data: bytes) -> Iterator[bytes]:
    """Yield the lists among the parts of SignedData."""
    for content in ber.inside(data, next(ber.elements(data))):
        if content.tag != _EXPLICIT:
            continue
        for signed in ber.inside(data, content):
            for part in ber.inside(data, signed):
                if part.tag == _CRLS:
                    found = ber.inside(data, part)
                    yield from (data[e.at : e.after] for e in found if e.tag == _SEQUENCE)
