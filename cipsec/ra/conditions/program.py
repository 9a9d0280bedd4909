"""The condition that a program of the operator's says yes; running it is left to `ra.external`."""

from __future__ import annotations

from dataclasses import dataclass

from cipsec.ra.conditions.asked import Anyone
from cipsec.ra.conditions.held import UNDECIDED, Condition, Held
from cipsec.ra.evidence import Evidence

# What a program says, and where it lies, is not the applicant's to know.
_TOLD = {
    True: "another system says so",
    False: "another system does not agree",
    None: UNDECIDED,
}


@dataclass(frozen=True, slots=True)
class Exec:
    """Holds when a program says so; it is asked only where every other condition holds."""

    command: tuple[str, ...]

    def judge(self, evidence: Evidence) -> Held:
        """Hold when the program ends with 0; raise NotYet until it was asked."""
        programs = evidence.sources.programs
        opinion = programs.opinion(
            self.command,
            _key(evidence),
            lambda: document(evidence),
            address=evidence.enrollment.address,
        )
        return Held(
            "exec",
            holds=opinion.holds is True,
            why=opinion.why,
            broken=opinion.holds is None,
            told=_TOLD[opinion.holds],
        )

    def not_asked(self) -> Held:
        """Return that it does not matter what the program would say."""
        why = f"{self.command[0]} was not asked"
        return Held("exec", holds=False, why=why, told="another system was not asked")

    def implies(self, other: Condition) -> bool:
        """Imply `anyone`; another run may say something else."""
        return isinstance(other, Anyone)

    def __str__(self) -> str:
        return f"{self.command[0]} says so"


def _key(evidence: Evidence) -> str:
    """Return what stands for everything in the document."""
    asked = evidence.enrollment
    parts = (evidence.id, asked.label, str(asked.renewal), asked.address, evidence.proved)
    return "\n".join(parts)


def document(evidence: Evidence) -> dict[str, object]:
    """Return what a program is told of an enrollment, for JSON: what is proved and what is not."""
    request, identity, proved = evidence.request, evidence.identity, evidence.proved_identity
    return {
        "request": evidence.id,
        "subject": request.shown_subject,
        "sans": list(request.shown_sans),
        "device": str(identity.device) if identity.device else None,
        "mac": str(identity.mac) if identity.mac else None,
        "proved_device": str(proved.device) if proved.device else None,
        "proved_mac": str(proved.mac) if proved.mac else None,
        "proved": evidence.proved,
        "claimed": evidence.claimed,
        "user": evidence.user.name if evidence.user else None,
        "vendor": evidence.presented.vendor.vendor if evidence.presented.vendor else None,
        "label": evidence.enrollment.label,
        "renewal": evidence.enrollment.renewal,
        "address": evidence.enrollment.address,
    }
