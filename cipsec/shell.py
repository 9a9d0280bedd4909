"""Words and commands as they are typed at the shell of this system; hints are made of them."""

from __future__ import annotations

import os
import re
import shlex
from collections.abc import Iterable
from pathlib import Path

WINDOWS = os.name == "nt"
# What neither cmd.exe nor PowerShell takes for anything else; a comma makes two words of one.
_PLAIN = re.compile(r"[\w+=:./\\~-]+")
_BEFORE_A_QUOTE = re.compile(r'(\\*)("|\Z)')


def quote(word: str | Path) -> str:
    """Return a word as it is typed to be one: for sh, or for cmd.exe and PowerShell alike.

    On Windows in double quotes: to cmd.exe `'` is a letter, and would be a part of a path.
    """
    text = str(word)
    if not WINDOWS:
        return shlex.quote(text)
    if _PLAIN.fullmatch(text):
        return text
    if "$" in text or "`" in text:  # PowerShell puts values in their place, but not in these
        return "'" + text.replace("'", "''") + "'"
    return f'"{_BEFORE_A_QUOTE.sub(_escaped, text)}"'


def _escaped(match: re.Match[str]) -> str:
    # As programs take their command line apart: backslashes count only before a quote.
    return match[1] * 2 + (r"\"" if match[2] else "")


def join(words: Iterable[str]) -> str:
    """Return a command with its arguments as it is typed."""
    return " ".join(map(quote, words))


def command(posix: str, path: str | Path, *, windows: str) -> str:
    """Return a command of this system and a path, for a hint: `ls -l` or `dir`, say."""
    return f"{windows if WINDOWS else posix} {quote(path)}"
