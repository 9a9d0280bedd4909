"""Distinguished names and alternative names: read, write and compare by value."""

from __future__ import annotations

import contextlib
import functools
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
    # Short names have no case (RFC 4512 section 1.4); these are what people type in lower case.
    "cn": NameOID.COMMON_NAME,
    "o": NameOID.ORGANIZATION_NAME,
    "ou": NameOID.ORGANIZATIONAL_UNIT_NAME,
    "l": NameOID.LOCALITY_NAME,
    "st": NameOID.STATE_OR_PROVINCE_NAME,
    "c": NameOID.COUNTRY_NAME,
    "dc": NameOID.DOMAIN_COMPONENT,
}
# cryptography encodes these as PrintableString and IA5String whatever they hold, and then cannot
# read what it wrote.
_PRINTABLE = re.compile(r"[A-Za-z0-9 '()+,./:=?-]*")
_ALPHABETS = {
    NameOID.SERIAL_NUMBER: _PRINTABLE,
    NameOID.COUNTRY_NAME: _PRINTABLE,
    NameOID.DN_QUALIFIER: _PRINTABLE,
    NameOID.EMAIL_ADDRESS: re.compile(r"[\x00-\x7f]*"),
    NameOID.DOMAIN_COMPONENT: re.compile(r"[\x00-\x7f]*"),
}
_SPACE_AFTER_COMMA = re.compile(r"(?<!\\)((?:\\\\)*,) +")
_HOST_LABEL = r"(?!-)[A-Za-z0-9_-]{1,63}(?<!-)"
_HOST = re.compile(rf"(?:\*\.)?(?:{_HOST_LABEL}\.)*(?!\d+\.?\Z){_HOST_LABEL}\.?", re.ASCII)


def parse_subject(text: str) -> x509.Name:
    """Read a distinguished name as RFC 4514 writes it, such as `CN=Drive 7,O=Plant`; UsageError.

    Spaces after a comma, as many programs print them, are allowed.
    """
    try:
        plain = _SPACE_AFTER_COMMA.sub(r"\1", text.lstrip())
        name = x509.Name.from_rfc4514_string(plain, _BY_SHORT_NAME)
    except (ValueError, KeyError) as error:
        raise _not_a_name(text, str(error)) from None
    if not list(name):
        raise UsageError("the subject is empty", hint=_EXAMPLE)
    for attribute in name:
        alphabet = _ALPHABETS.get(attribute.oid)
        if alphabet and not alphabet.fullmatch(str(attribute.value)):
            raise _not_a_name(text, f"{attribute.value!r} holds characters not allowed there")
    return name


_EXAMPLE = "write e.g. 'CN=Drive 7,O=Plant'"


def _not_a_name(text: str, why: str) -> UsageError:
    reason = f": {why}" if why else ""
    return UsageError(f"{text!r} is not a distinguished name{reason}", hint=_EXAMPLE)


@functools.lru_cache(maxsize=256)  # one enrollment shows its subject in each of its rows
def show_name(name: x509.Name) -> str:
    """Return a distinguished name as RFC 4514 writes it; empty for an empty one."""
    return name.rfc4514_string(_SHORT_NAMES)


def parse_san(text: str) -> x509.GeneralName:
    """Read `dns:NAME`, `ip:ADDRESS`, `email:ADDRESS` or `uri:URI`; raise UsageError."""
    kind, _, value = text.partition(":")
    try:
        match kind.lower():
            case "dns" if is_host_name(value):
                return x509.DNSName(value.removesuffix("."))  # RFC 5280 has no final dot
            case "ip":
                return x509.IPAddress(_address(value))
            case "email" if "@" in value and _is_one_word(value):
                return x509.RFC822Name(value)
            case "uri" if ":" in value and _is_one_word(value):
                return x509.UniformResourceIdentifier(value)
    except ValueError:
        pass
    raise UsageError(
        f"{text!r} is not an alternative name",
        hint="write dns:NAME, ip:ADDRESS, email:ADDRESS or uri:URI",
    )


def _address(text: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address:
    """Read an address; an interface after `%` means something on this machine only."""
    return ipaddress.ip_address(text.partition("%")[0])


def _is_one_word(text: str) -> bool:
    return text.isprintable() and " " not in text


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
        return x509.IPAddress(_address(host))
    except ValueError:
        if is_host_name(host):
            return parse_san(f"dns:{host}")
    raise UsageError(
        f"{host!r} is neither a host name nor an address",
        hint="write it as in drive-7.plant.local, xn--bcher-kva.example or 192.0.2.7",
    )


def show_host(text: str) -> str | None:
    """Return what clients take `text` for, as `show_san` writes a name, None where for no host.

    What `host_name` would raise for; most common names are none, and exceptions take their time.
    """
    if "." in text or ":" in text:
        with contextlib.suppress(ValueError):
            return f"ip:{_address(text)}"
    return f"dns:{text.removesuffix('.')}" if is_host_name(text) else None


def is_host_name(text: str) -> bool:
    """Tell whether `text` is a DNS host name, also `*.NAME`, also with a final dot."""
    # The last label is no number, as in 10.0.0.1: that is an address (RFC 1123 section 2.1).
    return len(text) <= 253 and _HOST.fullmatch(text) is not None


def is_under_wildcard(host: str, pattern: str) -> bool:
    """Tell whether `*` in the place of the whole first label makes them the same (RFC 9525 6.3).

    What is below a top-level name, as in `*.local`, is under none: TLS programs refuse that.
    """
    first, _, rest = folded(host).removesuffix(".").partition(".")
    return bool(first) and "." in rest and folded(pattern).removesuffix(".") == f"*.{rest}"


def show_serial(serial: int) -> str:
    """Return a serial number in lower-case hex, an even number of digits, no colons.

    RFC 5280 section 4.1.2.2 wants it positive; some certificates have a negative one all the same.
    """
    size = abs(serial)
    shown = size.to_bytes((size.bit_length() + 7) // 8 or 1, "big").hex()
    return f"-{shown}" if serial < 0 else shown


def same_name(one: x509.Name, other: x509.Name) -> bool:
    """Compare by value: string type, case and runs of white space do not count (RFC 5280 7.1)."""
    return one == other or comparable(one) == comparable(other)


def comparable(name: x509.Name) -> tuple[frozenset[tuple[str, str]], ...]:
    """Return what RFC 5280 section 7.1 compares of a name.

    Letters are folded one by one, and none into ASCII: by the full tables of RFC 4518 the holder of
    `straße` or of `drive-K` with a Kelvin sign would renew as `strasse` or `drive-k`.
    """
    return tuple(
        frozenset(
            (attribute.oid.dotted_string, folded(" ".join(str(attribute.value).split())))
            for attribute in rdn
        )
        for rdn in name.rdns
    )


def folded(text: str) -> str:
    """Return a text without regard to case: its letters one by one, and none into ASCII."""
    return text.lower() if text.isascii() else "".join(map(_folded_letter, text))


def _folded_letter(letter: str) -> str:
    folded = letter.lower()
    same_kind = len(folded) == 1 and folded.isascii() == letter.isascii()
    return folded if same_kind else letter


def sans_of(certificate: x509.Certificate) -> tuple[x509.GeneralName, ...]:
    """Return a certificate's alternative names; none where it has none."""
    for extension in certificate.extensions:
        if isinstance(extension.value, x509.SubjectAlternativeName):
            return tuple(extension.value)
    return ()


def same_sans(one: Sequence[x509.GeneralName], other: Sequence[x509.GeneralName]) -> bool:
    """Compare alternative names as sets; DNS names without regard to case and a final dot."""
    return _as_set(one) == _as_set(other)


def _as_set(sans: Sequence[x509.GeneralName]) -> set[str]:
    return {_folded_san(name) for name in sans}


def _folded_san(name: x509.GeneralName) -> str:
    text = folded(show_san(name))
    return text.rstrip(".") if isinstance(name, x509.DNSName) else text
