"""`cipsec vendor`: whose device certificates prove a device; the files are `ra.vendors`'s."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import closing
from typing import TYPE_CHECKING, Annotated, TypeVar

import typer

from cipsec import times
from cipsec._cli import actor, ask, exits, given
from cipsec._cli.options import CaDir, Force, Yes, command, group
from cipsec._cli.talk import Talk
from cipsec._cli.vendor_vouched import vouched
from cipsec.errors import UsageError
from cipsec.store.codes import Code

if TYPE_CHECKING:
    import sqlite3
    from pathlib import Path

    from cryptography import x509

    from cipsec.ca_folder import CaFolder
    from cipsec.ra.vendors.load import Vendor

_T = TypeVar("_T")

app = group("vendor", "Keep the device vendors whose certificates are believed.")

_COLUMNS = ("name", "subject", "vendor_ids", "not_after", "sha256")

File = Annotated[
    str, typer.Argument(metavar="FILE", help="The vendor's CA certificates: PEM, DER, PKCS#7; -.")
]
Name = Annotated[str, typer.Argument(metavar="NAME", help="The vendor's name.")]
NameOption = Annotated[
    str | None, typer.Option("--name", metavar="NAME", help="What rules call the vendor.")
]
Fingerprints = Annotated[
    list[str] | None,
    typer.Option(
        "--fingerprint",
        metavar="SHA256",
        help="Of the CA certificate, as the vendor publishes it; instead of the question.",
    ),
]
VendorIds = Annotated[
    list[str] | None,
    typer.Option(
        "--vendor-id",
        metavar="ID",
        help="The only Vendor IDs it may speak for, hexadecimal: 0001; repeatable.",
    ),
]
Crl = Annotated[
    str | None, typer.Option("--crl", metavar="FILE", help="Its revocation lists: PEM or DER.")
]
CheckExpiry = Annotated[
    bool, typer.Option("--check-expiry", help="Refuse expired certificates of this vendor.")
]
RequireEku = Annotated[
    bool, typer.Option("--require-eku", help="Refuse those not marked for TLS clients.")
]
RequireSan = Annotated[
    bool, typer.Option("--require-san", help="Refuse those without an alternative name.")
]
RequireAki = Annotated[
    bool, typer.Option("--require-aki", help="Refuse those that do not point to the issuer's key.")
]
RequireFreshCrl = Annotated[
    bool, typer.Option("--require-fresh-crl", help="Refuse all while a revocation list is old.")
]


@command(app, "list")
def listing(talk: Talk, *, ca_dir: CaDir = None) -> int:
    """List the vendors and their certificates.

    Exit code 6 when a file is broken.
    """
    from cipsec.ca_folder import open_folder
    from cipsec.ra.vendors import load

    where = _place(open_folder(ca_dir))
    found = load.folder(where)
    if not found.names:
        talk.say("cipsec: there is no vendor; add one with: cipsec vendor add FILE --name NAME")
    _print(talk, where, found.vendors)
    _warn_of_lists(talk, found.vendors)
    troubles = found.troubles()
    for trouble in troubles:
        talk.warn(trouble)
    return exits.LOCAL_STATE if troubles else exits.OK


@command(app, "add")
def add(
    talk: Talk,
    file: File,
    *,
    name: NameOption = None,
    fingerprint: Fingerprints = None,
    vendor_id: VendorIds = None,
    crl: Crl = None,
    check_expiry: CheckExpiry = False,
    require_eku: RequireEku = False,
    require_san: RequireSan = False,
    require_aki: RequireAki = False,
    require_fresh_crl: RequireFreshCrl = False,
    force: Force = False,
    yes: Yes = False,
    ca_dir: CaDir = None,
) -> int:
    """Believe a vendor's device certificates from now on.

    Rules say what for.
    """
    from cipsec.ca_folder import open_folder
    from cipsec.pki import load, revocation
    from cipsec.ra.vendors import keep
    from cipsec.ra.vendors.settings import Settings, Strictness, parse_vendor_id

    if name is None:
        raise UsageError("the vendor has no name", hint="add --name NAME")
    said = Settings(
        frozenset(map(parse_vendor_id, vendor_id or [])),
        Strictness(
            check_expiry=check_expiry,
            require_eku=require_eku,
            require_san=require_san,
            require_aki=require_aki,
            require_fresh_crl=require_fresh_crl,
        ),
    )
    folder = open_folder(ca_dir)
    where = _place(folder)
    certificates = list(dict.fromkeys(load.certificates(*given.read(talk, file))))
    keep.check(where, name, certificates, source=file, own=_own(folder), replace=force)
    lists, source = given.read(talk, crl) if crl else (None, "")
    if lists is not None:
        revocation.read(lists, source)  # by the name it has here, before anybody is asked
    if not vouched(talk, certificates, fingerprint or [], yes=yes):
        talk.nothing("cipsec: nothing was added", "vendors")
        return exits.NO

    def work() -> Vendor:
        return keep.add(where, name, certificates, said, lists=lists)

    vendor = _recorded(folder, Code.VENDOR_ADDED, name, certificates, work)
    _warn_of_age(talk, vendor)
    _warn_of_lists(talk, [vendor])
    _print(talk, where, [vendor])
    return exits.OK


@command(app, "remove")
def remove(talk: Talk, name: Name, *, yes: Yes = False, ca_dir: CaDir = None) -> int:
    """Believe a vendor's certificates no longer.

    What was issued stays valid.
    """
    from cipsec.ca_folder import open_folder
    from cipsec.errors import LocalState
    from cipsec.ra.vendors import keep, load

    folder = open_folder(ca_dir)
    where = _place(folder)
    keep.require(where, name)
    if not yes and not ask.confirm(talk, f"Remove the vendor {name}?", option="-y"):
        talk.nothing("cipsec: nothing was removed", "vendors")
        return exits.NO
    try:
        removed = [load.vendor(where, name)]
    except LocalState:
        removed = []  # broken files can be removed as well
    certificates = [a.certificate for vendor in removed for a in vendor.anchors]
    _recorded(folder, Code.VENDOR_REMOVED, name, certificates, lambda: keep.remove(where, name))
    _print(talk, where, removed)
    return exits.OK


def _place(folder: CaFolder) -> Path:
    return folder.vendors_folder


def _own(folder: CaFolder) -> list[x509.Certificate]:
    """Return the plant's own CAs, which are no vendor's."""
    provisioning = folder.provisioning_certificate()
    above = folder.path_to_root()[1:]
    return [*folder.roots(), *above, *([provisioning] if provisioning else [])]


def _recorded(
    folder: CaFolder,
    event: Code,
    name: str,
    certificates: Sequence[x509.Certificate],
    work: Callable[[], _T],
) -> _T:
    """Do something and record it, both or neither: one event for each certificate."""
    from cipsec.pki import fingerprint
    from cipsec.pki.names import show_name
    from cipsec.store import events

    at, who = int(times.now().timestamp()), actor.name()
    told = [
        events.Event(
            at,
            event,
            who,
            subject=show_name(one.subject),
            reason=f"vendor {name}, SHA-256 {fingerprint.sha256(one)}",
        )
        for one in certificates
    ]

    def write(db: sqlite3.Connection) -> _T:
        for one in told or [events.Event(at, event, who, reason=f"vendor {name}")]:
            events.append(db, one)
        return work()

    with closing(folder.store()) as database:
        return database.write(write)


def _warn_of_age(talk: Talk, vendor: Vendor) -> None:
    from cipsec.pki.names import show_name

    for anchor in vendor.anchors:
        if anchor.end < times.now():
            effect = "nothing" if vendor.settings.strict.check_expiry else "devices all the same"
            shown = show_name(anchor.subject)
            talk.warn(f"{shown} expired at {times.show_time(anchor.end)}; it proves {effect}")


def _warn_of_lists(talk: Talk, vendors: Sequence[Vendor]) -> None:
    from cipsec.ra.vendors import load

    for warning in load.warnings(vendors, times.now()):
        talk.warn(warning)


def _print(talk: Talk, where: Path, vendors: Sequence[Vendor]) -> None:
    from cipsec.pki.names import show_name
    from cipsec.ra.vendors.settings import SWITCHES, show_vendor_ids

    records = [
        {
            "name": vendor.name,
            "subject": show_name(anchor.subject),
            "sha256": anchor.sha256,
            "not_after": times.show_time(anchor.end),
            "vendor_ids": show_vendor_ids(vendor.settings.vendor_ids),
            **{switch: getattr(vendor.settings.strict, switch) for switch in SWITCHES},
            "revoked": vendor.revoked(anchor),
            "file": str(where / f"{vendor.name}.pem"),
        }
        for vendor in vendors
        for anchor in vendor.anchors
    ]
    talk.table("vendors", _COLUMNS, records)
