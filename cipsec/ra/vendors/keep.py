"""Changes to the folder `vendors/`: a vendor added, replaced or removed, never half there."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from cipsec import files
from cipsec.errors import AlreadyExists, LocalState, Malformed, NotFound, UsageError
from cipsec.pki import keys, revocation
from cipsec.pki.issued import directly_issued
from cipsec.pki.names import show_name
from cipsec.ra.vendors import load, settings
from cipsec.ra.vendors.load import ANCHORS, LISTS, SETTINGS, Vendor
from cipsec.ra.vendors.settings import Settings

_LOCK_SECONDS = 10


def check(
    where: Path,
    name: str,
    certificates: Sequence[x509.Certificate],
    *,
    source: str,
    own: Sequence[x509.Certificate],
    replace: bool,
) -> None:
    """Raise unless certificates can be the anchors of vendor `name`; `own` are the plant's CAs.

    UsageError for a name that is none and for what is of the plant's own CA, Malformed for what is
    no CA's, AlreadyExists for a vendor that is there and for an anchor that another vendor has.
    """
    settings.check_name(name)
    if (where / (name + ANCHORS)).exists() and not replace:
        raise AlreadyExists(f"there is a vendor {name}", hint="add -f to replace it")
    found = {anchor.sha256 for anchor in load.authorities(list(certificates), source)}
    for certificate in certificates:
        _check_foreign(certificate, own)
    for vendor in load.folder(where).vendors:
        for anchor in vendor.anchors:
            if vendor.name != name and anchor.sha256 in found:
                subject = show_name(anchor.subject)
                raise AlreadyExists(f"{subject} is of the vendor {vendor.name} already")


def _check_foreign(certificate: x509.Certificate, own: Sequence[x509.Certificate]) -> None:
    """Refuse what would make the plant's own certificates a vendor's: the same key, or issued."""
    spki = keys.spki(certificate.public_key())
    for mine in own:
        if spki == keys.spki(mine.public_key()) or directly_issued(certificate, mine):
            name = show_name(certificate.subject)
            raise UsageError(f"{name} is of this CA, and no vendor's")


def add(
    where: Path,
    name: str,
    certificates: Sequence[x509.Certificate],
    said: Settings,
    *,
    lists: bytes | None,
) -> Vendor:
    """Write a vendor's files, checked before, and return it as it is read from them.

    The anchors come last, so that no moment sees them without their limits; lists stay that are
    not replaced. Raises LocalState; Malformed for lists that cannot be used.
    """
    pem = b"".join(c.public_bytes(Encoding.PEM) for c in dict.fromkeys(certificates))
    _require_room(f"{where.name}/{name}", pem, ANCHORS)
    if lists is not None:
        _require_room(f"{where.name}/{name}", lists, LISTS)
        _check_lists(where, name, certificates, lists)
    with _alone(where):
        files.replace(where / (name + SETTINGS), settings.text(said).encode(), mode=files.PUBLIC)
        if lists is not None:
            files.replace(where / (name + LISTS), lists, mode=files.PUBLIC)
        files.replace(where / (name + ANCHORS), pem, mode=files.PUBLIC)
    return load.vendor(where, name)


def _require_room(place: str, data: bytes, suffix: str) -> None:
    """Raise Malformed for what is too long to be read again: its vendor would prove nothing."""
    if len(data) > load.LIMITS[suffix]:
        raise Malformed(f"{place}{suffix} would be larger than {load.LIMITS[suffix]} bytes")


def _check_lists(
    where: Path, name: str, certificates: Sequence[x509.Certificate], lists: bytes
) -> None:
    """Raise Malformed for lists that cannot be read, or are not by the CA of a vendor they name."""
    source = f"{where.name}/{name}{LISTS}"
    read = tuple(revocation.read(lists, source))
    anchors = tuple(load.authorities(list(certificates), source))
    others = [vendor for vendor in load.folder(where).vendors if vendor.name != name]
    for fault in load.unsigned(read, [Vendor(name, anchors, Settings(), read), *others]):
        raise Malformed(fault, hint="get the list from the vendor again")


def remove(where: Path, name: str) -> None:
    """Remove a vendor's files, also broken ones; raise NotFound, LocalState.

    The anchors go first, so that no moment sees them without their limits.
    """
    require(where, name)
    try:
        with _alone(where):
            for suffix in (ANCHORS, LISTS, SETTINGS):
                (where / (name + suffix)).unlink(missing_ok=True)
            files.sync_directory(where)
    except OSError as error:
        raise LocalState(f"{name} cannot be removed: {files.reason(error)}") from None


def require(where: Path, name: str) -> None:
    """Raise NotFound unless there is a vendor of that name, UsageError for what is no name."""
    settings.check_name(name)
    if not files.exists(where / (name + ANCHORS)):
        raise NotFound(f"there is no vendor {name}", hint="list them with: cipsec vendor list")


@contextlib.contextmanager
def _alone(where: Path) -> Iterator[None]:
    """Keep other administrators' changes apart; raise Locked, LocalState."""
    try:
        where.mkdir(exist_ok=True)
    except OSError as error:
        raise LocalState(f"{where} cannot be made: {files.reason(error)}") from None
    lock = where.with_name(f"{where.name}.lock")
    busy = f"{where} is being changed by another process"
    with files.held(lock, patience=_LOCK_SECONDS, busy=busy):
        yield
