"""What is no file, where a command reads one: said at once, with exit 6, and never waited for."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from cipsec import named
from cipsec.ca_folder import CaFolder
from cipsec.pki import keys
from tests.support import ca, der

from .conftest import Cipsec, Ran

pytestmark = pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs pipes")


@pytest.fixture(autouse=True)
def _no_waiting() -> Iterator[None]:
    """End a test that waits for somebody to write: ten minutes are no measure of speed."""

    def waits(*_: object) -> None:
        raise AssertionError("it waits for somebody to write into a pipe")

    before = signal.signal(signal.SIGALRM, waits)
    signal.alarm(600)
    yield
    signal.alarm(0)
    signal.signal(signal.SIGALRM, before)


def _pipe(path: Path) -> None:
    os.mkfifo(path)


def _socket(path: Path) -> None:
    # By its name alone: the whole path may be too long for a socket's.
    here = Path.cwd()
    os.chdir(path.parent)
    with socket.socket(socket.AF_UNIX) as made:
        made.bind(path.name)
    os.chdir(here)


def _device(path: Path) -> None:
    path.symlink_to("/dev/zero")


_KINDS: dict[str, Callable[[Path], None]] = {
    "pipe": _pipe,
    "folder": Path.mkdir,
    "socket": _socket,
    "device": _device,
}
_ON_A_CA = {
    "ca show": (),
    "ca list": (),
    "ca crl": (),
    "ca pending": (),
    "ca issue": ("csr", "-o", "made"),
    "ca provision": ("card", "-o", "card"),
    "ca backup": ("b.backup", "--passphrase-file", "word"),
    "ca rollover": ("-n",),
    "ca report": ("--format", "json", "--sign", "-o", "report"),
    "ca serve": ("--for", "0s", "--listen", "127.0.0.1:0", "--no-announce"),
    "ca log": ("verify",),
    "policy show": (),
    "policy check": ("csr",),
    "csr verify": ("csr", "--ca-dir", "ca"),
    "allowlist list": (),
    "vendor list": (),
    "user list": (),
    "notify list": (),
    "doctor": ("--ca-dir", "ca"),
    "ca passphrase": ("--new-passphrase-file", "word"),  # the last, for others know of none
}
_OWN = (
    "ca.key",
    "ca.pem",
    "ca.toml",
    "ca.crl",
    "chain.pem",
    "ca.pkcs11",
    "store.sqlite3",
    "server.pem",
    "server.key",
    "provisioning.pem",
    "provisioning.key",
    "allowlists/default.csv",
    "vendors/acme.pem",
)
# Not found is the record's or a server's certificate that is not there; no is the doctor's.
_CODES = {0, 3, 6, 10, 11, 12}


def _is_said(ran: Ran) -> bool:
    return ran.code in _CODES and "unexpected" not in ran.err and "Traceback" not in ran.err


@pytest.mark.parametrize("name", _OWN)
def test_in_the_folder_of_a_ca(
    on_ca: Cipsec,
    ca_folder: CaFolder,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    name: str,
) -> None:
    """Whatever command comes upon it."""
    monkeypatch.chdir(tmp_path)
    ca.write_pem(Path("csr"), ca.request())
    Path("word").write_text("a new passphrase\n")
    path = ca_folder.path / name
    if path.exists():
        path.rename(tmp_path / "aside")
    path.parent.mkdir(exist_ok=True)
    os.mkfifo(path)
    for command, more in _ON_A_CA.items():
        ran = on_ca(*command.split(), *more)
        assert _is_said(ran), (command, ran)


@pytest.mark.parametrize("kind", _KINDS)
@pytest.mark.parametrize("name", ["ca.key", "ca.pem", "ca.toml"])
def test_what_a_ca_is_made_of(
    on_ca: Cipsec, ca_folder: CaFolder, tmp_path: Path, kind: str, name: str
) -> None:
    """It is named, and said not to be a file."""
    (ca_folder.path / name).rename(tmp_path / "aside")
    _KINDS[kind](ca_folder.path / name)
    ran = on_ca("ca", "serve", "--for", "0s", "--listen", "127.0.0.1:0", "--no-announce")
    assert ran.code == 6
    assert f"{ca_folder.path / name} is not a file" in ran.err


@pytest.mark.parametrize("kind", _KINDS)
@pytest.mark.parametrize("name", ["key.pem", "certificate.pem", "trust.pem", "state.json"])
def test_in_the_folder_of_an_identity(cipsec: Cipsec, tmp_path: Path, kind: str, name: str) -> None:
    """Nobody is asked for anything before that is said."""
    identity = tmp_path / "identity"
    identity.mkdir()
    _KINDS[kind](identity / name)
    for words in (("status",), ("renew",), ("enroll", "--server", "127.0.0.1:1"), ("doctor",)):
        ran = cipsec(*words, "--identity", identity, "--no-input")
        assert "unexpected" not in ran.err
        assert ran.code in {3, 4, 5, 6, 10}


_KEY, _PEM = keys.to_pem(der.KEY), der.pem("CERTIFICATE", der.certificate())
_GIVEN: dict[str, tuple[str, ...]] = {
    "a certificate": ("cert", "show", "IT"),
    "a request": ("csr", "show", "IT"),
    "anchors": ("cert", "verify", "c.pem", "--trust", "IT"),
    "lists": ("cert", "verify", "c.pem", "--trust", "c.pem", "--crl", "IT"),
    "a key to compare": ("cert", "verify", "c.pem", "--key", "IT"),
    "a key": ("csr", "create", "--key", "IT", "-o", "-"),
    "a passphrase": ("ca", "init", "--name", "x", "--ca-dir", "new", "--passphrase-file", "IT"),
    "a CA": ("ca", "init", "--import", "IT", "--no-passphrase", "--ca-dir", "new"),
    "a vendor": ("vendor", "add", "IT", "--name", "acme", "-y"),
    "a list": ("allowlist", "import", "IT", "--serial-column", "s", "--serial-base", "hex"),
    "a password": ("user", "add", "bob", "--password-file", "IT"),
    "heads": ("ca", "log", "verify", "--heads", "IT"),
    "trust": ("enroll", "--server", "127.0.0.1:1", "--identity", "id", "--trust", "IT"),
    "a backup": ("ca", "restore", "IT", "--ca-dir", "new", "--passphrase-file", "word"),
}


@pytest.mark.parametrize("kind", _KINDS)
@pytest.mark.parametrize("what", _GIVEN)
def test_where_a_person_names_one(
    on_ca: Cipsec, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str, what: str
) -> None:
    """A pipe that nobody writes into as well."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(named, "_PATIENCE", 0.1)
    Path("c.pem").write_bytes(_PEM)
    Path("word").write_text("secret word\n")
    _KINDS[kind](tmp_path / "it")
    ran = on_ca(*("it" if word == "IT" else word for word in _GIVEN[what]), "--no-input")
    assert (ran.code, "unexpected" in ran.err) == (6, False), ran


_SUBSTITUTED = {
    "a certificate": ("cert show IT", _PEM),
    "a key": ("csr create --key IT -o -", _KEY),
    "a passphrase": ("ca init --name x --ca-dir new --passphrase-file IT", b"a passphrase\n"),
    "a password": ("user add bob --password-file IT", b"correct horse\n"),
    "an inventory": ("allowlist import IT --mac-column m", b"m\n02:00:5e:10:00:01\n"),
}


@pytest.mark.parametrize("what", _SUBSTITUTED)
def test_process_substitution(on_ca: Cipsec, tmp_path: Path, what: str) -> None:
    """A pipe that somebody writes into is read as a file: `<(command)`."""
    words, data = _SUBSTITUTED[what]
    (tmp_path / "data").write_bytes(data)
    line = words.replace("IT", "<(sleep 0.2; cat data)")
    program = f"{sys.executable} -m cipsec {line}"
    done = subprocess.run(["bash", "-c", program], cwd=tmp_path, capture_output=True, check=False)
    assert done.returncode == 0, done
