"""`cipsec ca provision|credentials`: certificates that may enroll and do nothing else."""

from __future__ import annotations

from contextlib import closing
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from cipsec import files, shell, times
from cipsec._cli import actor, ca_provision_card, exits
from cipsec._cli.ca_issue import passphrase
from cipsec._cli.card import LastTries, PinFile, ReaderName
from cipsec._cli.card_writing import ManagementKeyFile
from cipsec._cli.options import CaDir, KeyTypeName, Note, PassphraseFile, Yes, check_text
from cipsec._cli.talk import Talk
from cipsec.errors import LocalState, UsageError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from cipsec.ca.authority import Authority
    from cipsec.ca_folder import CaFolder
    from cipsec.pki.keys import KeyType, PrivateKey
    from cipsec.ra.provisioning import Order
    from cipsec.store.certificates import CertificateRow
    from cipsec.store.credentials import CredentialRow
    from cipsec.store.database import Database

_COLUMNS = ["name", "serial", "uses", "used", "status", "not_after", "created_by"]
_KEY, _CERTIFICATE, _TRUST = "key.pem", "certificate.pem", "ca.pem"

Name = Annotated[str, typer.Argument(metavar="NAME", help="Its name, such as card-1.")]
Uses = Annotated[
    int, typer.Option("--uses", metavar="N", min=1, max=1_000_000, help="For how many enrollments.")
]
Days = Annotated[int, typer.Option("--days", metavar="N", min=1, max=36500, help="For how long.")]
Folder = Annotated[
    str | None,
    typer.Option("--output", "-o", metavar="DIR", help="A new folder for key and certificates."),
]

# Without a default: what is for cards only is refused beside files.
Slot = Annotated[
    str | None,
    typer.Option("--slot", metavar="SLOT", help="Where on the card: 9a (if none is said), 9c, …"),
]


def provision(
    talk: Talk,
    name: Name,
    *,
    uses: Uses = 1,
    days: Days = 7,
    output: Folder = None,
    key_type: KeyTypeName = "ec-p256",
    note: Note = None,
    smartcard: ca_provision_card.Smartcard = False,
    reader: ReaderName = None,
    slot: Slot = None,
    pin_file: PinFile = None,
    management_key_file: ManagementKeyFile = None,
    allow_defaults: ca_provision_card.AllowDefaults = False,
    passphrase_file: PassphraseFile = None,
    ca_dir: CaDir = None,
    yes: Yes = False,
    force: LastTries = False,
) -> int | None:
    """Make a provisioning certificate, in a folder or on a card.

    Whoever has its key may enroll with it, N times, and do nothing else: devices do not trust it.
    The folder holds key.pem, certificate.pem, and ca.pem for the endpoint to trust. A card makes
    its key itself, and it never leaves the card.

    For example: cipsec ca provision card-1 --uses 20 --days 2 -o card-1
    """
    from cipsec.ca_folder import open_folder
    from cipsec.pki.keys import KeyType
    from cipsec.ra import provisioning

    check_text(note, "--note")
    card = ca_provision_card.parse(
        reader=reader,
        slot=slot,
        pin_file=pin_file,
        management_key_file=management_key_file,
        allow_defaults=allow_defaults,
        yes=yes,
        force=force,
        smartcard=smartcard,
    )
    target, kind = _target(output, smartcard=smartcard), KeyType.parse(key_type)
    folder = open_folder(ca_dir)
    order = provisioning.Order(
        name=name,
        uses=uses,
        validity=timedelta(days=days),
        backdate=folder.configuration().certificate.backdate,
        by=actor.name(),
        note=note or None,
        now=times.now(),
    )
    with closing(folder.store()) as database:
        database.read(lambda db: provisioning.require_free(db, name, order.now))
        if target is not None:
            files.require_free(target)
        issuer = folder.provisioning_authority(passphrase(talk, folder, passphrase_file), order.now)
        desk = _Desk(folder, database, order, issuer, kind)
        if target is not None:
            _into_folder(talk, desk, target)
        elif card is not None and not _onto_card(talk, desk, card):
            talk.nothing("cipsec: nothing was changed", "credential", one=True)
            return exits.NO
    return None


def _target(output: str | None, *, smartcard: bool) -> Path | None:
    if smartcard:
        if output is not None:
            raise UsageError("the key is made on the card or in a folder: --smartcard or -o DIR")
        return None
    if output is None:
        raise UsageError(
            "a provisioning certificate goes to a new folder or onto a card",
            hint="add -o DIR, or --smartcard",
        )
    if output in ("", "-"):
        raise UsageError("-o names a new folder; a key is not written to stdout")
    return Path(output).absolute()


@dataclass(frozen=True, slots=True)
class _Desk:
    """The CA at work on one order."""

    folder: CaFolder
    database: Database
    order: Order
    issuer: Authority
    key_type: KeyType


def _into_folder(talk: Talk, desk: _Desk, target: Path) -> None:
    from cipsec.pki.keys import generate
    from cipsec.ra import provisioning

    key = generate(desk.key_type)
    request = provisioning.request_for(desk.order.name, key)
    row = provisioning.sign(desk.order, request, desk.issuer)
    contents = _contents(key, row, desk.folder)
    credential = _hand_out(target, contents, desk.database, desk.order, row)
    _report(talk, credential, row, {"directory": str(target)})
    talk.say("cipsec: whoever has this folder may enroll with it: keep it as you keep a key")
    options = {"--cert": _CERTIFICATE, "--key": _KEY, "--trust": _TRUST}
    words = " ".join(f"{name} {shell.quote(target / file)}" for name, file in options.items())
    talk.say(f"cipsec: next, at the endpoint: cipsec enroll {words}")


def _onto_card(talk: Talk, desk: _Desk, options: ca_provision_card.CardOptions) -> bool:
    """Return whether it was done; the person may have said no."""
    from cipsec.pki.fingerprint import sha256
    from cipsec.ra import provisioning

    order, write = desk.order, desk.database.write
    with ca_provision_card.prepared(talk, options) as ready:
        if ready is None:
            return False
        credential, row = ca_provision_card.put(
            talk,
            ready,
            name=order.name,
            key_type=desk.key_type,
            sign=lambda request: provisioning.sign(order, request, desk.issuer),
            keep=lambda row: write(lambda db: provisioning.keep(db, order, row)),
        )
        reader, slot = ready.card.reader, str(ready.slot)
    _report(talk, credential, row, {"reader": reader, "slot": slot})
    talk.say("cipsec: whoever has this card and its PIN may enroll with it")
    trust = sha256(desk.folder.root())
    at = "" if slot == "9a" else f" --slot {slot}"
    words = f"cipsec enroll --smartcard{at} --fingerprint {trust}"
    talk.say(f"cipsec: next, at the endpoint: {words}")
    return True


def _contents(key: PrivateKey, row: CertificateRow, folder: CaFolder) -> dict[str, bytes]:
    """Return the files to hand out."""
    from cryptography import x509
    from cryptography.hazmat.primitives.serialization import Encoding

    from cipsec.pki import keys

    return {
        _KEY: keys.to_pem(key),
        _CERTIFICATE: x509.load_der_x509_certificate(row.der).public_bytes(Encoding.PEM),
        _TRUST: folder.root().public_bytes(Encoding.PEM),
    }


def _hand_out(
    target: Path,
    contents: Mapping[str, bytes],
    database: Database,
    order: Order,
    row: CertificateRow,
) -> CredentialRow:
    """Fill the folder, record, and only then give it its name: nobody has what is not recorded."""
    from cipsec.ra import provisioning

    credential = None
    try:
        with files.new_directory(target) as draft:
            for name, data in contents.items():
                mode = files.PRIVATE if name == _KEY else files.PUBLIC
                files.create(draft / name, data, mode=mode)
            credential = database.write(lambda db: provisioning.keep(db, order, row))
    except LocalState as error:
        if credential is None:
            raise
        hint = f"it is on record and nobody has it: cipsec ca revoke {row.serial}"
        raise LocalState(error.message, hint=hint) from None
    return credential


def _report(
    talk: Talk, made: CredentialRow, row: CertificateRow, where: Mapping[str, object]
) -> None:
    """Show what was made."""
    from cipsec._cli import ca_shown
    from cipsec.ra.provisioning import Standing

    record = ca_shown.credential(Standing(made, 0, "valid"))
    sha256 = str(ca_shown.certificate(row, times.now())["sha256"])
    record |= {**where, "sha256": talk.fingerprint(sha256)}
    people = {name: value for name, value in record.items() if value is not None}
    talk.fields("credential", record if talk.json else people)


def credentials(talk: Talk, *, ca_dir: CaDir = None) -> None:
    """List the provisioning certificates.

    Newest first, with how far each is used up.
    """
    from cipsec._cli import ca_shown
    from cipsec.ca_folder import open_folder
    from cipsec.ra import provisioning

    now = times.now()
    with closing(open_folder(ca_dir).store()) as database:
        found = database.read(lambda db: provisioning.listed(db, now))
    if not found:
        talk.say("cipsec: there is none; make one with: cipsec ca provision NAME -o DIR")
    records = map(ca_shown.credential, found)
    talk.table("credentials", _COLUMNS, records if talk.json else map(ca_shown.short, records))
