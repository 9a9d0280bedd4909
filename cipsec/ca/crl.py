"""Complete revocation lists, version 2 (RFC 5280 section 5), encoded piece by piece.

CertificateRevocationListBuilder takes twice as long for 100,000 entries, a third of it in one
call that lets no other thread run; `hazmat.asn1` is done with a piece in less than a millisecond,
and between two of them whoever answers devices has its turn. What is revoked, and the number of the
list, are for the caller to say; signing is left to `tbs` and `authority`.
"""

from __future__ import annotations

import itertools
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from urllib.parse import urlsplit

from cryptography import x509
from cryptography.hazmat import asn1

from cipsec.ca.tbs import Encoder, Extension, asn1_time
from cipsec.pki import der

_V2 = b"\x02\x01\x01"
_ENUMERATED, _SEQUENCE = 0x0A, 0x30
_EXTENSIONS = 0xA0  # [0] EXPLICIT
_PIECE = 250  # entries: a third of a millisecond
_REST_SECONDS = 0.0002

# RFC 5280 section 5.3.1; unspecified is said by leaving the extension out.
_CODES = {
    "keyCompromise": 1,
    "affiliationChanged": 3,
    "superseded": 4,
    "cessationOfOperation": 5,
    "privilegeWithdrawn": 9,
}


@dataclass(frozen=True, slots=True)
class Entry:
    """One certificate that is revoked; `reason` is a name of RFC 5280 section 5.3.1."""

    serial: int
    revoked_at: datetime
    reason: str


@dataclass(frozen=True, slots=True)
class Terms:
    """What a list says of itself: its number, and from when until when it is the current one."""

    number: int
    this_update: datetime
    next_update: datetime


@asn1.sequence
class _Entry:
    serial: int
    revoked_at: asn1.UTCTime | asn1.GeneralizedTime
    extensions: list[Extension] | None


@asn1.sequence
class _Piece:
    entries: list[_Entry]


@asn1.sequence
class _Extensions:
    key_identifier: Extension
    number: Extension


def place(url: str, mark: str) -> str:
    """Return where the list of one root is, of those that `url` stands for.

    A list that another key signed is taken by few (RFC 5280 section 6.3.3 (f)), and what was issued
    before a roll-over names the URL of then. So what a root issues beside an older one that is kept
    names a URL of its own, with `mark` in the last part of its path; without a mark it is `url`.
    """
    if not mark:
        return url
    parts = urlsplit(url)
    folder, _, name = parts.path.rpartition("/")
    stem, dot, form = (name or "ca.crl").rpartition(".")
    marked = f"{stem}-{mark}.{form}" if dot else f"{form}-{mark}"
    return parts._replace(path=f"{folder}/{marked}").geturl()


def encoded(entries: Iterable[Entry]) -> bytes:
    """Return the entries in DER one after the other, as every list of these CAs has them.

    Rests between the pieces: 100,000 take a third of a second, of a thread of their own.
    """
    return b"".join(map(_piece, _pieces(entries)))


def _pieces(entries: Iterable[Entry]) -> Iterator[list[Entry]]:
    source = iter(entries)
    while piece := list(itertools.islice(source, _PIECE)):
        yield piece
        time.sleep(_REST_SECONDS)


def _piece(entries: list[Entry]) -> bytes:
    whole = asn1.encode_der(_Piece(entries=[_entry(one) for one in entries]))
    return der.content(der.content(whole))  # of the SEQUENCE OF in the SEQUENCE


def _entry(one: Entry) -> _Entry:
    code = _CODES.get(one.reason)
    extensions = None
    if code is not None:
        value = bytes([_ENUMERATED, 1, code])
        extensions = [Extension(oid=x509.CRLReason.oid, critical=False, value=value)]
    return _Entry(serial=one.serial, revoked_at=asn1_time(one.revoked_at), extensions=extensions)


def signed(encoder: Encoder, key_identifier: Extension, revoked: bytes, terms: Terms) -> bytes:
    """Return the complete list in DER; `revoked` is what `encoded` made, empty for nobody."""
    number = asn1.encode_der(terms.number)
    extensions = _Extensions(
        key_identifier=key_identifier,
        number=Extension(oid=x509.CRLNumber.oid, critical=False, value=number),
    )
    parts = [
        _V2,
        encoder.algorithm,
        encoder.issuer,
        asn1.encode_der(asn1_time(terms.this_update)),
        asn1.encode_der(asn1_time(terms.next_update)),
        der.element(_SEQUENCE, revoked) if revoked else b"",  # section 5.1.2.6: absent, not empty
        der.element(_EXTENSIONS, asn1.encode_der(extensions)),
    ]
    tbs = der.element(_SEQUENCE, *parts)
    signature = asn1.encode_der(asn1.BitString(encoder.sign(tbs), 0))
    return der.element(_SEQUENCE, tbs, encoder.algorithm, signature)
