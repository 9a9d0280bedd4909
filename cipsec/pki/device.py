"""Which CIP device a name speaks of: Vendor ID and serial number, or MAC address.

Volume 8's place and format for these values is not public, so extraction is a list of rules, tried
in order. What comes out is what the text *says*; whether it is proved is `ra.evidence`'s to tell.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from cryptography import x509
from cryptography.x509.oid import NameOID, ObjectIdentifier

from cipsec.errors import UsageError

SUBJECT_DIRECTORY_ATTRIBUTES = ObjectIdentifier("2.5.29.9")

_DEVICE = re.compile(r"(?:0x)?([0-9A-Fa-f]{1,4}):(?:0x)?([0-9A-Fa-f]{1,8})")
_MAC = re.compile(
    r"[0-9A-Fa-f]{12}|[0-9A-Fa-f]{2}([:-])(?:[0-9A-Fa-f]{2}\1){4}[0-9A-Fa-f]{2}"
    r"|(?:[0-9A-Fa-f]{4}\.){2}[0-9A-Fa-f]{4}"
)


@dataclass(frozen=True, slots=True, order=True)
class DeviceId:
    """A CIP device: Vendor ID 1..65535 and serial number 1..2**32-1; only the pair is unique."""

    vendor: int
    serial: int

    def __post_init__(self) -> None:
        if not 1 <= self.vendor <= 0xFFFF or not 1 <= self.serial <= 0xFFFFFFFF:
            raise UsageError(
                "a Vendor ID is 1 to FFFF and a serial number 1 to FFFFFFFF, both in hexadecimal",
                hint="write e.g. 0001:6040C8F2",
            )

    @classmethod
    def parse(cls, text: str) -> DeviceId:
        """Read `VENDOR:SERIAL`, both hexadecimal, as in `0001:6040C8F2`; raise UsageError."""
        match = _DEVICE.fullmatch(text.strip())
        if not match:
            raise UsageError(
                f"{text!r} is not VENDOR:SERIAL in hexadecimal", hint="write e.g. 0001:6040C8F2"
            )
        return cls(int(match[1], 16), int(match[2], 16))

    def __str__(self) -> str:
        return f"{self.vendor:04X}:{self.serial:08X}"


@dataclass(frozen=True, slots=True, order=True)
class Mac:
    """A MAC address of one device: 48 bits, neither zero nor a group address."""

    value: int

    def __post_init__(self) -> None:
        if not 0 < self.value < 1 << 48 or self.value >> 40 & 1:
            raise UsageError("this is not the MAC address of one device")

    @classmethod
    def parse(cls, text: str) -> Mac:
        """Read `aa:bb:cc:dd:ee:ff`, with `-`, `aabb.ccdd.eeff` or bare; raise UsageError."""
        if not _MAC.fullmatch(text.strip()):
            raise UsageError(f"{text!r} is not a MAC address", hint="write e.g. 00:00:bc:12:34:56")
        return cls(int(re.sub(r"[^0-9A-Fa-f]", "", text), 16))

    def __str__(self) -> str:
        return ":".join(f"{byte:02x}" for byte in self.value.to_bytes(6, "big"))


@dataclass(frozen=True, slots=True)
class Identity:
    """What a certificate or CSR says of its device; empty where it says nothing readable."""

    device: DeviceId | None = None
    mac: Mac | None = None

    def __bool__(self) -> bool:
        return self.device is not None or self.mac is not None

    def agrees(self, other: Identity) -> bool:
        """Tell whether no value that both name differs."""
        return _same(self.device, other.device) and _same(self.mac, other.mac)

    def __str__(self) -> str:
        return " ".join(str(value) for value in (self.device, self.mac) if value) or "-"


def _same(one: object, other: object) -> bool:
    return one is None or other is None or one == other


@dataclass(frozen=True, slots=True)
class ExtractionRule:
    """One place to look: an attribute of the subject, and a pattern for all of its value.

    The pattern names the groups `vendor` and `serial`, in number base `base`, or `mac`.
    """

    attribute: ObjectIdentifier
    pattern: re.Pattern[str]
    base: int = 16

    def find(self, subject: x509.Name) -> Identity:
        """Return what this place says, or an empty Identity."""
        for attribute in subject.get_attributes_for_oid(self.attribute):
            match = self.pattern.fullmatch(str(attribute.value))
            if match:
                return self._read(match.groupdict())
        return Identity()

    def _read(self, found: dict[str, str | None]) -> Identity:
        try:
            if found.get("mac"):
                return Identity(mac=Mac.parse(found["mac"] or ""))
            vendor, serial = found.get("vendor") or "", found.get("serial") or ""
            return Identity(DeviceId(int(vendor, self.base), int(serial, self.base)))
        except (UsageError, ValueError):
            return Identity()  # text that only looks like an identity names no device


_CANONICAL = re.compile(r"(?P<vendor>[0-9A-Fa-f]{4}):(?P<serial>[0-9A-Fa-f]{8})")
_WRITTEN_MAC = re.compile(r"(?P<mac>[0-9A-Fa-f]{2}([:-])(?:[0-9A-Fa-f]{2}\2){4}[0-9A-Fa-f]{2})")

# Unverified against any vendor's certificate: the canonical form this package itself writes.
PRESETS: tuple[ExtractionRule, ...] = (
    ExtractionRule(NameOID.SERIAL_NUMBER, _CANONICAL),
    ExtractionRule(NameOID.SERIAL_NUMBER, _WRITTEN_MAC),
    ExtractionRule(NameOID.COMMON_NAME, _CANONICAL),
    ExtractionRule(NameOID.COMMON_NAME, _WRITTEN_MAC),
)


def identity_of(
    subject: x509.Name,
    directory_attributes: bytes | None = None,
    rules: Sequence[ExtractionRule] = PRESETS,
) -> Identity:
    """Return the device a subject names; `directory_attributes` is the extension's DER, if any."""
    device, mac = None, _mac_attribute(directory_attributes)
    for found in _found(subject, rules):
        device = device or found.device
        mac = mac or found.mac
    return Identity(device, mac)


def _found(subject: x509.Name, rules: Sequence[ExtractionRule]) -> Iterator[Identity]:
    # One look at the attributes present spares the hot path most of the rules.
    present = {attribute.oid for attribute in subject}
    return (rule.find(subject) for rule in rules if rule.attribute in present)


# SEQUENCE OF Attribute { type macAddress, values SET OF IA5String }: for one MAC address only the
# seventeen characters vary, so the prefix is the whole encoding (RFC 5280 section 4.2.1.8).
_MAC_PREFIX = bytes.fromhex("3020 301e 0607 2b060101010116 3113 1611")


def mac_attributes(mac: Mac) -> bytes:
    """Return the DER of a subjectDirectoryAttributes extension that holds one MAC address."""
    return _MAC_PREFIX + str(mac).encode("ascii")


def _mac_attribute(directory_attributes: bytes | None) -> Mac | None:
    if directory_attributes is None or not directory_attributes.startswith(_MAC_PREFIX):
        return None
    try:
        return Mac.parse(directory_attributes[len(_MAC_PREFIX) :].decode("ascii", "replace"))
    except UsageError:
        return None
