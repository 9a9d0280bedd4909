"""The CA's commands where something is missing, damaged, forbidden, or busy with somebody else."""

from __future__ import annotations

import json
import os
import shutil
import sqlite3
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from cipsec.ca_folder import CaFolder
from tests.support import ca, programs

from .commands import POLICY, READ, WRITE
from .conftest import Cipsec


def _check_argv(folder: CaFolder) -> list[list[str]]:
    """The commands that want a request, with one."""
    request = str(ca.write_pem(folder.path.parent / "csr", ca.request()))
    return [["policy", "check", request], ["ca", "issue", request]]


@pytest.mark.parametrize("argv", [*READ, *WRITE, *POLICY, ["ca", "log", "--follow"]])
def test_no_ca(cipsec: Cipsec, tmp_path: Path, argv: list[str]) -> None:
    """Without a CA each command is exit 3 and says how to make one."""
    ran = cipsec(*argv, "--ca-dir", tmp_path / "ca")
    assert (ran.code, ran.out) == (3, "")
    assert ran.err == (
        f"cipsec: error: there is no CA in {tmp_path / 'ca'}\n"
        "cipsec: hint: make one with: cipsec ca init, or name its folder with --ca-dir\n"
    )
    as_json = cipsec(*argv, "--ca-dir", tmp_path / "ca", "--json")
    assert as_json.code == 3
    assert as_json.json["error"]["kind"] == "not_found"
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("damage", ["missing", "empty", "text", "zeros", "cut", "newer"])
def test_damaged_store(on_ca: Cipsec, ca_folder: CaFolder, damage: str) -> None:
    """A store that cannot be used is exit 6 for every command, with a sentence."""
    ca.ask(ca_folder)
    store = ca_folder.store_file
    whole = store.read_bytes()
    match damage:
        case "missing":
            store.unlink()
        case "empty":
            store.write_bytes(b"")
        case "text":
            store.write_bytes(b"not a database " * 1000)
        case "zeros":
            store.write_bytes(b"\0" * len(whole))
        case "cut":
            store.write_bytes(whole[: len(whole) // 3])
        case "newer":
            with sqlite3.connect(store) as db:
                db.execute("PRAGMA user_version=99")
            db.close()
    for argv in [*READ, *WRITE, *_check_argv(ca_folder)]:
        ran = on_ca(*argv)
        assert (ran.code, ran.out) == (6, ""), (argv, ran)
        assert ran.err.startswith("cipsec: error: ")
        assert ran.err.count("\n") <= 2


@pytest.mark.parametrize("seed", range(6))
def test_pages_overwritten(on_ca: Cipsec, ca_folder: CaFolder, seed: int) -> None:
    """With any page gone nothing hangs and nothing crashes: an answer, or an error line."""
    ca.ask(ca_folder)
    whole = bytearray(ca_folder.store_file.read_bytes())
    start = (seed + 1) * 4096
    whole[start : start + 4096] = b"\xa5" * 4096
    ca_folder.store_file.write_bytes(whole)
    for argv in [*READ, *WRITE]:
        ran = on_ca(*argv, "--json")
        assert ran.code in {0, 3, 6}, (argv, ran)
        json.loads(ran.out)


@pytest.mark.parametrize("content", [b"", b"junk", b"\xff\xfe\x00", b"name = [", None])
def test_damaged_config(on_ca: Cipsec, ca_folder: CaFolder, content: bytes | None) -> None:
    """A broken ca.toml stops what asks the rules, and nothing else."""
    if content is None:
        ca_folder.config_file.unlink()
    else:
        ca_folder.config_file.write_bytes(content)
    for argv in [*POLICY, *_check_argv(ca_folder)]:
        ran = on_ca(*argv)
        assert (ran.code, ran.out) == (6, ""), argv
        assert "ca.toml" in ran.err
    for argv in (["ca", "pending"], ["ca", "show"], ["ca", "list"], ["ca", "log"]):
        assert on_ca(*argv).code == 0


@pytest.mark.parametrize("content", [b"", b"junk", b"-----BEGIN CERTIFICATE-----\nAAAA"])
def test_damaged_certificate(on_ca: Cipsec, ca_folder: CaFolder, content: bytes) -> None:
    """A broken ca.pem stops what needs it; the queue can be worked on."""
    identifier = ca.ask(ca_folder)
    ca_folder.certificate_file.write_bytes(content)
    for argv in (["ca", "show"], *_check_argv(ca_folder)):
        ran = on_ca(*argv)
        assert (ran.code, ran.out) == (6, ""), argv
        assert "ca.pem holds no certificate" in ran.err
    assert on_ca("ca", "approve", identifier).code == 0


@pytest.mark.parametrize("content", [b"", b"junk", b"other", None])
def test_damaged_key(
    on_ca: Cipsec, ca_folder: CaFolder, tmp_path: Path, content: bytes | None
) -> None:
    """A broken, missing or foreign ca.key signs nothing: exit 6, nothing on record."""
    if content is None:
        ca_folder.key_file.unlink()
    elif content == b"other":
        shutil.copy(ca.make(tmp_path / "other").key_file, ca_folder.key_file)
    else:
        ca_folder.key_file.write_bytes(content)
    [_, issue] = _check_argv(ca_folder)
    ran = on_ca(*issue)
    assert (ran.code, ran.out) == (6, "")
    assert on_ca("ca", "list").out == ""


def test_damaged_server_certificate(on_ca: Cipsec, ca_folder: CaFolder) -> None:
    """The server makes a new one when it starts; until then ca.toml says what its names are."""
    ca_folder.server_certificate_file.write_bytes(b"junk")
    check, issue = _check_argv(ca_folder)
    assert on_ca(*check).code == 11
    assert on_ca(*issue).code == 0


@pytest.fixture
def foreign_folder(ca_folder: CaFolder) -> Iterator[Path]:
    """A CA's folder that whoever runs the command below may read and not write."""
    ca.ask(ca_folder)
    parent = Path(tempfile.mkdtemp())
    shutil.copytree(ca_folder.path, parent / "ca")
    for path in (parent, *parent.rglob("*")):
        path.chmod(0o555 if path.is_dir() else 0o444)
    yield parent / "ca"
    for path in (parent, parent / "ca"):
        path.chmod(0o755)
    shutil.rmtree(parent)


def _unprivileged(*argv: str) -> subprocess.CompletedProcess[str]:
    """Run a command with the rights of the files' owner only: root as such may do everything."""
    drop = ["setpriv", "--bounding-set=-all", "--"]
    if os.geteuid() == 0:
        programs.need("setpriv")
    return subprocess.run(
        [*drop * (os.geteuid() == 0), sys.executable, "-m", "cipsec", *argv],
        capture_output=True,
        text=True,
        check=False,
    )


def test_read_only(foreign_folder: Path) -> None:
    """Who may not write is told so (exit 6) and changes nothing; a new CA cannot be made there."""
    there = ["--ca-dir", str(foreign_folder)]
    before = {path: path.read_bytes() for path in foreign_folder.iterdir() if path.is_file()}
    for argv in WRITE:
        done = _unprivileged(*argv, *there)
        assert (done.returncode, done.stdout) == (6, ""), done
        assert done.stderr.startswith("cipsec: error: ")
    for argv in (["ca", "pending"], ["ca", "log"]):
        done = _unprivileged(*argv, *there)
        assert done.returncode in {0, 6}
        assert "Traceback" not in done.stderr
    init = ["ca", "init", "--name", "x", "--no-passphrase", "--ca-dir"]
    done = _unprivileged(*init, str(foreign_folder / "new"))
    assert (done.returncode, done.stdout) == (6, "")
    assert {p: p.read_bytes() for p in foreign_folder.iterdir() if p.is_file()} == before


def test_locks_of_another_user(foreign_folder: Path) -> None:
    """A lock that may not be had, or none that may be made, is exit 6 for who serves or saves."""
    secret = foreign_folder.parent / "secret"
    foreign_folder.parent.chmod(0o755)
    secret.write_text("correct horse battery\n")
    serve = ["ca", "serve", "--listen", "127.0.0.1:0", "--no-announce", "--for", "1s"]
    save = ["ca", "backup", str(foreign_folder.parent / "b"), "--passphrase-file", str(secret)]
    crl, drop = ["ca", "crl", "--days", "3"], ["ca", "passphrase", "--no-passphrase"]
    for argv, name in ((serve, "serve"), (save, "backup"), (drop, "keys")):
        done = _unprivileged(*argv, "--ca-dir", str(foreign_folder))
        assert (done.returncode, done.stdout) == (6, ""), done
        assert f"{name}.lock cannot be locked: permission denied" in done.stderr
        assert "cipsec: hint: run it as the user whose it is: sudo -u " in done.stderr
    assert _unprivileged(*crl, "--ca-dir", str(foreign_folder)).returncode == 6


def test_a_part_that_may_not_be_read(foreign_folder: Path) -> None:
    """A folder that nobody may look into is not left out of a backup: exit 6, nothing written."""
    foreign_folder.parent.chmod(0o755)
    foreign_folder.chmod(0o755)
    foreign_folder.joinpath("store.sqlite3").chmod(0o644)
    secret, target = (foreign_folder.parent / name for name in ("secret", "b"))
    secret.write_text("correct horse battery\n")
    closed = foreign_folder / "vendors"
    closed.chmod(0)
    argv = ["ca", "backup", str(target), "--passphrase-file", str(secret)]
    done = _unprivileged(*argv, "--ca-dir", str(foreign_folder))
    closed.chmod(0o755)
    assert done.returncode == 6, done
    assert f"{closed} cannot be read: permission denied" in done.stderr
    assert not target.exists()


def test_hidden(foreign_folder: Path) -> None:
    """A folder one may not look into is an error with a sentence, never a traceback."""
    foreign_folder.chmod(0)
    there = ["--ca-dir", str(foreign_folder)]
    for argv in ([*READ[0]], ["ca", "init", "--name", "x", "--no-passphrase"]):
        done = _unprivileged(*argv, *there)
        assert done.returncode in {3, 6}, done
        assert done.stdout == ""
        assert done.stderr.startswith("cipsec: error: ")
        assert "unexpected" not in done.stderr
