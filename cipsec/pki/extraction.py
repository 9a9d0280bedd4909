"""Rules that read a device out of text: those shipped, and the `[[identity]]` tables of ca.toml.

Volume 8's place and format for Vendor ID, serial number and MAC address is not public, so none of
those shipped has been compared with a vendor's certificate. Whether what a rule finds is proved is
left to `ra.evidence`.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import TypeVar

from cryptography.x509.oid import NameOID

from cipsec.errors import Malformed, UsageError
from cipsec.pki import patterns, places
from cipsec.pki.device import DeviceId, Identity, Mac

_T = TypeVar("_T")


class Source(StrEnum):
    """What a rule reads."""

    ANY = "any"
    CERTIFICATE = "certificate"
    CSR = "csr"


# Compared by identity: rules are part of the keys under which readings are remembered.
@dataclass(frozen=True, slots=True, eq=False)
class ExtractionRule:
    """One place to look, and a pattern for all of the text that stands there.

    The pattern names the groups `vendor` and `serial`, in number base `base`, or `mac`; `vendor`
    is the Vendor ID where the pattern has none. `verified` tells whether somebody answers for the
    rule: an operator for his own, nobody for those shipped.
    """

    name: str
    place: places.Place
    pattern: re.Pattern[str]
    base: int = 16
    vendor: int | None = None
    source: Source = Source.ANY
    verified: bool = False

    @property
    def needs_vendor(self) -> bool:
        """Tell whether it finds no device before `vendor` is set."""
        groups = self.pattern.groupindex
        return "serial" in groups and "vendor" not in groups and self.vendor is None

    def find(self, text: str) -> Identity | None:
        """Return what a text names; None where it does not match, or names nothing possible."""
        # RFC 5280 section 7.1: white space around a name, and runs of it, make no other name.
        match = patterns.fullmatch(self.pattern, " ".join(text.split()))
        if match is None:
            return None
        found: Mapping[str, str | None] = match.groupdict()
        device = self._device(found) if "serial" in found else None
        mac = _mac(found["mac"]) if "mac" in found else None
        return Identity(device, mac) if device or mac else None

    def _device(self, found: Mapping[str, str | None]) -> DeviceId | None:
        serial = self._number(found["serial"])
        vendor = self._number(found["vendor"]) if "vendor" in found else self.vendor
        if vendor is None or serial is None:
            return None
        try:
            return DeviceId(vendor, serial)
        except UsageError:  # zero, which means not set, or too large
            return None

    def _number(self, text: str | None) -> int | None:
        # int() alone takes spaces, signs, underscores and the digits of every script.
        if not text or not (text.isascii() and text.isalnum()):
            return None
        try:
            return int(text, self.base)
        except ValueError:
            return None


def _mac(text: str | None) -> Mac | None:
    try:
        return None if text is None else Mac.parse(text)
    except UsageError:  # a group address, or zero
        return None


Rules = tuple[ExtractionRule, ...]

_SUBJECT_SERIAL = places.SubjectAttribute(NameOID.SERIAL_NUMBER)
_COMMON_NAME = places.SubjectAttribute(NameOID.COMMON_NAME)
_HARDWARE = places.HardwareModule()
_CANONICAL = re.compile(r"(?P<vendor>[0-9A-Fa-f]{4}):(?P<serial>[0-9A-Fa-f]{8})")
_PREFIXED = re.compile(r"(?P<vendor>0x[0-9A-Fa-f]{1,4})[:./ -]?(?P<serial>0x[0-9A-Fa-f]{1,8})")
_PREFIXED_SERIAL = re.compile(r"(?P<serial>0x[0-9A-Fa-f]{1,8})")
_DECIMAL_SERIAL = re.compile(r"(?P<serial>[0-9]{1,10})")
_WRITTEN_MAC = re.compile(r"(?P<mac>[0-9A-Fa-f]{2}([:-])(?:[0-9A-Fa-f]{2}\2){4}[0-9A-Fa-f]{2})")
_ANY_MAC = re.compile(r"(?P<mac>[0-9A-Fa-f:.-]{12,17})")

DEFAULT: Rules = (
    ExtractionRule("canonical-serialnumber", _SUBJECT_SERIAL, _CANONICAL),
    ExtractionRule("mac-serialnumber", _SUBJECT_SERIAL, _WRITTEN_MAC),
    ExtractionRule("canonical-cn", _COMMON_NAME, _CANONICAL),
    ExtractionRule("mac-cn", _COMMON_NAME, _WRITTEN_MAC),
    ExtractionRule("mac-attribute", places.DirectoryMac(), _ANY_MAC),
)
"""What applies where ca.toml says nothing: the forms that this package itself writes."""

PRESETS: Mapping[str, ExtractionRule] = {
    rule.name: rule
    for rule in (
        *DEFAULT,
        ExtractionRule("prefixed-serialnumber", _SUBJECT_SERIAL, _PREFIXED),
        ExtractionRule("prefixed-cn", _COMMON_NAME, _PREFIXED),
        # OpENer writes the serial number in decimal, and the Vendor ID nowhere.
        ExtractionRule("decimal-serialnumber", _SUBJECT_SERIAL, _DECIMAL_SERIAL, base=10),
        ExtractionRule("hex-serialnumber", _SUBJECT_SERIAL, _PREFIXED_SERIAL),
        # IEEE 802.1AR devices carry hwSerialNum (RFC 4108 section 5).
        ExtractionRule("canonical-hardwaremodule", _HARDWARE, _CANONICAL),
        ExtractionRule("mac-hardwaremodule", _HARDWARE, _WRITTEN_MAC),
        ExtractionRule("decimal-hardwaremodule", _HARDWARE, _DECIMAL_SERIAL, base=10),
        ExtractionRule("hex-hardwaremodule", _HARDWARE, _PREFIXED_SERIAL),
    )
}
_ALL_DEFAULTS = "default"  # as a preset: all of DEFAULT, beside rules of one's own

_KEYS = {"name", "source", "selector", "pattern", "base", "vendor"}
_PRESET_KEYS = {"name", "source", "preset", "vendor"}
_BASES = {"hex": 16, "dec": 10}
_GROUPS = frozenset({"vendor", "serial", "mac"})
_VENDOR = re.compile(r"(?:0x)?[0-9A-Fa-f]{1,4}")


def parse_rules(tables: object) -> Rules:
    """Read the `[[identity]]` tables of ca.toml, `DEFAULT` for None; raise Malformed."""
    if tables is None:
        return DEFAULT
    if not isinstance(tables, list) or not tables:
        raise Malformed("identity is no list of [[identity]] tables")
    rules = tuple(rule for number, table in enumerate(tables, 1) for rule in _rules(number, table))
    names = [rule.name for rule in rules]
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        raise Malformed(f"two [[identity]] tables are named {twice!r}")
    return rules


def _rules(number: int, table: object) -> Rules:
    if not isinstance(table, dict):
        raise Malformed(f"identity {number} is not a table")
    name = table.get("name", table.get("preset"))
    where = f"identity {number} ({name})" if isinstance(name, str) else f"identity {number}"
    try:
        _known(table)
        if table.get("preset") == _ALL_DEFAULTS:
            return _all_defaults(table)
        return (_preset(table) if "preset" in table else _own(table),)
    except Malformed as error:
        raise Malformed(f"{where}: {error.message}", hint=error.hint) from None


def _all_defaults(table: Mapping[str, str]) -> Rules:
    if len(table) > 1:
        raise Malformed(f"preset {_ALL_DEFAULTS} stands for several, and takes no other key")
    return DEFAULT


def _known(table: Mapping[str, object]) -> None:
    with_preset = "preset" in table
    for key, value in table.items():
        if key not in (_PRESET_KEYS if with_preset else _KEYS):
            beside = " beside preset" if with_preset and key in _KEYS else ""
            raise Malformed(f"{key!r} is not known{beside}")
        if not isinstance(value, str) or not value.strip():
            raise Malformed(f"{key} is not a text")


def _preset(table: Mapping[str, str]) -> ExtractionRule:
    preset = PRESETS.get(table["preset"])
    if preset is None:
        known = ", ".join([_ALL_DEFAULTS, *PRESETS])
        raise Malformed(f"preset: {table['preset']!r} is not known", hint=f"known are {known}")
    name = table.get("name", preset.name)
    rule = dataclasses.replace(preset, name=name, source=_source(table))
    return _with_vendor(rule, table)


def _own(table: Mapping[str, str]) -> ExtractionRule:
    for key in ("name", "selector", "pattern"):
        if key not in table:
            raise Malformed(f"{key} is missing")
    rule = ExtractionRule(
        name=table["name"],
        place=_naming("selector", places.parse, table["selector"]),
        pattern=_naming("pattern", _pattern, table["pattern"]),
        source=_source(table),
        verified=True,
    )
    return _with_vendor(_with_base(rule, table), table)


def _naming(key: str, read: Callable[[str], _T], text: str) -> _T:
    try:
        return read(text)
    except Malformed as error:
        raise Malformed(f"{key}: {error.message}", hint=error.hint) from None


def _pattern(text: str) -> re.Pattern[str]:
    pattern = patterns.compiled(text)
    groups = set(pattern.groupindex)
    strange = sorted(groups - _GROUPS)
    if strange:
        raise Malformed(f"the group {strange[0]!r} is not known", hint=_GROUPS_HINT)
    if not groups & {"serial", "mac"} or (groups & {"vendor", "serial"}) == {"vendor"}:
        raise Malformed("it has no group serial and no group mac", hint=_GROUPS_HINT)
    return pattern


_GROUPS_HINT = "name the groups vendor and serial, or mac: (?P<serial>[0-9]{1,10})"


def _source(table: Mapping[str, str]) -> Source:
    try:
        return Source(table.get("source", Source.ANY))
    except ValueError:
        raise Malformed('source must be "certificate", "csr" or "any"') from None


def _with_base(rule: ExtractionRule, table: Mapping[str, str]) -> ExtractionRule:
    """A base is never guessed: eight digits could be either."""
    wanted = "serial" in rule.pattern.groupindex
    if not wanted and "base" in table:
        raise Malformed("base: the pattern has no group serial that it could be of")
    if wanted and table.get("base") not in _BASES:
        raise Malformed('base must be "hex" or "dec"')
    return dataclasses.replace(rule, base=_BASES[table["base"]]) if wanted else rule


def _with_vendor(rule: ExtractionRule, table: Mapping[str, str]) -> ExtractionRule:
    if "vendor" not in table:
        if rule.needs_vendor:
            raise Malformed("vendor is missing: the pattern has none", hint=_VENDOR_HINT)
        return rule
    if not rule.needs_vendor:
        raise Malformed("vendor: the pattern names one itself, or no device at all")
    text = table["vendor"]
    if not _VENDOR.fullmatch(text) or not int(text, 16):
        raise Malformed(f"vendor: {text!r} is not a Vendor ID, 1 to FFFF", hint=_VENDOR_HINT)
    return dataclasses.replace(rule, vendor=int(text, 16))


_VENDOR_HINT = 'write it in hexadecimal: vendor = "0001"'
