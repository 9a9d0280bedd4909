"""Values out of the tables of ca.toml: of the right kind, or Malformed naming the key."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from cipsec import times
from cipsec.errors import CipsecError, Malformed


def known(table: Mapping[str, Any], keys: set[str], where: str) -> None:
    """Raise Malformed for a key that is none of `keys`; `where` names the table."""
    unknown = sorted(set(table) - keys)
    if unknown:
        place = f"[{where}]: " if where else ""
        raise Malformed(f"{place}{unknown[0]!r} is not known")


def table(tables: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    """Return the table under `key`, empty where there is none; raise Malformed."""
    value = tables.get(key, {})
    if not isinstance(value, dict):
        raise Malformed(f"{key} is not a table")
    return value


def text(table: Mapping[str, Any], key: str, default: str) -> str:
    """Return the text under `key`; raise Malformed."""
    value = table.get(key, default)
    if not isinstance(value, str):
        raise Malformed(f"{key} is not a text")
    return value


def texts(table: Mapping[str, Any], key: str) -> list[str]:
    """Return the list of texts under `key`, empty where there is none; raise Malformed."""
    value = table.get(key, [])
    if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
        raise Malformed(f"{key} is not a list of texts")
    return value


def choice(table: Mapping[str, Any], key: str, choices: tuple[str, ...]) -> str:
    """Return which of `choices` stands under `key`, the first where none; raise Malformed."""
    value = table.get(key, choices[0])
    if value not in choices:
        raise Malformed(f"{key} must be one of {', '.join(choices)}")
    return str(value)


def number(table: Mapping[str, Any], key: str, default: int) -> int:
    """Return the whole number above zero under `key`; raise Malformed."""
    value = table.get(key, default)
    if not isinstance(value, int) or isinstance(value, bool) or value < 1:
        raise Malformed(f"{key} is not a whole number above zero")
    return value


def duration(table: Mapping[str, Any], key: str, default: timedelta) -> timedelta:
    """Return the duration under `key`, such as `8h`; raise Malformed."""
    if key not in table:
        return default
    value = text(table, key, "")
    try:
        return times.parse_duration(value)
    except CipsecError as error:
        raise Malformed(f"{key}: {error.message}", hint=error.hint) from None
