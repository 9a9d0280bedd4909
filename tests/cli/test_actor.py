"""Who the record says decided: the person who logged in, whatever the environment holds."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from cipsec._cli import actor
from cipsec.ca_folder import CaFolder
from tests.support import ca

_TWO = '[[rule]]\nname = "four eyes"\nwhen = { anyone = true }\nthen = "ask"\napprovals = 2\n'
_SAID = ("LOGNAME", "USER", "LNAME", "USERNAME")
_RIGHT = "to log in as somebody takes CAP_AUDIT_CONTROL, which most containers do not have"
# What PAM does when somebody logs in, and then what he types.
_LOGIN = 'echo "$0" >/proc/self/loginuid && exec "$@"'
LogIn = Callable[[str], None]


@pytest.fixture
def log_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> LogIn:
    """Let the system say whose login this is, by what it has in /proc."""

    def say(uid: str) -> None:
        (tmp_path / "loginuid").write_text(uid)

    monkeypatch.setattr("sys.platform", "linux")
    monkeypatch.setattr("cipsec._cli.actor._LOGIN_UID", tmp_path / "loginuid")
    for name in (*_SAID, "SUDO_USER"):
        monkeypatch.setenv(name, "liar")
    return say


@pytest.mark.skipif(os.name == "nt", reason="Windows has no login uid")
@pytest.mark.parametrize("uid", [0, 998])
def test_who_logged_in(monkeypatch: pytest.MonkeyPatch, log_in: LogIn, uid: int) -> None:
    """The login uid counts, behind sudo and su to whomever: root as an account has a name."""
    monkeypatch.setattr("os.getuid", lambda: uid)
    log_in("0")
    assert actor.name() == "root"
    log_in("4000000")  # of the host of a container, which knows no such account
    assert actor.name() == "uid 4000000"


@pytest.mark.skipif(os.name == "nt", reason="Windows has no login uid")
@pytest.mark.parametrize("said", ["4294967295", "4294967295\n", "", "anna", None])
def test_nobody_logged_in(monkeypatch: pytest.MonkeyPatch, log_in: LogIn, said: str | None) -> None:
    """Services, containers, kernels without auditing: the account, and only root is behind sudo."""
    if said is not None:
        log_in(said)
    monkeypatch.setattr("os.getuid", lambda: 4_000_000)
    assert actor.name() == "uid 4000000"
    monkeypatch.setattr("os.getuid", lambda: 0)
    assert actor.name() == "liar"
    monkeypatch.setenv("SUDO_USER", "")
    assert actor.name() == "root"
    monkeypatch.delenv("SUDO_USER")
    assert actor.name() == "root"


@pytest.mark.parametrize(("sudo", "shown"), [("a\x1b[2Kb", "a\\x1b[2Kb"), ("\udcff", "\\udcff")])
@pytest.mark.usefixtures("log_in")
def test_harmless_to_show(monkeypatch: pytest.MonkeyPatch, sudo: str, shown: str) -> None:
    """Whatever stands where a name should."""
    monkeypatch.setattr("os.getuid", lambda: 0, raising=False)
    monkeypatch.setenv("SUDO_USER", sudo)
    assert actor.name() == shown


@pytest.mark.usefixtures("log_in")
def test_other_systems(monkeypatch: pytest.MonkeyPatch) -> None:
    """Windows and macOS keep the name themselves; a macOS service has its account's."""
    monkeypatch.setattr("sys.platform", "darwin")
    monkeypatch.setattr("os.getlogin", lambda: "anna")
    assert actor.name() == "anna"
    monkeypatch.setattr("os.getlogin", _nobody)
    monkeypatch.setattr("os.getuid", lambda: 4_000_000, raising=False)
    assert actor.name() == "uid 4000000"
    monkeypatch.delattr("os.getuid")
    assert actor.name() == "unknown"


def _nobody() -> str:
    raise OSError(6, "No such device or address")


def _approve(uid: int, folder: CaFolder, identifier: str) -> dict[str, object]:
    """Return what `ca approve` answers one who logged in with that uid and says he is another."""
    typed = ["ca", "approve", identifier, "--json", "--ca-dir", str(folder.path)]
    done = subprocess.run(
        ["sh", "-c", _LOGIN, str(uid), sys.executable, "-m", "cipsec", *typed],
        env={**os.environ, "LOGNAME": f"liar{uid}", "USER": f"liar{uid}", "SUDO_USER": "liar"},
        capture_output=True,
        check=False,
    )
    assert done.returncode in {0, 10, 11}, done
    [decided] = json.loads(done.stdout)["decisions"]
    return dict(decided)


def _may_log_in() -> bool:
    if not sys.platform.startswith("linux"):
        return False
    trial = ["sh", "-c", _LOGIN, "1", "true"]
    return subprocess.run(trial, capture_output=True, check=False).returncode == 0


@pytest.mark.skipif(not _may_log_in(), reason=_RIGHT)
def test_two_logins_are_two_administrators(ca_folder: CaFolder) -> None:
    """One who names himself anew is one; another login is the second, and the record has both."""
    head = ca_folder.config_file.read_text().split("[[rule]]")[0]
    ca_folder.config_file.write_text(head + _TWO)
    identifier = ca.ask(ca_folder)
    first = _approve(4001, ca_folder, identifier)
    assert first["reason"] == "uid 4001 agrees: 1 of 2 administrators"
    again = _approve(4001, ca_folder, identifier)
    assert again["reason"] == "uid 4001 agrees already; another administrator has to"
    assert _approve(4002, ca_folder, identifier)["outcome"] == "approved"
