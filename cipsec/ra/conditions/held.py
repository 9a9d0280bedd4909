"""What a condition says of an enrollment, and what a grant by it spends."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime
from typing import Protocol

from cipsec.ra.allowlist.entries import Listed
from cipsec.ra.evidence import Evidence
from cipsec.store.certificates import CertificateRow
from cipsec.store.uses import Spent

UNDECIDED = "this cannot be decided now"  # what applicants are told of what is broken here


@dataclass(frozen=True, slots=True)
class Use:
    """What a grant spends: one of `limit` uses of `what`, counted under `key`."""

    key: str
    limit: int
    what: str


@dataclass(frozen=True, slots=True)
class Held:
    """Whether one condition holds for one enrollment, and why, in words for people.

    `broken` tells that it could not be judged, which is nobody's no; `telling` that something was
    shown which was not enough, as people who decide have to know. `use` is spent by the grant.
    `listed` is the entry of an allowlist that made it hold. `told` is what the applicant is told in
    place of `why`, where that says more than is his to know.
    """

    condition: str
    holds: bool
    why: str
    broken: bool = False
    telling: bool = False
    use: Use | None = None
    listed: Listed | None = None
    told: str | None = None

    @property
    def public(self) -> str:
        """Return why, for the applicant."""
        return self.told or self.why


class Condition(Protocol):
    """One thing that must hold."""

    def judge(self, evidence: Evidence) -> Held:
        """Tell whether it holds, and why; raise NotYet while that has to be found out first."""

    def implies(self, other: Condition) -> bool:
        """Tell whether whatever meets this condition meets `other` too."""

    def __str__(self) -> str:
        """Return it in words."""


def named(mine: frozenset[str], others: frozenset[str]) -> bool:
    """Tell whether a condition for `mine` is one for `others` too; none named means all."""
    return not others or (bool(mine) and mine <= others)


def counted(held: Held, use: Use, evidence: Evidence) -> Held:
    """Return `held` with what it spends, unless that is used up by others than this enrollment."""
    spent = evidence.sources.spent(use.key, evidence.id)
    why = objection(use, spent, evidence.sources.certificate(spent.serial or ""), evidence.now)
    if why is not None:
        return Held(held.condition, holds=False, why=why, telling=True)
    return replace(held, use=use)


def objection(use: Use, spent: Spent, row: CertificateRow | None, now: datetime) -> str | None:
    """Return why nothing more is granted for a use; `row` is what this enrollment got for it.

    What is counted is spent by an enrollment once, and for good: whoever asks again gets the same
    certificate, however late, and no second one.
    """
    if spent.serial is not None:
        if row is not None and row.status(now) == "valid":
            return None
        return f"{use.what} was spent on certificate {spent.serial}, not in force any more"
    if spent.count >= use.limit:
        return f"{use.what} is used up: {spent.count} of {use.limit}"
    return None
