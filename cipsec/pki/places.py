"""The places in a certificate or CSR where a device may be named, read as text, judged by nobody.

What the text means is `extraction`'s to tell. Nothing here fails: what cannot be read says nothing.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Protocol, TypeVar

from cryptography import x509
from cryptography.x509.oid import NameOID, ObjectIdentifier

from cipsec.errors import Malformed
from cipsec.pki import der
from cipsec.pki.device import SUBJECT_DIRECTORY_ATTRIBUTES, mac_texts
from cipsec.pki.faults import UNREADABLE

# RFC 4108 section 5: HardwareModuleName, as IEEE 802.1AR names devices.
_HARDWARE_MODULE_NAME = ObjectIdentifier("1.3.6.1.5.5.7.8.4")
_OBJECT_IDENTIFIER, _OCTET_STRING, _SEQUENCE = 0x06, 0x04, 0x30
_DOTTED = re.compile(r"[0-2](?:\.(?:0|[1-9][0-9]{0,38})){1,30}", re.ASCII)
_GENERAL_NAMES: dict[str, type[x509.DNSName | x509.UniformResourceIdentifier | x509.RFC822Name]] = {
    "dns": x509.DNSName,
    "uri": x509.UniformResourceIdentifier,
    "email": x509.RFC822Name,
}

_NAMES = {
    NameOID.SERIAL_NUMBER: "serialNumber",
    NameOID.COMMON_NAME: "CN",
    NameOID.ORGANIZATION_NAME: "O",
    NameOID.ORGANIZATIONAL_UNIT_NAME: "OU",
    NameOID.DN_QUALIFIER: "dnQualifier",
    NameOID.EMAIL_ADDRESS: "emailAddress",
    NameOID.USER_ID: "UID",
    NameOID.DOMAIN_COMPONENT: "DC",
    NameOID.LOCALITY_NAME: "L",
    NameOID.STATE_OR_PROVINCE_NAME: "ST",
    NameOID.COUNTRY_NAME: "C",
    NameOID.TITLE: "title",
}
_BY_NAME = {name.casefold(): oid for oid, name in _NAMES.items()}

_G = TypeVar("_G", bound=x509.GeneralName)
Extensions = Iterable[x509.Extension[x509.ExtensionType]]


class Said:
    """What one certificate or CSR says of itself; attributes of the subject are sorted once."""

    def __init__(
        self,
        subject: x509.Name | None,
        sans: Sequence[x509.GeneralName],
        extensions: Extensions,
    ) -> None:
        self.attributes = _attributes(subject) if subject else {}
        self.sans = sans
        self.extensions = extensions

    def sans_of(self, kind: type[_G]) -> list[_G]:
        """Return the alternative names of one kind."""
        return [name for name in self.sans if isinstance(name, kind)]

    def others(self, kind: ObjectIdentifier) -> list[bytes]:
        """Return the values of the otherNames of one kind, each an element in DER."""
        return [name.value for name in self.sans_of(x509.OtherName) if name.type_id == kind]

    def extension(self, kind: ObjectIdentifier) -> bytes | None:
        """Return the DER of an extension's value, if it is there and can be written."""
        for extension in self.extensions:
            if extension.oid == kind:
                try:
                    return bytes(extension.value.public_bytes())
                except (*UNREADABLE, NotImplementedError):
                    return None
        return None


def _attributes(name: x509.Name) -> dict[ObjectIdentifier, list[str]]:
    found: dict[ObjectIdentifier, list[str]] = {}
    for rdn in name.rdns:
        for attribute in rdn:
            value, oid = attribute.value, attribute.oid
            text = value if isinstance(value, str) else der.octets(value)
            if oid in found:
                found[oid].append(text)
            else:
                found[oid] = [text]
    return found


class Place(Protocol):
    """One place to look; `str()` is what ca.toml calls it."""

    def texts(self, said: Said) -> Sequence[str]:
        """Return what stands there, in order."""


@dataclass(frozen=True, slots=True)
class SubjectAttribute:
    """An attribute of the subject."""

    oid: ObjectIdentifier

    def texts(self, said: Said) -> Sequence[str]:
        """Return its values."""
        return said.attributes.get(self.oid, ())

    def __str__(self) -> str:
        return f"subject:{_name(self.oid)}"


@dataclass(frozen=True, slots=True)
class AlternativeName:
    """The alternative names of kind `dns`, `uri` or `email`."""

    kind: str

    def texts(self, said: Said) -> Sequence[str]:
        """Return the names."""
        return [name.value for name in said.sans_of(_GENERAL_NAMES[self.kind])]

    def __str__(self) -> str:
        return f"san:{self.kind}"


@dataclass(frozen=True, slots=True)
class DirectoryName:
    """An attribute of the alternative names that are distinguished names."""

    oid: ObjectIdentifier

    def texts(self, said: Said) -> Sequence[str]:
        """Return its values, of one name after the other."""
        names = [_attributes(name.value) for name in said.sans_of(x509.DirectoryName)]
        return [text for attributes in names for text in attributes.get(self.oid, ())]

    def __str__(self) -> str:
        return f"san:directory:{_name(self.oid)}"


@dataclass(frozen=True, slots=True)
class OtherName:
    """The alternative names of a kind that is known by its number alone."""

    oid: ObjectIdentifier

    def texts(self, said: Said) -> Sequence[str]:
        """Return the values as `der.text` reads them."""
        return [der.text(value) for value in said.others(self.oid)]

    def __str__(self) -> str:
        return f"san:othername:{self.oid.dotted_string}"


@dataclass(frozen=True, slots=True)
class HardwareModule:
    """hwSerialNum of HardwareModuleName (RFC 4108 section 5), of any hwType or of one."""

    kind: str | None = None

    def texts(self, said: Said) -> Sequence[str]:
        """Return the serial numbers as `der.octets` reads them."""
        return [text for value in said.others(_HARDWARE_MODULE_NAME) for text in self._text(value)]

    def _text(self, value: bytes) -> list[str]:
        try:
            (kind, of), (tag, serial) = der.elements(der.only(value, _SEQUENCE))
            if (kind, tag) != (_OBJECT_IDENTIFIER, _OCTET_STRING):
                return []
            return [der.octets(serial)] if self.kind in (None, der.dotted(of)) else []
        except ValueError:
            return []

    def __str__(self) -> str:
        return f"hardwareModuleName:{self.kind}" if self.kind else "hardwareModuleName"


@dataclass(frozen=True, slots=True)
class ExtensionValue:
    """The value of an extension."""

    oid: ObjectIdentifier

    def texts(self, said: Said) -> Sequence[str]:
        """Return the value as `der.text` reads it."""
        value = said.extension(self.oid)
        return () if value is None else (der.text(value),)

    def __str__(self) -> str:
        return f"extension:{self.oid.dotted_string}"


@dataclass(frozen=True, slots=True)
class DirectoryMac:
    """The attribute macAddress in the extension subjectDirectoryAttributes (RFC 7030 4.5.2)."""

    def texts(self, said: Said) -> Sequence[str]:
        """Return the addresses, as they are written."""
        value = said.extension(SUBJECT_DIRECTORY_ATTRIBUTES)
        return () if value is None else mac_texts(value)

    def __str__(self) -> str:
        return "directory:mac"


def parse(selector: str) -> Place:
    """Read what ca.toml calls a place; raise Malformed."""
    kind, _, name = selector.partition(":")
    inner, _, which = name.partition(":")
    match kind, inner:
        case "subject", _:
            return SubjectAttribute(_attribute(name))
        case "san", "dns" | "uri" | "email" if name == inner:
            return AlternativeName(name)
        case "san", "directory":
            return DirectoryName(_attribute(which))
        case "san", "othername":
            return OtherName(_oid(which))
        case "hardwareModuleName", _:
            return HardwareModule(_oid(name).dotted_string if name else None)
        case "extension", _:
            return ExtensionValue(_oid(name))
        case "directory", "mac" if name == inner:
            return DirectoryMac()
    raise Malformed(f"{selector!r} is not a place to look", hint=f"write one of {_KNOWN}")


_KNOWN = (
    "subject:NAME, san:dns, san:uri, san:email, san:directory:NAME, san:othername:OID,"
    " hardwareModuleName, extension:OID, directory:mac"
)


def _attribute(name: str) -> ObjectIdentifier:
    oid = _BY_NAME.get(name.casefold())
    return oid or _oid(name)


def _oid(text: str) -> ObjectIdentifier:
    try:
        if _DOTTED.fullmatch(text):
            return ObjectIdentifier(text)
    except ValueError:
        pass  # such as 1.40.1, which no encoding has
    known = ", ".join(_NAMES.values())
    raise Malformed(
        f"{text!r} is neither an object identifier nor a known attribute",
        hint=f"write it as 1.3.6.1.4.1.99999.1; of a name also {known}",
    )


def _name(oid: ObjectIdentifier) -> str:
    return _NAMES.get(oid, oid.dotted_string)
