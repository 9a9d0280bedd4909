"""What the command line names: a file, or `-` for stdin, read whole and bounded."""

from __future__ import annotations

import sys
from pathlib import Path

from cipsec import files
from cipsec._cli.talk import Talk
from cipsec.errors import LocalState
from cipsec.pki.load import STDIN

_LIMIT = 4 * 1024 * 1024  # a bundle with every public CA of the world is a tenth of it


def read(talk: Talk, name: str) -> tuple[bytes, str]:
    """Return the bytes of the file `name` (`-` is stdin) and what to call them; LocalState."""
    if name != "-":
        return files.read(Path(name), limit=_LIMIT), name
    if sys.stdin.isatty():
        talk.say("cipsec: reading what you paste; end with Ctrl-D")
    data = sys.stdin.buffer.read(_LIMIT + 1)
    if len(data) > _LIMIT:
        raise LocalState(f"stdin gives more than {_LIMIT} bytes", hint="give one file of PEM")
    return data, STDIN
