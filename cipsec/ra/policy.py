"""The rule table: conditions, rules, decide(); judgement over evidence, no cryptography.

A firewall table: rules in order, all conditions of a rule must hold, the first rule that applies
decides, and when none applies the answer is no.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

from cipsec.errors import Malformed
from cipsec.ra.evidence import Evidence

ALWAYS = "always"  # stands for a rule where no rule was asked
NONE = "none"  # where no rule applied
BY_HAND = "by hand"  # where an operator signed


class Outcome(StrEnum):
    """What a rule does with the enrollments it applies to."""

    GRANT = "grant"
    ASK = "ask"
    REJECT = "reject"


@dataclass(frozen=True, slots=True)
class Held:
    """Whether one condition holds for one enrollment, and why, in words for people."""

    condition: str
    holds: bool
    why: str


@dataclass(frozen=True, slots=True)
class Tried:
    """One rule as it was tried, with each of its conditions."""

    rule: str
    applies: bool
    conditions: tuple[Held, ...]


@dataclass(frozen=True, slots=True)
class Decision:
    """What the table says: outcome, the rule that decided, the reason, and every rule tried."""

    outcome: Outcome
    rule: str
    reason: str
    trace: tuple[Tried, ...]


class Condition(Protocol):
    """One thing that must hold; `key` orders conditions by how much they let through."""

    def judge(self, evidence: Evidence) -> Held:
        """Tell whether it holds, and why."""

    def implies(self, other: Condition) -> bool:
        """Tell whether whatever meets this condition meets `other` too."""

    def __str__(self) -> str:
        """Return it in words."""


@dataclass(frozen=True, slots=True)
class Anyone:
    """Holds for everybody: with `grant`, the global grant."""

    def judge(self, evidence: Evidence) -> Held:  # the protocol's parameter
        """Hold."""
        return Held("anyone", holds=True, why="holds for everyone")

    def implies(self, other: Condition) -> bool:
        """Imply nothing but itself."""
        return self == other

    def __str__(self) -> str:
        return "anyone"


@dataclass(frozen=True, slots=True)
class Own:
    """Holds for the renewal of a certificate of this CA: same subject, same names."""

    def judge(self, evidence: Evidence) -> Held:
        """Hold when the certificate presented is ours and the CSR asks for the same names."""
        own = evidence.own
        if own is None:
            return Held("own", holds=False, why=evidence.presented.not_own)
        if not own.same_names:
            why = f"the CSR's names differ from those of certificate {own.serial}"
            return Held("own", holds=False, why=why)
        return Held("own", holds=True, why=f"renews certificate {own.serial} of this CA")

    def implies(self, other: Condition) -> bool:
        """Imply `anyone` and itself."""
        return isinstance(other, (Own, Anyone))

    def __str__(self) -> str:
        return "holds a certificate of this CA and asks for the same names"


@dataclass(frozen=True, slots=True)
class User:
    """Holds for a login with the right password; with `names` only for these users."""

    names: frozenset[str] = frozenset()

    def judge(self, evidence: Evidence) -> Held:
        """Hold when the password was right and the user is one of those named."""
        if evidence.user is None:
            return Held("user", holds=False, why="no user name and password were given")
        if self.names and evidence.user not in self.names:
            # The reason goes to the applicant: the other users' names are not his to know.
            return Held("user", holds=False, why=f"user {evidence.user} is not one of the rule's")
        return Held("user", holds=True, why=f"user {evidence.user} gave the right password")

    def implies(self, other: Condition) -> bool:
        """Imply `anyone`, and the condition for the same or more users."""
        if isinstance(other, User):
            return not other.names or (bool(self.names) and self.names <= other.names)
        return isinstance(other, Anyone)

    def __str__(self) -> str:
        return f"user {', '.join(sorted(self.names))}" if self.names else "any user with a password"


@dataclass(frozen=True, slots=True)
class Label:
    """Holds for requests to these EST labels; `""` is the path without one."""

    labels: frozenset[str]

    def judge(self, evidence: Evidence) -> Held:
        """Hold when the request came to one of the labels."""
        shown = f"label {evidence.label}" if evidence.label else "no label"
        holds = evidence.label in self.labels
        return Held("label", holds=holds, why=f"the request has {shown}")

    def implies(self, other: Condition) -> bool:
        """Imply `anyone`, and the condition for the same or more labels."""
        if isinstance(other, Label):
            return self.labels <= other.labels
        return isinstance(other, Anyone)

    def __str__(self) -> str:
        return "label " + ", ".join(sorted(label or "(none)" for label in self.labels))


@dataclass(frozen=True, slots=True)
class Rule:
    """A named rule: all of `when` must hold for `then`; `lab` admits that it grants to anyone."""

    name: str
    when: tuple[Condition, ...]
    then: Outcome
    lab: bool = False

    @property
    def grants_to_anyone(self) -> bool:
        """Tell whether this is a global grant: nothing that an applicant proves matters."""
        unproved = all(isinstance(condition, (Anyone, Label)) for condition in self.when)
        return self.then is Outcome.GRANT and unproved

    def applies(self, evidence: Evidence) -> Tried:
        """Judge every condition, so that the explanation is whole."""
        held = tuple(condition.judge(evidence) for condition in self.when)
        return Tried(self.name, all(h.holds for h in held), held)

    def covers(self, other: Rule) -> bool:
        """Tell whether this rule applies wherever `other` does."""
        return all(any(theirs.implies(mine) for theirs in other.when) for mine in self.when)


@dataclass(frozen=True, slots=True)
class Policy:
    """The rules in order; never empty."""

    rules: tuple[Rule, ...]

    def decide(self, evidence: Evidence) -> Decision:
        """Return the decision of the first rule that applies; none applies: reject."""
        tried: list[Tried] = []
        for rule in self.rules:
            result = rule.applies(evidence)
            tried.append(result)
            if result.applies:
                why = ", ".join(h.why for h in result.conditions)
                return Decision(rule.then, rule.name, why, tuple(tried))
        reason = f"no rule applies: {_last_why(tried)}"
        return Decision(Outcome.REJECT, NONE, reason, tuple(tried))

    def shadowed(self) -> dict[str, str]:
        """Return, by name, the rules that can never decide, with the earlier rule that covers."""
        found: dict[str, str] = {}
        for position, rule in enumerate(self.rules):
            for earlier in self.rules[:position]:
                if earlier.covers(rule):
                    found[rule.name] = earlier.name
                    break
        return found

    def asks_password(self, label: str) -> bool:
        """Tell whether a login could make a difference for requests to this label."""
        return any(_may_match(rule, label) for rule in self.rules)


def _last_why(tried: Sequence[Tried]) -> str:
    failed = [h.why for t in tried for h in t.conditions if not h.holds]
    return "; ".join(dict.fromkeys(failed)) or "the table has no rule for it"


def _may_match(rule: Rule, label: str) -> bool:
    labels = [c for c in rule.when if isinstance(c, Label)]
    wants_user = any(isinstance(c, User) for c in rule.when)
    return wants_user and all(label in c.labels for c in labels)


def _true(value: object, make: Callable[[], Condition]) -> Condition:
    if value is not True:
        raise Malformed("write true, or leave the condition out")
    return make()


def _strings(value: object) -> frozenset[str]:
    listed = [value] if isinstance(value, str) else value
    if not isinstance(listed, list) or not listed or not all(isinstance(x, str) for x in listed):
        raise Malformed("write a name or a list of names")
    return frozenset(listed)


_RESERVED = frozenset({ALWAYS, NONE, BY_HAND})  # names that decisions without a rule have

_CONDITIONS: dict[str, Callable[[object], Condition]] = {
    "anyone": lambda value: _true(value, Anyone),
    "own": lambda value: _true(value, Own),
    "user": lambda value: User() if value is True else User(_strings(value)),
    "label": lambda value: Label(_strings(value)),
}


def parse_rules(tables: object) -> Policy:
    """Read the `[[rule]]` tables of ca.toml; raise Malformed naming the rule."""
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
    unknown = sorted(set(table) - {"name", "when", "then", "lab"})
    if unknown:
        raise Malformed(f"{where}: {unknown[0]!r} is not known")
    if not isinstance(name, str) or not name.strip():
        raise Malformed(f"{where} has no name")
    if name in _RESERVED:
        raise Malformed(f"{where}: {name!r} cannot be a rule's name")
    try:
        then = Outcome(table.get("then", ""))
    except ValueError:
        raise Malformed(f'{where}: then must be "grant", "ask" or "reject"') from None
    lab = table.get("lab", False)
    if not isinstance(lab, bool):
        raise Malformed(f"{where}: lab is true or false")
    rule = Rule(name, _conditions(where, table.get("when")), then, lab)
    if rule.grants_to_anyone and not rule.lab:
        raise Malformed(
            f"{where} grants a certificate to everybody",
            hint='write then = "ask", or lab = true in a laboratory',
        )
    return rule


def _conditions(where: str, when: object) -> tuple[Condition, ...]:
    if not isinstance(when, Mapping) or not when:
        raise Malformed(f"{where} has no conditions", hint="write when = { anyone = true }")
    found = []
    for key, value in when.items():
        if key not in _CONDITIONS:
            raise Malformed(f"{where}: the condition {key!r} is not known")
        try:
            found.append(_CONDITIONS[key](value))
        except Malformed as error:
            raise Malformed(f"{where}: {key}: {error.message}") from None
    return tuple(found)
