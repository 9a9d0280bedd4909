"""`cipsec ca backup` and `restore` as an operator meets them, and `ca revoke --unknown`."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from cipsec import times
from cipsec.backup.restore import prefix
from cipsec.ca_folder import CaFolder, fingerprint
from cipsec.pki import sealed
from cipsec.pki.names import show_serial
from tests.support import ca
from tests.support.terminal import at_terminal

from .conftest import Cipsec

_SECRET = "correct horse battery"


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sealed, "ITERATIONS", 100_000)


@pytest.fixture
def secret(tmp_path: Path) -> Path:
    """The backup's passphrase in a file."""
    path = tmp_path / "secret"
    path.write_text(f"{_SECRET}\n")
    return path


@pytest.fixture
def at_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The folder in which the CA's lies is the current one."""
    monkeypatch.chdir(tmp_path)


def test_there_and_back(on_ca: Cipsec, ca_folder: CaFolder, tmp_path: Path, secret: Path) -> None:
    """Made, verified, restored: each says what it has, under `backup`; no secret is shown."""
    ca.ask(ca_folder)
    target, place = tmp_path / "line4.backup", tmp_path / "new"
    made = on_ca("ca", "backup", target, "--passphrase-file", secret, "--json")
    assert made.code == 0, made.err
    told = made.json["backup"]
    assert list(told) == [
        "file", "size", "sha256", "files", "made_at", "version", "subject", "ca_sha256",
        "certificates", "newest_serial", "newest_event", "left_out",
    ]  # fmt: skip
    assert told["file"] == str(target)
    assert told["ca_sha256"] == fingerprint(ca_folder.certificate())
    assert told["newest_event"] == 1
    assert "cipsec: without its passphrase nobody can open it" in made.err
    argv = ["ca", "restore", target, "--passphrase-file", secret, "--json"]
    looked = on_ca(*argv, "-n")
    assert (looked.code, place.exists()) == (0, False)
    assert looked.json["backup"].items() <= told.items()
    done = on_ca(*argv, "--ca-dir", place)
    assert done.code == 0, done.err
    shown = done.json["backup"]
    assert shown["directory"] == str(place)
    assert shown["unknown_from"] == prefix(times.parse_time(told["made_at"]))
    assert shown["unknown_from"] <= shown["unknown_to"]
    assert (shown["credentials"], shown["users"], shown["replaced"]) == ([], [], None)
    for ran in (made, looked, done):
        assert _SECRET not in ran.out + ran.err
    log = on_ca("ca", "log", "--ca-dir", place).out
    assert "restored" in log
    assert f"until {shown['restored_at']} is not on record" in log
    assert on_ca("doctor", "--ca-dir", place, "-q").code in (0, 10)


def test_what_is_said_afterwards(
    on_ca: Cipsec, ca_folder: CaFolder, tmp_path: Path, secret: Path
) -> None:
    """What is not known, what may be used up, and what to type; each command exists."""
    on_ca("ca", "provision", "card-1", "-o", tmp_path / "card-1")
    on_ca("user", "add", "bob", "--uses", "1", "--generate", "-o", tmp_path / "bob")
    on_ca("ca", "backup", tmp_path / "b", "--passphrase-file", secret)
    place = tmp_path / "my new"
    ran = on_ca("ca", "restore", tmp_path / "b", "--passphrase-file", secret, "--ca-dir", place)
    assert "provisioning certificates that may be used up: card-1" in ran.err
    assert "users whose enrollments may be used up: bob" in ran.err
    where = f"--ca-dir '{place}'"
    for command in (
        f"ca revoke --unknown SERIAL {where}",
        f"ca revoke --credential NAME {where}",
        f"user remove NAME {where}",
    ):
        assert f"cipsec {command}\n" in ran.err
    assert on_ca("ca", "revoke", "--credential", "card-1", "-y", "--ca-dir", place).code == 0
    assert on_ca("user", "remove", "bob", "-y", "--ca-dir", place).code == 0


def test_the_place_is_taken(
    on_ca: Cipsec, ca_folder: CaFolder, tmp_path: Path, secret: Path
) -> None:
    """Refused before anybody is asked; -f sets the folder aside and says where it is."""
    on_ca("ca", "backup", tmp_path / "b", "--passphrase-file", secret)
    ran = on_ca("ca", "restore", tmp_path / "b")
    assert (ran.code, ran.out) == (6, "")
    assert "exists and is not empty" in ran.err
    assert "with -f" in ran.err
    ran = on_ca("ca", "restore", tmp_path / "b", "-f", "--passphrase-file", secret, "--json")
    aside = Path(ran.json["backup"]["replaced"])
    assert CaFolder(aside).certificate() == ca_folder.certificate()
    assert f"cipsec: the folder that was there is now {aside}\n" in ran.err


@pytest.mark.parametrize(
    ("argv", "code", "said"),
    [
        (["backup", "b"], 2, "--passphrase-file FILE"),
        (["backup", "-"], 2, "a backup is a file"),
        (["backup", "taken", "--passphrase-file", "secret"], 6, "add -f"),
        (["backup", "b", "--passphrase-file", "short"], 2, "at least 12 characters"),
        (["backup", "ca/b", "--passphrase-file", "secret"], 2, "lost with it"),
        (["backup", "no/b", "--passphrase-file", "secret"], 6, "cannot be written"),
        (["backup", "b", "--ca-dir", "none", "--passphrase-file", "secret"], 3, "there is no CA"),
        (["restore", "b", "--ca-dir", "new"], 6, "there is no file"),
        (["restore", "taken", "--ca-dir", "new"], 2, "--passphrase-file FILE"),
        (["restore", "taken", "--ca-dir", "new", "--passphrase-file", "secret"], 6, "not a backup"),
        (["restore", "ca", "--ca-dir", "new", "--passphrase-file", "secret"], 6, "is not a file"),
        (["restore", "good", "--ca-dir", "new", "--passphrase-file", "short"], 6, "does not open"),
        (["restore", "good", "--ca-dir", "taken", "--passphrase-file", "secret"], 6, ""),
    ],
)
def test_refused(
    on_ca: Cipsec, tmp_path: Path, at_home: None, *, argv: list[str], code: int, said: str
) -> None:
    """One line, a hint, the exit code; nothing is made."""
    (tmp_path / "secret").write_text(f"{_SECRET}\n")
    (tmp_path / "short").write_text("short\n")
    (tmp_path / "taken").write_text("precious " * 100)
    on_ca("ca", "backup", "good", "--passphrase-file", "secret")
    before = {path.name for path in tmp_path.iterdir()}
    ran = on_ca("ca", *argv)
    assert (ran.code, ran.out) == (code, ""), ran.err
    assert said in ran.err
    assert ran.err.startswith("cipsec: error: ")
    assert {path.name for path in tmp_path.iterdir()} == before
    assert (tmp_path / "taken").read_text() == "precious " * 100


def test_damaged_under_json(on_ca: Cipsec, tmp_path: Path, secret: Path) -> None:
    """Exit 6, and the hint."""
    on_ca("ca", "backup", tmp_path / "b", "--passphrase-file", secret)
    data = bytearray((tmp_path / "b").read_bytes())
    data[5000] ^= 1
    (tmp_path / "b").write_bytes(bytes(data))
    argv = ["ca", "restore", tmp_path / "b", "--passphrase-file", secret, "--ca-dir"]
    ran = on_ca(*argv, tmp_path / "new", "--json")
    assert ran.code == 6
    error = ran.json["error"]
    assert error["kind"] == "malformed"
    assert error["hint"] == "take another copy of the backup"


def test_the_passphrase_is_asked_twice(ca_folder: CaFolder, tmp_path: Path) -> None:
    """At a terminal, when it is made; once when it is restored; shown never."""
    where = ["--ca-dir", str(ca_folder.path)]
    prompt, again = "Passphrase of the backup: ", "Passphrase of the backup again: "
    argv = ["ca", "backup", str(tmp_path / "b"), *where]
    assert at_terminal(argv, (prompt, f"{_SECRET}\n"), (again, "another one.\n")).code == 2
    made = at_terminal(argv, (prompt, f"{_SECRET}\n"), (again, f"{_SECRET}\n"))
    assert made.code == 0
    assert _SECRET not in made.screen
    argv = ["ca", "restore", str(tmp_path / "b"), "--ca-dir", str(tmp_path / "new")]
    assert at_terminal(argv, (prompt, f"{_SECRET}\n")).code == 0


def test_revoke_what_is_not_on_record(on_ca: Cipsec, ca_folder: CaFolder) -> None:
    """By its whole serial number; then it is listed, shown and revoked as any other."""
    serial = f"{prefix(times.now())}{'ab' * 10}"
    assert on_ca("ca", "revoke", serial, "-y").code == 3
    argv = ["ca", "revoke", "--unknown", serial, "-y", "--reason", "keyCompromise"]
    assert on_ca(*argv, "-n").code == 0
    assert on_ca("ca", "list", "--json").json["certificates"] == []
    [done] = on_ca(*argv, "--json").json["revoked"]
    assert (done["serial"], done["reason"], done["changed"]) == (serial, "keyCompromise", True)
    [again] = on_ca(*argv, "--json").json["revoked"]
    assert again["changed"] is False
    [listed] = on_ca("ca", "list", "--revoked", "--json").json["certificates"]
    assert (listed["serial"], listed["status"], listed["sha256"]) == (serial, "revoked", None)
    shown = on_ca("ca", "show", serial, "--json")
    assert shown.json["certificate"]["subject"] == "not on record"
    assert on_ca("ca", "show", serial).code == 0
    assert on_ca("ca", "revoke", "--unknown", "02", "01020304", "0102030405", "-y").code == 0
    for short in ("02", "01020304"):
        whole = on_ca("ca", "show", short, "--json").json["certificate"]
        assert (whole["serial"], whole["status"]) == (short, "revoked")
    for wrong in ("xyz", "", "1" * 41, "01:02:zz"):
        ran = on_ca("ca", "revoke", "--unknown", wrong, "-y")
        assert (ran.code, "whole serial number" in ran.err) == (2, True)
    assert on_ca("ca", "revoke", "--unknown", "--device", "0001:00000001").code == 2


def test_revoke_unknown_that_is_known(on_ca: Cipsec, ca_folder: CaFolder, tmp_path: Path) -> None:
    """What is on record keeps what is known of it."""
    csr = ca.write_pem(tmp_path / "csr", ca.request("CN=pc"))
    issued = json.loads(on_ca("ca", "issue", csr, "--json").out)["certificate"]
    given = ":".join(issued["serial"][n : n + 2] for n in range(0, len(issued["serial"]), 2))
    [done] = on_ca("ca", "revoke", "--unknown", given.upper(), "-y", "--json").json["revoked"]
    assert (done["serial"], done["subject"]) == (issued["serial"], "CN=pc")


def test_the_ca_itself_is_not_revoked(on_ca: Cipsec, ca_folder: CaFolder) -> None:
    """On a root's own list it would take along, for good, all that strict verifiers check."""
    assert on_ca("ca", "rollover").code == 0
    own = ca_folder.cacerts(times.now())
    assert len(own) == 4
    for one in own:
        ran = on_ca("ca", "revoke", "--unknown", show_serial(one.serial_number), "-y")
        assert (ran.code, "of a certificate of the CA itself" in ran.err) == (2, True)
    ca_folder.successor.certificate_file.write_text("damaged")  # stops no other revocation
    assert on_ca("ca", "revoke", "--unknown", f"{prefix(times.now())}{'ab' * 10}", "-y").code == 0
