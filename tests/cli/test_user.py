"""`cipsec user`: who may enroll with a password."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from cipsec.ca_folder import CaFolder
from cipsec.ra.authority import Granted, Refused
from cipsec.ra.enrollment import Login
from tests.support import ca
from tests.support.terminal import at_terminal

from .conftest import Cipsec

_HASH = re.compile(rb"\$argon2id\$v=19\$")


@pytest.fixture
def password(tmp_path: Path) -> Path:
    """A file with a password."""
    path = tmp_path / "password"
    path.write_text("correct horse\n")
    return path


def test_nobody(on_ca: Cipsec) -> None:
    """An empty list is no error; the key is there."""
    ran = on_ca("user", "list")
    assert (ran.code, ran.out) == (0, "")
    assert ran.err == "cipsec: there is no user; add one with: cipsec user add NAME\n"
    assert on_ca("user", "list", "--json").json == {"users": []}


def test_a_users_life(on_ca: Cipsec, ca_folder: CaFolder, tmp_path: Path, password: Path) -> None:
    """Added, enrolls, gets another password, is removed; each with its event and actor."""
    added = on_ca("user", "add", "alice", "--password-file", password, "--json")
    assert added.code == 0
    [user] = added.json["users"]
    assert list(user) == ["name", "created_at", "changed_at"]
    assert user["name"] == "alice"
    assert on_ca("user", "list").rows == [["alice", user["created_at"], user["changed_at"]]]
    right = Login("alice", "correct horse")
    assert isinstance(ca.enroll(ca_folder, ca.request(), login=right), Granted)

    (tmp_path / "new").write_text("another horse")
    changed = on_ca("user", "set-password", "alice", "--password-file", tmp_path / "new")
    assert changed.code == 0
    assert isinstance(ca.enroll(ca_folder, ca.request(), login=right), Refused)
    other = Login("alice", "another horse")
    assert isinstance(ca.enroll(ca_folder, ca.request(), login=other), Granted)

    removed = on_ca("user", "remove", "alice", "-y", "--json")
    assert removed.code == 0
    assert [one["name"] for one in removed.json["users"]] == ["alice"]
    assert isinstance(ca.enroll(ca_folder, ca.request(), login=other), Refused)
    assert on_ca("user", "list").out == ""
    events = on_ca("ca", "log", "--json").json["events"]
    told = [(one["event"], one["reason"]) for one in events if one["actor"] == "operator"]
    assert told == [
        ("user-added", "user alice"),
        ("password-set", "user alice"),
        ("user-removed", "user alice"),
    ]


def test_add_twice(on_ca: Cipsec, password: Path) -> None:
    """The second is refused before anybody is asked, and the password stays."""
    on_ca("user", "add", "alice", "--password-file", password)
    for more in (["--password-file", password], []):
        ran = on_ca("user", "add", "alice", *more)
        assert (ran.code, ran.out) == (6, "")
        assert ran.err == (
            "cipsec: error: there is a user alice\n"
            "cipsec: hint: give another password with: cipsec user set-password alice\n"
        )
    assert on_ca("user", "check", "alice", "--password-file", password).code == 0


def test_check(on_ca: Cipsec, tmp_path: Path, password: Path) -> None:
    """The right password is exit 0, a wrong one 13; no password appears anywhere."""
    on_ca("user", "add", "alice", "--password-file", password)
    assert on_ca("user", "check", "alice", "--password-file", password).code == 0
    (tmp_path / "wrong").write_text("battery staple\n")
    ran = on_ca("user", "check", "alice", "--password-file", tmp_path / "wrong", "-vv")
    assert (ran.code, ran.out) == (13, "")
    assert ran.err == "cipsec: error: this is not the password of alice\n"
    as_json = on_ca("user", "check", "alice", "--password-file", tmp_path / "wrong", "--json")
    assert as_json.json["error"]["kind"] == "credentials_refused"


@pytest.mark.parametrize("verb", ["remove", "set-password", "check"])
def test_unknown(on_ca: Cipsec, password: Path, verb: str) -> None:
    """A user who is not there is exit 3."""
    more = ["-y"] if verb == "remove" else ["--password-file", password]
    ran = on_ca("user", verb, "nobody", *more)
    assert (ran.code, ran.out) == (3, "")
    assert ran.err.startswith("cipsec: error: there is no user nobody\n")


@pytest.mark.parametrize("verb", ["add", "remove", "set-password", "check"])
@pytest.mark.parametrize(
    "name", ["", "a b", "a:b", "-x", "a\x1b[2K", "[/red]", "a\u202eb", "x" * 65, "\udcff", "a\n"]
)
def test_names_that_cannot_be(on_ca: Cipsec, password: Path, verb: str, name: str) -> None:
    """Wrong usage, and nothing of the name reaches the terminal as it is."""
    more = [] if verb == "remove" else ["--password-file", password]
    ran = on_ca("user", verb, *more, "--", name)
    assert (ran.code, ran.out) == (2, "")
    assert not set("\x1b\u202e\udcff") & set(ran.err)


@pytest.mark.parametrize("content", [b"", b"\n", b"short", b"x" * 2000, b"\xff" * 12])
def test_passwords_that_cannot_be(on_ca: Cipsec, password: Path, content: bytes) -> None:
    """Empty, too short, too long or no text: exit 2, nobody is added."""
    password.write_bytes(content)
    ran = on_ca("user", "add", "alice", "--password-file", password)
    assert (ran.code, ran.out) == (2, "")
    assert on_ca("user", "list").out == ""


@pytest.mark.parametrize(
    ("argv", "option"),
    [
        (["add", "alice"], "--password-file"),
        (["set-password", "bob"], "--password-file"),
        (["check", "bob"], "--password-file"),
        (["remove", "bob"], "-y"),
    ],
)
def test_nobody_to_ask(on_ca: Cipsec, password: Path, argv: list[str], option: str) -> None:
    """Without a terminal the hint names the option; nothing hangs, nothing changes."""
    on_ca("user", "add", "bob", "--password-file", password)
    for more in ([], ["--no-input"]):
        ran = on_ca("user", *argv, *more)
        assert (ran.code, ran.out) == (2, "")
        assert f"cipsec: hint: add {option}" in ran.err
    assert [row[0] for row in on_ca("user", "list").rows] == ["bob"]


def test_at_a_terminal(ca_folder: CaFolder) -> None:
    """Asked twice to set, once to check, yes or no to remove; nothing typed is shown."""
    there = ["--ca-dir", str(ca_folder.path)]
    first, again = "Password of alice: ", "Password of alice again: "
    differ = at_terminal(["user", "add", "alice", *there], (first, "horse 12\n"), (again, "x\n"))
    assert differ.code == 2
    added = at_terminal(
        ["user", "add", "alice", *there], (first, "horse 123\n"), (again, "horse 123\n")
    )
    assert added.code == 0
    assert "horse" not in added.screen
    assert at_terminal(["user", "check", "alice", *there], (first, "horse 123\n")).code == 0
    assert at_terminal(["user", "check", "alice", *there], (first, "horse 124\n")).code == 13
    remove = ["user", "remove", "alice", *there]
    assert at_terminal(remove, ("Remove the user alice? [y/N] ", "\n")).code == 10
    assert at_terminal(remove, ("Remove the user alice? [y/N] ", "y\n")).code == 0
    assert at_terminal(remove).code == 3


def test_passwords_are_hashed(on_ca: Cipsec, ca_folder: CaFolder, password: Path) -> None:
    """What lies in the store is Argon2id and never the password."""
    on_ca("user", "add", "alice", "--password-file", password)
    stored = b"".join(path.read_bytes() for path in ca_folder.path.glob("store.sqlite3*"))
    assert _HASH.search(stored)
    assert b"correct horse" not in stored
