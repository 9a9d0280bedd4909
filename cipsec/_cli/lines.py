"""Records of `pki.describe` as lines for people: both number bases, days, no empty lines."""

from __future__ import annotations

from collections.abc import Mapping

from cipsec.pki.describe import NO_EXPIRY, UNVERIFIED

Record = Mapping[str, object]


def of(record: Record) -> dict[str, object]:
    """Return the lines to print for a certificate or request, in the record's order."""
    shown: dict[str, object] = {}
    for key, value in record.items():
        line = _line(key, value, record)
        if line not in (None, [], "", False):
            shown[key] = line
    return shown


def _line(key: str, value: object, record: Record) -> object:
    match key, value:
        case "subject", "":
            return "(empty)"
        case "not_after", str(end):
            return _end(end, record["days_left"])
        case "days_left", _:
            return None  # stands beside the end
        case "device", str(device):
            numbers = f"vendor {record['vendor_id']}, serial {record['device_serial']}"
            return f"{device} ({numbers}), {_assurance(record)}"
        case "mac", str(mac):
            local = " (locally administered)" if record["mac_local"] else ""
            return f"{mac}{local}, {_assurance(record)}"
        case "vendor_id" | "device_serial" | "mac_local", _:
            return None  # stand beside the device and the MAC address
        case "identity", [*found]:
            return [_found(one) for one in found if isinstance(one, dict)]
        case "basic_constraints", {"ca": ca, "path_length": length}:
            kind = "CA" if ca else "not a CA"
            return kind if length is None else f"{kind}, path length {length}"
        case "extensions", [*others]:
            return [_extension(other) for other in others if isinstance(other, dict)]
        case "challenge_password", True:
            return "present (its value is not shown)"
        case _:
            return _line_of_crl(key, value, record)


def _line_of_crl(key: str, value: object, record: Record) -> object:
    match key, value:
        case "next_update", str(end):
            return f"{end} (overdue)" if record["overdue"] else end
        case "overdue", _:
            return None  # stands beside the next update
        case "number" | "revoked", int(number):
            return str(number)
        case "delta", True:
            return "yes: it lists only what changed since another list"
        case _:
            return value


def _assurance(record: Record) -> str:
    match record["identity"]:
        case [{"assurance": str(assurance)}, *_] if assurance == UNVERIFIED:
            return "claimed unless its chain is verified"
    return "claimed"


def _found(one: Record) -> str:
    rule = "rule" if one["rule_verified"] else "unverified preset"
    return f"{one['value']} in {one['place']}, by the {rule} {one['rule']}"


def _end(end: str, days_left: object) -> str:
    if end == NO_EXPIRY or not isinstance(days_left, int):
        return "no well-defined expiry"
    if days_left < 0:
        return f"{end} (expired)"
    return f"{end} ({days_left} {'day' if days_left == 1 else 'days'} left)"


def _extension(other: Record) -> str:
    critical = " critical" if other["critical"] else ""
    return f"{other['name'] or other['oid']}{critical} {other['der']}"
