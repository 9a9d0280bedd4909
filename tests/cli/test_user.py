"""`cipsec user`: who may enroll with a password."""

from __future__ import annotations

import json
import re
import stat
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path

import pytest

from cipsec import times
from cipsec.ca_folder import CaFolder
from cipsec.ra.answers import Granted, Refused
from cipsec.ra.enrollment import Login
from cipsec.ra.users import hash_password, proof
from cipsec.store import users, uses
from cipsec.store.users import UserRow
from tests.support import ca
from tests.support.terminal import at_terminal

from .conftest import Cipsec

PC = "CN=Engineer 7"  # a password proves a person, no device
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
    assert list(user)[:3] == ["name", "created_at", "changed_at"]
    assert user["name"] == "alice"
    row = ["alice", "valid", "-", "-", "0", "-", user["changed_at"]]
    assert on_ca("user", "list").rows == [row]
    right = Login("alice", "correct horse")
    assert isinstance(ca.enroll(ca_folder, ca.request(PC), login=right), Granted)

    (tmp_path / "new").write_text("another horse")
    changed = on_ca("user", "set-password", "alice", "--password-file", tmp_path / "new")
    assert changed.code == 0
    assert isinstance(ca.enroll(ca_folder, ca.request(PC), login=right), Refused)
    other = Login("alice", "another horse")
    assert isinstance(ca.enroll(ca_folder, ca.request(PC), login=other), Granted)

    removed = on_ca("user", "remove", "alice", "-y", "--json")
    assert removed.code == 0
    assert [one["name"] for one in removed.json["users"]] == ["alice"]
    assert isinstance(ca.enroll(ca_folder, ca.request(PC), login=other), Refused)
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


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-16-le", "utf-16-be"])
def test_a_password_as_windows_writes_it(on_ca: Cipsec, password: Path, encoding: str) -> None:
    """Notepad marks UTF-8, and PowerShell's > writes UTF-16; the password is the same."""
    on_ca("user", "add", "alice", "--password-file", password)
    said = password.read_text().strip() + "\r\nand another line\r\n"
    mark = "\ufeff" if encoding.endswith("e") else ""
    password.write_bytes((mark + said).encode(encoding))
    assert on_ca("user", "check", "alice", "--password-file", password).code == 0


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


# Limits.


def reasons(on_ca: Cipsec) -> list[str]:
    """Return what the record says of users."""
    events = on_ca("ca", "log", "--json").json["events"]
    return [one["reason"] for one in events if one["event"] in ("user-added", "password-set")]


def test_limits(on_ca: Cipsec, password: Path) -> None:
    """Shown, in the record, and as they were meant: a date lasts to its end."""
    given = ["--until", "2999-12-31", "--uses", "3", "--label", "-", "--label", "line-3"]
    ran = on_ca("user", "add", "alice", "--password-file", password, *given, "--json")
    assert ran.code == 0
    assert ran.err == "cipsec: warning: ca.toml has no label line-3: nobody can enroll there\n"
    [user] = ran.json["users"]
    assert list(user)[3:] == ["until", "uses", "used", "labels", "status"]
    assert user["until"] == "2999-12-31T23:59:59Z"
    assert (user["uses"], user["used"], user["labels"]) == (3, 0, ["", "line-3"])
    assert user["status"] == "valid"
    assert on_ca("user", "list", "--json").json["users"] == [user]
    [row] = on_ca("user", "list").rows
    assert row[:-1] == ["alice", "valid", "2999-12-31T23:59:59Z", "3", "0", "(no label), line-3"]
    until = "user alice, until 2999-12-31T23:59:59Z, 3 uses, at no label or line-3"
    assert reasons(on_ca) == [until]


def test_no_limits(on_ca: Cipsec, password: Path) -> None:
    """Without options there are none."""
    [user] = on_ca("user", "add", "alice", "--password-file", password, "--json").json["users"]
    assert [user[key] for key in ("until", "uses", "used", "labels")] == [None, None, 0, None]


def test_limits_of_another_password(on_ca: Cipsec, password: Path) -> None:
    """They stay but for those given anew, and go with --no-limits."""
    given = ["--until", "2999-12-31", "--uses", "3"]
    on_ca("user", "add", "alice", "--password-file", password, *given)
    change = ["user", "set-password", "alice", "--password-file", password, "--json"]
    [user] = on_ca(*change, "--uses", "1").json["users"]
    assert (user["until"], user["uses"], user["labels"]) == ("2999-12-31T23:59:59Z", 1, None)
    [user] = on_ca(*change, "--no-limits", "--label", "-").json["users"]
    assert (user["until"], user["uses"], user["labels"]) == (None, None, [""])
    [user] = on_ca(*change, "--no-limits").json["users"]
    assert (user["until"], user["uses"], user["labels"]) == (None, None, None)
    assert reasons(on_ca)[1:] == [
        "user alice, until 2999-12-31T23:59:59Z, 1 use",
        "user alice, at no label",
        "user alice",
    ]


def test_a_duration(on_ca: Cipsec, password: Path) -> None:
    """`8h` is from now on."""
    before = times.now().replace(microsecond=0)
    ran = on_ca("user", "add", "a", "--password-file", password, "--until", "8h", "--json")
    until = times.parse_time(ran.json["users"][0]["until"])
    assert before + timedelta(hours=8) <= until <= times.now() + timedelta(hours=8)


@pytest.mark.parametrize(
    "limit",
    [
        ["--until", "2020-01-01"],
        ["--until", "tomorrow"],
        ["--until", ""],
        ["--until", "0s"],
        ["--until", "\x1b[2K"],
        ["--uses", "0"],
        ["--uses", "-1"],
        ["--uses", "many"],
        ["--uses", "9" * 30],
        ["--label", "\udcff"],
    ],
)
def test_limits_that_cannot_be(on_ca: Cipsec, password: Path, limit: list[str]) -> None:
    """Wrong usage, before anything is changed."""
    on_ca("user", "add", "bob", "--password-file", password)
    for verb, name in (("add", "alice"), ("set-password", "bob")):
        ran = on_ca("user", verb, name, "--password-file", password, *limit)
        assert (ran.code, ran.out) == (2, "")
        assert not set("\x1b\udcff") & set(ran.err)
    assert [row[:5] for row in on_ca("user", "list").rows] == [["bob", "valid", "-", "-", "0"]]
    assert reasons(on_ca) == ["user bob"]


@pytest.mark.parametrize("label", ["\x1b[2K", "[/red]", "a\u202eb", "../x", "x" * 65536, "a\nb"])
def test_hostile_labels(on_ca: Cipsec, password: Path, label: str) -> None:
    """No server can have them: refused, and shown harmless."""
    ran = on_ca("user", "add", "alice", "--password-file", password, "--label", label)
    assert ran.code == 2
    assert "cannot be a label\n" in ran.err or "characters)\n" in ran.err
    shown = ran.out + ran.err + on_ca("user", "list").out + on_ca("ca", "log").out
    assert not set("\x1b\u202e") & set(shown)
    assert "alice" not in shown
    assert all(len(line) < 5000 for line in shown.splitlines())


def test_known_labels_are_not_warned_of(on_ca: Cipsec, ca_folder: CaFolder, password: Path) -> None:
    """A label of ca.toml is none to warn of; where ca.toml is broken that cannot be told."""
    text = ca_folder.config_file.read_text()
    ca_folder.config_file.write_text(text.replace("labels = []", 'labels = ["line-3"]'))
    add = ["--password-file", password, "--label", "line-3", "--label", "-"]
    assert on_ca("user", "add", "alice", *add).err == ""
    ca_folder.config_file.write_text("[")
    ran = on_ca("user", "add", "bob", *add)
    assert ran.code == 0
    assert ran.err.startswith("cipsec: warning: the labels are not checked: ca.toml: ")


def insert(ca_folder: CaFolder, row: UserRow) -> None:
    """Put a user into the store as it may be there after a while."""
    database = ca_folder.store()
    assert database.write(lambda db: users.insert(db, row))
    database.close()


def spend(ca_folder: CaFolder, row: UserRow, count: int) -> None:
    """Let as many enrollments have used the password."""
    database = ca_folder.store()
    key = proof(row).key
    for number in map(str, range(count)):
        database.write(partial(uses.spend, credential=key, enrollment=number, serial="", at=0))
    database.close()


def test_passwords_that_are_over(
    on_ca: Cipsec, ca_folder: CaFolder, password: Path, tmp_path: Path
) -> None:
    """Ended or used up: listed so, and `check` says 13 and why, to the right password only."""
    hashed = hash_password("correct horse")
    at = int(datetime(2026, 1, 1, tzinfo=UTC).timestamp())
    insert(ca_folder, UserRow("ended", hashed, 0, 0, until=at))
    twice = UserRow("twice", hashed, 0, 0, uses=2)
    insert(ca_folder, twice)
    spend(ca_folder, twice, 1)
    assert on_ca("user", "check", "twice", "--password-file", password).code == 0
    spend(ca_folder, twice, 2)
    found = on_ca("user", "list", "--json").json["users"]
    assert [(u["name"], u["status"], u["used"]) for u in found] == [
        ("ended", "ended", 0),
        ("twice", "used up", 2),
    ]
    said = {
        "ended": "cipsec: error: the password of ended ended at 2026-01-01T00:00:00Z\n",
        "twice": (
            "cipsec: error: the password of twice is used up\n"
            "cipsec: hint: give another one with: cipsec user set-password twice\n"
        ),
    }
    (tmp_path / "wrong").write_text("battery staple\n")
    for name, error in said.items():
        ran = on_ca("user", "check", name, "--password-file", password)
        assert (ran.code, ran.out, ran.err) == (13, "", error)
        ran = on_ca("user", "check", name, "--password-file", tmp_path / "wrong")
        assert ran.err == f"cipsec: error: this is not the password of {name}\n"
    # Another password is counted anew; the time that is over stays over, and that is said.
    change = ["--password-file", password]
    assert on_ca("user", "set-password", "twice", *change).rows[0][1:5] == ["valid", "-", "2", "0"]
    ran = on_ca("user", "set-password", "ended", *change)
    assert ran.err == (
        "cipsec: warning: this password is of no use: the time of ended is over; see --until\n"
    )
    assert on_ca("user", "set-password", "ended", *change, "--until", "8h").err == ""


def test_check_at_a_label(on_ca: Cipsec, password: Path) -> None:
    """With --label as the server would at that label; without, labels are not looked at."""
    add = ["--label", "line-3", "-q"]
    on_ca("user", "add", "alice", "--password-file", password, *add)
    check = ["user", "check", "alice", "--password-file", password]
    assert on_ca(*check).code == 0
    assert on_ca(*check, "--label", "line-3").code == 0
    ran = on_ca(*check, "--label", "line-4")
    assert ran.code == 13
    assert ran.err == "cipsec: error: the password of alice is not for the label line-4\n"
    ran = on_ca(*check, "--label", "-")
    assert ran.err == "cipsec: error: the password of alice is not for the path without a label\n"


def test_damaged_labels(on_ca: Cipsec, ca_folder: CaFolder) -> None:
    """A list that cannot be read allows nothing, and looks like no other."""
    insert(ca_folder, UserRow("alice", "hash", 0, 0, labels="[["))
    assert on_ca("user", "list", "--json").json["users"][0]["labels"] == []
    assert on_ca("user", "list").rows[0][5] == "(none)"


# Generated passwords.


def test_generate(on_ca: Cipsec, ca_folder: CaFolder, tmp_path: Path) -> None:
    """A one-time password: to one private file, to no stream, and it works once for one device."""
    target = tmp_path / "alice.password"
    options = ["--uses", "1", "--until", "8h", "--generate", "-o", target, "-vv"]
    ran = on_ca("user", "add", "alice", *options)
    assert ran.code == 0
    assert ran.err == f"cipsec: the password is in {target}\n"
    assert stat.S_IMODE(target.stat().st_mode) == 0o600
    made = target.read_text().removesuffix("\n")
    assert re.fullmatch(r"[a-z2-9-]{23}", made)
    log = json.dumps(on_ca("ca", "log", "--json").json)
    assert made not in ran.out + ran.err + on_ca("user", "list", "--json").out + log
    assert on_ca("user", "check", "alice", "--password-file", target).code == 0
    login, asked = Login("alice", made), ca.request(PC)
    for _ in range(2):  # the second as after a lost answer
        assert isinstance(ca.enroll(ca_folder, asked, login=login), Granted)
    assert not isinstance(ca.enroll(ca_folder, ca.request(PC), login=login), Granted)
    assert on_ca("user", "list").rows[0][1] == "used up"


def test_generate_anew(on_ca: Cipsec, tmp_path: Path) -> None:
    """`set-password --generate` overwrites with -f only."""
    target = tmp_path / "alice.password"
    on_ca("user", "add", "alice", "--generate", "-o", target)
    first = target.read_text()
    again = ["user", "set-password", "alice", "--generate", "-o", target]
    ran = on_ca(*again)
    assert (ran.code, ran.out, target.read_text()) == (6, "", first)
    assert ran.err.endswith("cipsec: hint: add -f to overwrite it\n")
    assert on_ca("user", "check", "alice", "--password-file", target).code == 0
    assert on_ca(*again, "-f").code == 0
    assert target.read_text() != first
    assert on_ca("user", "check", "alice", "--password-file", target).code == 0


@pytest.mark.parametrize(
    ("options", "error"),
    [
        (["--generate"], "a generated password goes to a file and is shown nowhere"),
        (["--generate", "-o", "-"], "a generated password goes to a file and is shown nowhere"),
        (["--generate", "-o", ""], "a generated password goes to a file and is shown nowhere"),
        (["-o", "x"], "-o is for a password that is generated"),
        (
            ["--generate", "-o", "x", "--password-file", "y"],
            "either --generate or --password-file, not both",
        ),
    ],
)
def test_generating_what_cannot_be(
    on_ca: Cipsec, password: Path, options: list[str], error: str
) -> None:
    """Wrong usage; no user, no file."""
    on_ca("user", "add", "bob", "--password-file", password)
    for verb, name in (("add", "alice"), ("set-password", "bob")):
        ran = on_ca("user", verb, name, *options)
        assert (ran.code, ran.out) == (2, "")
        assert ran.err.startswith(f"cipsec: error: {error}\n")
    assert reasons(on_ca) == ["user bob"]


def test_a_file_that_cannot_be_written(on_ca: Cipsec, tmp_path: Path) -> None:
    """Then there is no user whose password nobody knows."""
    ran = on_ca("user", "add", "alice", "--generate", "-o", tmp_path / "nowhere" / "password")
    assert (ran.code, ran.out) == (6, "")
    assert on_ca("user", "list").out == ""


def test_a_store_that_cannot_be_written(on_ca: Cipsec, ca_folder: CaFolder, tmp_path: Path) -> None:
    """Then there is no file with a password that opens nothing."""
    database = ca_folder.store()
    database.write(lambda db: db.execute("DROP TABLE events"))
    database.close()
    ran = on_ca("user", "add", "alice", "--generate", "-o", tmp_path / "alice.password")
    assert (ran.code, ran.out) == (6, "")
    assert not list(tmp_path.glob("*.password"))
    assert on_ca("user", "list").out == ""
