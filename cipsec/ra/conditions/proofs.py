"""Conditions that ask for a proof: certificates of ours or of vendors, passwords, credentials."""

from __future__ import annotations

from dataclasses import dataclass

from cipsec.ra.conditions.asked import Anyone
from cipsec.ra.conditions.held import UNDECIDED, Condition, Held, Use, counted, named
from cipsec.ra.evidence import Evidence


@dataclass(frozen=True, slots=True)
class Own:
    """Holds for the renewal of a certificate of this CA: same subject, same names, as ruled."""

    def judge(self, evidence: Evidence) -> Held:
        """Hold when the certificate presented is ours and the CSR asks for the same names."""
        serial = evidence.presented.own
        if serial is None:
            return _not_shown("own", evidence.presented.not_own, evidence)
        if not evidence.same_names:
            why = f"the CSR's names differ from those of certificate {serial}"
            return Held("own", holds=False, why=why, telling=True)
        row = evidence.presented.row
        over = evidence.renewals.over(row, evidence.now) if row is not None else None
        no_renewal = evidence.no_renewal or over
        if no_renewal is not None:
            return Held("own", holds=False, why=no_renewal, telling=True)
        late = f", which {row.ended}" if row is not None and evidence.presented.late else ""
        return Held("own", holds=True, why=f"renews certificate {serial} of this CA{late}")

    def implies(self, other: Condition) -> bool:
        """Imply `anyone` and itself."""
        return isinstance(other, (Own, Anyone))

    def __str__(self) -> str:
        return "holds a certificate of this CA and asks for the same names"


@dataclass(frozen=True, slots=True)
class Vendor:
    """Holds for a client certificate that chains to a trusted vendor; with `names` to one of these.

    Proves a genuine device of that vendor, and which one if its certificate says so; `unproved`
    takes the CSR's word where it does not.
    """

    names: frozenset[str] = frozenset()
    unproved: bool = False

    def judge(self, evidence: Evidence) -> Held:
        """Hold when the path is good and the anchor may speak for the device's Vendor ID."""
        shown = evidence.presented
        if shown.broken is not None:
            return Held("vendor", holds=False, why=shown.broken, broken=True, told=UNDECIDED)
        if shown.vendor is None:
            return _not_shown("vendor", shown.not_vendor, evidence)
        if self.names and shown.vendor.vendor not in self.names:
            why = f"vendor {shown.vendor.vendor} is not one of the rule's"
            return Held("vendor", holds=False, why=why, telling=True)
        claimed = None if self.unproved else evidence.unproved_in_names
        if claimed is not None:
            why = f"the vendor's certificate does not prove {claimed}, which the CSR names"
            return Held("vendor", holds=False, why=why, telling=True)
        device = f" to device {shown.proved}" if shown.proved else ""
        why = f"the client certificate was issued{device} by vendor {shown.vendor.vendor}"
        return Held("vendor", holds=True, why=why)

    def implies(self, other: Condition) -> bool:
        """Imply `anyone`, and the condition for the same or more vendors that asks no more."""
        if isinstance(other, Vendor):
            proof = other.unproved or not self.unproved
            return proof and named(self.names, other.names)
        return isinstance(other, Anyone)

    def __str__(self) -> str:
        who = f"vendor {', '.join(sorted(self.names))}" if self.names else "any trusted vendor"
        return f"{who}, for any device" if self.unproved else who


@dataclass(frozen=True, slots=True)
class User:
    """Holds for a login with the right password; with `names` only for these users.

    A password proves a person, not a device: a CSR that names a CIP device which nothing proves is
    not granted by it (the flaw of SCEP, VU#971035) unless the rule says `unproved`.
    """

    names: frozenset[str] = frozenset()
    unproved: bool = False

    def judge(self, evidence: Evidence) -> Held:
        """Hold when the password was right and the user is one of those named."""
        user = evidence.user
        if user is None:
            return Held("user", holds=False, why="no user name and password were given")
        if self.names and user.name not in self.names:
            # The reason goes to the applicant: the other users' names are not his to know.
            return Held("user", holds=False, why=f"user {user.name} is not one of the rule's")
        claimed = evidence.claimed_identity
        if claimed and not self.unproved:
            why = f"the password of user {user.name} does not prove device {claimed}"
            return Held("user", holds=False, why=why, telling=True)
        number = evidence.unproved_number
        if number is not None and not self.unproved:
            why = f"the password of user {user.name} does not prove serialNumber {number}"
            return Held("user", holds=False, why=why, telling=True)
        held = Held("user", holds=True, why=f"user {user.name} gave the right password")
        if user.uses is None:
            return held
        return counted(
            held, Use(user.key, user.uses, f"the password of user {user.name}"), evidence
        )

    def implies(self, other: Condition) -> bool:
        """Imply `anyone`, and the condition for the same or more users that asks no more proof."""
        if isinstance(other, User):
            proof = other.unproved or not self.unproved
            return proof and named(self.names, other.names)
        return isinstance(other, Anyone)

    def __str__(self) -> str:
        who = f"user {', '.join(sorted(self.names))}" if self.names else "any user with a password"
        return f"{who}, for any device" if self.unproved else who


@dataclass(frozen=True, slots=True)
class Provisioning:
    """Holds for a provisioning certificate that is not used up; with `names` for one of these."""

    names: frozenset[str] = frozenset()

    def judge(self, evidence: Evidence) -> Held:
        """Hold when the client certificate is one, valid, and this enrollment may spend it."""
        row = evidence.presented.credential
        if row is None:
            return _not_shown("provisioning", evidence.presented.not_provisioning, evidence)
        if self.names and row.name not in self.names:
            why = f"provisioning certificate {row.name} is not one of the rule's"
            return Held("provisioning", holds=False, why=why, telling=True)
        what = f"provisioning certificate {row.name}"
        held = Held("provisioning", holds=True, why=f"{what} was presented")
        return counted(held, Use(row.key, row.uses, what), evidence)

    def implies(self, other: Condition) -> bool:
        """Imply `anyone`, and the condition for the same or more certificates."""
        if isinstance(other, Provisioning):
            return named(self.names, other.names)
        return isinstance(other, Anyone)

    def __str__(self) -> str:
        named = f" {', '.join(sorted(self.names))}" if self.names else ""
        return f"provisioning certificate{named}"


def _not_shown(condition: str, why: str, evidence: Evidence) -> Held:
    """Return that the client certificate is none that the condition asks for."""
    return Held(condition, holds=False, why=why, telling=why == evidence.presented.in_vain)
