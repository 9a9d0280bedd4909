"""`cipsec ca provision|credentials`: a key and certificate that may enroll, and nothing else."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from contextlib import closing
from datetime import timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.x509.oid import ExtendedKeyUsageOID

from cipsec import times
from cipsec._cli.main import main
from cipsec.ca_folder import CaFolder
from cipsec.pki import keys
from cipsec.store import uses
from tests.support import ca
from tests.support.terminal import at_terminal

from .conftest import Cipsec

_KEYS = [
    *("name", "serial", "uses", "used", "not_after", "status", "created_at", "created_by"),
    *("revoked_at", "revoked_by", "revocation"),
]
_FILES = ["ca.pem", "certificate.pem", "key.pem"]


def _names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_provision(on_ca: Cipsec, ca_folder: CaFolder, tmp_path: Path) -> None:
    """A private folder with key, certificate and CA; everything about it on record."""
    target = tmp_path / "cards" / "card-1"
    ran = on_ca("ca", "provision", "card-1", "--uses", 3, "--days", 2, "-o", target, "--json")
    assert ran.code == 0
    shown = ran.json["credential"]
    assert list(shown) == [*_KEYS, "directory", "sha256"]
    assert (shown["name"], shown["uses"], shown["used"], shown["status"]) == (
        "card-1",
        3,
        0,
        "valid",
    )
    assert shown["directory"] == str(target)
    left = times.parse_time(shown["not_after"]) - times.now()
    assert timedelta(days=1) < left <= timedelta(days=2)
    assert _names(target) == _FILES
    assert target.stat().st_mode & 0o777 == 0o700
    assert (target / "key.pem").stat().st_mode & 0o777 == 0o600
    assert (target / "ca.pem").read_bytes() == ca_folder.certificate_file.read_bytes()
    made = x509.load_pem_x509_certificate((target / "certificate.pem").read_bytes())
    key = keys.from_pem((target / "key.pem").read_bytes())
    assert keys.spki(made.public_key()) == keys.spki(key.public_key())
    assert f"{made.serial_number:032x}" == shown["serial"]
    assert list(made.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value) == [
        ExtendedKeyUsageOID.CLIENT_AUTH
    ]
    [listed] = on_ca("ca", "list", "--json").json["certificates"]
    assert (listed["serial"], listed["sha256"]) == (shown["serial"], shown["sha256"])
    assert (listed["kind"], listed["rule"]) == ("provisioning", "by hand")
    assert listed["reason"] == "made by operator for 3 enrollments"
    described = on_ca("ca", "show", shown["serial"][:12], "--json").json["certificate"]
    assert described["extended_key_usage"] == ["clientAuth"]
    [event] = on_ca("ca", "log", "--json").json["events"]
    assert (event["event"], event["actor"], event["serial"]) == (
        "provisioned",
        "operator",
        shown["serial"],
    )


def test_provision_for_people(on_ca: Cipsec, tmp_path: Path) -> None:
    """What was made on stdout; on stderr how it is used, to be typed as it stands."""
    target = tmp_path / "card 1"
    ran = on_ca("ca", "provision", "card-1", "-o", target)
    assert ran.code == 0
    assert "uses        1\n" in ran.out
    assert f"directory   {target}\n" in ran.out
    assert "revo" not in ran.out
    assert ran.err == (
        "cipsec: whoever has this folder may enroll with it: keep it as you keep a key\n"
        f"cipsec: next, at the endpoint: cipsec enroll --cert '{target}/certificate.pem'"
        f" --key '{target}/key.pem' --trust '{target}/ca.pem'\n"
    )
    assert "PRIVATE" not in ran.out + ran.err


def test_credentials(on_ca: Cipsec, ca_folder: CaFolder, tmp_path: Path) -> None:
    """Newest first, with what was used up; an empty list is no error."""
    ran = on_ca("ca", "credentials")
    assert (ran.code, ran.out) == (0, "")
    assert ran.err == "cipsec: there is none; make one with: cipsec ca provision NAME -o DIR\n"
    assert on_ca("ca", "credentials", "--json").json == {"credentials": []}
    for name in ("one", "two"):
        on_ca("ca", "provision", name, "--uses", 2, "-o", tmp_path / name)
    shown = on_ca("ca", "credentials", "--json").json["credentials"]
    assert [list(one) for one in shown] == [_KEYS, _KEYS]
    assert [one["name"] for one in shown] == ["two", "one"]
    with closing(ca_folder.store()) as database:
        for enrollment in ("e1", "e2"):
            key = f"provisioning:{shown[1]['serial']}"
            database.write(
                lambda db, k=key, e=enrollment: uses.spend(db, k, e, serial="s", at=1)  # type: ignore[misc]  # inferred
            )
    assert [row[:5] for row in on_ca("ca", "credentials").rows] == [
        ["two", shown[0]["serial"][:16], "2", "0", "valid"],
        ["one", shown[1]["serial"][:16], "2", "2", "spent"],
    ]


def test_a_name_in_force_is_taken(on_ca: Cipsec, tmp_path: Path) -> None:
    """Exit 6 and what to do about it; once revoked the name is free."""
    on_ca("ca", "provision", "card-1", "-o", tmp_path / "one")
    ran = on_ca("ca", "provision", "card-1", "-o", tmp_path / "two", "--json")
    assert ran.code == 6
    assert ran.json["error"]["kind"] == "already_exists"
    assert ran.err == (
        "cipsec: error: the provisioning certificate card-1 is in force\n"
        "cipsec: hint: choose another name, or: cipsec ca revoke --credential card-1\n"
    )
    assert not (tmp_path / "two").exists()
    assert on_ca("ca", "revoke", "--credential", "card-1", "-y").code == 0
    assert on_ca("ca", "provision", "card-1", "-o", tmp_path / "two").code == 0


@pytest.mark.parametrize(
    "name", ["../x", "/etc/passwd", "", ".", "x\0y", "drive\u202e7", "\x1b[2K", "x" * 65, "\udc80"]
)
def test_hostile_names(on_ca: Cipsec, tmp_path: Path, name: str) -> None:
    """Exit 2, shown harmless, nothing made."""
    ran = on_ca("ca", "provision", name, "-o", tmp_path / "card")
    assert (ran.code, ran.out) == (2, "")
    assert re.match(
        "cipsec: error: [ -~…]* is not a name for a provisioning certificate\n", ran.err
    )
    assert not (tmp_path / "card").exists()
    assert on_ca("ca", "list").out == ""


@pytest.mark.parametrize(
    "argv",
    [
        ["-rf", "-o", "card"],
        ["card-1"],
        ["card-1", "-o", "-"],
        ["card-1", "-o", ""],
        ["card-1", "-o", "card", "--uses", "0"],
        ["card-1", "-o", "card", "--uses", "1000001"],
        ["card-1", "-o", "card", "--days", "0"],
        ["card-1", "-o", "card", "--days", "1.5"],
        ["card-1", "-o", "card", "--key-type", "dsa"],
        ["card-1", "-o", "card", "--note", "\udc80"],
        ["card-1", "-o", "card", "--smartcard"],
    ],
)
def test_wrong_usage(
    on_ca: Cipsec, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, argv: list[str]
) -> None:
    """Exit 2, nothing made, not even the issuer."""
    monkeypatch.chdir(tmp_path)
    ran = on_ca("ca", "provision", *argv)
    assert (ran.code, ran.out) == (2, "")
    assert "cipsec: error: " in ran.err
    assert not (tmp_path / "card").exists()
    assert not (tmp_path / "ca" / "provisioning.key").exists()


def test_targets_that_cannot_be(on_ca: Cipsec, tmp_path: Path) -> None:
    """What exists is left alone; where nothing can be written, nothing goes on record."""
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "mine").write_text("mine")
    (tmp_path / "file").write_text("mine")
    for target in ("full", "file", "file/card", "x" * 300):
        ran = on_ca("ca", "provision", "card-1", "-o", tmp_path / target)
        assert (ran.code, ran.out) == (6, ""), target
    assert (tmp_path / "full" / "mine").read_text() == (tmp_path / "file").read_text() == "mine"
    assert _names(tmp_path / "full") == ["mine"]
    assert on_ca("ca", "list").out == ""
    (tmp_path / "empty").mkdir()
    assert on_ca("ca", "provision", "card-1", "-o", tmp_path / "empty").code == 0


def test_passphrase(cipsec: Cipsec, tmp_path: Path) -> None:
    """Asked for as `ca issue` asks; the issuer's key is as locked as the CA's."""
    folder = ca.make(tmp_path / "ca", passphrase="correct horse")
    argv = ["ca", "provision", "card-1", "-o", tmp_path / "card", "--ca-dir", folder.path]
    (tmp_path / "right").write_text("correct horse\n")
    (tmp_path / "wrong").write_text("incorrect\n")
    assert cipsec(*argv).code == 2
    wrong = cipsec(*argv, "--passphrase-file", tmp_path / "wrong")
    assert (wrong.code, wrong.err) == (6, "cipsec: error: the passphrase does not open the key\n")
    assert not folder.provisioning_key_file.exists()
    typed = at_terminal([str(a) for a in argv], ("Passphrase of the CA's key: ", "correct horse\n"))
    assert typed.code == 0, typed.screen
    assert "correct horse" not in typed.screen
    assert keys.is_encrypted(folder.provisioning_key_file.read_bytes())
    argv[2:5] = ["card-2", "-o", tmp_path / "card2"]
    again = cipsec(*argv, "--passphrase-file", tmp_path / "wrong")
    assert (again.code, again.err) == (6, "cipsec: error: the passphrase does not open the key\n")
    assert cipsec(*argv, "--passphrase-file", tmp_path / "right").code == 0


def test_an_expired_ca(cipsec: Cipsec, tmp_path: Path) -> None:
    """A CA past its end provisions nothing."""
    folder = ca.make(tmp_path / "ca", now=times.now() - timedelta(days=7301))
    argv = ["ca", "provision", "card-1", "-o", tmp_path / "card", "--ca-dir", folder.path]
    ran = cipsec(*argv)
    assert (ran.code, ran.out) == (6, "")
    assert "the CA's own certificate expired at " in ran.err
    assert not (tmp_path / "card").exists()


@pytest.mark.parametrize("same_name", [True, False])
def test_several_at_once(
    on_ca: Cipsec, ca_folder: CaFolder, tmp_path: Path, *, same_name: bool
) -> None:
    """Four processes: one issuer; each name once, and no folder without its record."""
    running = []
    for number in range(4):
        name = "card" if same_name else f"card-{number}"
        words = ["ca", "provision", name, "-o", str(tmp_path / f"out{number}"), "--json"]
        argv = [sys.executable, "-m", "cipsec", *words, "--ca-dir", str(ca_folder.path)]
        running.append(subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL))
    outs = [one.communicate()[0] for one in running]
    codes = [one.returncode for one in running]
    assert sorted(codes) == ([0, 6, 6, 6] if same_name else [0, 0, 0, 0])
    made = {
        json.loads(out)["credential"]["serial"]
        for out, code in zip(outs, codes, strict=True)
        if code == 0
    }
    shown = on_ca("ca", "credentials", "--json").json["credentials"]
    assert {one["serial"] for one in shown} == made
    folders = [path for path in tmp_path.iterdir() if path.name.startswith("out")]
    assert len(folders) == len(made)
    issuer = ca_folder.provisioning_certificate()
    assert issuer is not None
    for folder in folders:
        pem = (folder / "certificate.pem").read_bytes()
        x509.load_pem_x509_certificate(pem).verify_directly_issued_by(issuer)


_STEPS = {"open", "os.link", "os.mkdir", "os.remove", "os.rename", "os.rmdir", "sqlite3.connect"}


def _killed_at(step: int, folder: CaFolder, target: Path) -> bool:
    """Provision in a child that gets SIGKILL before the numbered step; tell whether it did."""
    child = os.fork()
    if child == 0:
        left = step

        def count(event: str, arguments: tuple[object, ...]) -> None:
            nonlocal left
            if event in _STEPS and str(folder.path.parent) in str(arguments):
                left -= 1
                if left == 0:
                    os.kill(os.getpid(), signal.SIGKILL)

        sys.addaudithook(count)
        argv = ["ca", "provision", "card-1", "-q", "-o", str(target), "--ca-dir", str(folder.path)]
        os._exit(main(argv))
    _, status = os.waitpid(child, 0)
    if os.WIFSIGNALED(status):
        return True
    assert os.waitstatus_to_exitcode(status) == 0
    return False


def test_killed_at_every_step(on_ca: Cipsec, ca_folder: CaFolder, tmp_path: Path) -> None:
    """A folder that is there is whole and on record; what is on record alone is easily revoked."""
    step, recorded_alone = 1, 0
    while _killed_at(step, ca_folder, target := tmp_path / f"card{step}"):
        shown = on_ca("ca", "credentials", "--json").json["credentials"]
        in_force = {one["serial"] for one in shown if one["status"] == "valid"}
        if target.exists():
            assert _names(target) == _FILES
            made = x509.load_pem_x509_certificate((target / "certificate.pem").read_bytes())
            assert f"{made.serial_number:032x}" in in_force
        if in_force:
            recorded_alone += not target.exists()
            again = on_ca("ca", "provision", "card-1", "-o", tmp_path / "again")
            assert again.code == 6
            assert on_ca("ca", "revoke", "--credential", "card-1", "-y").code == 0
        step += 1
    assert step > 10
    assert recorded_alone, "the record comes first"
    assert _names(target) == _FILES
    issuer = ca_folder.provisioning_certificate()
    assert issuer is not None
    pem = (target / "certificate.pem").read_bytes()
    x509.load_pem_x509_certificate(pem).verify_directly_issued_by(issuer)


_OVERTAKEN = """
import os, sys
from cipsec._cli.main import main
target = sys.argv[1]

def overtake(event, arguments):
    if event == "os.rename" and str(arguments[1]) == target:
        os.makedirs(target + "/mine")

sys.addaudithook(overtake)
sys.exit(main(["ca", "provision", "card-1", "-o", target, "--ca-dir", sys.argv[2]]))
"""


def test_overtaken(on_ca: Cipsec, ca_folder: CaFolder, tmp_path: Path) -> None:
    """Somebody takes the folder's name at the last moment: it says what is on record, and why."""
    argv = [sys.executable, "-c", _OVERTAKEN, str(tmp_path / "card"), str(ca_folder.path)]
    done = subprocess.run(argv, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (6, "")
    [credential] = on_ca("ca", "credentials", "--json").json["credentials"]
    revoke = f"cipsec ca revoke {credential['serial']}"
    assert done.stderr.endswith(f"cipsec: hint: it is on record and nobody has it: {revoke}\n")
    assert _names(tmp_path / "card") == ["mine"]
