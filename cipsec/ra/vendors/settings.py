"""What a vendor's `NAME.toml` says: for which Vendor IDs it may speak, and how strict to be."""

from __future__ import annotations

import re
import tomllib
from dataclasses import dataclass, fields

from cipsec import naming
from cipsec.errors import Malformed, UsageError

_VENDOR_ID = re.compile(r"(?:0x)?([0-9A-Fa-f]{1,4})")
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Strictness:
    """What is insisted on; by default nothing, for vendors' certificates outlive and lack much.

    `check_expiry`: all certificates of the path are valid now; `require_eku`: the device's names
    TLS clients and no CA's excludes them; `require_san`: it has an alternative name; `require_aki`:
    each certificate points to its issuer's key; `require_fresh_crl`: each is covered by a current
    revocation list.
    """

    check_expiry: bool = False
    require_eku: bool = False
    require_san: bool = False
    require_aki: bool = False
    require_fresh_crl: bool = False


SWITCHES = tuple(field.name for field in fields(Strictness))


@dataclass(frozen=True, slots=True)
class Settings:
    """One vendor's settings; it may speak for any Vendor ID where `vendor_ids` is empty."""

    vendor_ids: frozenset[int] = frozenset()
    strict: Strictness = Strictness()


def check_name(name: str) -> str:
    """Return a vendor's name, which is also that of its files; raise UsageError."""
    if not _NAME.fullmatch(name):
        raise UsageError(
            f"{name!r} is not a name for a vendor",
            hint="use letters, digits and . _ -, at most 64, beginning with a letter or digit",
        )
    if naming.is_device(name):
        raise UsageError(f"{name!r} is a device on Windows", hint="choose another name")
    return name


def parse_vendor_id(text: str) -> int:
    """Read a Vendor ID in hexadecimal, as in `0001`; raise UsageError."""
    match = _VENDOR_ID.fullmatch(text)
    if not match or not int(match[1], 16):
        raise UsageError(
            f"{text!r} is not a Vendor ID: 1 to FFFF in hexadecimal", hint="write e.g. 0001"
        )
    return int(match[1], 16)


def show_vendor_ids(vendor_ids: frozenset[int]) -> list[str]:
    """Return Vendor IDs as they are written, in order."""
    return [f"{number:04X}" for number in sorted(vendor_ids)]


def parse(data: bytes, source: str) -> Settings:
    """Read a vendor's settings in TOML; raise Malformed naming `source` and what is wrong."""
    try:
        table = tomllib.loads(data.decode("utf-8-sig"))  # Notepad marks it
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, RecursionError) as error:
        raise Malformed(f"{source} is not TOML: {error}") from None
    unknown = sorted(set(table) - {"vendor_ids", *SWITCHES})
    if unknown:
        raise Malformed(
            f"{source}: {unknown[0]!r} is not a setting of a vendor",
            hint=f"those are: vendor_ids {' '.join(SWITCHES)}",
        )
    return Settings(_vendor_ids(table, source), _strictness(table, source))


def _vendor_ids(table: dict[str, object], source: str) -> frozenset[int]:
    """Return the Vendor IDs; an empty list would speak for nobody, or be meant for everybody."""
    if "vendor_ids" not in table:
        return frozenset()
    listed = table["vendor_ids"]
    if not isinstance(listed, list) or not all(isinstance(item, str) for item in listed):
        raise Malformed(f'{source}: vendor_ids is not a list of texts such as ["0001"]')
    if not listed:
        raise Malformed(f"{source}: vendor_ids is empty; leave it out where any may be spoken for")
    try:
        return frozenset(map(parse_vendor_id, listed))
    except UsageError as error:
        raise Malformed(f"{source}: {error.message}", hint=error.hint) from None


def _strictness(table: dict[str, object], source: str) -> Strictness:
    switches = {}
    for name in set(SWITCHES) & set(table):
        value = table[name]
        if not isinstance(value, bool):
            raise Malformed(f"{source}: {name} is neither true nor false")
        switches[name] = value
    return Strictness(**switches)


def text(settings: Settings) -> str:
    """Return settings as TOML for people to edit: each switch on a line, also those that are off.

    Where the vendor may speak for any Vendor ID, a comment says so.
    """
    ids = ", ".join(f'"{number}"' for number in show_vendor_ids(settings.vendor_ids))
    lines = [f"vendor_ids = [{ids}]"] if ids else ["# no vendor_ids: it may speak for any vendor"]
    for name in SWITCHES:
        lines.append(f"{name} = {str(getattr(settings.strict, name)).lower()}")
    return "\n".join(lines) + "\n"
