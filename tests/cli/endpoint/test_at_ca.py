"""The endpoint's commands against `cipsec ca serve`: the story of the pull model, whole."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from cipsec.ca_folder import CaFolder
from cipsec.discovery import browse
from cipsec.discovery.interfaces import choose
from cipsec.endpoint import trust
from tests.cli.conftest import Cipsec
from tests.support import ports
from tests.support.ca import make
from tests.support.serving import Serving, serving

_ON_LOOPBACK = ("--announce", "--listen", ":0", "--interface", "lo", "--instance")


@pytest.fixture(autouse=True)
def _patience(monkeypatch: pytest.MonkeyPatch) -> None:
    """Who is there has time to answer, on a machine that is busy."""
    monkeypatch.setattr(trust, "_BROWSE", 6.0)


@pytest.fixture
def ca(ca_folder: CaFolder) -> Iterator[Serving]:
    """A CA that asks its administrator, serves on loopback and announces itself there."""
    with serving(ca_folder.path, *_ON_LOOPBACK, "Line 4") as running:
        yield running


def at(ca: Serving, home: Path, *more: object) -> list[object]:
    """Return the words of an enrollment, the CA by fingerprint."""
    known = ["--server", f"127.0.0.1:{ca.port}", "--fingerprint", ca.ready["ca_sha256"]]
    return ["enroll", *known, "--identity", home, *more]


def decide(cipsec: Cipsec, ca: Serving, verb: str) -> str:
    """Decide the one request that waits, and return its id."""
    (request,) = cipsec("ca", "pending", "--ca-dir", ca.ca, "--json").json["requests"]
    words = ["ca", verb, request["id"], "--ca-dir", ca.ca, "-y", "--note", "seen"]
    assert cipsec(*words).code == 0
    return str(request["id"])


def test_asked_approved_renewed(cipsec: Cipsec, ca: Serving, tmp_path: Path) -> None:
    """The id is the one the administrator sees; approved, the same key gets its certificate."""
    home = tmp_path / "drive"
    asked = cipsec(*at(ca, home, "--no-wait", "--json", "--device", "0001:6040C8F2"))
    assert asked.code == 11
    key = (home / "next" / "key.pem").read_bytes()
    assert decide(cipsec, ca, "approve") == asked.json["error"]["request"]
    got = cipsec("enroll", "--identity", home)
    assert (got.code, got.err) == (0, "")
    assert (home / "key.pem").read_bytes() == key
    renewed = cipsec("renew", "--identity", home, "--json")
    assert (renewed.code, renewed.err) == (0, "")
    assert renewed.json["identity"]["subject"].startswith("serialNumber=0001:6040C8F2,")
    assert (home / "key.pem").read_bytes() != key
    listed = cipsec("ca", "list", "--ca-dir", ca.ca, "--match", "6040C8F2", "--json")
    assert len(listed.json["certificates"]) == 2


def test_waiting_until_approved(cipsec: Cipsec, ca: Serving, tmp_path: Path) -> None:
    """The other way round: the endpoint waits, and has its certificate when it next asks."""
    words = map(str, at(ca, tmp_path / "drive"))
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    command = [sys.executable, "-m", "cipsec", *words]
    with subprocess.Popen(command, **pipes) as process:  # type: ignore[call-overload]  # two pipes
        assert b"waits for a decision" in process.stderr.readline()
        decide(cipsec, ca, "approve")
        out, _ = process.communicate(timeout=120)
    assert process.returncode == 0
    assert b"certificate.pem" in out


def test_rejected(cipsec: Cipsec, ca: Serving, tmp_path: Path) -> None:
    """Exit 12; the next run is a new request with a new key."""
    home = tmp_path / "drive"
    assert cipsec(*at(ca, home, "--no-wait")).code == 11
    decide(cipsec, ca, "reject")
    refused = cipsec("enroll", "--identity", home)
    assert refused.code == 12
    assert "reject" in refused.err
    assert cipsec(*at(ca, home, "--no-wait")).code == 11


def test_password(cipsec: Cipsec, ca: Serving, tmp_path: Path) -> None:
    """Granted at once with the right one, refused with a wrong one."""
    secret = tmp_path / "secret"
    secret.write_text("correct horse battery staple\n")
    added = cipsec("user", "add", "ada", "--password-file", secret, "--ca-dir", ca.ca)
    assert added.code == 0
    login = ["--user", "ada", "--password-file", secret]
    assert cipsec(*at(ca, tmp_path / "pc", *login)).code == 0
    secret.write_text("wrong\n")
    refused = cipsec(*at(ca, tmp_path / "other", *login))
    assert refused.code == 13
    assert "wrong" in refused.err


def test_the_server_restarts_while_one_waits(
    cipsec: Cipsec, ca_folder: CaFolder, tmp_path: Path
) -> None:
    """The queue and the endpoint both survive it: same request, same key."""
    home = tmp_path / "drive"
    there = ("--listen", f"127.0.0.1:{ports.free_port()}")
    with serving(ca_folder.path, *there) as first:
        asked = cipsec(*at(first, home, "--no-wait", "--json"))
        assert asked.code == 11
    again = ["enroll", "--identity", home]
    assert cipsec(*again).code == 4
    with serving(ca_folder.path, *there) as second:
        assert decide(cipsec, second, "approve") == asked.json["error"]["request"]
        assert cipsec(*again).code == 0


def test_discovered(cipsec: Cipsec, ca: Serving, tmp_path: Path) -> None:
    """No server named: multicast finds it, the fingerprint chooses it, id-kp-cmcRA proves it."""
    home = tmp_path / "drive"
    words = ["enroll", "--interface", "lo", "--no-wait", "--identity"]
    asked = cipsec(*words, home, "--fingerprint", ca.ready["ca_sha256"])
    assert asked.code == 11, asked
    assert "found Line 4 at " in asked.err
    decide(cipsec, ca, "approve")
    assert cipsec("enroll", "--identity", home).code == 0
    assert cipsec("renew", "--identity", home).code == 0
    assert cipsec(*words, tmp_path / "x", "--fingerprint", "0" * 64).code == 5


def test_a_server_that_answers_late(
    cipsec: Cipsec, ca: Serving, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While nobody answers one goes on listening: nobody does in a hundredth of a second."""
    monkeypatch.setattr(trust, "_BROWSE", 0.01)
    monkeypatch.setattr(trust, "_LONGER", 120.0)
    words = ["enroll", "--interface", "lo", "--no-wait", "--identity", tmp_path / "drive"]
    asked = cipsec(*words, "--fingerprint", ca.ready["ca_sha256"])
    assert asked.code == 11, asked


def wait_for(*names: str) -> None:
    """Return once servers of these names are announced."""
    heard: set[str] = set()
    for batch in browse.watch(timeout=120, interfaces=choose(["lo"])):
        heard |= {event.server.name for event in batch}
        if heard >= set(names):
            return
    raise AssertionError(f"only {heard} are announced")


def test_several_servers(cipsec: Cipsec, ca: Serving, tmp_path: Path) -> None:
    """With nothing to choose by they are listed; a fingerprint finds the right one."""
    words = ["enroll", "--interface", "lo", "--no-wait", "--identity"]
    with serving(make(tmp_path / "two").path, *_ON_LOOPBACK, "Line 5") as other:
        wait_for("Line 4", "Line 5")
        refused = cipsec(*words, tmp_path / "drive")
        assert refused.code == 2
        for shown in ("Line 4", "Line 5", "--server"):
            assert shown in refused.err
        for server in (ca, other):
            home = tmp_path / f"drive-{server.port}"
            known = ["--fingerprint", server.ready["ca_sha256"]]
            assert cipsec(*words, home, *known).code == 11
            state = json.loads((home / "next" / "state.json").read_text())
            assert f":{server.port}/" in state["server"]


def test_a_discovered_server_that_moved(
    cipsec: Cipsec, ca_folder: CaFolder, tmp_path: Path
) -> None:
    """Its port or address changed: found again, and held to the same CA."""
    home = tmp_path / "drive"
    words = ["enroll", "--interface", "lo", "--identity", home]
    with serving(ca_folder.path, *_ON_LOOPBACK, "Line 4") as first:
        known = ["--fingerprint", first.ready["ca_sha256"]]
        assert cipsec(*words, *known, "--no-wait").code == 11
        decide(cipsec, first, "approve")
    with serving(ca_folder.path, *_ON_LOOPBACK, "Line 4") as second:
        got = cipsec(*words)
    assert got.code == 0, got
    assert "looking for it on the local network" in got.err
    assert f":{second.port}" in got.err
