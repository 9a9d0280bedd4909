"""`cipsec ca init`: options to a CA folder; other CAs than a new root have files of their own."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Annotated

import typer

from cipsec._cli import ca_new
from cipsec._cli.ca_new import Given
from cipsec._cli.options import CaDir, Force, PassphraseFile, WishedKeyType, one_of
from cipsec._cli.talk import Talk
from cipsec.errors import UsageError

_DAYS = 7300

Name = Annotated[
    str | None, typer.Option("--name", metavar="NAME", help="The CA's name, such as 'Line 4'.")
]
Subject = Annotated[
    str | None, typer.Option("--subject", metavar="DN", help="Its subject, in place of --name.")
]
Days = Annotated[
    int | None,
    typer.Option(
        "--days", metavar="N", min=1, max=36500, help=f"How long the CA lives; {_DAYS} if not said."
    ),
]
Hosts = Annotated[
    list[str] | None,
    typer.Option(
        "--host",
        metavar="NAME|IP",
        help="What devices reach the server by, besides this machine's.",
    ),
]
Policy = Annotated[
    str,
    typer.Option(
        "--policy",
        metavar="MODEL",
        autocompletion=one_of(
            *("approval", "vendor", "serial", "password", "provisioning", "combined", "lab")
        ),
        help="approval, vendor, serial, password, provisioning, combined, or lab.",
    ),
]
NoPassphrase = Annotated[
    bool, typer.Option("--no-passphrase", help="Leave the CA's key unencrypted on disk.")
]
Intermediate = Annotated[
    bool,
    typer.Option(
        "--intermediate", help="A CA below another: make its request, or take --certificate in."
    ),
]
Import = Annotated[
    str | None,
    typer.Option(
        "--import",
        metavar="FILE|URI",
        help="A CA that exists: its key, PEM, DER or PKCS#12, certificates with it or not; or the"
        " URI of a key on a PKCS#11 token.",
    ),
]
Key = Annotated[
    str | None,
    typer.Option(
        "--key",
        metavar="URI",
        help="The key on a PKCS#11 token, made there if need be: 'pkcs11:token=…;object=…?"
        "module-path=…'. --passphrase-file gives the PIN.",
    ),
]
ImportPassphraseFile = Annotated[
    str | None,
    typer.Option(
        "--import-passphrase-file",
        metavar="FILE",
        help="Read what opens the key that is imported; - for stdin.",
    ),
]
CertificateFile = Annotated[
    Path | None,
    typer.Option(
        "--certificate",
        metavar="FILE",
        help="What the CA above made of the request, or that of the key that is imported.",
    ),
]
ChainFiles = Annotated[
    list[Path] | None,
    typer.Option("--chain", metavar="FILE", help="The CAs above, the root included; repeatable."),
]
RequestOutput = Annotated[
    str | None,
    typer.Option("--output", "-o", metavar="FILE", help="A copy of the request; - for stdout."),
]


def init(
    talk: Talk,
    *,
    name: Name = None,
    subject: Subject = None,
    key_type: WishedKeyType = None,
    days: Days = None,
    host: Hosts = None,
    policy: Policy = "approval",
    passphrase_file: PassphraseFile = None,
    no_passphrase: NoPassphrase = False,
    key: Key = None,
    intermediate: Intermediate = False,
    certificate: CertificateFile = None,
    chain: ChainFiles = None,
    imported: Import = None,
    import_passphrase_file: ImportPassphraseFile = None,
    output: RequestOutput = None,
    force: Force = False,
    ca_dir: CaDir = None,
) -> None:
    """Make a CA: key, certificate, rules and an empty record.

    A root, unless --intermediate puts it below another CA or --import names one that exists.

    For example: cipsec ca init --name "Line 4" --host est.line4.example
    """
    from cipsec import times
    from cipsec._cli import ca_import, ca_intermediate

    times.require_plausible(times.now())  # else the CA has ended before it is used
    given = Given(
        name=name,
        subject=subject,
        key_type=key_type,
        days=days,
        hosts=host or [],
        policy=policy,
        passphrase_file=passphrase_file,
        no_passphrase=no_passphrase,
        key=key,
        ca_dir=ca_dir,
    )
    wants_request = intermediate and certificate is None
    _refuse_contradictions(given, imported, import_passphrase_file, intermediate=intermediate)
    if output is not None and not wants_request:
        raise UsageError("only a request is written with -o", hint="leave out -o")
    paths = [*([certificate] if certificate else []), *(chain or ())]
    if imported is not None:
        ca_import.adopt(talk, given, imported, paths, import_passphrase_file)
    elif intermediate and certificate:
        ca_intermediate.install(talk, given, paths)
    elif paths:
        raise UsageError(
            "a new root signs its own certificate, and a request waits for one",
            hint="leave out --certificate and --chain, or name both with --intermediate",
        )
    elif wants_request:
        ca_intermediate.request(talk, given, output, force=force)
    else:
        _root(talk, given)


def _refuse_contradictions(
    given: Given, imported: str | None, opens: str | None, *, intermediate: bool
) -> None:
    """Raise UsageError for options of which one would have no effect."""
    if imported is None and opens is not None:
        raise UsageError("there is no key to be opened", hint="add --import FILE")
    if imported is not None and given.key is not None:
        raise UsageError(
            "a key is imported from a file, or used where it is on a token",
            hint="to go on with a CA whose key is on a token: --import with its URI",
        )
    if imported is not None and intermediate:
        raise UsageError(
            "an imported CA has its certificate, whether a CA is above it or not",
            hint="leave out --intermediate",
        )


def _root(talk: Talk, given: Given) -> None:
    from cipsec import founding, times
    from cipsec.pki import keys

    title, dn = ca_new.names(given.name, given.subject)
    ca_new.check(given, title)
    kind = keys.KeyType.parse(given.key_type or keys.KeyType.EC_P256)
    place = founding.free_folder(given.ca_dir).path
    folder = founding.create(
        place,
        name=title,
        subject=dn,
        key_type=kind,
        validity=timedelta(days=given.days or _DAYS),
        passphrase=ca_new.new_passphrase(talk, given),
        hosts=given.hosts,
        policy=given.policy,
        now=times.now(),
        key=ca_new.key_on_token(talk, given),
    )
    talk.fields("ca", ca_new.record(talk, folder))
    ca_new.tell_next(talk, given)
