"""Distinguished names and alternative names: read, write and compare by value."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Sequence

from cryptography import x509
from cryptography.x509.oid import NameOID, ObjectIdentifier

from cipsec.errors import UsageError

_SHORT_NAMES: dict[ObjectIdentifier, str] = {
    NameOID.SERIAL_NUMBER: "serialNumber",
    NameOID.EMAIL_ADDRESS: "emailAddress",
    NameOID.DN_QUALIFIER: "dnQualifier",
}
_BY_SHORT_NAME = {name: oid for oid, name in _SHORT_NAMES.items()} | {
    "SERIALNUMBER": NameOID.SERIAL_NUMBER,
    "SN": NameOID.SERIAL_NUMBER,
    "E": NameOID.EMAIL_ADDRESS,
}
_HOST_LABEL = re.compile(r"(?!-)[A-Za-z0-9_-]{1,63}(?<!-)")


def parse_subject(text: str) -> x509.Name:
    """Read a distinguished name as RFC 4514 writes it, such as `CN=Drive 7,O=Plant`; UsageError."""
    try:
        name = x509.Name.from_rfc4514_string(text, _BY_SHORT_NAME)
    except (ValueError, KeyError):
        raise UsageError(
            f"{text!r} is not a distinguished name", hint="write e.g. 'CN=Drive 7,O=Plant'"
        ) from None
    if not list(name):
        raise UsageError("the subject is empty", hint="write e.g. 'CN=Drive 7'")
    return name


def show_name(name: x509.Name) -> str:
    """Return a distinguished name as RFC 4514 writes it; empty for an empty one."""
    return name.rfc4514_string(_SHORT_NAMES)


def parse_san(text: str) -> x509.GeneralName:
    """Read `dns:NAME`, `ip:ADDRESS`, `email:ADDRESS` or `uri:URI`; raise UsageError."""
    kind, _, value = text.partition(":")
    try:
        match kind.lower():
            case "dns" if is_host_name(value):
                return x509.DNSName(value)
            case "ip":
                return x509.IPAddress(ipaddress.ip_address(value))
            case "email" if "@" in value:
                return x509.RFC822Name(value)
            case "uri" if ":" in value:
                return x509.UniformResourceIdentifier(value)
    except ValueError:
        pass
    raise UsageError(
        f"{text!r} is not an alternative name",
        hint="write dns:NAME, ip:ADDRESS, email:ADDRESS or uri:URI",
    )


def show_san(name: x509.GeneralName) -> str:
    """Return an alternative name as `kind:value`."""
    match name:
        case x509.DNSName(value=value):
            return f"dns:{value}"
        case x509.IPAddress(value=address):
            return f"ip:{address}"
        case x509.RFC822Name(value=value):
            return f"email:{value}"
        case x509.UniformResourceIdentifier(value=value):
            return f"uri:{value}"
        case x509.DirectoryName(value=directory):
            return f"dir:{show_name(directory)}"
        case x509.RegisteredID(value=oid):
            return f"rid:{oid.dotted_string}"
        case x509.OtherName(type_id=type_id, value=der):
            return f"other:{type_id.dotted_string}:{der.hex()}"
        case _:
            return f"unknown:{type(name).__name__}"


def host_name(host: str) -> x509.GeneralName:
    """Return the alternative name under which a server is reached as `host`; raise UsageError."""
    try:
        return x509.IPAddress(ipaddress.ip_address(host))
    except ValueError:
        return parse_san(f"dns:{host}")


def is_host_name(text: str) -> bool:
    """Tell whether `text` is a DNS host name, also `*.NAME`."""
    labels = text.removeprefix("*.").rstrip(".").split(".")
    return len(text) <= 253 and all(_HOST_LABEL.fullmatch(label) for label in labels)


def same_name(one: x509.Name, other: x509.Name) -> bool:
    """Compare by value: string type, case and runs of white space do not count (RFC 5280 7.1)."""
    return one == other or comparable(one) == comparable(other)


def comparable(name: x509.Name) -> tuple[frozenset[tuple[str, str]], ...]:
    """Return what RFC 5280 section 7.1 compares of a name."""
    return tuple(
        frozenset(
            (attribute.oid.dotted_string, " ".join(str(attribute.value).split()).casefold())
            for attribute in rdn
        )
        for rdn in name.rdns
    )


def same_sans(one: Sequence[x509.GeneralName], other: Sequence[x509.GeneralName]) -> bool:
    """Compare alternative names as sets; DNS names without regard to case."""
    return _folded(one) == _folded(other)


def _folded(sans: Sequence[x509.GeneralName]) -> set[str]:
    return {show_san(name).casefold() for name in sans}
