"""`cipsec ca crl`: the CA's revocation list, as it is or signed anew, for a file or a pipe."""

from __future__ import annotations

import time
from contextlib import closing
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Annotated

import typer

from cipsec import files, times
from cipsec._cli.ca_issue import Target, passphrase, target_of
from cipsec._cli.options import CaDir, Force, Output, PassphraseFile, one_of
from cipsec._cli.talk import Talk
from cipsec.errors import UsageError

if TYPE_CHECKING:
    from pathlib import Path

    from cipsec.ca_folder import CaFolder
    from cipsec.publishing import Made
    from cipsec.store.database import Database

_DER = frozenset({".crl", ".der"})
_FORMS = ("pem", "der")
_PATIENCE_SECONDS = 5.0  # a server that runs signs within a second what is due
_LOOK_SECONDS = 0.2

Days = Annotated[
    int | None,
    typer.Option("--days", min=1, max=3650, help="Sign a list that is good for so many days."),
]
Form = Annotated[
    str | None,
    typer.Option(
        "--form",
        metavar="FORM",
        autocompletion=one_of("pem", "der"),
        help="pem or der; else by FILE: .crl and .der are DER.",
    ),
]


def crl(
    talk: Talk,
    *,
    output: Output = None,
    form: Form = None,
    days: Days = None,
    force: Force = False,
    passphrase_file: PassphraseFile = None,
    ca_dir: CaDir = None,
) -> None:
    """Hand out the CA's revocation list, as PEM or DER.

    In PEM the lists of former roots follow it, where there are any.

    The one that lies in the CA's folder, while it names all that is revoked and half its time is
    before it; a server that runs sees to that. Otherwise, and with --days, another is signed, laid
    into the folder and handed out, for which the passphrase of the CA's key is needed.
    """
    from cipsec import publishing
    from cipsec.ca_folder import open_folder

    target, is_der = target_of(output, force=force), _is_der(output, form)
    folder = open_folder(ca_dir)
    with closing(folder.store()) as database:
        made = _current(folder, database) if days is None else None
        signed = made is None
        if made is None:
            made = _signed(talk, folder, database, days, passphrase_file)
    former = publishing.former(folder, now=times.now())
    if is_der and former:
        _tell_left_out(talk, len(former))
    pem = _pem(made.der, *former)
    handed = _Handed(folder, made, pem, len(former), signed=signed)
    _hand_out(talk, handed, target, is_der=is_der)


@dataclass(frozen=True, slots=True)
class _Handed:
    """What is handed out: the list of the root that issues; in PEM with those of `former` ones."""

    folder: CaFolder
    made: Made
    pem: bytes
    former: int
    signed: bool = field(kw_only=True)


def _tell_left_out(talk: Talk, former: int) -> None:
    """Say that DER has one list, where there are more."""
    roots = "the former root" if former == 1 else f"{former} former roots"
    talk.say(f"cipsec: what {roots} issued is looked up in another list: --form pem has all")


def _is_der(output: str | None, form: str | None) -> bool:
    if form is None:
        return output is not None and output[-4:].lower() in _DER
    if form not in _FORMS:
        raise UsageError(f"{form!r} is not a form", hint=f"choose one of {', '.join(_FORMS)}")
    return form == "der"


def _current(folder: CaFolder, database: Database) -> Made | None:
    """Return the list in the folder, waiting for a server that is about to renew it."""
    from cipsec import publishing
    from cipsec.serve.running import is_running

    validity, until = folder.configuration().crl.validity, None
    while True:
        made = publishing.current(folder, database, now=times.now(), validity=validity)
        if made or not is_running(folder):
            return made
        until = until or time.monotonic() + _PATIENCE_SECONDS
        if time.monotonic() > until:
            return None
        time.sleep(_LOOK_SECONDS)


def _signed(
    talk: Talk, folder: CaFolder, database: Database, days: int | None, file: str | None
) -> Made:
    from datetime import timedelta

    from cipsec import publishing

    now, config = times.now(), folder.configuration().crl
    validity = config.validity if days is None else timedelta(days=days)
    issuers = folder.crl_issuers(folder.authorities(passphrase(talk, folder, file), now))
    made = publishing.publish(
        folder,
        database,
        issuers,
        now=now,
        validity=validity,
        backdate=config.backdate,
        anyway=True,
    )
    return made[0]


def _hand_out(talk: Talk, handed: _Handed, target: Target, *, is_der: bool) -> None:
    written = handed.made.der if is_der else handed.pem
    if target.path:
        write = files.replace if target.force else files.create
        write(target.path, written, mode=files.PUBLIC)
    record = _record(handed, target.path)
    if talk.json:
        given = {} if target.path else {"pem": handed.pem.decode()}
        talk.fields("crl", record | given)
    elif target.path:
        talk.fields("crl", {name: value for name, value in record.items() if value is not None})
    else:
        talk.raw(written)
        if handed.signed:
            talk.say(f"cipsec: revocation list {handed.made.published.number} is signed")


def _pem(*lists: bytes) -> bytes:
    from cryptography import x509
    from cryptography.hazmat.primitives.serialization import Encoding

    return b"".join(x509.load_der_x509_crl(der).public_bytes(Encoding.PEM) for der in lists)


def _record(handed: _Handed, file: Path | None) -> dict[str, object]:
    from cipsec._cli import ca_shown
    from cipsec.ca.crl import place

    folder, published = handed.folder, handed.made.published
    url = folder.configuration().crl.url
    return {
        "number": published.number,
        "entries": published.entries,
        "this_update": ca_shown.moment(published.this_update),
        "next_update": ca_shown.moment(published.next_update),
        "sha256": published.sha256,
        "signed": handed.signed,
        "url": place(url, folder.crl_mark()) if url else None,
        "published": str(folder.crl_file),
        "former": handed.former or None,
        "file": str(file) if file else None,
    }
