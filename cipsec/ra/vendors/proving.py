"""Does a vendor vouch for this certificate? Answered from the files as they are now."""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from cipsec.errors import Malformed, Untrusted
from cipsec.pki.path import Authority, DevicePath
from cipsec.pki.revocation import Covered, Revocations
from cipsec.pki.search import MAX_PRESENTED, STRANGER, Anchors
from cipsec.ra.vendors import load
from cipsec.ra.vendors.load import Vendor
from cipsec.ra.vendors.watch import Watch
from cipsec.times import show_time

_REMEMBERED = 4096  # answers, each about a kilobyte


@dataclass(frozen=True, slots=True)
class Proof:
    """A vendor vouches for a certificate; with `vendor_ids` only for devices of these vendors."""

    vendor: str
    vendor_ids: frozenset[int]
    anchor_sha256: str


@dataclass(frozen=True, slots=True)
class _Possible:
    """A proof that holds but for the time."""

    proof: Proof
    begin: datetime | None
    end: datetime | None
    covered: Covered | None

    def objection(self, now: datetime) -> str | None:
        """Return why it does not hold at `now`."""
        if self.begin and now < self.begin:
            return f"the client certificate or its CA's is valid only from {show_time(self.begin)}"
        if self.end and now > self.end:
            return f"the client certificate or its CA's expired at {show_time(self.end)}"
        if self.covered and not self.covered.begin <= now <= self.covered.end:
            return "no current revocation list covers the client certificate and its CA's"
        return None


@dataclass(frozen=True, slots=True)
class _Answer:
    """What is known of one chain whatever the time; `fault` names a broken file."""

    possible: tuple[_Possible, ...]
    objection: str
    fault: str | None = None

    def proof(self, now: datetime) -> Proof:
        objection = None
        for one in self.possible:
            found = one.objection(now)
            if found is None:
                return one.proof
            objection = objection or found
        if self.fault:
            raise Malformed(self.fault)
        raise Untrusted(objection or self.objection)


class Vendors:
    """The vendors of a folder, read again whenever its files have changed.

    Not for several threads at a time.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._watch = Watch(folder, load.SUFFIXES)
        self._judge = _Judge(load.Folder((), (), ()))

    def verify(self, chain: Sequence[bytes], now: datetime) -> Proof:
        """Return the proof that a vendor vouches for a chain, DER as TLS presented it, leaf first.

        Where several do, the first by name. Raises Untrusted with one sentence for the applicant,
        which names no vendor; Malformed, naming the file, when none does and a file is broken.
        Which device the certificate is for, and whether its Vendor ID is one of those that the
        vendor may speak for, is the caller's to see.
        """
        return self._current().verify(chain, now)

    def names(self) -> list[str]:
        """Return the names of all vendors, of those with broken files as well."""
        return list(self._current().folder.names)

    def faults(self) -> list[str]:
        """Return a sentence for each broken file, and for each list that its CA did not sign."""
        return self._current().folder.troubles()

    def warnings(self, now: datetime) -> list[str]:
        """Return what should be seen to though it stops nothing."""
        return load.warnings(self._current().folder.vendors, now)

    def _current(self) -> _Judge:
        if self._watch.changed():
            self._judge = _Judge(load.folder(self._folder))
        return self._judge


class _Judge:
    """The vendors as they were when read, and the answers given since."""

    def __init__(self, folder: load.Folder) -> None:
        self.folder = folder
        self._owners: dict[str, list[Vendor]] = {}
        self._answers: OrderedDict[bytes, _Answer] = OrderedDict()
        # Of all vendors together: a list that revokes holds, whoever's anchor the path leads to.
        self._revocations = Revocations(one for v in folder.vendors for one in v.lists)
        anchors: dict[str, Authority] = {}
        for vendor in folder.vendors:
            for anchor in vendor.anchors:
                if not vendor.revoked(anchor):
                    self._owners.setdefault(anchor.sha256, []).append(vendor)
                    anchors.setdefault(anchor.sha256, anchor)
        self._anchors = Anchors(anchors.values())

    def verify(self, chain: Sequence[bytes], now: datetime) -> Proof:
        if not self._owners and not self.folder.faults:
            raise Untrusted(STRANGER)  # where no vendor is trusted, nothing is looked at
        key = _digest(chain)
        answer = self._answers.get(key)
        if answer is None:
            answer = self._answers[key] = self._answer(chain)
            if len(self._answers) > _REMEMBERED:
                self._answers.popitem(last=False)
        return answer.proof(now)

    def _answer(self, chain: Sequence[bytes]) -> _Answer:
        fault = next(iter(self.folder.faults), None)
        try:
            paths, objection = self._anchors.find(chain)
        except Untrusted as error:
            return _Answer((), error.message, fault)
        possible: list[_Possible] = []
        for vendor, path in self._owned(paths):
            try:
                possible.append(self._possible(vendor, path))
            except Untrusted as error:
                objection = error.message
            except Malformed as error:
                fault = fault or error.message
        return _Answer(tuple(possible), objection, fault)

    def _owned(self, paths: Sequence[DevicePath]) -> list[tuple[Vendor, DevicePath]]:
        """Return each path with each vendor whose anchor it leads to, by the vendors' names."""
        owned = [(v, p) for p in paths for v in self._owners[p.authority.anchor_sha256]]
        return sorted(owned, key=lambda pair: pair[0].name)

    def _possible(self, vendor: Vendor, path: DevicePath) -> _Possible:
        """Return the proof that a path is; raise Untrusted for what no time makes good."""
        strict = vendor.settings.strict
        covered = self._revocations.check(path)
        if strict.require_eku and not path.names_client:
            raise Untrusted("the client certificate or its CA's is not for TLS clients")
        if strict.require_san and not path.has_san:
            raise Untrusted("the client certificate has no alternative name")
        if strict.require_aki and not path.has_aki:
            raise Untrusted("the client certificate or its CA's does not point to its issuer's key")
        if strict.require_fresh_crl and covered is None:
            raise Untrusted("no revocation list covers the client certificate and its CA's")
        return _Possible(
            Proof(vendor.name, vendor.settings.vendor_ids, path.authority.anchor_sha256),
            path.begin if strict.check_expiry else None,
            path.end if strict.check_expiry else None,
            covered if strict.require_fresh_crl else None,
        )


def _digest(chain: Sequence[bytes]) -> bytes:
    """Return the chain's short name; beyond what is looked at, certificates do not matter."""
    digest = hashlib.sha256(len(chain).to_bytes(8, "big"))
    for der in chain[: MAX_PRESENTED + 1]:
        digest.update(len(der).to_bytes(8, "big"))
        digest.update(der)
    return digest.digest()
