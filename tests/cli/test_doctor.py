"""`cipsec doctor`: what it looks at, what it says, its exit codes, and that it changes nothing."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from cipsec.ca_folder import CaFolder
from cipsec.doctor.cards import CHECKS as CARD_CHECKS
from cipsec.doctor.examine import CA_CHECKS
from cipsec.doctor.finding import Finding
from cipsec.doctor.identity import CHECKS as IDENTITY_CHECKS
from cipsec.doctor.machine import CHECKS as MACHINE_CHECKS
from cipsec.endpoint.folder import Folder
from cipsec.store import events
from cipsec.store.codes import Code
from cipsec.store.events import Event
from tests.endpoint.acting import get, wish
from tests.support import ca, programs, serving
from tests.support.canned import EstServer, Plant

from .conftest import Cipsec

_LAB = '[[rule]]\nname = "lab"\nwhen = { anyone = true }\nthen = "grant"\nlab = true\n'
_MACHINE = [*MACHINE_CHECKS, *CARD_CHECKS]


@pytest.fixture
def at_home(cipsec: Cipsec, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Cipsec:
    """Run one command line with default places that are empty."""
    home = tmp_path / "home"
    monkeypatch.setattr("cipsec.files.default_ca", lambda: home / "ca")
    monkeypatch.setattr("cipsec.files.default_identity", lambda: home / "identity")
    monkeypatch.delenv("CIPSEC_IDENTITY", raising=False)
    return cipsec


@pytest.fixture
def server(tmp_path: Path) -> Iterator[EstServer]:
    """A server that grants everything."""
    with EstServer(Plant(), tmp_path).running() as running:
        yield running


def _verdicts(rows: list[list[str]]) -> dict[str, str]:
    """Return the gravest verdict of each check of a table."""
    found: dict[str, str] = {}
    for check, verdict, *_ in rows:
        found[check] = max(found.get(check, ""), verdict, key=["", "ok", "warn", "fail"].index)
    return found


def test_nothing_there(at_home: Cipsec, tmp_path: Path) -> None:
    """Without CA and identity the machine is looked at, and where the others would be is said."""
    ran = at_home("doctor")
    assert ran.code == 0
    assert [row[0] for row in ran.rows if row[0] not in _MACHINE] == ["ca", "identity"]
    assert ran.rows[-2:] == [
        ["ca", "ok", f"there is none in {tmp_path / 'home' / 'ca'}", "cipsec ca init"],
        ["identity", "ok", f"there is none in {tmp_path / 'home' / 'identity'}", "cipsec enroll"],
    ]
    warned = sum(row[1] == "warn" for row in ran.rows)
    assert ran.err == f"cipsec: {len(ran.rows)} findings: 0 fail, {warned} warn\n"
    assert not (tmp_path / "home").exists()
    assert at_home("doctor", "-q").err == ""


def test_default_places(at_home: Cipsec, tmp_path: Path, server: EstServer) -> None:
    """What is at the default places is looked at without being named, by every check."""
    ca.make(tmp_path / "home" / "ca")
    get(Folder(tmp_path / "home" / "identity"), wish(server))
    ran = at_home("doctor")
    assert ran.code == 0
    of_ca = [name for name in CA_CHECKS if name not in ("programs", "provisioning issuer")]
    assert list(_verdicts(ran.rows)) == [*_MACHINE, *of_ca, *IDENTITY_CHECKS]
    assert "--ca-dir" not in ran.out


def test_json(at_home: Cipsec, ca_folder: CaFolder) -> None:
    """The keys of the contract, each in every finding."""
    ran = at_home("doctor", "--ca-dir", ca_folder.path, "--json")
    assert ran.code == 0
    assert list(ran.json) == ["checks"]
    for found in ran.json["checks"]:
        assert list(found) == ["check", "verdict", "detail", "hint"]
        assert found["verdict"] in ("ok", "warn", "fail")
        assert found["detail"]
    assert ran.err.startswith("cipsec: ")


def test_global_grant_fails(at_home: Cipsec, ca_folder: CaFolder) -> None:
    """Exit code 10, and every other check is made all the same."""
    ca_folder.config_file.write_text(_LAB)
    ran = at_home("doctor", "--ca-dir", ca_folder.path)
    assert ran.code == 10
    verdicts = _verdicts(ran.rows)
    assert [name for name, verdict in verdicts.items() if verdict == "fail"] == ["global grant"]
    assert "identity" in verdicts
    assert [
        "global grant",
        "fail",
        "the rule lab grants a certificate to everybody, without an end",
        'then = "ask" in that [[rule]] of ca.toml',
    ] in ran.rows


def test_warnings_do_not_fail(at_home: Cipsec, ca_folder: CaFolder) -> None:
    """Hints act on the CA that was named."""
    text = '[[rule]]\nname = "r"\nwhen = { vendor = true }\nthen = "grant"\n'
    ca_folder.config_file.write_text(text)
    ran = at_home("doctor", "--ca-dir", ca_folder.path)
    assert ran.code == 0
    [row] = [row for row in ran.rows if row[0] == "vendors"]
    assert row[1] == "warn"
    assert row[3] == f"cipsec vendor add FILE --name NAME --ca-dir {ca_folder.path}"


def test_named_and_missing(at_home: Cipsec, tmp_path: Path) -> None:
    """What is named and not there is exit 3, as for every command, and nothing is made."""
    ran = at_home("doctor", "--ca-dir", tmp_path / "ca")
    assert (ran.code, ran.out) == (3, "")
    assert ran.err == (
        f"cipsec: error: there is no CA in {tmp_path / 'ca'}\n"
        "cipsec: hint: make one with: cipsec ca init, or name its folder with --ca-dir\n"
    )
    place = tmp_path / "identity"
    ran = at_home("doctor", "--identity", place)
    assert (ran.code, ran.out) == (3, "")
    assert ran.err == (
        f"cipsec: error: there is no identity in {place}\n"
        f"cipsec: hint: cipsec enroll --identity {place}\n"
    )
    ran = at_home("doctor", "--identity", place, "--json")
    assert ran.json["error"]["kind"] == "not_found"
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("left", ["ca.key", "ca.toml", "store.sqlite3"])
def test_half_a_ca(at_home: Cipsec, ca_folder: CaFolder, left: str) -> None:
    """A folder of which one file is left is a CA that is damaged, not none."""
    for path in ca_folder.path.iterdir():
        if path.name != left:
            shutil.rmtree(path) if path.is_dir() else path.unlink()
    ran = at_home("doctor", "--ca-dir", ca_folder.path)
    assert ran.code == 10
    verdicts = _verdicts(ran.rows)
    assert verdicts["ca certificate"] == "fail"
    assert [path.name for path in ca_folder.path.iterdir()] == [left]


def test_a_damaged_identity(at_home: Cipsec, tmp_path: Path, server: EstServer) -> None:
    """It is a finding, with what to type."""
    place = tmp_path / "identity"
    get(Folder(place), wish(server))
    (place / "1" / "certificate.pem").write_bytes(b"\0")
    ran = at_home("doctor", "--identity", place)
    assert ran.code == 10
    assert _verdicts(ran.rows)["identity"] == "fail"


@pytest.mark.parametrize(
    "name", ["ca.toml", "ca.key", "ca.pem", "server.pem", "provisioning.pem", "store.sqlite3"]
)
@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs pipes")
def test_a_pipe_is_not_waited_for(at_home: Cipsec, ca_folder: CaFolder, name: str) -> None:
    """A file of the CA that is a pipe would be read for ever."""
    path = ca_folder.path / name
    path.unlink(missing_ok=True)
    os.mkfifo(path)
    ran = at_home("doctor", "--ca-dir", ca_folder.path)
    assert ran.code == 10
    assert ["ca folder", "fail", f"{path} is not a file", f"ls -ld {path}"] in ran.rows


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs pipes")
def test_a_pipe_in_an_identity(at_home: Cipsec, tmp_path: Path, server: EstServer) -> None:
    """Nor is one in an identity."""
    place = tmp_path / "identity"
    get(Folder(place), wish(server))
    key = place / "1" / "key.pem"
    key.unlink()
    os.mkfifo(key)
    ran = at_home("doctor", "--identity", place)
    assert ran.code == 10
    assert _verdicts(ran.rows)["identity"] == "fail"
    assert f"{key} is not a file" in ran.out or "key.pem is not a file" in ran.out


def test_hostile_texts(at_home: Cipsec, ca_folder: CaFolder) -> None:
    """Escapes, marks and markup in names and reasons are visible, on one line each."""
    hostile = "\\u001b[2K\\u202e[/red]\\n\\t" + "x" * 65_536
    rule = f'[[rule]]\nname = "{hostile}"\nwhen = {{ anyone = true }}\nthen = "grant"\nlab = true\n'
    ca_folder.config_file.write_text(rule)
    event = Event(2_000_000_000, Code.POLICY_ERROR, "endpoint", reason="\x1b]0;x\x07\n" * 9000)
    with closing(ca_folder.store()) as database:
        database.write(lambda db: events.append(db, event))
    ran = at_home("doctor", "--ca-dir", ca_folder.path)
    assert ran.code == 10
    assert {len(row) for row in ran.rows} == {4}
    assert all(len(line) < 4000 for line in ran.out.splitlines())
    for character in "\x1b\x07\u202e":
        assert character not in ran.out + ran.err
    assert "[/red]" in ran.out
    shown = at_home("doctor", "--ca-dir", ca_folder.path, "--json")
    assert shown.out.isascii()
    assert "\x1b" not in shown.out


def test_no_secret_is_shown(at_home: Cipsec, ca_folder: CaFolder) -> None:
    """What stands in files of secrets, and in the key, stays there."""
    secret = ca_folder.path / "hook"
    secret.write_text("https://hooks.example/T0PSECRET\n")
    secret.chmod(0o644)
    channel = '[[channel]]\nname = "it"\ntype = "webhook"\nurl_file = "hook"\n'
    with ca_folder.config_file.open("a") as file:
        file.write(channel)
    for more in ((), ("--json",), ("-vv",)):
        ran = at_home("doctor", "--ca-dir", ca_folder.path, *more)
        assert "hook" in ran.out
        assert "T0PSECRET" not in ran.out + ran.err


def test_beside_a_server(at_home: Cipsec, ca_folder: CaFolder) -> None:
    """While a server runs nothing of it is disturbed, and it goes on."""
    with serving.serving(ca_folder.path) as running:
        ran = at_home("doctor", "--ca-dir", ca_folder.path)
        assert ran.code == 0, ran
        assert ["server", "ok", "a server runs", "-"] in ran.rows
        assert running.process.poll() is None
        assert running.stop() == 0


def test_as_somebody_else() -> None:
    """Who may not look into the folder is told so, and what to type."""
    if not hasattr(os, "geteuid") or os.geteuid() != 0:
        pytest.skip("needs root")
    programs.need("setpriv")
    with tempfile.TemporaryDirectory() as name:  # pytest's own folders let nobody else through
        Path(name).chmod(0o755)
        folder = ca.make(Path(name) / "ca")
        found = _as_nobody(folder)
        assert found[-1].check == "identity"  # behind it every check is made
        [hidden] = [one for one in found if one.check.startswith("ca")]
        assert hidden.verdict == "fail"
        assert hidden.detail.endswith("cannot be looked at: permission denied")
        assert hidden.hint == f"sudo cipsec doctor --ca-dir {folder.path}"
        folder.path.chmod(0o755)
        failing = [one.check for one in _as_nobody(folder) if one.verdict == "fail"]
        assert failing == ["ca key", "store"]


def _as_nobody(folder: CaFolder) -> list[Finding]:
    """Return what a user without rights finds, who may read this program and little else."""
    command = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", sys.executable]
    words = ["-m", "cipsec", "doctor", "--ca-dir", str(folder.path), "--json"]
    done = subprocess.run(
        [*command, *words],
        capture_output=True,
        check=False,
        cwd=Path(__file__).parents[2],
        env={**os.environ, "HOME": "/nonexistent"},
        timeout=180,
    )
    assert done.returncode == 10, done
    return [Finding(**one) for one in json.loads(done.stdout)["checks"]]


def test_help_is_light() -> None:
    """`--help` imports neither the checks nor what they need."""
    program = (
        "import sys\nfrom cipsec._cli.main import main\nmain(['doctor', '--help'])\n"
        "print(sorted(n for n in sys.modules if n.startswith(('cryptography', 'cipsec.doctor',"
        " 'sqlite3', 'cipsec.ra'))))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, check=True)
    assert done.stdout.splitlines()[-1] == b"[]"
