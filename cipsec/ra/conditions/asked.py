"""Conditions that look at what is asked for, and where; whoever asks can meet them."""

from __future__ import annotations

import fnmatch
from dataclasses import dataclass

from cipsec.ra.conditions.held import Condition, Held
from cipsec.ra.evidence import Evidence

_USER = "{user}"  # in patterns of names


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
class Label:
    """Holds for requests to these EST labels; `""` is the path without one."""

    labels: frozenset[str]

    def judge(self, evidence: Evidence) -> Held:
        """Hold when the request came to one of the labels."""
        label = evidence.enrollment.label
        shown = f"label {label}" if label else "no label"
        return Held("label", holds=label in self.labels, why=f"the request has {shown}")

    def implies(self, other: Condition) -> bool:
        """Imply `anyone`, and the condition for the same or more labels."""
        if isinstance(other, Label):
            return self.labels <= other.labels
        return isinstance(other, Anyone)

    def __str__(self) -> str:
        return "label " + ", ".join(sorted(label or "(none)" for label in self.labels))


@dataclass(frozen=True, slots=True)
class Names:
    """Holds when every name asked for is like one of the patterns.

    Names are common names, user ids and e-mail addresses of the subject, host names and addresses.

    `*` and `?` as in file names; `{user}` stands for the name of the user who logged in.
    """

    patterns: tuple[str, ...]

    def judge(self, evidence: Evidence) -> Held:
        """Hold when there is a name, and no other than the patterns admit."""
        asked = evidence.names()
        if not asked:
            return Held("names", holds=False, why="the CSR asks for no name")
        if not all(name.isprintable() for name in asked):
            return Held("names", holds=False, why="a name in the CSR holds control characters")
        patterns = self._patterns(evidence)
        for name in asked:
            if not any(fnmatch.fnmatchcase(name.casefold(), pattern) for pattern in patterns):
                why = f"the rule does not admit the name {name}"
                return Held("names", holds=False, why=why, telling=True)
        return Held("names", holds=True, why=f"the rule admits {', '.join(asked)}")

    def _patterns(self, evidence: Evidence) -> list[str]:
        """Return the patterns for this applicant; without a login none that names the user."""
        user = evidence.user
        own = [p for p in self.patterns if user is not None or _USER not in p]
        return [p.replace(_USER, user.name if user else "").casefold() for p in own]

    def implies(self, other: Condition) -> bool:
        """Imply `anyone` and itself."""
        return self == other or isinstance(other, Anyone)

    def __str__(self) -> str:
        return f"names like {', '.join(self.patterns)}"
