"""`cipsec ca report`: in which form and where to; making it is left to `report`."""

from __future__ import annotations

import contextlib
import shutil
import sys
import tempfile
from collections.abc import Iterator
from contextlib import closing
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from cipsec import files, shell, times
from cipsec._cli import actor, streams
from cipsec._cli.ca_issue import passphrase
from cipsec._cli.options import CaDir, Force, Output, PassphraseFile, one_of
from cipsec._cli.talk import Talk
from cipsec.errors import AlreadyExists, LocalState, UsageError

if TYPE_CHECKING:
    from cipsec.ca_folder import CaFolder
    from cipsec.report.making import Format, Made, Order

_SOON = timedelta(days=30)

As = Annotated[
    str | None,
    typer.Option(
        "--format",
        metavar="json|csv|html",
        autocompletion=one_of("json", "csv", "html"),
        help="By the file's name, else json.",
    ),
]
TableName = Annotated[
    str | None,
    typer.Option(
        "--table",
        autocompletion=one_of(
            *("certificates", "expiring", "requests", "revoked", "credentials", "users")
        ),
        metavar="NAME",
        help="Of csv: certificates (if none is said), expiring, requests, revoked, credentials,"
        " users.",
    ),
]
Expiring = Annotated[
    str | None,
    typer.Option("--expiring", metavar="DURATION", help="What ends soon; as ca.toml says."),
]
Sign = Annotated[
    bool, typer.Option("--sign", help="Sign the file with the CA's key, into FILE.p7s.")
]


def report(
    talk: Talk,
    *,
    form: As = None,
    table: TableName = None,
    expiring: Expiring = None,
    sign: Sign = False,
    output: Output = None,
    force: Force = False,
    passphrase_file: PassphraseFile = None,
    ca_dir: CaDir = None,
) -> None:
    """Report what was granted and why, and what is open.

    With what ends soon, what was revoked, and the policy in force.
    """
    from cipsec.ca_folder import open_folder
    from cipsec.report.making import Order, to_file

    path = Path(output).absolute() if output is not None and output != "-" else None
    chosen = _format(talk, form, path)
    _check(path, table, chosen, sign=sign, force=force)
    folder = open_folder(ca_dir)
    soon = times.parse_duration(expiring) if expiring else _soon(folder)
    authority = folder.authority(passphrase(talk, folder, passphrase_file)) if sign else None
    with closing(folder.store()) as database:
        order = Order(
            folder=folder,
            database=database,
            form=chosen,
            table=table or "certificates",
            now=times.now(),
            soon=soon,
            by=actor.name(),
        )
        if path is None:
            _print(order)
        else:
            _tell(talk, order, path, to_file(order, path, authority, overwrite=force))


def _format(talk: Talk, form: str | None, path: Path | None) -> Format:
    """Return the form that is meant: as said, by the file's name, or JSON; raise UsageError."""
    from cipsec.report.making import Format

    suffix = path.suffix.lower().removeprefix(".") if path else ""
    named = suffix if suffix in tuple(Format) else Format.JSON
    wanted = form or named
    if wanted not in tuple(Format):
        raise UsageError(f"{form!r} is not a format", hint=f"choose {', '.join(Format)}")
    if path is None and talk.json and wanted != Format.JSON:
        raise UsageError(f"--json and --format {form} exclude each other", hint="add -o FILE")
    return Format(wanted)


def _check(path: Path | None, table: str | None, form: Format, *, sign: bool, force: bool) -> None:
    """Refuse what cannot be before anything is asked, read or signed."""
    from cipsec.report.making import Format, signature_of
    from cipsec.report.tables import NAMES

    if table is not None and table not in NAMES:
        raise UsageError(f"{table!r} is not a table", hint=f"choose {', '.join(NAMES)}")
    if table is not None and form is not Format.CSV:
        raise UsageError("--table is for csv: other formats hold all", hint="add --format csv")
    if path is None:
        if sign:
            raise UsageError("a signature is for a file", hint="add -o FILE")
        return
    for target in (path, signature_of(path)) if sign else (path,):
        if files.exists(target) and not force:
            raise AlreadyExists(f"{target} exists", hint="add -f to overwrite it")


def _soon(folder: CaFolder) -> timedelta:
    """Return how early ca.toml has people told of an end; 30 days where it says nothing."""
    with contextlib.suppress(LocalState):
        return folder.configuration().server.expiring or _SOON
    return _SOON


def _print(order: Order) -> None:
    """Print the report once it is whole: a slow reader would hold up the store's housekeeping."""
    from cipsec.report.making import write

    with contextlib.ExitStack() as made:
        with _set_aside():
            file = made.enter_context(tempfile.TemporaryFile())
            write(order, file)
            file.seek(0)
        with streams.heard():
            sys.stdout.flush()
            shutil.copyfileobj(file, sys.stdout.buffer)
            sys.stdout.buffer.flush()


@contextlib.contextmanager
def _set_aside() -> Iterator[None]:
    """Raise LocalState where no file can be kept for a moment: nothing is said of stdout."""
    try:
        yield
    except OSError as error:
        raise LocalState(
            f"no temporary file can be written: {files.reason(error)}",
            hint="name a file for the report: -o FILE; or a folder: TMPDIR=/run cipsec ca report",
        ) from None


def _tell(talk: Talk, order: Order, path: Path, made: Made) -> None:
    from cipsec.report.making import signature_of

    signature = signature_of(path) if made.signer else None
    record = {
        "file": str(path),
        "format": str(order.form),
        "sha256": made.sha256.hex(),
        "chain_head": made.chain_head,
        "signature": str(signature) if signature else None,
        "signer": made.signer,
    }
    talk.fields("report", record if talk.json else {k: v for k, v in record.items() if v})
    if signature:
        # Of an intermediate CA, openssl insists on the root; the signature has the rest.
        folder = order.folder
        is_root = len(folder.path_to_root()) == 1
        anchor = folder.certificate_file if is_root else folder.chain_file
        names = [shell.quote(file.name) for file in (signature, path, anchor)]
        talk.say(
            "cipsec: verify it with: openssl cms -verify -binary -inform DER"
            " -in {} -content {} -CAfile {} -out /dev/null".format(*names)
        )
