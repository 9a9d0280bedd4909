"""`cipsec ca watch` as a process at a terminal, and where there is none."""

from __future__ import annotations

import re
import subprocess
import sys

import pytest

from cipsec.ca_folder import CaFolder
from tests.cli.conftest import Cipsec
from tests.support import ca
from tests.support.terminal import at_terminal

from . import stage

_COLOUR = re.compile(r"\x1b\[[0-9;]*?(?:3[0-7]|4[0-7]|9[0-7]|10[0-7]|38;|48;)[0-9;]*m")


def _watch(folder: CaFolder) -> list[str]:
    return ["ca", "watch", "--ca-dir", str(folder.path)]


@pytest.mark.parametrize("env", [{}, {"NO_COLOR": "1"}, {"LC_ALL": "C", "TERM": "vt100"}])
def test_a_whole_session(ca_folder: CaFolder, env: dict[str, str]) -> None:
    """Start, see a request, approve it, quit; the terminal is as it was, the device is served."""
    asked = ca.request("CN=Pumpe Süd")
    ca.ask(ca_folder, asked)
    session = at_terminal(
        _watch(ca_folder),
        ("CN=Pumpe", "a"),
        ("Approve the request", "y"),
        ("issued when the device asks next", "q"),
        env=env,
        size=(24, 80),
    )
    assert (session.code, session.restored) == (0, True)
    assert session.screen.index("\x1b[?1049h") < session.screen.index("\x1b[?1049l")
    assert "\x1b[?25h" in session.screen[session.screen.index("\x1b[?1049l") :]
    assert "\x1b[?1000h" not in session.screen, "the mouse belongs to the terminal"
    assert bool(_COLOUR.search(session.screen)) == ("NO_COLOR" not in env)
    assert ("Süd" in session.screen) == ("LC_ALL" not in env)
    ca.receive(ca_folder, asked)


def test_keys_typed_ahead_decide_nothing(ca_folder: CaFolder) -> None:
    """A yes counts once the question was on the screen."""
    ca.ask(ca_folder, ca.request("CN=Pump"))
    session = at_terminal(
        _watch(ca_folder),
        ("CN=Pump", "ayyyy"),
        ("Approve the request", "n"),
        ("nothing was decided", "q"),
        size=(24, 80),
    )
    assert session.code == 0
    assert set(stage.states(ca_folder).values()) == {"pending"}


def test_interrupted(ca_folder: CaFolder) -> None:
    """Ctrl-C restores the terminal too."""
    session = at_terminal(_watch(ca_folder), ("nothing waits", "\x03"), size=(24, 80))
    assert (session.code, session.restored) == (130, True)


def test_hostile_texts(ca_folder: CaFolder) -> None:
    """No byte of theirs reaches the terminal as a control."""
    text = "\x1b]0;owned\x07\x1b[31m\u202e[/red]\u009b31m"
    fields = dict.fromkeys(("subject", "proved", "claimed", "rule", "reason"), text)
    stage.wait(ca_folder, stage.request(1, **fields))
    session = at_terminal(_watch(ca_folder), ("\\x1b]0;owned", "q"), size=(24, 200))
    assert session.code == 0
    for control in ("\x1b]0;", "\x1b[31m", "\u202e", "\u009b"):
        assert control not in session.screen


def test_without_a_terminal(on_ca: Cipsec) -> None:
    """Wrong usage, and what to use instead."""
    ran = on_ca("ca", "watch")
    assert (ran.code, ran.out) == (2, "")
    assert ran.err == (
        "cipsec: error: this view needs a terminal and a person\n"
        "cipsec: hint: use: cipsec ca pending --json, cipsec ca log --follow --json\n"
    )
    assert on_ca("ca", "watch", "--json").json["error"]["kind"] == "usage"


@pytest.mark.parametrize("option", ["--no-input", "--json"])
def test_nobody_to_ask(ca_folder: CaFolder, option: str) -> None:
    """Nor where it is forbidden to ask, and where the terminal can only print lines."""
    assert at_terminal([*_watch(ca_folder), option]).code == 2
    assert at_terminal(_watch(ca_folder), env={"TERM": "dumb"}).code == 2


def test_no_ca(cipsec: Cipsec, tmp_path: object) -> None:
    """As every command says it."""
    assert cipsec("ca", "watch", "--ca-dir", tmp_path).code == 3


def test_no_other_command_imports_textual() -> None:
    """It takes a quarter of a second."""
    ran = subprocess.run(
        [sys.executable, "-X", "importtime", "-m", "cipsec", "ca", "watch", "--help"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert "typer" in ran.stderr
    assert "textual" not in ran.stderr
