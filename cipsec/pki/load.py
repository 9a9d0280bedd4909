"""Bytes as people have them to certificates and requests: PEM, DER, PKCS#7 or base64.

Whatever else the bytes turn out to be is named, with something to type; reading files and stdin is
left to the caller.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from cryptography import x509

from cipsec.errors import Malformed
from cipsec.pki import armour
from cipsec.pki.faults import UNREADABLE, why

STDIN = "stdin"  # the `source` of bytes that have no path

_MAX_OBJECTS = 1000
_MAX_LENGTH = 1 << 20  # a DER header that says more is not one
_CERTIFICATE = "certificate"
_REQUEST = "certificate signing request"
_PKCS7 = "PKCS#7"
_PKCS12 = "PKCS#12"
_PRIVATE_KEY = "private key"
_TRUSTED = "certificate in OpenSSL's trusted form"
_LABELS = {
    "CERTIFICATE": _CERTIFICATE,
    "X509 CERTIFICATE": _CERTIFICATE,
    "CERTIFICATE REQUEST": _REQUEST,
    "NEW CERTIFICATE REQUEST": _REQUEST,
    "PKCS7": _PKCS7,
    "CMS": _PKCS7,
    "TRUSTED CERTIFICATE": _TRUSTED,
    "X509 CRL": "CRL",
}
_Object = x509.Certificate | bytes | str  # a request is its DER; a str names another kind


@dataclass(frozen=True, slots=True)
class Contents:
    """What `source` holds: certificates, requests in DER, and the kinds of everything else."""

    source: str
    certificates: tuple[x509.Certificate, ...]
    requests: tuple[bytes, ...]
    others: tuple[str, ...]

    def required_certificates(self) -> list[x509.Certificate]:
        """Return the certificates; raise Malformed when there is none."""
        if not self.certificates:
            raise _instead(self, _CERTIFICATE)
        return list(self.certificates)

    def required_request(self) -> bytes:
        """Return the one request; raise Malformed when there is none, or more than one."""
        if not self.requests:
            raise _instead(self, _REQUEST)
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
    objects = list(_objects(data.removeprefix(b"\xef\xbb\xbf"), source))
    return Contents(
        source,
        tuple(value for value in objects if isinstance(value, x509.Certificate)),
        tuple(value for value in objects if isinstance(value, bytes)),
        tuple(value for value in objects if isinstance(value, str)),
    )


def _objects(data: bytes, source: str) -> Iterator[_Object]:
    if armour.is_der(data):
        yield from _from_der(data, source)
    elif b"-----BEGIN " in data:
        yield from _from_pem(data, source)
    else:
        yield from _from_base64(data, source)


def _from_pem(data: bytes, source: str) -> Iterator[_Object]:
    number = 0
    for number, block in enumerate(armour.blocks(data), start=1):
        _check_number(number, source)
        yield from _from_block(block, f"object {number} ({block.label.lower()}) in {source}")
    if data.count(b"-----BEGIN ") > number:
        raise Malformed(
            f"{source} is cut off: an object begins and does not end",
            hint="copy it whole, from the line with BEGIN to the line with END",
        )


def _from_block(block: armour.Block, place: str) -> list[_Object]:
    kind = _LABELS.get(block.label)
    if kind not in (_CERTIFICATE, _REQUEST, _PKCS7):
        is_key = block.label.endswith("PRIVATE KEY")
        return [kind or (_PRIVATE_KEY if is_key else block.label.lower())]
    try:
        return _parse(kind, armour.from_base64(block.text))
    except (*UNREADABLE, Malformed) as error:
        raise Malformed(f"{place} is damaged: {why(error)}") from None


def _from_base64(data: bytes, source: str) -> Iterator[_Object]:
    """Read text without armour: base64, as EST sends it, or something else to be named."""
    _refuse_other_text(data, source)
    try:
        der = armour.from_base64(data)
    except Malformed:
        der = b""
    if not armour.is_der(der):
        raise Malformed(f"{source} is neither PEM, DER, PKCS#7 nor base64", hint=_file(source))
    yield from _from_der(der, source)


def _refuse_other_text(data: bytes, source: str) -> None:
    """Raise Malformed for kinds of text that people give by mistake."""
    text = data[:4096].lstrip()
    if not text:
        raise Malformed(f"{source} is empty")
    if text.startswith((b"\xff\xfe", b"\xfe\xff")) or b"-\0-\0-\0" in text:
        raise Malformed(
            f"{source} is UTF-16 text, as PowerShell writes with >",
            hint=f"iconv -f UTF-16 -t ASCII {_typed(source)} -o FILE",
        )
    if text.startswith(b"<"):
        raise Malformed(
            f"{source} is HTML or XML, perhaps an error or login page",
            hint=f"look at it: head {_typed(source)}",
        )


def _from_der(data: bytes, source: str) -> Iterator[_Object]:
    for number, der in enumerate(_elements(data), start=1):
        _check_number(number, source)
        yield from _recognised(der, source)


def _elements(data: bytes) -> Iterator[bytes]:
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


def _check_number(number: int, source: str) -> None:
    if number > _MAX_OBJECTS:
        raise Malformed(f"{source} holds more than {_MAX_OBJECTS} objects", hint=_file(source))


def _recognised(der: bytes, source: str) -> list[_Object]:
    """Return what one DER object is, by trying; raise Malformed when it is nothing known."""
    for kind in (_CERTIFICATE, _REQUEST, _PKCS7):
        try:
            return _parse(kind, der)
        except UNREADABLE:
            continue
    if other := _other_der(der):
        return [other]
    if len(der) < _length(der[:8]) < _MAX_LENGTH:
        raise Malformed(f"{source} is cut off, or not in DER", hint=_file(source))
    raise Malformed(
        f"{source} is binary, and neither a certificate nor a request", hint=_file(source)
    )


def _parse(kind: str, der: bytes) -> list[_Object]:
    """Return what DER of that kind holds; raises what `cryptography` raises."""
    if kind == _CERTIFICATE:
        return [x509.load_der_x509_certificate(der)]
    if kind == _REQUEST:
        x509.load_der_x509_csr(der)
        return [der]
    from cryptography.hazmat.primitives.serialization import pkcs7

    return list(pkcs7.load_der_pkcs7_certificates(der)) or ["PKCS#7 without certificates"]


def _other_der(der: bytes) -> str | None:
    """Return the name of what is given by mistake."""
    from cryptography.hazmat.primitives import serialization

    content = 2 + (der[1] & 0x7F if der[1:2] >= b"\x80" else 0)
    if der[content : content + 4] == b"\x02\x01\x03\x30":  # version 3, then authSafe (RFC 7292)
        return _PKCS12
    try:
        serialization.load_der_private_key(der, None)
    except TypeError:
        return _PRIVATE_KEY  # it asks for its passphrase
    except UNREADABLE:
        pass
    else:
        return _PRIVATE_KEY
    for name, read in (
        ("CRL", x509.load_der_x509_crl),
        ("public key", serialization.load_der_public_key),
    ):
        try:
            read(der)
        except UNREADABLE:
            continue
        return name
    return None


def _instead(found: Contents, wanted: str) -> Malformed:
    """Return the error that says what is there in place of what was wanted."""
    kinds = [_CERTIFICATE] * bool(found.certificates) + [_REQUEST] * bool(found.requests)
    kinds += dict.fromkeys(found.others)
    return Malformed(
        f"there is no {wanted} in {found.source}, only: {', '.join(kinds)}",
        hint=_hint(kinds[0], found.source),
    )


def _hint(kind: str, source: str) -> str | None:
    typed = _typed(source)
    return {
        _CERTIFICATE: f"cipsec cert show {typed}",
        _REQUEST: f"cipsec csr show {typed}",
        _PRIVATE_KEY: f"keep it private; cipsec csr create --key {typed} makes a request with it",
        _PKCS12: f"openssl pkcs12 -in {typed} -nokeys -out FILE",
        _TRUSTED: f"openssl x509 -in {typed} -out FILE",
    }.get(kind, _file(source))


def _file(source: str) -> str | None:
    return None if source == STDIN else f"see what it is: file {_typed(source)}"


def _typed(source: str) -> str:
    """Return the source as one types it in a shell."""
    import shlex

    return "-" if source == STDIN else shlex.quote(source)
