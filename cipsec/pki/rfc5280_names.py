"""Names in a certificate by RFC 5280 section 4.1.2.4 and appendix A: string types and lengths.

Alternative names are left to `pki.rfc5280_extensions`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from cryptography import x509
from cryptography.x509.oid import NameOID

from cipsec.pki import der
from cipsec.pki.anatomy import Attribute
from cipsec.pki.lints import Check, Remark, Specimen

_UTF8, _PRINTABLE, _IA5 = 0x0C, 0x13, 0x16
_OUTDATED = {0x14: "TeletexString", 0x1E: "BMPString"}
_TYPES = {_UTF8: "UTF8String", _PRINTABLE: "PrintableString", _IA5: "IA5String", **_OUTDATED}
_DIRECTORY_STRING = frozenset({_UTF8, _PRINTABLE, *_OUTDATED})
_PRINTABLE_ONLY = frozenset({NameOID.COUNTRY_NAME, NameOID.SERIAL_NUMBER, NameOID.DN_QUALIFIER})
_IA5_ONLY = frozenset({NameOID.EMAIL_ADDRESS, NameOID.DOMAIN_COMPONENT})
_DIRECTORY = {
    NameOID.COMMON_NAME: ("the common name", 64),
    NameOID.ORGANIZATION_NAME: ("the organization", 64),
    NameOID.ORGANIZATIONAL_UNIT_NAME: ("the organizational unit", 64),
    NameOID.TITLE: ("the title", 64),
    NameOID.LOCALITY_NAME: ("the locality", 128),
    NameOID.STATE_OR_PROVINCE_NAME: ("the state or province", 128),
    NameOID.PSEUDONYM: ("the pseudonym", 128),
}
_OTHERS = {
    NameOID.COUNTRY_NAME: ("the country", 2),
    NameOID.SERIAL_NUMBER: ("serialNumber", 64),
    NameOID.DN_QUALIFIER: ("dnQualifier", 1 << 20),
    NameOID.EMAIL_ADDRESS: ("the e-mail address", 255),
    NameOID.DOMAIN_COMPONENT: ("the domain component", 1 << 20),
}
_KNOWN = {oid.dotted_string: (oid, *limits) for oid, limits in (_DIRECTORY | _OTHERS).items()}


def _issuer(looked_at: Specimen) -> Iterator[Remark]:
    """Section 4.1.2.4."""
    if not looked_at.anatomy.issuer:
        yield Remark("fail", "it is empty: nobody says to have issued the certificate")
    yield from _attributes(looked_at.anatomy.issuer)


def _subject(looked_at: Specimen) -> Iterator[Remark]:
    """Section 4.1.2.6."""
    if not looked_at.anatomy.subject:
        if looked_at.is_ca:
            yield Remark("fail", "it is empty, and a CA has to have a name")
        elif not looked_at.has(x509.SubjectAlternativeName.oid):
            yield Remark("fail", "it is empty, and there is no alternative name: it names nobody")
    yield from _attributes(looked_at.anatomy.subject)


def _attributes(attributes: Sequence[Attribute]) -> Iterator[Remark]:
    for one in attributes:
        if one.oid in _KNOWN:
            yield from _attribute(one, *_KNOWN[one.oid])


def _attribute(
    one: Attribute, oid: x509.ObjectIdentifier, name: str, limit: int
) -> Iterator[Remark]:
    text = der.string(one.tag, one.content)
    if text is None:
        yield Remark("fail", f"{name} is no text, or not in the alphabet it says")
        return
    yield from _type(one.tag, oid, name)
    if not text:
        yield Remark("fail", f"{name} is empty")
    elif oid == NameOID.COUNTRY_NAME and len(text) != limit:
        yield Remark("fail", f"{name} has {len(text)} characters, not 2")
    elif len(text) > limit:
        yield Remark("fail", f"{name} has {len(text)} characters, more than {limit}")


def _type(tag: int, oid: x509.ObjectIdentifier, name: str) -> Iterator[Remark]:
    shown = _TYPES.get(tag, f"of type 0x{tag:02x}")
    if oid in _PRINTABLE_ONLY and tag != _PRINTABLE:
        yield Remark("fail", f"{name} is {shown}, not a PrintableString")
    elif oid in _IA5_ONLY and tag != _IA5:
        yield Remark("fail", f"{name} is {shown}, not an IA5String")
    elif oid in _DIRECTORY and tag not in _DIRECTORY_STRING:
        yield Remark("fail", f"{name} is {shown}, which is no DirectoryString")
    elif oid in _DIRECTORY and tag in _OUTDATED:
        yield Remark("warn", f"{name} is {shown}; new names are UTF8String or PrintableString")


NAMES: dict[str, Check] = {"issuer": _issuer, "subject": _subject}
