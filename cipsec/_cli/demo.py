"""`cipsec demo`: the story of `cipsec.demo`, told at the terminal."""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path
from typing import Annotated

import typer

from cipsec._cli.options import command, group
from cipsec._cli.talk import Talk

app = group("demo", "Play the whole story on this machine.")

Keep = Annotated[
    Path | None, typer.Option("--keep", metavar="DIR", help="Play in this new folder and keep it.")
]


@command(app, "demo")
def demo(talk: Talk, *, keep: Keep = None) -> None:
    """Play the whole story on loopback: init, serve, discover, enroll, approve, verify, renew."""
    from cipsec import files

    if keep is None:
        with tempfile.TemporaryDirectory(prefix="cipsec-demo-") as name:
            _play(talk, Path(name))
        return
    with files.new_directory(keep.absolute()) as draft:
        _play(talk, draft)
    talk.say(f"\nIt is all in {keep.absolute()}.")


def _play(talk: Talk, folder: Path) -> None:
    from cipsec.demo import Stage, play

    play(
        folder,
        Stage(
            say=lambda sentence: talk.line(f"\n# {sentence}"),
            show=lambda command: talk.line(f"$ {command}"),
            output=None if sys.stdout.isatty() else lambda text: talk.line(text.rstrip("\n")),
        ),
    )
