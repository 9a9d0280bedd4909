"""Completion: the scripts in completions/ are current, and real shells complete with them."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path

import pytest

from cipsec._cli.completion import SHELLS, script
from cipsec.ca_folder import CaFolder
from cipsec.demo import stories
from cipsec.pki import verify
from cipsec.pki.keys import KeyType
from cipsec.ra.revocation import REASONS
from cipsec.ra.templates import MODELS
from cipsec.report.making import Format
from cipsec.store.codes import Code
from cipsec.store.requests import State
from tests.support import ca, programs

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


@pytest.mark.parametrize(
    ("words", "completed"),
    [
        ("completion ", SHELLS),
        ("ca init --policy ", MODELS),
        ("demo --model ", stories.MODELS),
        ("enroll --key-type ", KeyType),
        ("smartcard generate --key-type ", KeyType),
        ("ca pending --state ", [*State, "all"]),
        ("ca revoke --reason ", REASONS),
        ("ca report --format ", Format),
        ("ca rollover --key-type ", KeyType),
        ("ca log --event ", set(Code) - {Code.TEST}),
        ("cert verify --purpose ", verify.PURPOSES),
        ("cert verify --profile c", ["cip"]),
        ("allowlist import --serial-base ", ["hex", "dec"]),
    ],
)
def test_values_are_completed(words: str, completed: Iterable[str]) -> None:
    """All that the command takes, and nothing that it does not."""
    assert set(_completed(words)) == set(map(str, completed))


def test_the_ids_of_who_waits_are_completed(ca_folder: CaFolder) -> None:
    """As `ca pending` shows them, of the CA that the line names; none where there is no CA."""
    first, second = (ca.ask(ca_folder, ca.request(f"CN=Drive {n}")) for n in (1, 2))
    named = f"ca approve --ca-dir {ca_folder.path} "
    assert set(_completed(named)) == {first[:12], second[:12]}
    assert _completed(f"{named}{first[:6]}") == [first[:12]]
    assert set(_completed(named.replace("approve", "show"))) == {first[:12], second[:12]}
    assert _completed("ca reject --ca-dir /nonexistent ") == []


def _completed(words: str) -> list[str]:
    line = f"cipsec {words}"
    place = len(line.split()) - (0 if line.endswith(" ") else 1)
    asked = {"_CIPSEC_COMPLETE": "complete_bash", "COMP_WORDS": line, "COMP_CWORD": str(place)}
    return _run("cipsec", **asked).split()


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
