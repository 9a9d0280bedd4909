"""`cipsec ca passphrase`: another passphrase for the CA's keys, or none."""

from __future__ import annotations

from typing import Annotated

import typer

from cipsec import times
from cipsec._cli import actor, ca_new
from cipsec._cli.ca_issue import passphrase as old_passphrase
from cipsec._cli.options import CaDir, PassphraseFile
from cipsec._cli.talk import Talk
from cipsec.errors import UsageError

NewPassphraseFile = Annotated[
    str | None,
    typer.Option(
        "--new-passphrase-file", metavar="FILE", help="Read the new passphrase; - for stdin."
    ),
]
NoPassphrase = Annotated[
    bool, typer.Option("--no-passphrase", help="Leave the CA's keys unencrypted on disk.")
]


def passphrase(
    talk: Talk,
    *,
    passphrase_file: PassphraseFile = None,
    new_passphrase_file: NewPassphraseFile = None,
    no_passphrase: NoPassphrase = False,
    ca_dir: CaDir = None,
) -> None:
    """Change the passphrase of the CA's keys.

    A server that runs goes on.
    """
    from cipsec import passphrase as passphrases
    from cipsec.ca_folder import open_folder
    from cipsec.serve.running import is_running
    from cipsec.token.uri import tool

    if no_passphrase and new_passphrase_file is not None:
        raise UsageError("--new-passphrase-file and --no-passphrase exclude each other")
    if [passphrase_file, new_passphrase_file] == ["-", "-"]:
        raise UsageError("the two passphrases cannot both come from stdin")
    folder = open_folder(ca_dir)
    if (uri := folder.key_uri()) is not None:
        raise UsageError(
            f"the CA's key is on the token {uri.token}, whose PIN is changed there",
            hint=tool(uri.module, "--login --change-pin"),
        )
    if not (talk.interactive or no_passphrase or new_passphrase_file):
        raise UsageError(
            "a new passphrase is needed and nobody can be asked",
            hint="add --new-passphrase-file FILE, or --no-passphrase",
        )
    old = old_passphrase(talk, folder, passphrase_file)
    folder.authority(old)  # refused before a new one is asked for
    new = None
    if not no_passphrase:
        option = "--new-passphrase-file"
        new = ca_new.chosen(talk, file=new_passphrase_file, option=option, prompt="New passphrase")
    passphrases.change(folder, old, new, by=actor.name(), now=times.now())
    changed = [str(file) for file in folder.key_files()]
    talk.fields("ca", {"directory": str(folder.path), "key_encrypted": bool(new), "keys": changed})
    if is_running(folder):
        talk.warn(
            "the server that runs cannot open a next key that is made from now on: start it again"
        )
    if new:
        talk.say("cipsec: the next start of the server needs the new passphrase")
        talk.say("cipsec: backups made before still open with the old one")
    else:
        talk.warn("whoever can read the CA's folder, or a backup of it, has its keys")
