"""The CIP device as a value: Vendor ID and serial number, or MAC address, written in many ways.

Where a certificate says it is left to `identity`; whether it is proved, to `ra.evidence`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from cryptography.x509.oid import ObjectIdentifier

from cipsec.errors import UsageError
from cipsec.pki import der

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
        bare = text.strip()
        if not _MAC.fullmatch(bare):
            raise UsageError(f"{text!r} is not a MAC address", hint="write e.g. 00:00:bc:12:34:56")
        return cls(int(bare.replace(":", "").replace("-", "").replace(".", ""), 16))

    @property
    def is_local(self) -> bool:
        """Tell whether it was made up where it is used: the IEEE gave it to no vendor."""
        return bool(self.value >> 40 & 2)

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
    return one is other or one is None or other is None or one == other


# SEQUENCE OF Attribute { type macAddress, values SET OF IA5String }: for one MAC address only the
# seventeen characters vary, so the prefix is the whole encoding (RFC 5280 section 4.2.1.8).
_MAC_PREFIX = bytes.fromhex("3020 301e 0607 2b060101010116 3113 1611")
_MAC_LENGTH = 17
_MAC_ADDRESS = bytes.fromhex("2b060101010116")  # 1.3.6.1.1.1.1.22 (RFC 2307), as RFC 7030 4.5.2
_MAC_OCTETS = 6
_OCTET_STRING, _SEQUENCE = 0x04, 0x30


def mac_attributes(mac: Mac) -> bytes:
    """Return the DER of a subjectDirectoryAttributes extension that holds one MAC address."""
    return _MAC_PREFIX + str(mac).encode("ascii")


def mac_texts(data: bytes) -> tuple[str, ...]:
    """Return the MAC addresses in the DER of subjectDirectoryAttributes, as they are written."""
    rest = data.removeprefix(_MAC_PREFIX)
    if len(rest) == _MAC_LENGTH and rest.isascii():
        return (rest.decode("ascii"),)
    try:
        attributes = der.elements(der.only(data, _SEQUENCE))
        return tuple(text for tag, content in attributes for text in _macs(tag, content))
    except ValueError:
        return ()


def _macs(tag: int, attribute: bytes) -> list[str]:
    (_, kind), (_, values) = der.elements(attribute)
    if tag != _SEQUENCE or kind != _MAC_ADDRESS:
        return []
    found = der.elements(values)
    binary = [v.hex() for t, v in found if t == _OCTET_STRING and len(v) == _MAC_OCTETS]
    return [text for t, v in found if (text := der.string(t, v)) is not None] + binary
