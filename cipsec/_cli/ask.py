"""Questions to a person at the terminal, and secrets from a file or stdin; never from arguments."""

from __future__ import annotations

import codecs
import getpass
import sys
from pathlib import Path

from cipsec import named
from cipsec._cli import terminal
from cipsec._cli.talk import Talk
from cipsec.errors import UsageError

_SECRET_LIMIT = 4096


def secret(talk: Talk, prompt: str, *, file: str | None, option: str, twice: bool = False) -> str:
    """Return a secret from `file` (`-` is stdin), else asked at the terminal.

    Raises UsageError naming `option` where nobody can be asked, and when it is empty or the two
    entries differ.
    """
    if file is not None:
        return _from_file(file, option)
    if not talk.interactive:
        raise UsageError(f"{prompt} is needed and nobody can be asked", hint=f"add {option} FILE")
    entered = getpass.getpass(f"{prompt}: ")
    if twice and entered != getpass.getpass(f"{prompt} again: "):
        raise UsageError("the two entries differ", hint="type the same twice")
    return _not_empty(entered, prompt)


def _from_file(file: str, option: str) -> str:
    if file == "-":
        data = sys.stdin.buffer.readline(_SECRET_LIMIT)
    else:
        data = named.read(Path(file), limit=_SECRET_LIMIT)
    try:
        return _not_empty(_first_line(data), f"what {option} gives")
    except UnicodeDecodeError:
        raise UsageError(f"what {option} gives is not UTF-8 text") from None


def _first_line(data: bytes) -> str:
    """Return the first line without its end; what Windows writes before a text is no part of it.

    Notepad marks UTF-8; PowerShell's > writes UTF-16. Raises UnicodeDecodeError.
    """
    if data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        text = data.decode("utf-16")
    else:
        text = data.split(b"\n", 1)[0].decode("utf-8-sig")
    return text.split("\n", 1)[0].rstrip("\r\n")


def _not_empty(text: str, what: str) -> str:
    if not text:
        raise UsageError(f"{what} is empty")
    return text


def confirm(talk: Talk, question: str, *, option: str) -> bool:
    """Ask yes or no at the terminal; raise UsageError naming `option` where nobody can be asked."""
    if not talk.interactive:
        raise UsageError(f"{question} Nobody can be asked", hint=f"add {option}")
    terminal.write(f"{question} [y/N] ")
    return terminal.readline().strip().lower() in {"y", "yes"}


def line(talk: Talk, prompt: str) -> str:
    """Return one line that a person types; raise UsageError when it is empty."""
    assert talk.interactive
    terminal.write(f"{prompt}: ")
    return _not_empty(terminal.readline().strip(), prompt)
