"""`cipsec ca issue`: the operator signs by hand; what is never signed is left to `ra.byhand`."""

from __future__ import annotations

import os
from contextlib import closing
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from cipsec import files, safe, times
from cipsec._cli import actor, ask
from cipsec._cli.options import CaDir, DryRun, Force, Note, Output, PassphraseFile, check_text
from cipsec._cli.talk import Talk
from cipsec.errors import AlreadyExists, LocalState, UsageError

if TYPE_CHECKING:
    from cipsec.ca_folder import CaFolder
    from cipsec.ra.byhand import Order
    from cipsec.ra.sources import Sources
    from cipsec.store.certificates import CertificateRow

Csr = Annotated[str, typer.Argument(metavar="CSR", help="A request, or - for stdin.")]
Days = Annotated[
    int | None,
    typer.Option("--days", metavar="N", min=1, max=36500, help="How long; as ca.toml says."),
]


def issue(
    talk: Talk,
    csr: Csr,
    *,
    output: Output = None,
    force: Force = False,
    days: Days = None,
    note: Note = None,
    dry_run: DryRun = False,
    passphrase_file: PassphraseFile = None,
    ca_dir: CaDir = None,
) -> None:
    """Sign a request by hand; PEM on stdout unless -o is given. It is recorded like any other."""
    from cipsec.ca_folder import open_folder
    from cipsec.ra import byhand
    from cipsec.serve.certificate import own_names

    check_text(note, "--note")
    if [csr, passphrase_file] == ["-", "-"]:
        raise UsageError("the request and the passphrase cannot both come from stdin")
    target = target_of(output, force=force)
    folder = open_folder(ca_dir)
    names = own_names(folder)
    with closing(folder.store()) as database:
        order = _order(talk, folder, folder.sources(database), csr, days=days, note=note or None)
        if dry_run:
            byhand.check(order, names, folder.ends())
            _foretell(talk, order, folder)
            return
        authority = folder.authority(passphrase(talk, folder, passphrase_file))
        row = byhand.sign(order, authority, names)
        database.write(lambda db: byhand.keep(db, order, row))
    _hand_out(talk, row, target)


@dataclass(frozen=True, slots=True)
class Target:
    """Where the certificate goes: a file, or stdout where `path` is None."""

    path: Path | None
    force: bool


def target_of(output: str | None, *, force: bool) -> Target:
    """Return where to write; refused before anything is signed when it could not be written."""
    if output in (None, "-"):
        return Target(None, force)
    path = Path(str(output)).absolute()
    try:
        possible = path.parent.is_dir() and os.access(path.parent, os.W_OK) and not path.is_dir()
        exists = path.exists()
    except OSError as error:
        raise LocalState(f"{path} cannot be written: {files.reason(error)}") from None
    if not possible:
        raise LocalState(f"{path} cannot be written", hint="name a file in a folder of yours")
    if exists and not force:
        raise AlreadyExists(f"{path} exists", hint="add -f to overwrite it")
    return Target(path, force)


def _order(
    talk: Talk,
    folder: CaFolder,
    sources: Sources,
    name: str,
    *,
    days: int | None,
    note: str | None,
) -> Order:
    from cipsec._cli import given
    from cipsec.pki import csr, load
    from cipsec.ra.byhand import Order

    config = folder.configuration()
    return Order(
        request=csr.parse(load.request(*given.read(talk, name))),
        by=actor.name(),
        note=note,
        validity=timedelta(days=days) if days is not None else config.certificate.validity,
        config=config,
        sources=sources,
        now=times.now(),
    )


def passphrase(talk: Talk, folder: CaFolder, file: str | None) -> str | None:
    """Return the passphrase of the CA's key, asked for where no file is named; None for none.

    Of a key on a token it is the PIN.
    """
    if not folder.is_encrypted():
        return None
    uri = folder.key_uri()
    words = f"PIN of the token {safe.text(uri.token)}" if uri else "Passphrase of the CA's key"
    return ask.secret(talk, words, file=file, option="--passphrase-file")


def _foretell(talk: Talk, order: Order, folder: CaFolder) -> None:
    """Say what would be signed; what only a certificate has is empty."""
    from cipsec.ca.profile import ENDPOINT, kept
    from cipsec.pki.names import show_name, show_san

    begins, ends = order.profile.period(order.now, folder.ends())
    identity, case = order.request.identity, order.case()
    record: dict[str, object] = {
        "serial": None,
        "kind": ENDPOINT,
        "subject": show_name(order.request.subject),
        "device": str(identity.device) if identity.device else None,
        "mac": str(identity.mac) if identity.mac else None,
        "not_before": times.show_time(begins),
        "not_after": times.show_time(ends),
        "status": None,
        "reason": case.decision.reason,
        "rule": case.decision.rule,
        "sha256": None,
        "revoked_at": None,
        "revoked_by": None,
        "revocation": None,
        "san": [show_san(name) for name in kept(order.request.sans)],
        "file": None,
        "pem": None,
    }
    _print(talk, record)
    talk.say("cipsec: nothing was signed")


def _hand_out(talk: Talk, row: CertificateRow, target: Target) -> None:
    """Write the recorded certificate where it was wanted."""
    from cryptography import x509
    from cryptography.hazmat.primitives.serialization import Encoding

    from cipsec._cli import ca_shown
    from cipsec.pki.names import sans_of, show_san

    certificate = x509.load_der_x509_certificate(row.der)
    pem = certificate.public_bytes(Encoding.PEM)
    if target.path:
        _write(target.path, pem, row, force=target.force)
    record = {
        **ca_shown.certificate(row, times.now()),
        "san": [show_san(name) for name in sans_of(certificate)],
        "file": str(target.path) if target.path else None,
        "pem": pem.decode(),
    }
    if talk.json or target.path:
        _print(talk, record)
    else:
        talk.raw(pem)
        talk.say(f"cipsec: certificate {row.serial} is signed and on record")


def _write(path: Path, pem: bytes, row: CertificateRow, *, force: bool) -> None:
    write = files.replace if force else files.create
    try:
        write(path, pem, mode=files.PUBLIC)
    except LocalState as error:
        hint = f"it is signed and on record: cipsec ca show {row.serial} --json"
        raise type(error)(error.message, hint=hint) from None


def _print(talk: Talk, record: dict[str, object]) -> None:
    people = {name: value for name, value in record.items() if value and name != "pem"}
    talk.fields("certificate", record if talk.json else people)
