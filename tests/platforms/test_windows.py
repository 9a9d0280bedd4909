"""The command line as on Windows, as `as_windows` plays it: an engineer's day, and a CA's."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support import ca, serving
from tests.support.serving import Serving
from tests.support.waiting import until

_PLAY = Path(__file__).with_name("as_windows.py")
_ROOT = Path(__file__).parents[2]
# What a pipe's encoding is there in the west of Europe, and where nothing else is known.
_ENVIRONMENT = {**os.environ, "PYTHONPATH": str(_ROOT), "PYTHONIOENCODING": "cp1252"}
_PLAYED = [sys.executable, "-X", "warn_default_encoding", str(_PLAY)]


def windows(*arguments: str | Path, stdin: bytes = b"") -> subprocess.CompletedProcess[bytes]:
    """Run one command line as on Windows."""
    command = [*_PLAYED, *map(str, arguments)]
    done = subprocess.run(
        command, input=stdin, capture_output=True, check=False, timeout=300, env=_ENVIRONMENT
    )
    assert b"Traceback" not in done.stderr, done
    assert b"unexpected" not in done.stderr, done
    return done


def works(*arguments: str | Path, stdin: bytes = b"") -> bytes:
    """Run a command that must succeed, and return what it prints."""
    done = windows(*arguments, stdin=stdin)
    assert done.returncode == 0, (arguments, done)
    return done.stdout


def result(*arguments: str | Path) -> Any:
    """Return the JSON that a command prints which must succeed."""
    return json.loads(works(*arguments, "--json"))


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Serving]:
    """A CA that grants to users and to commissioning cards, served on this system."""
    ca.make(tmp_path / "ca", policy="combined")
    added = serving.cipsec("user", "add", "alice", "--password-file", "-", "--ca-dir",
                           tmp_path / "ca", stdin=b"secret of alice\n")  # fmt: skip
    assert added.returncode == 0, added
    with serving.serving(tmp_path / "ca") as server:
        yield server


def test_what_is_played(tmp_path: Path) -> None:
    """Else all that follows would show nothing: what Windows has not is not there."""
    code = (
        f"import runpy, sys; sys.argv = ['as_windows']; play = runpy.run_path({str(_PLAY)!r});"
        "play['become_windows']();"
        "import os, signal; assert not hasattr(os, 'fork') and not hasattr(signal, 'SIGHUP')\n"
        "def refuses(what, *v):\n"
        "    try: what(*v)\n"
        "    except OSError: return True\n"
        "open('a', 'w', encoding='utf-8').close(); os.mkdir('d'); b = open('d/b', 'wb')\n"
        "assert refuses(os.rename, 'd', 'e') and refuses(os.replace, 'a', 'd/b')\n"
        "assert refuses(os.unlink, 'd/b') and refuses(os.symlink, 'a', 'c')\n"
        "assert refuses(open, 'a:b', 'w') and refuses(open, 'nul.csv', 'w')\n"
        "b.close(); assert refuses(os.rename, 'a', 'd/b'); os.replace('a', 'd/b')\n"
        "os.rename('d', 'e'); os.unlink('e/b')\n"
    )
    subprocess.run([sys.executable, "-c", code], cwd=tmp_path, env=_ENVIRONMENT, check=True)


def test_an_engineer_enrolls_and_renews(server: Serving, tmp_path: Path) -> None:
    """With a password; twice renewed, once with a hook, and looked at in between."""
    password, identity = tmp_path / "alice.password", tmp_path / "identity"
    password.write_bytes(b"secret of alice\r\n")
    enrolled = result("enroll", "--server", f"127.0.0.1:{server.port}", "--trust", server.anchor,
                      "--user", "alice", "--password-file", password,
                      "--subject", "CN=engineering-pc",
                      "--identity", identity)["identity"]  # fmt: skip
    assert (identity / "current").read_text() == "1"
    assert Path(enrolled["certificate"]) == identity / "1" / "certificate.pem"
    assert b"CN=engineering-pc" in works("status", "--identity", identity)
    works("renew", "--identity", identity)
    works("renew", "--identity", identity, "--same-key", "--hook", f"{sys.executable} -c pass")
    assert sorted(p.name for p in identity.iterdir() if p.name.isdecimal()) == ["3"]
    renewed = result("status", "--identity", identity)["identity"]
    works("cert", "verify", renewed["certificate"], "--trust", renewed["trust"],
          "--key", renewed["key"])  # fmt: skip
    looked = windows("doctor", "--identity", identity)
    assert b"key and certificate belong together" in looked.stdout


def test_an_old_key_that_is_in_use_does_not_keep_the_new_one_out(
    server: Serving, tmp_path: Path
) -> None:
    """A program serves with it and has the file open; the next run removes what it left."""
    identity = tmp_path / "identity"
    works("enroll", "--server", f"127.0.0.1:{server.port}", "--trust", server.anchor,
          "--user", "alice", "--password-file", "-", "--subject", "CN=pc",
          "--identity", identity, stdin=b"secret of alice\n")  # fmt: skip
    code = (
        f"import runpy, sys; play = runpy.run_path({str(_PLAY)!r}); play['become_windows']();"
        f"held = open({str(identity / '1' / 'key.pem')!r}, 'rb');"
        f"sys.argv = ['cipsec', 'renew', '--identity', {str(identity)!r}];"
        "from cipsec._cli import run; run()"
    )
    subprocess.run([sys.executable, "-c", code], env=_ENVIRONMENT, check=True)
    assert (identity / "current").read_text() == "2"
    assert (identity / "1" / "key.pem").exists()
    works("renew", "--identity", identity)
    assert sorted(p.name for p in identity.iterdir() if p.name.isdecimal()) == ["3"]


def test_an_engineer_has_a_commissioning_card_in_files(server: Serving, tmp_path: Path) -> None:
    """Made and spent; the second use is refused with the reason."""
    card = tmp_path / "card"
    works("ca", "provision", "card-1", "-o", card, "--ca-dir", server.ca)
    use = ("enroll", "--server", f"127.0.0.1:{server.port}", "--trust", server.anchor,
           "--cert", card / "certificate.pem", "--key", card / "key.pem", "--no-wait")  # fmt: skip
    works(*use, "--identity", tmp_path / "one", "--subject", "CN=one")
    again = windows(*use, "--identity", tmp_path / "two", "--subject", "CN=two")
    assert again.returncode in (11, 12, 13), again


def test_an_engineer_looks(server: Serving, tmp_path: Path) -> None:
    """At requests, servers, a card that is not there, and what completes a command."""
    key, request = tmp_path / "drive.key", tmp_path / "drive.csr"
    works("csr", "create", "--key", key, "--device", "0001:6040C8F2", "-o", request)
    assert result("csr", "show", request)["csr"]["device"]
    works("csr", "verify", request)
    assert b"Line 4" in works("cert", "show", f"127.0.0.1:{server.port}", "--chain")
    assert windows("discover", "--timeout", "0.2", "--interface", "lo").returncode in (0, 3)
    assert windows("smartcard", "list").returncode in (0, 7)
    assert b"Register-ArgumentCompleter" in works("completion", "powershell")
    assert b"Jahres" in works("csr", "show", "-", stdin=works(
        "csr", "create", "--key", key, "--subject", "CN=Jahresprüfung ✓"))  # fmt: skip


def test_a_ca_is_kept(tmp_path: Path) -> None:
    """Made, served, a request approved, backed up, and restored over what was there."""
    folder = tmp_path / "ca"
    at = ("--ca-dir", folder)
    works("ca", "init", "--name", "Line 4", "--host", "localhost", "--no-passphrase", *at)
    for serial in ("0001:6040C8F2", "0001:6040C8F3"):
        works("allowlist", "add", serial, *at)
    ready = tmp_path / "ready.json"
    with subprocess.Popen([*_PLAYED, "ca", "serve", "--listen", "127.0.0.1:0", "--no-announce",
                           "--ready-file", str(ready), *map(str, at)], env=_ENVIRONMENT,
                          stdout=subprocess.DEVNULL) as process:  # fmt: skip
        try:
            until(ready.exists)
            ask = ("enroll", "--server", f"127.0.0.1:{json.loads(ready.read_text())['port']}",
                   "--trust", folder / "ca.pem", "--identity", tmp_path / "identity",
                   "--subject", "CN=pc")  # fmt: skip
            assert windows(*ask, "--no-wait").returncode == 11
            [waiting] = result("ca", "pending", *at)["requests"]
            works("ca", "approve", waiting["id"], *at)
            works(*ask)
            [granted] = [c for c in result("ca", "list", *at)["certificates"]
                         if c["subject"] == "CN=pc"]  # fmt: skip
            works("ca", "revoke", granted["serial"], "-y", *at)
            assert windows("ca", "serve", "--workers", "2", *at).returncode == 2
        finally:
            process.terminate()
    assert process.returncode == 0
    secret = ("--passphrase-file", tmp_path / "secret")
    (tmp_path / "secret").write_text("a passphrase of some length")
    works("ca", "backup", tmp_path / "a.backup", *secret, *at)
    works("ca", "restore", tmp_path / "a.backup", "-f", *secret, *at)
    assert [c["status"] for c in result("ca", "list", *at)["certificates"]].count("revoked") == 1
    works("ca", "log", "verify", *at)
