"""`cipsec demo`: the stories of `cipsec.demo`, told at the terminal."""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path
from typing import Annotated

import typer

from cipsec._cli.options import command, group, one_of
from cipsec._cli.talk import Talk

app = group("demo", "Play a way of granting, or the whole story, on this machine.")

Keep = Annotated[
    Path | None, typer.Option("--keep", metavar="DIR", help="Play in this new folder and keep it.")
]
Model = Annotated[
    str,
    typer.Option(
        "--model",
        metavar="NAME",
        autocompletion=one_of(
            *("vendor", "serial", "password", "provisioning", "approval", "lab", "combined")
        ),
        help="vendor, serial, password, provisioning, approval, lab, or combined.",
    ),
]


@command(app, "demo")
def demo(talk: Talk, *, model: Model = "combined", keep: Keep = None) -> None:
    """Play the whole story on loopback, with real commands, or that of one way of granting."""
    from cipsec.demo import stories

    stories.check(model)
    if keep is None:
        with tempfile.TemporaryDirectory(prefix="cipsec-demo-") as name:
            _play(talk, model, Path(name))
        return
    folder = _new(keep.absolute())
    try:
        _play(talk, model, folder)
    finally:  # also where a command failed: its reasons are in there
        talk.say("")
        talk.say(f"It is all in {folder}.")


def _new(folder: Path) -> Path:
    """Make the folder where everything is to stay; raise LocalState."""
    from cipsec import files, private
    from cipsec.errors import LocalState

    files.require_free(folder)
    try:
        private.folder(folder)
    except OSError as error:
        raise LocalState(f"{folder} cannot be made: {files.reason(error)}") from None
    return folder


def _play(talk: Talk, model: str, folder: Path) -> None:
    from cipsec.demo.stage import Stage
    from cipsec.demo.stories import play

    play(
        model,
        folder,
        Stage(
            say=lambda sentence: talk.line(f"\n# {sentence}"),
            show=lambda command: talk.line(f"$ {command}"),
            output=None if sys.stdout.isatty() else lambda text: talk.line(text.rstrip("\n")),
        ),
    )
