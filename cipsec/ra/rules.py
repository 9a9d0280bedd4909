"""The `[[rule]]` tables of ca.toml: read, checked once, and turned into a policy."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import date, datetime

from cipsec import times
from cipsec.errors import CipsecError, Malformed
from cipsec.ra.allowlist.place import check_name
from cipsec.ra.conditions.asked import Anyone, Label, Names
from cipsec.ra.conditions.held import Condition
from cipsec.ra.conditions.listed import Serial
from cipsec.ra.conditions.program import Exec
from cipsec.ra.conditions.proofs import Own, Provisioning, User, Vendor
from cipsec.ra.external import check_command
from cipsec.ra.policy import ALWAYS, BY_HAND, NONE, Outcome, Policy, Replacement, Rule

_RESERVED = frozenset({ALWAYS, NONE, BY_HAND})  # names that decisions without a rule have
_KEYS = {"name", "when", "then", "lab", "until", "unproved", "replacement", "approvals", "notify"}
_MOST_APPROVALS = 5


def parse_rules(tables: object) -> Policy:
    """Read the `[[rule]]` tables; raise Malformed naming the rule."""
    if not isinstance(tables, list) or not tables:
        raise Malformed("there is no [[rule]]: nobody could ever be answered")
    rules = tuple(_rule(number, table) for number, table in enumerate(tables, start=1))
    seen = [rule.name for rule in rules]
    twice = next((name for name in seen if seen.count(name) > 1), None)
    if twice is not None:
        raise Malformed(f"two rules are named {twice!r}")
    return Policy(rules)


def _rule(number: int, table: object) -> Rule:
    if not isinstance(table, dict):
        raise Malformed(f"rule {number} is not a table")
    name = table.get("name")
    where = f"rule {number} ({name})" if isinstance(name, str) and name else f"rule {number}"
    unknown = sorted(set(table) - _KEYS)
    if unknown:
        raise Malformed(f"{where}: {unknown[0]!r} is not known")
    if not isinstance(name, str) or not name.strip():
        raise Malformed(f"{where} has no name")
    if name in _RESERVED:
        raise Malformed(f"{where}: {name!r} cannot be a rule's name")
    try:
        return _checked(_read(name, table))
    except Malformed as error:
        raise Malformed(f"{where}: {error.message}", hint=error.hint) from None


def _read(name: str, table: Mapping[str, object]) -> Rule:
    unproved = _flag(table, "unproved")
    return Rule(
        name=name,
        when=_conditions(table.get("when"), unproved=unproved),
        then=_then(table),
        lab=_flag(table, "lab"),
        unproved=unproved,
        until=_until(table),
        replacement=_replacement(table),
        approvals=_approvals(table),
        notify=_strings(table["notify"], "notify") if "notify" in table else None,
    )


def _checked(rule: Rule) -> Rule:
    """Return the rule; raise Malformed where its parts make no sense together."""
    if rule.grants_to_anyone and not rule.lab and rule.until is None:
        raise Malformed(
            "it grants a certificate to everybody",
            hint='write then = "ask"; or, in a laboratory, lab = true, or until = "2027-01-31"',
        )
    if rule.approvals > 1 and rule.then is not Outcome.ASK:
        raise Malformed('approvals goes with then = "ask"')
    if rule.replacement is not None and rule.then is not Outcome.GRANT:
        raise Malformed('replacement goes with then = "grant"; who is asked decides it himself')
    return rule


def _then(table: Mapping[str, object]) -> Outcome:
    try:
        return Outcome(str(table.get("then", "")))
    except ValueError:
        raise Malformed('then must be "grant", "ask" or "reject"') from None


def _flag(table: Mapping[str, object], key: str) -> bool:
    value = table.get(key, False)
    if not isinstance(value, bool):
        raise Malformed(f"{key} is true or false")
    return value


def _until(table: Mapping[str, object]) -> datetime | None:
    value = table.get("until")
    if value is None:
        return None
    if isinstance(value, date):  # TOML has dates and times of its own
        value = value.isoformat()
    if not isinstance(value, str):
        raise Malformed('until is a time, as in "2027-01-31T18:00:00Z"')
    try:
        return times.parse_time(value)
    except CipsecError as error:
        raise Malformed(f"until: {error.message}", hint=error.hint) from None


def _replacement(table: Mapping[str, object]) -> Replacement | None:
    value = table.get("replacement")
    try:
        return None if value is None else Replacement(str(value))
    except ValueError:
        raise Malformed(f"replacement must be one of {', '.join(Replacement)}") from None


def _approvals(table: Mapping[str, object]) -> int:
    value = table.get("approvals", 1)
    if not isinstance(value, int) or isinstance(value, bool) or not 1 <= value <= _MOST_APPROVALS:
        raise Malformed(f"approvals is a number from 1 to {_MOST_APPROVALS}")
    return value


def _true(value: object, make: Callable[[], Condition]) -> Condition:
    if value is not True:
        raise Malformed("write true, or leave the condition out")
    return make()


def _strings(value: object, key: str = "") -> frozenset[str]:
    listed = [value] if isinstance(value, str) else value
    if not isinstance(listed, list) or not listed or not all(isinstance(x, str) for x in listed):
        raise Malformed(f"{key}{': ' if key else ''}write a name or a list of names")
    return frozenset(listed)


def _some(value: object) -> frozenset[str]:
    """Return the names listed; none, for any, where the value is `true`."""
    return frozenset() if value is True else _strings(value)


def _lists(value: object) -> frozenset[str]:
    found = _strings(value)
    for name in found:
        try:
            check_name(name)
        except CipsecError as error:
            raise Malformed(error.message, hint=error.hint) from None
    return found


# What each condition is made from: its value, and whether the rule takes unproved identities.
_CONDITIONS: dict[str, Callable[[object, bool], Condition]] = {
    "anyone": lambda value, _: _true(value, Anyone),
    "own": lambda value, _: _true(value, Own),
    "vendor": lambda value, unproved: Vendor(_some(value), unproved),
    "serial": lambda value, unproved: Serial(_lists(value), unproved),
    "user": lambda value, unproved: User(_some(value), unproved),
    "provisioning": lambda value, _: Provisioning(_some(value)),
    "label": lambda value, _: Label(_strings(value)),
    "names": lambda value, _: Names(tuple(sorted(_strings(value)))),
    "exec": lambda value, _: Exec(check_command(value)),
}


def _conditions(when: object, *, unproved: bool) -> tuple[Condition, ...]:
    if not isinstance(when, Mapping) or not when:
        raise Malformed("there are no conditions", hint="write when = { anyone = true }")
    if unproved and not {"serial", "user", "vendor"} & set(when):
        raise Malformed("unproved goes with the conditions vendor, serial and user")
    found = []
    for key, value in when.items():
        if key not in _CONDITIONS:
            raise Malformed(f"the condition {key!r} is not known")
        try:
            found.append(_CONDITIONS[key](value, unproved))
        except Malformed as error:
            raise Malformed(f"{key}: {error.message}", hint=error.hint) from None
    return tuple(found)
