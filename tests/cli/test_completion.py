"""Completion: the scripts in completions/ are current, and real shells complete with them."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from cipsec._cli.completion import SHELLS, script
from tests.support import programs

from .conftest import Cipsec

FOLDER = Path(__file__).parents[2] / "completions"
FILES = {
    "bash": "cipsec.bash",
    "zsh": "_cipsec",
    "fish": "cipsec.fish",
    "powershell": "cipsec.ps1",
}


def _run(*command: str | Path, **environment: str) -> str:
    """Run a program with this interpreter's `cipsec` first on the path; return its stdout."""
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    ran = subprocess.run(
        [str(part) for part in command],
        env={**os.environ, "PATH": path, **environment},
        capture_output=True,
        text=True,
        check=False,
        timeout=180,
    )
    assert ran.stderr == ""
    return ran.stdout


@pytest.mark.parametrize("shell", SHELLS)
def test_the_scripts_are_current(cipsec: Cipsec, shell: str) -> None:
    """completions/ holds what `cipsec completion SHELL` prints."""
    ran = cipsec("completion", shell)
    assert (ran.code, ran.err) == (0, "")
    assert ran.out == script(shell) == (FOLDER / FILES[shell]).read_text()


def test_another_shell_is_refused(cipsec: Cipsec) -> None:
    """With those there are."""
    ran = cipsec("completion", "tcsh")
    assert (ran.code, ran.out) == (2, "")
    assert ran.err.splitlines()[1] == "cipsec: hint: choose one of bash, zsh, fish, powershell"


_IN_BASH = """
source "$1"; shift
COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1))
_cipsec_completion cipsec
printf '%s\\n' "${COMPREPLY[@]}"
"""


@pytest.mark.parametrize(
    ("words", "completed"),
    [
        (("cipsec", "ca", "app"), ["approve"]),
        (("cipsec", "comp"), ["completion"]),
        (("cipsec", "csr", ""), ["create", "show", "verify"]),
        (("cipsec", "csr", "create", "--pass"), ["--passphrase-file"]),
        (("cipsec", "csr", "show", "--js"), ["--json"]),
        (("cipsec", "nothing", "x"), [""]),
    ],
)
def test_bash_completes(words: tuple[str, ...], completed: list[str]) -> None:
    """The real shell, its function, and the program that answers."""
    programs.need("bash")
    arguments = ("--norc", "-c", _IN_BASH, "bash", str(FOLDER / FILES["bash"]), *words)
    assert _run("bash", *arguments).splitlines() == completed


def test_bash_completes_every_command() -> None:
    """The lazy root knows them all."""
    programs.need("bash")
    script_of_bash = ("--norc", "-c", _IN_BASH, "bash", FOLDER / FILES["bash"], "cipsec", "")
    assert {"csr", "cert", "ca", "enroll", "completion"} <= set(
        _run("bash", *script_of_bash).split()
    )


def test_fish_completes() -> None:
    """The real shell, and the program that answers."""
    programs.need("fish")
    commands = f"source {FOLDER / FILES['fish']}; complete -C 'cipsec ca app'"
    assert _run("fish", "--no-config", "-c", commands).split("\t")[0] == "approve"


def test_zsh_is_answered() -> None:
    """What its script evaluates."""
    asked = {"_CIPSEC_COMPLETE": "complete_zsh", "_TYPER_COMPLETE_ARGS": "cipsec ca app"}
    answer = _run("cipsec", **asked)
    assert answer.startswith('_arguments \'*: :(("approve":')


def test_powershell_is_answered() -> None:
    """What its script splits at three colons; no PowerShell runs here."""
    asked = {
        "_CIPSEC_COMPLETE": "complete_powershell",
        "_TYPER_COMPLETE_ARGS": "cipsec ca app",
        "_TYPER_COMPLETE_WORD_TO_COMPLETE": "app",
    }
    assert _run("cipsec", **asked).startswith("approve:::")
