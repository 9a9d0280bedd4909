"""The condition that a device is on an allowlist."""

from __future__ import annotations

from dataclasses import dataclass

from cipsec.errors import Malformed
from cipsec.pki.device import DeviceId, Identity, Mac
from cipsec.ra.allowlist.entries import Listed
from cipsec.ra.conditions.asked import Anyone
from cipsec.ra.conditions.held import UNDECIDED, Condition, Held, Use, counted
from cipsec.ra.evidence import Evidence
from cipsec.times import show_time


@dataclass(frozen=True, slots=True)
class Serial:
    """Holds for a device that is on one of the allowlists; `unproved` takes its word for it."""

    lists: frozenset[str]
    unproved: bool = False

    def judge(self, evidence: Evidence) -> Held:
        """Hold when the device is proved, listed, and its entry neither over nor used up."""
        shown = evidence.presented
        identity = evidence.identity if self.unproved else evidence.proved_identity
        if not identity:
            if shown.broken is not None:
                return Held("serial", holds=False, why=shown.broken, broken=True, told=UNDECIDED)
            return Held("serial", holds=False, why=_unidentified(evidence.identity))
        claimed = None if self.unproved else evidence.unproved_in_names
        if claimed is not None:
            why = f"nothing proves {claimed}, which the CSR names"
            return Held("serial", holds=False, why=why, telling=True)
        try:
            return self._listed(evidence, identity)
        except Malformed as error:
            return Held("serial", holds=False, why=error.message, broken=True, told=UNDECIDED)

    def _listed(self, evidence: Evidence, identity: Identity) -> Held:
        """Judge by the first entry that is good; else say what the first entry lacks."""
        lacking = None
        for name in sorted(self.lists):
            for listed in evidence.sources.lists.entries(name, identity):
                held = _entry(listed, evidence)
                if held.holds:
                    return held
                lacking = lacking or held
        why = f"device {identity} is not listed"
        return lacking or Held("serial", holds=False, why=why, telling=True)

    def implies(self, other: Condition) -> bool:
        """Imply `anyone`, and the condition for the same or more lists that asks no more proof."""
        if isinstance(other, Serial):
            return self.lists <= other.lists and (other.unproved or not self.unproved)
        return isinstance(other, Anyone)

    def __str__(self) -> str:
        by = ", by its own word only" if self.unproved else ""
        return f"device listed in {', '.join(sorted(self.lists))}{by}"


def _unidentified(identity: Identity) -> str:
    if identity:
        return f"device {identity} is only claimed, not proved"
    return "no device is named"


def _entry(listed: Listed, evidence: Evidence) -> Held:
    """Judge the entry itself: whether it is over or used up."""
    entry, place = listed.entry, f"{listed.list}.csv:{listed.line}"
    if entry.until is not None and evidence.now > entry.until:
        why = f"{entry.device} was listed at {place} until {show_time(entry.until)}"
        told = f"device {entry.device} is not listed any more"
        return Held("serial", holds=False, why=why, telling=True, told=told)
    why = f"{entry.device} is listed at {place}"
    told = f"device {entry.device} is listed"
    held = Held("serial", holds=True, why=why, listed=listed, told=told)
    if entry.uses is None:
        return held
    what = f"the entry of device {entry.device}"
    return counted(held, Use(use_key(listed.list, entry.device), entry.uses, what), evidence)


def use_key(name: str, device: DeviceId | Mac) -> str:
    """Return under what the uses of a device's entry in the list `name` are counted."""
    return f"{use_prefix(name)}{device}"


def use_prefix(name: str) -> str:
    """Return how the keys of all devices in the list `name` begin."""
    return f"allowlist:{name}:"
