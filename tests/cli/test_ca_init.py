"""`cipsec ca init`: a CA whole, or nothing."""

from __future__ import annotations

import random
import re
import signal
import subprocess
import sys
import time
from datetime import timedelta
from pathlib import Path

import pytest
from cryptography import x509

from cipsec import times
from cipsec.ca_folder import fingerprint, open_folder
from cipsec.errors import Locked
from cipsec.pki import keys
from cipsec.ra import templates
from cipsec.ra.allowlist.entries import COLUMNS
from tests.support import ca
from tests.support.terminal import at_terminal

from .conftest import Cipsec

_FILES = {"allowlists", "ca.key", "ca.pem", "ca.toml", "store.sqlite3", "vendors"}


def test_init(cipsec: Cipsec, tmp_path: Path) -> None:
    """The folder is whole and private, the fingerprint readable, the next command on stderr."""
    place = tmp_path / "plant" / "ca"
    ran = cipsec("ca", "init", "--name", "Line 4", "--no-passphrase", "--ca-dir", place)
    folder = open_folder(place)
    sha256 = fingerprint(folder.certificate())
    assert ran.code == 0
    assert ran.out.splitlines()[:2] == [f"directory  {place}", "subject    CN=Line 4"]
    [shown] = re.findall(r"^sha256     ([0-9a-f ]+)$", ran.out, re.MULTILINE)
    assert shown.replace(" ", "") == sha256
    assert ran.err == f"cipsec: next: cipsec ca serve --ca-dir {place}\n"
    assert {path.name for path in place.iterdir()} == _FILES
    assert list(place.parent.iterdir()) == [place]
    assert place.stat().st_mode & 0o777 == 0o700
    for name in ("ca.key", "store.sqlite3"):
        assert (place / name).stat().st_mode & 0o777 == 0o600
    assert [rule.name for rule in folder.configuration().policy.rules] == [
        "renewal",
        "users",
        "everyone else",
    ]


def test_init_json(cipsec: Cipsec, tmp_path: Path) -> None:
    """One object; the fingerprint plain, the path absolute, the end as asked for."""
    argv = ["ca", "init", "--subject", "CN=Line 4,O=Plant", "--no-passphrase", "--days", "30"]
    ran = cipsec(*argv, "--key-type", "rsa-2048", "--ca-dir", tmp_path / "ca", "--json", "-q")
    assert ran.code == 0
    made = ran.json["ca"]
    assert list(made) == ["directory", "subject", "sha256", "not_after"]
    assert made["directory"] == str(tmp_path / "ca")
    assert made["subject"] == "CN=Line 4,O=Plant"
    assert re.fullmatch(r"[0-9a-f]{64}", made["sha256"])
    left = times.parse_time(made["not_after"]) - times.now()
    assert timedelta(days=29, hours=23) < left <= timedelta(days=30)
    certificate = open_folder(tmp_path / "ca").certificate()
    assert keys.type_name(certificate.public_key()) == "rsa-2048"
    assert certificate.extensions.get_extension_for_class(x509.BasicConstraints).value.ca


def test_init_twice(cipsec: Cipsec, tmp_path: Path) -> None:
    """The second is refused before anybody is asked, and what is there stays as it is."""
    argv = ["ca", "init", "--name", "Line 4", "--ca-dir", tmp_path / "ca"]
    assert cipsec(*argv, "--no-passphrase").code == 0
    before = (tmp_path / "ca" / "ca.key").read_bytes()
    for ran in (cipsec(*argv, "--no-passphrase"), cipsec(*argv)):
        assert ran.code == 6
        assert ran.out == ""
        assert ran.err == (
            f"cipsec: error: {tmp_path / 'ca'} exists and is not empty\n"
            f"cipsec: hint: use it with --ca-dir {tmp_path / 'ca'}, or name another folder\n"
        )
    assert (tmp_path / "ca" / "ca.key").read_bytes() == before


def test_init_on_an_empty_folder(cipsec: Cipsec, tmp_path: Path) -> None:
    """An empty folder that an administrator prepared is used."""
    (tmp_path / "ca").mkdir()
    argv = ["ca", "init", "--name", "Line 4", "--no-passphrase", "--ca-dir", tmp_path / "ca"]
    assert cipsec(*argv).code == 0
    assert {path.name for path in (tmp_path / "ca").iterdir()} == _FILES


def test_passphrase_file(cipsec: Cipsec, tmp_path: Path) -> None:
    """The key opens with the passphrase and only with it; it appears on no stream."""
    (tmp_path / "secret").write_text("correct horse\nsecond line\n")
    argv = ["ca", "init", "--name", "Line 4", "--ca-dir", tmp_path / "ca", "-v"]
    ran = cipsec(*argv, "--passphrase-file", tmp_path / "secret")
    assert ran.code == 0
    assert "correct" not in ran.out + ran.err
    folder = open_folder(tmp_path / "ca")
    assert folder.is_encrypted()
    folder.authority("correct horse")
    with pytest.raises(Locked):
        folder.authority("correct horse\n")


def test_passphrase_asked_twice(tmp_path: Path) -> None:
    """At a terminal the passphrase is asked for twice and shown never."""
    argv = ["ca", "init", "--name", "Line 4", "--ca-dir", str(tmp_path / "ca")]
    first, again = "Passphrase of the CA's key: ", "Passphrase of the CA's key again: "
    differ = at_terminal(argv, (first, "horse\n"), (again, "house\n"))
    assert differ.code == 2
    assert "the two entries differ" in differ.screen
    assert list(tmp_path.iterdir()) == []
    assert at_terminal(argv, (first, "\n"), (again, "\n")).code == 2
    made = at_terminal(argv, (first, "horse\n"), (again, "horse\n"))
    assert made.code == 0
    assert "horse" not in made.screen
    open_folder(tmp_path / "ca").authority("horse")


def test_interrupted_at_the_prompt(tmp_path: Path) -> None:
    """Ctrl-C at the prompt is exit 130 and leaves nothing."""
    argv = ["ca", "init", "--name", "Line 4", "--ca-dir", str(tmp_path / "ca")]
    assert at_terminal(argv, ("Passphrase of the CA's key: ", "\x03")).code == 130
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("more", [[], ["--no-input"], ["--json"]])
def test_nobody_to_ask(cipsec: Cipsec, tmp_path: Path, more: list[str]) -> None:
    """Without a terminal the hint names both ways; nothing hangs and nothing is made."""
    ran = cipsec("ca", "init", "--name", "Line 4", "--ca-dir", tmp_path / "ca", *more)
    assert ran.code == 2
    assert ran.err == (
        "cipsec: error: the CA's key needs a passphrase and nobody can be asked\n"
        "cipsec: hint: add --passphrase-file FILE, or --no-passphrase\n"
    )
    if "--json" in more:
        assert ran.json["error"]["kind"] == "usage"
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "argv",
    [
        [],
        ["--name", ""],
        ["--name", "   "],
        ["--name", "x" * 65],
        ["--name", "Line\n4"],
        ["--name", "Line \u202e4"],
        ["--name", "\udcff"],
        ["--subject", "not a name"],
        ["--subject", ""],
        ["--subject", "CN=\udcff"],
        ["--subject", "C=Germany"],
        ["--name", "a", "--subject", "CN=a"],
        ["--name", "a", "--days", "0"],
        ["--name", "a", "--days", "99999999999"],
        ["--name", "a", "--key-type", "ed25519"],
        ["--name", "a", "--host", "https://plant"],
        ["--name", "a", "--host", ""],
        ["--name", "a", "--host", "a\x00b"],
        ["--name", "a", "--policy", "anarchy"],
    ],
)
def test_wrong_usage(cipsec: Cipsec, tmp_path: Path, argv: list[str]) -> None:
    """What cannot be is exit 2, one error line, and nothing on disk."""
    ran = cipsec("ca", "init", *argv, "--no-passphrase", "--ca-dir", tmp_path / "ca")
    assert ran.code == 2, ran.err
    assert ran.out == ""
    assert ran.err.startswith("cipsec: error: ")
    assert ran.err.count("\n") <= 2
    assert list(tmp_path.iterdir()) == []


def test_empty_passphrase(cipsec: Cipsec, tmp_path: Path) -> None:
    """Nothing is encrypted with nothing."""
    (tmp_path / "secret").touch()
    argv = ["ca", "init", "--name", "a", "--passphrase-file", tmp_path / "secret"]
    ran = cipsec(*argv, "--ca-dir", tmp_path / "ca")
    assert (ran.code, ran.out) == (2, "")
    assert "is empty" in ran.err
    assert not (tmp_path / "ca").exists()


def test_passphrase_too_long(cipsec: Cipsec, tmp_path: Path) -> None:
    """What OpenSSL cannot encrypt with is refused, not cut."""
    (tmp_path / "secret").write_text("x" * 1024)
    argv = ["ca", "init", "--name", "a", "--passphrase-file", tmp_path / "secret"]
    assert cipsec(*argv, "--ca-dir", tmp_path / "ca").code == 2
    assert cipsec(*argv, "--no-passphrase", "--ca-dir", tmp_path / "ca").code == 2
    assert not (tmp_path / "ca").exists()


_RENEWAL = ("renewal", ["holds a certificate of this CA and asks for the same names"], "grant")
_VENDOR = ("vendor devices", ["any trusted vendor"], "grant")
_LISTED = ("inventory", ["any trusted vendor", "device listed in default"], "grant")
_USERS = ("users", ["any user with a password"], "grant")
_CARDS = ("commissioning", ["provisioning certificate"], "grant")
_OTHERS = ("everyone else", ["anyone"], "ask")
_LAB = ("laboratory", ["anyone"], "grant")
_ADD_VENDOR, _ADD_DEVICE = "vendor add FILE --name NAME", "allowlist add VENDOR:SERIAL"
_ADD_USER, _PROVISION = "user add NAME", "ca provision NAME -o DIR"

# What each model promises: its rules in words, and what to do next besides serving.
_PROMISED: dict[str, tuple[list[tuple[str, list[str], str]], list[str]]] = {
    "approval": ([_RENEWAL, _USERS, _OTHERS], []),
    "vendor": ([_RENEWAL, _VENDOR, _OTHERS], [_ADD_VENDOR]),
    "serial": ([_RENEWAL, _LISTED, _OTHERS], [_ADD_VENDOR, _ADD_DEVICE]),
    "password": ([_RENEWAL, _USERS], [_ADD_USER]),
    "provisioning": ([_RENEWAL, _CARDS, _OTHERS], [_PROVISION]),
    "combined": (
        [_RENEWAL, _LISTED, _USERS, _CARDS, _OTHERS],
        [_ADD_VENDOR, _ADD_DEVICE, _ADD_USER, _PROVISION],
    ),
    "lab": ([_RENEWAL, _LAB], []),
}


def test_every_policy_is_tried() -> None:
    """A model that is added has to say here what it promises; the default is one of them."""
    assert set(_PROMISED) == set(templates.MODELS)


@pytest.mark.parametrize("policy", _PROMISED)
def test_policy(cipsec: Cipsec, tmp_path: Path, policy: str) -> None:
    """Its files are there, its rules are those promised, and the hints are commands."""
    rules, commands = _PROMISED[policy]
    place = tmp_path / "my ca"
    argv = ["ca", "init", "--name", "Line 4", "--no-passphrase", "--policy", policy]
    ran = cipsec(*argv, "--ca-dir", place)
    assert ran.code == 0
    assert {path.name for path in place.iterdir()} == _FILES
    assert (place / "allowlists" / "default.csv").read_text().endswith(f"{','.join(COLUMNS)}\n")
    assert list((place / "vendors").iterdir()) == []
    hints = [line for line in ran.err.splitlines() if line.startswith("cipsec: next: ")]
    where = f"--ca-dir '{tmp_path}/my ca'"
    assert hints == [f"cipsec: next: cipsec {next_} {where}" for next_ in [*commands, "ca serve"]]
    shown = cipsec("policy", "show", "--ca-dir", place, "--json").json["rules"]
    assert [(rule["name"], rule["when"], rule["then"]) for rule in shown] == rules
    assert {rule["shadowed_by"] for rule in shown} == {None}
    assert [rule["name"] for rule in shown if rule["lab"]] == ["laboratory"] * (policy == "lab")


@pytest.mark.parametrize("policy", _PROMISED)
def test_nobody_gets_a_certificate_by_default(cipsec: Cipsec, tmp_path: Path, policy: str) -> None:
    """Who proves nothing waits or is refused, but in a laboratory; a new CA's lists are whole."""
    folder = ca.make(tmp_path / "ca", policy=policy)
    request = ca.write_pem(tmp_path / "csr", ca.request())
    ran = cipsec("policy", "check", request, "--ca-dir", folder.path, "--json")
    assert ran.code == {"lab": 0, "password": 12}.get(policy, 11)
    tried = [held for rule in ran.json["decision"]["trace"] for held in rule["conditions"]]
    assert not any(held["broken"] for held in tried)
    assert cipsec("allowlist", "check", "--ca-dir", folder.path).code == 0
    assert cipsec("vendor", "list", "--ca-dir", folder.path).code == 0


@pytest.mark.parametrize("policy", _PROMISED)
def test_hints_name_what_there_is(cipsec: Cipsec, policy: str) -> None:
    """The commands and options of the hints exist."""
    for command in _PROMISED[policy][1]:
        words = command.split()
        ran = cipsec(*words[:2], "--help")
        assert ran.code == 0, command
        for option in (word for word in words if word.startswith("-")):
            assert option in ran.out, command


@pytest.mark.parametrize("policy", ["anarchy", "", "Vendor", "vendor,lab", "\x1b[2K", "\udcff"])
def test_unknown_policy(cipsec: Cipsec, tmp_path: Path, policy: str) -> None:
    """Exit 2 and the models there are, before anybody is asked for a passphrase."""
    argv = ["ca", "init", "--name", "a", "--policy", policy, "--ca-dir", tmp_path / "ca"]
    ran = cipsec(*argv)
    assert (ran.code, ran.out) == (2, "")
    assert "is not a policy" in ran.err
    assert f"cipsec: hint: choose {', '.join(templates.MODELS)}\n" in ran.err
    assert "\x1b" not in ran.err
    assert list(tmp_path.iterdir()) == []


def test_policies_in_the_help(cipsec: Cipsec) -> None:
    """`--help` names every model."""
    shown = cipsec("ca", "init", "--help").out
    assert all(model in shown for model in templates.MODELS)
    shown = cipsec("demo", "--help").out
    assert all(model in shown for model in templates.MODELS)


def test_policy_lab(cipsec: Cipsec, tmp_path: Path) -> None:
    """The dangerous one says so, even with -q."""
    argv = ["ca", "init", "--name", "a", "--no-passphrase", "--policy", "lab", "-q"]
    ran = cipsec(*argv, "--ca-dir", tmp_path / "ca")
    assert ran.code == 0
    assert ran.err == (
        "cipsec: warning: this CA grants a certificate to everybody: for a laboratory only\n"
    )


def test_hosts_are_kept(cipsec: Cipsec, tmp_path: Path) -> None:
    """--host ends up in ca.toml, which loads."""
    argv = ["ca", "init", "--name", 'a "quoted" \\ name', "--no-passphrase"]
    cipsec(*argv, "--host", "est.plant", "--host", "192.0.2.1", "--ca-dir", tmp_path / "ca")
    config = open_folder(tmp_path / "ca").configuration()
    assert config.name == 'a "quoted" \\ name'
    assert config.server.hosts == ("est.plant", "192.0.2.1")


@pytest.mark.parametrize("place", ["file/ca", "x" * 300])
def test_places_that_cannot_be(cipsec: Cipsec, tmp_path: Path, place: str) -> None:
    """A folder below a file, or with a name no file system takes, is exit 6."""
    (tmp_path / "file").write_text("")
    argv = ["ca", "init", "--name", "a", "--no-passphrase", "--ca-dir", tmp_path / place]
    ran = cipsec(*argv)
    assert ran.code == 6
    assert ran.err.startswith("cipsec: error: ")
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def _start(place: Path) -> subprocess.Popen[bytes]:
    argv = ["ca", "init", "--name", "Line 4", "--no-passphrase", "--ca-dir", str(place)]
    return subprocess.Popen(
        [sys.executable, "-m", "cipsec", *argv],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )


def _stop_in_the_middle(running: subprocess.Popen[bytes], parent: Path, number: int) -> int:
    """Send a signal somewhere between the first file and the last; return how it ended."""
    while running.poll() is None and not list(parent.iterdir()):
        time.sleep(0.0005)
    time.sleep(random.uniform(0, 0.02))
    running.send_signal(number)  # to nobody where it has ended in the meantime
    return running.wait()


@pytest.mark.parametrize("attempt", range(8))
def test_killed_in_the_middle(cipsec: Cipsec, tmp_path: Path, attempt: int) -> None:
    """After kill -9 the folder is whole or not there, and init works or says so."""
    parent = tmp_path / str(attempt)
    parent.mkdir()
    _stop_in_the_middle(_start(parent / "ca"), parent, signal.SIGKILL)
    argv = ["ca", "init", "--name", "Line 4", "--no-passphrase", "--ca-dir", parent / "ca"]
    whole = (parent / "ca").exists()
    assert cipsec(*argv).code == (6 if whole else 0)
    assert cipsec("ca", "show", "--ca-dir", parent / "ca").code == 0
    assert {path.name for path in (parent / "ca").iterdir()} == _FILES
    open_folder(parent / "ca").authority(None)


@pytest.mark.parametrize("attempt", range(4))
def test_interrupted_in_the_middle(tmp_path: Path, attempt: int) -> None:
    """After Ctrl-C nothing is left, unless it was finished already."""
    parent = tmp_path / str(attempt)
    parent.mkdir()
    code = _stop_in_the_middle(_start(parent / "ca"), parent, signal.SIGINT)
    left = [path.name for path in parent.iterdir()]
    if left:
        assert left == ["ca"]
        open_folder(parent / "ca").authority(None)
    else:
        assert code == 130
