"""`cipsec completion`: the script for a shell, and the answers when the script asks."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Annotated

import typer

from cipsec._cli.options import command, group, one_of
from cipsec._cli.talk import Talk
from cipsec.errors import UsageError

if TYPE_CHECKING:
    from typer.core import TyperGroup

app = group("completion", "Print the completion script for a shell.")

ASKED = "_CIPSEC_COMPLETE"  # in the environment: which shell asks, as in `complete_bash`
SHELLS = ("bash", "zsh", "fish", "powershell")

Shell = Annotated[
    str,
    typer.Argument(
        metavar="bash|zsh|fish|powershell", autocompletion=one_of(*SHELLS), help="The shell."
    ),
]


@command(app, "completion")
def completion(talk: Talk, shell: Shell) -> None:
    """Print the completion script for a shell; it calls this program at each Tab."""
    talk.raw(script(shell).encode())


def script(shell: str) -> str:
    """Return the completion script; raise UsageError for a shell there is none for."""
    from typer._completion_shared import get_completion_script

    if shell not in SHELLS:
        raise UsageError(
            f"there is no script for {shell!r}", hint=f"choose one of {', '.join(SHELLS)}"
        )
    text = get_completion_script(prog_name="cipsec", complete_var=ASKED, shell=shell)
    return f"{text}\n"


def answer(root: TyperGroup) -> int:
    """Print what can follow on the command line that the script passes in the environment."""
    from typer._completion_classes import completion_init
    from typer.completion import shell_complete

    completion_init()
    return shell_complete(root, {}, "cipsec", ASKED, os.environ[ASKED])
