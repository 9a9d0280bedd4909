"""What the command line names: a file, or `-` for stdin, read whole and bounded, PKCS#12 opened."""

from __future__ import annotations

import sys
from collections.abc import Collection
from pathlib import Path
from typing import TYPE_CHECKING

from cipsec import files, named
from cipsec._cli.talk import Talk
from cipsec.errors import LocalState, Locked, UsageError
from cipsec.pki.load import STDIN, Contents, contents
from cipsec.pki.mistaken import PKCS12, PRIVATE_KEY

if TYPE_CHECKING:
    from cipsec.pki.pkcs12 import Archive

# A list of a million revoked certificates with their reasons is 50 MB in DER, 70 in PEM, and takes
# 200 MB and some seconds, in proportion to its length.
_LIMIT = 96 * 1024 * 1024
_OPTION = "--passphrase-file"


def read(talk: Talk, name: str) -> tuple[bytes, str]:
    """Return the bytes of the file `name` (`-` is stdin) and what to call them; LocalState."""
    if name != "-":
        _refuse_nothing(name)
        return named.read(Path(name), limit=_LIMIT), name
    if sys.stdin.isatty():
        talk.say("cipsec: reading what you paste; end with Ctrl-D")
    data = sys.stdin.buffer.read(_LIMIT + 1)
    if len(data) > _LIMIT:
        raise LocalState(f"stdin gives more than {_LIMIT} bytes", hint="give one file of PEM")
    return data, STDIN


def look(talk: Talk, name: str, passphrase_file: str | None, *, opened: bool = True) -> Contents:
    """Return everything that `name` holds, also behind the passphrase of PKCS#12 unless told not.

    An empty passphrase is tried first. Raises Malformed, Locked for a wrong passphrase, and
    UsageError where one is needed and nobody can be asked.
    """
    found = contents(*read(talk, name))
    return _open(talk, found, name, passphrase_file) if opened and found.archives else found


def _open(talk: Talk, found: Contents, name: str, passphrase_file: str | None) -> Contents:
    opened = [_archive(talk, der, name, passphrase_file) for der in found.archives]
    kinds = [kind for kind in found.others if kind != PKCS12]
    return Contents(
        source=found.source,
        certificates=(*found.certificates, *(c for one in opened for c in one.certificates)),
        requests=found.requests,
        crls=found.crls,
        others=(*kinds, *[PRIVATE_KEY for one in opened if one.has_key]),
    )


def _archive(talk: Talk, der: bytes, name: str, passphrase_file: str | None) -> Archive:
    from cipsec._cli import ask
    from cipsec.archive import opening

    source = STDIN if name == "-" else name
    try:
        return opening.certificates(der, source, None)
    except Locked:
        if (name, passphrase_file) == ("-", "-"):
            raise UsageError(
                "the passphrase and the file cannot both come from stdin",
                hint=f"add {_OPTION} FILE",
            ) from None
    prompt = f"Passphrase of {source}"
    secret = ask.secret(talk, prompt, file=passphrase_file, option=_OPTION)
    return opening.certificates(der, source, secret)


def say_left(talk: Talk, found: Contents, *shown: str) -> list[str]:
    """Say what else a file holds than the kinds that are shown; return it."""
    left = [kind for kind in found.kinds() if kind not in shown]
    if left:
        talk.say(f"cipsec: {found.source} holds other things as well: {', '.join(left)}")
    return left


def sources(talk: Talk, name: str, suffixes: Collection[str]) -> list[str]:
    """Return what a name stands for: itself, or the files in a folder with one of the suffixes."""
    _refuse_nothing(name)
    path = Path(name)
    try:
        if name == "-" or not path.is_dir():
            return [name]
        held = sorted(one for one in path.iterdir() if one.is_file())
    except OSError as error:
        raise LocalState(f"{name} cannot be looked at: {files.reason(error)}") from None
    found = [str(one) for one in held if one.suffix.lower() in suffixes]
    if not found:
        raise LocalState(
            f"{name} holds no file that ends in {', '.join(sorted(suffixes))}",
            hint="name the files themselves",
        )
    if left := len(held) - len(found):
        what = "1 other file" if left == 1 else f"{left} other files"
        talk.say(f"cipsec: not looked at in {name}: {what}")
    return found


def _refuse_nothing(name: str) -> None:
    """Raise UsageError for no name: that of a variable unset, and to Python this folder's."""
    if not name:
        raise UsageError("the name of a file is empty", hint="name a file, or - for stdin")
