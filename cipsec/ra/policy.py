"""The rule table: rules in order, all conditions must hold, the first rule that applies decides.

A firewall table: when no rule applies the answer is no, and a rule that cannot be judged never
grants. Conditions are in `conditions`, their notation in `rules`.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from cipsec.ra.conditions.asked import Anyone, Label, Names
from cipsec.ra.conditions.held import Condition, Held, Use
from cipsec.ra.conditions.listed import Serial
from cipsec.ra.conditions.program import Exec
from cipsec.ra.conditions.proofs import Own, User, Vendor
from cipsec.ra.evidence import Evidence
from cipsec.times import show_time

ALWAYS = "always"  # stands for a rule where no rule was asked
NONE = "none"  # where no rule applied
BY_HAND = "by hand"  # where an operator signed

GLOBAL_GRANT = "global grant: "  # how the reasons of such grants begin, and no others
_PROOFS = frozenset({"own", "vendor", "user", "provisioning"})  # conditions of what is presented


class Outcome(StrEnum):
    """What a rule does with the enrollments it applies to."""

    GRANT = "grant"
    ASK = "ask"
    REJECT = "reject"


class Replacement(StrEnum):
    """What a granting rule does where a device or slot has a certificate of another key already."""

    ASK = "ask"
    KEEP = "keep"
    REVOKE = "revoke"


@dataclass(frozen=True, slots=True)
class Tried:
    """One rule as it was tried, with each of its conditions.

    `undecided` when it would apply if what could not be judged held.
    """

    rule: str
    applies: bool
    conditions: tuple[Held, ...]
    undecided: bool = False


@dataclass(frozen=True, slots=True)
class Rule:
    """A named rule: all of `when` must hold for `then`.

    `lab` admits that it grants to anyone, `unproved` that it takes an applicant's word for the
    device, `until` ends it; `notify` names the channels that hear of what it decides, None for all.
    `approvals` is how many administrators have to agree.
    """

    name: str
    when: tuple[Condition, ...]
    then: Outcome
    lab: bool = False
    unproved: bool = False
    until: datetime | None = None
    replacement: Replacement | None = None
    approvals: int = 1
    notify: frozenset[str] | None = None

    @property
    def grants_to_anyone(self) -> bool:
        """Tell whether this is a global grant: nothing that an applicant proves matters."""
        unproved = all(isinstance(condition, (Anyone, Label, Names)) for condition in self.when)
        return self.then is Outcome.GRANT and unproved

    @property
    def renews(self) -> bool:
        """Tell whether what it grants are renewals."""
        return any(isinstance(condition, Own) for condition in self.when)

    @property
    def takes_claims(self) -> bool:
        """Tell whether what is only claimed of the device goes into the certificate."""
        proves = any(isinstance(condition, (Vendor, Serial)) for condition in self.when)
        return self.unproved or not proves

    def is_over(self, now: datetime) -> bool:
        """Tell whether its time has ended."""
        return self.until is not None and now >= self.until

    def apply(self, evidence: Evidence) -> Tried:
        """Judge every condition, so that the explanation is whole; raise NotYet."""
        if self.until is not None and self.is_over(evidence.now):
            over = Held("until", holds=False, why=f"the rule ended at {show_time(self.until)}")
            return Tried(self.name, applies=False, conditions=(over,))
        held = tuple(self._judge(evidence))
        applies = all(h.holds for h in held)
        undecided = not applies and all(h.holds or self._stops(h) for h in held)
        return Tried(self.name, applies, held, undecided)

    def _judge(self, evidence: Evidence) -> list[Held]:
        """Judge in the order written, but programs last and only where their no could matter.

        Not where another condition does not hold; but where one cannot be judged, lest the rule be
        passed over.
        """
        held = [c.judge(evidence) for c in self.when if not isinstance(c, Exec)]
        if len(held) == len(self.when):
            return held
        others, rest = all(h.holds or h.broken for h in held), iter(held)
        return [
            next(rest)
            if not isinstance(c, Exec)
            else (c.judge(evidence) if others else c.not_asked())
            for c in self.when
        ]

    def _stops(self, held: Held) -> bool:
        """Tell whether a condition that could not be judged keeps the table from going on.

        A broken list does. A program without an opinion lets the next rule decide; but where its
        yes would not have granted, the silence must not: whoever asks much silences it for himself.
        """
        return held.broken and (held.condition != "exec" or self.then is not Outcome.GRANT)

    def covers(self, other: Rule) -> bool:
        """Tell whether this rule, for as long as it is there, applies wherever `other` does."""
        always = self.until is None
        return always and all(any(t.implies(mine) for t in other.when) for mine in self.when)


@dataclass(frozen=True, slots=True)
class Decision:
    """What the table says: outcome, the rule that decided, the reason, and every rule tried.

    `told` is the reason for the applicant, `in_vain` why the credential that he showed does not do,
    which he is told while others decide. `applied` is that rule. `uses` is what a grant
    spends; `slot` the place that an allowlist's entry gives the device a name for; `expected` tells
    that an entry with an end or a count pre-approves it; `revokes` are the predecessors that a
    grant revokes. `troubles` is what could not be judged, `undecided` that the rule could not.
    """

    outcome: Outcome
    rule: str
    reason: str
    trace: tuple[Tried, ...]
    told: str | None = None
    in_vain: str | None = None
    applied: Rule | None = None
    uses: tuple[Use, ...] = ()
    slot: str | None = None
    expected: bool = False
    revokes: tuple[str, ...] = ()
    troubles: tuple[str, ...] = ()
    undecided: bool = False


@dataclass(frozen=True, slots=True)
class Policy:
    """The rules in order; never empty."""

    rules: tuple[Rule, ...]

    def decide(self, evidence: Evidence) -> Decision:
        """Return the decision of the first rule that applies; none applies: reject.

        A rule that would apply if only it could be judged stops the table: the request waits.
        Raises NotYet while something has to be found out first.
        """
        tried: list[Tried] = []
        for rule in self.rules:
            result = rule.apply(evidence if rule.renews else evidence.unrenewed)
            tried.append(result)
            if result.applies or result.undecided:
                return _decision(rule, tried)
        failed = [h for t in tried for h in t.conditions if not h.holds]
        return Decision(
            Outcome.REJECT,
            NONE,
            f"no rule applies: {'; '.join(dict.fromkeys(h.why for h in failed))}",
            tuple(tried),
            told=f"no rule applies: {'; '.join(dict.fromkeys(h.public for h in failed))}",
            troubles=tuple(_troubles(tried)),
        )

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

    def global_grants(self, now: datetime) -> list[Rule]:
        """Return the rules that grant to anyone, and whose time has not ended."""
        return [rule for rule in self.rules if rule.grants_to_anyone and not rule.is_over(now)]


def _decision(rule: Rule, tried: Sequence[Tried]) -> Decision:
    conditions = tried[-1].conditions
    why = ", ".join(h.why for h in conditions if h.broken or tried[-1].applies)
    outcome = rule.then if tried[-1].applies else Outcome.ASK
    if outcome is Outcome.GRANT and rule.grants_to_anyone:
        why = f"{GLOBAL_GRANT}{why}"
    # Who decides, and who is refused, is told what was shown in vain: a spent card, an old entry.
    # Who waits is told of his own credential alone: whoever claims a device is to learn no list.
    vain = [] if outcome is Outcome.GRANT else [h for t in tried[:-1] for h in t.conditions]
    vain = [h for h in vain if h.telling]
    told = ", ".join(h.public for h in conditions)
    listed = [h.listed for h in conditions if h.listed is not None]
    return Decision(
        outcome,
        rule.name,
        _joined(
            why if tried[-1].applies else f"the rule cannot be judged: {why}", (h.why for h in vain)
        ),
        tuple(tried),
        told=_joined(told, (h.public for h in vain)),
        in_vain="; ".join(dict.fromkeys(h.public for h in vain if h.condition in _PROOFS)) or None,
        applied=rule,
        uses=tuple(h.use for h in conditions if h.use is not None),
        slot=next((f"{one.list}:{one.entry.name}" for one in listed if one.entry.name), None),
        expected=any(one.entry.uses is not None or one.entry.until is not None for one in listed),
        troubles=tuple(_troubles(tried)),
        undecided=not tried[-1].applies,
    )


def _joined(reason: str, words: Iterable[str]) -> str:
    return "; ".join(dict.fromkeys((reason, *words)))


def _troubles(tried: Sequence[Tried]) -> list[str]:
    broken = [h.why for t in tried for h in t.conditions if h.broken]
    return list(dict.fromkeys(broken))


def _may_match(rule: Rule, label: str) -> bool:
    labels = [c for c in rule.when if isinstance(c, Label)]
    wants_user = any(isinstance(c, User) for c in rule.when)
    return wants_user and all(label in c.labels for c in labels)
