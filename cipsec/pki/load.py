"""Bytes as people have them to certificates, requests and lists: PEM, DER, PKCS#7 or base64.

Whatever else the bytes turn out to be is named, by `pki.mistaken`; opening PKCS#12 is left to
`pki.pkcs12`, reading files and stdin to the caller.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from cryptography import x509

from cipsec.errors import Malformed
from cipsec.pki import armour
from cipsec.pki.faults import UNREADABLE, why
from cipsec.pki.mistaken import (
    CERTIFICATE,
    CRL,
    PKCS7,
    PKCS12,
    REQUEST,
    STDIN,
    instead,
    of_label,
    other_der,
    refuse_beginning,
    refuse_text,
    see,
)

__all__ = ["MAX_OBJECTS", "STDIN", "Contents", "certificates", "contents", "elements", "request"]

MAX_OBJECTS = 1000
_MAX_LENGTH = 1 << 20  # a DER header that says more is not one
_AGAIN = "copy it again, whole, from the line with BEGIN to the line with END"


@dataclass(frozen=True, slots=True)
class _Request:
    """A request in DER."""

    der: bytes


@dataclass(frozen=True, slots=True)
class _Locked:
    """PKCS#12, not opened."""

    der: bytes


_List = x509.CertificateRevocationList
_Object = x509.Certificate | _List | _Request | _Locked | str  # a str names another kind


@dataclass(frozen=True, slots=True)
class Contents:
    """What `source` holds: certificates, requests in DER, lists, and the kinds of everything else.

    `archives` is PKCS#12 in DER, to be opened by who knows the passphrase; its kind is among
    `others` as well.
    """

    source: str
    certificates: tuple[x509.Certificate, ...] = ()
    requests: tuple[bytes, ...] = ()
    crls: tuple[x509.CertificateRevocationList, ...] = ()
    archives: tuple[bytes, ...] = ()
    others: tuple[str, ...] = ()

    def kinds(self) -> list[str]:
        """Return the kinds of everything here, each once."""
        known = [CERTIFICATE] * bool(self.certificates) + [REQUEST] * bool(self.requests)
        return [*known, *[CRL] * bool(self.crls), *dict.fromkeys(self.others)]

    def required_certificates(self) -> list[x509.Certificate]:
        """Return the certificates; raise Malformed when there is none."""
        if not self.certificates:
            raise instead(self.kinds(), CERTIFICATE, self.source)
        return list(self.certificates)

    def required_request(self) -> bytes:
        """Return the one request; raise Malformed when there is none, or more than one."""
        if not self.requests:
            raise instead(self.kinds(), REQUEST, self.source)
        if len(self.requests) > 1:
            raise Malformed(
                f"{self.source} holds {len(self.requests)} certificate signing requests",
                hint="put each into a file of its own",
            )
        return self.requests[0]


def certificates(data: bytes, source: str) -> list[x509.Certificate]:
    """Return all certificates in `data`, in order; raise Malformed when there is none.

    `source` names the bytes in messages: a path, or STDIN.
    """
    return contents(data, source).required_certificates()


def request(data: bytes, source: str) -> bytes:
    """Return the one certificate signing request in `data` as DER; raise Malformed otherwise."""
    return contents(data, source).required_request()


def contents(data: bytes, source: str) -> Contents:
    """Return everything `data` holds; raise Malformed for what cannot be told or is damaged."""
    objects = list(_counted(_objects(data.removeprefix(b"\xef\xbb\xbf"), source), source))
    archives = tuple(value.der for value in objects if isinstance(value, _Locked))
    return Contents(
        source,
        tuple(value for value in objects if isinstance(value, x509.Certificate)),
        tuple(value.der for value in objects if isinstance(value, _Request)),
        tuple(value for value in objects if isinstance(value, _List)),
        archives,
        (*[PKCS12] * len(archives), *(value for value in objects if isinstance(value, str))),
    )


def _counted(objects: Iterable[_Object], source: str) -> Iterator[_Object]:
    """Yield them, those in PKCS#7 one by one; raise Malformed for too many to be judged."""
    for number, value in enumerate(objects, start=1):
        if number > MAX_OBJECTS:
            raise Malformed(f"{source} holds more than {MAX_OBJECTS} objects", hint=see(source))
        yield value


def _objects(data: bytes, source: str) -> Iterator[_Object]:
    refuse_beginning(data, source)  # an archive may hold PEM as it is
    if armour.is_der(data):
        yield from _from_der(data, source)
    elif b"-----BEGIN " in data:
        yield from _from_pem(data, source)
    else:
        yield from _from_base64(data, source)


def _from_pem(data: bytes, source: str) -> Iterator[_Object]:
    number = 0
    for number, block in enumerate(armour.blocks(data), start=1):
        yield from _from_block(block, f"object {number} ({block.label.lower()}) in {source}")
    if data.count(b"-----BEGIN ") > number:
        raise Malformed(
            f"{source} is cut off: an object begins and does not end",
            hint="copy it whole, from the line with BEGIN to the line with END",
        )


def _from_block(block: armour.Block, place: str) -> list[_Object]:
    kind = of_label(block.label)
    if kind not in _READERS:
        return [kind]
    try:
        der = armour.from_base64(block.text)
    except Malformed as error:
        raise Malformed(f"{place} is damaged: {why(error)}", hint=_AGAIN) from None
    try:
        return _READERS[kind](der)
    except UNREADABLE as error:
        _refuse_label(der, kind, place)
        raise Malformed(f"{place} is damaged: {why(error)}", hint=_AGAIN) from None


def _refuse_label(der: bytes, kind: str, place: str) -> None:
    """Raise Malformed where something good has the label of another kind."""
    held = next((other for other in _READERS if _is(other, der)), None) or other_der(der)
    if held and held != kind:
        raise Malformed(
            f"{place} is not what its label says: it is a {held}",
            hint=f"write {_LABEL_OF.get(held, held.upper())} into its lines BEGIN and END",
        )


_LABEL_OF = {REQUEST: "CERTIFICATE REQUEST", CRL: "X509 CRL", PKCS7: "PKCS7", PKCS12: "PKCS12"}


def _is(kind: str, der: bytes) -> bool:
    try:
        return bool(_READERS[kind](der))
    except UNREADABLE:
        return False


def _from_base64(data: bytes, source: str) -> Iterator[_Object]:
    """Read text without armour: base64, as EST sends it, or something else to be named."""
    refuse_text(data, source)
    try:
        der = armour.from_base64(data)
    except Malformed:
        der = b""
    if not armour.is_der(der):
        raise Malformed(f"{source} is neither PEM, DER, PKCS#7 nor base64", hint=see(source))
    yield from _from_der(der, source)


def _from_der(data: bytes, source: str) -> Iterator[_Object]:
    for der in elements(data):
        yield from _recognised(der, source)


def elements(data: bytes) -> Iterator[bytes]:
    """Yield DER objects that stand one after the other; white space at the end is none."""
    start = 0
    while data[start : start + 2].strip():
        end = start + _length(data[start : start + 8])
        yield data[start:end]
        start = end


def _length(head: bytes) -> int:
    """Return the length of a DER element with its header; one that has no end has no limit."""
    octets = head[1] & 0x7F if len(head) > 1 else 0
    if len(head) < 2 or head[1] == 0x80 or head[1] > 0x84:
        return 1 << 62
    if head[1] < 0x80:
        return 2 + octets
    return 2 + octets + int.from_bytes(head[2 : 2 + octets], "big")


def _recognised(der: bytes, source: str) -> list[_Object]:
    """Return what one DER object is, by trying; raise Malformed when it is nothing known."""
    for read in _READERS.values():
        try:
            return read(der)
        except UNREADABLE:
            continue
    if other := other_der(der):
        return [other]
    if len(der) < _length(der[:8]) < _MAX_LENGTH:
        raise Malformed(f"{source} is cut off, or not in DER", hint=see(source))
    raise Malformed(
        f"{source} is binary, and neither a certificate nor a request", hint=see(source)
    )


def _certificate(der: bytes) -> list[_Object]:
    return [x509.load_der_x509_certificate(der)]


def _request(der: bytes) -> list[_Object]:
    x509.load_der_x509_csr(der)
    return [_Request(der)]


def _crl(der: bytes) -> list[_Object]:
    return [x509.load_der_x509_crl(der)]


def _pkcs7(der: bytes) -> list[_Object]:
    from cipsec.pki import pkcs7

    return [*pkcs7.certificates(der), *pkcs7.lists(der)] or ["PKCS#7 without certificates"]


def _pkcs12(der: bytes) -> list[_Object]:
    from cipsec.pki import pkcs12

    if not pkcs12.is_archive(der):
        raise ValueError("it does not begin as PKCS#12")
    return [_Locked(der)]


# What DER of each kind holds; they raise what `cryptography` raises.
_READERS = {
    CERTIFICATE: _certificate,
    REQUEST: _request,
    CRL: _crl,
    PKCS7: _pkcs7,
    PKCS12: _pkcs12,
}
