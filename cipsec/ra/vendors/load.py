"""The folder `vendors/`: for each vendor NAME.pem, and if need be NAME.toml and NAME.crl.

A vendor with a broken file proves nothing; the others are not affected.
"""

from __future__ import annotations

import stat
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from cryptography import x509

from cipsec import files
from cipsec.errors import LocalState, Malformed, Untrusted, UsageError
from cipsec.pki import load, path, revocation
from cipsec.pki.names import show_name
from cipsec.pki.path import Authority
from cipsec.pki.revocation import RevocationList, Revocations
from cipsec.ra.vendors import settings
from cipsec.ra.vendors.settings import Settings
from cipsec.times import show_time

ANCHORS, SETTINGS, LISTS = ".pem", ".toml", ".crl"
SUFFIXES = (ANCHORS, SETTINGS, LISTS)
# Bytes; of lists 16 MB, half a million entries: the server reads them while devices wait.
LIMITS = {ANCHORS: 1 << 20, SETTINGS: 1 << 16, LISTS: 1 << 24}


@dataclass(frozen=True, slots=True)
class Vendor:
    """One vendor: its anchors, its settings, its revocation lists."""

    name: str
    anchors: tuple[Authority, ...]
    settings: Settings
    lists: tuple[RevocationList, ...]

    def revoked(self, anchor: Authority) -> bool:
        """Tell whether a list beside the anchor names it.

        Whoever signed the list: it was put there by the operator, and its CA may not be here.
        """
        issuer, serial = anchor.certificate.issuer, anchor.certificate.serial_number
        return any(one.issuer == issuer and serial in one.serials for one in self.lists)


@dataclass(frozen=True, slots=True)
class Folder:
    """All vendors whose files are whole, by name, and a sentence for each of the others."""

    vendors: tuple[Vendor, ...]
    faults: tuple[str, ...]
    names: tuple[str, ...]

    def troubles(self) -> list[str]:
        """Return the faults, and a sentence for each list that its CA did not sign."""
        lists = (one for vendor in self.vendors for one in vendor.lists)
        return [*self.faults, *unsigned(lists, self.vendors)]


def folder(where: Path) -> Folder:
    """Read a whole folder; one that is not there holds no vendor."""
    vendors, faults = [], []
    try:
        names = sorted(_names(where))
    except OSError as error:
        return Folder((), (f"{where} cannot be read: {files.reason(error)}",), ())
    for name in names:
        try:
            vendors.append(vendor(where, name))
        except LocalState as error:
            faults.append(error.message)
    return Folder(tuple(vendors), tuple(faults), tuple(names))


def _names(where: Path) -> Iterator[str]:
    """Yield the vendors' names; what begins with a dot is a file on its way."""
    if where.exists():
        for one in where.iterdir():
            if one.suffix == ANCHORS and not one.name.startswith("."):
                yield one.stem


def vendor(where: Path, name: str) -> Vendor:
    """Read one vendor's files; raise LocalState, naming the file and what is wrong with it."""
    try:
        settings.check_name(name)
    except UsageError as error:
        raise Malformed(f"{where.name}/{name}{ANCHORS}: {error.message}", hint=error.hint) from None
    anchors = _read(where, name, ANCHORS)
    if anchors is None:
        raise LocalState(f"there is no file {where / (name + ANCHORS)}")
    said = _read(where, name, SETTINGS)
    lists = _read(where, name, LISTS)
    source = f"{where.name}/{name}"
    return Vendor(
        name,
        tuple(authorities(load.certificates(anchors, source + ANCHORS), source + ANCHORS)),
        Settings() if said is None else settings.parse(said, source + SETTINGS),
        () if lists is None else tuple(revocation.read(lists, source + LISTS)),
    )


def _read(where: Path, name: str, suffix: str) -> bytes | None:
    """Return a file's bytes, None where there is none; raise LocalState."""
    file = where / (name + suffix)
    try:
        if not stat.S_ISREG(file.stat().st_mode):  # a pipe would be waited for
            raise Malformed(f"{where.name}/{file.name} is not a file")
    except FileNotFoundError:
        return None
    except OSError as error:
        raise LocalState(f"{where.name}/{file.name}: {files.reason(error)}") from None
    return files.read(file, limit=LIMITS[suffix])


def authorities(certificates: list[x509.Certificate], source: str) -> Iterator[Authority]:
    """Yield certificates as anchors, each once; raise Malformed for one that cannot be."""
    for number, certificate in enumerate(dict.fromkeys(certificates), start=1):
        try:
            yield path.anchor(certificate)
        except Untrusted as error:
            raise Malformed(f"{source}: certificate {number}: {error.message}") from None


def unsigned(lists: Iterable[RevocationList], vendors: Sequence[Vendor]) -> list[str]:
    """Return a sentence for each CA of the vendors that one of the lists is not by, as it says.

    Whatever such a CA issued cannot be judged.
    """
    revocations = Revocations(lists)
    cas = (anchor.certificate for vendor in vendors for anchor in vendor.anchors)
    return list(dict.fromkeys(filter(None, map(revocations.fault, cas))))


def warnings(vendors: Iterable[Vendor], now: datetime) -> list[str]:
    """Return what should be seen to though it stops nothing: lists out of date, anchors revoked."""
    found = []
    for vendor in vendors:
        for one in vendor.lists:
            if one.end < now:
                found.append(f"{one.source} is out of date since {show_time(one.end)}")
        for anchor in filter(vendor.revoked, vendor.anchors):
            name = show_name(anchor.subject)
            found.append(f"{name} of the vendor {vendor.name} is revoked: it proves nothing")
    return found
