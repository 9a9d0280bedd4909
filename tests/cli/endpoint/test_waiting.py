"""`cipsec enroll` over time: pending, two at once, killed, at a terminal."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from cipsec.endpoint.trust import read_anchors
from cipsec.pki.fingerprint import sha256
from cipsec.pki.names import show_name
from tests.cli.endpoint.acting import WAIT, Run, enroll
from tests.support.canned import EstServer, Plant, Seen, certs, text
from tests.support.terminal import at_terminal


def test_pending(run: Run, server: EstServer) -> None:
    """Exit 11 with request and time, a status that tells, and a second run that goes on."""
    server.answers["simpleenroll"] = lambda _: WAIT
    code, out, err = run(*enroll(server, "--no-wait", "--json"))
    assert code == 11
    error = json.loads(out)["error"]
    assert (error["kind"], error["retry_after"], error["request"]) == ("pending", 1, "0123456789ab")
    assert error["hint"].startswith("ask again, with the same key: cipsec enroll --identity ")
    assert err.splitlines()[0] == "cipsec: error: request 0123456789ab waits for a decision"
    code, out, _ = run("status", "--json")
    identity = json.loads(out)["identity"]
    assert code == 0
    assert identity["key"] is None
    assert identity["pending"]["request"] == "0123456789ab"
    code, out, _ = run("status")
    assert "pending    kind: enroll" in out
    assert "None" not in out
    server.answers.clear()
    code, out, _ = run("enroll")
    assert code == 0
    assert len({post.request.spki for post in server.posts()}) == 1


def test_waiting_says_one_line_for_each_change(run: Run, server: EstServer) -> None:
    """Not one for each poll."""
    polls = iter(range(10))
    server.answers["simpleenroll"] = lambda s: WAIT if next(polls) < 2 else server.default(s)
    code, _, err = run(*enroll(server))
    assert (code, err) == (0, "cipsec: request 0123456789ab waits for a decision\n")


def test_timeout(run: Run, server: EstServer) -> None:
    """`--timeout` ends waiting with 11."""
    server.answers["simpleenroll"] = lambda _: WAIT
    code, _, err = run(*enroll(server, "--timeout", "1s"))
    assert code == 11
    assert "waits for a decision" in err


def test_two_at_once(server: EstServer, home: Path) -> None:
    """Two runs on one folder: one gets the identity, the other is told that it is taken."""
    began: list[Seen] = []
    refused = threading.Event()

    def slow(seen: Seen) -> Any:
        began.append(seen)
        return certs([server.issue(seen)]) if refused.is_set() else WAIT

    server.answers["simpleenroll"] = slow
    first = _start(*enroll(server), home=home)
    while not began:
        time.sleep(0.05)
    second = _start(*enroll(server), home=home)
    _, err = second.communicate(timeout=180)
    refused.set()
    first.communicate(timeout=180)
    assert second.returncode == 6
    assert b"another cipsec is at work" in err
    assert first.returncode == 0
    assert len({seen.request.spki for seen in began}) == 1


def _start(*words: str, home: Path) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "cipsec", *words, "--identity", str(home)]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "stdin": subprocess.DEVNULL}
    return subprocess.Popen(command, **pipes)  # type: ignore[call-overload,no-any-return]  # pipes


@pytest.mark.parametrize("verb", ["enroll", "renew"])
def test_killed_while_waiting(run: Run, server: EstServer, home: Path, verb: str) -> None:
    """SIGKILL between two polls: the next run asks with the same key, and the pair matches."""
    words = enroll(server)
    if verb == "renew":
        assert run(*words)[0] == 0
        words = ["renew"]
    polls: list[Seen] = []

    def wait(seen: Seen) -> Any:
        polls.append(seen)
        return WAIT

    server.answers = {"simpleenroll": wait, "simplereenroll": wait}
    process = _start(*words, home=home)
    while not polls:
        time.sleep(0.05)
    process.kill()
    process.communicate(timeout=180)
    server.answers.clear()
    code, _, _ = run(verb)
    assert code == 0
    assert server.posts()[-1].request.spki == polls[0].request.spki
    assert server.issued[-1].subject == server.posts()[-1].request.subject


@pytest.mark.skipif(os.name == "nt", reason="a pseudo-terminal")
def test_at_a_terminal(server: EstServer, home: Path) -> None:
    """Asked about the CA, then for the password, a live line, Ctrl-C; then the second run."""
    server.answers["simpleenroll"] = lambda _: text(202, "wait", ("Retry-After", "30"))
    words = ["enroll", "--server", server.address, "--user", "ada", "--subject", "CN=Drive 7"]
    done = at_terminal(
        [*words, "--identity", str(home)],
        ("[y/N]", "y\n"),
        ("Password of ada:", "secret\n"),
        ("next try in 2", "\x03"),
    )
    said = done.screen
    assert done.code == 130
    assert f"SHA-256 {server.plant.sha256}" in said
    assert "secret" not in said
    assert said.index("[y/N]") < said.index("Password of ada") < said.index("the request waits")
    assert "interrupted; goes on with the same key: cipsec enroll" in said
    server.answers.clear()
    again = ["enroll", "--identity", str(home)]
    assert at_terminal(again, ("Password of ada:", "secret\n")).code == 0
    assert show_name(server.issued[0].subject) == "CN=Drive 7"
    assert len({post.request.spki for post in server.posts()}) == 1


@pytest.mark.skipif(os.name == "nt", reason="a pseudo-terminal")
def test_no_at_a_terminal(server: EstServer, home: Path) -> None:
    """A person who does not recognise the fingerprint ends it there."""
    words = ["enroll", "--server", server.address, "--identity", str(home)]
    done = at_terminal(words, ("[y/N]", "\n"))
    assert done.code == 5
    assert "is not confirmed" in done.screen
    assert server.posts() == []


@pytest.mark.skipif(os.name == "nt", reason="a pseudo-terminal")
def test_each_ca_is_asked_about(server: EstServer, home: Path) -> None:
    """Several at /cacerts: yes to one is not yes to the others, and no other is trusted."""
    other = Plant("Other").certificate
    server.answers["cacerts"] = lambda _: certs([server.plant.certificate, other])
    words = ["enroll", "--server", server.address, "--identity", str(home), "--subject", "CN=D"]
    # A set has no order: both are refused first, to see which is asked about when.
    screen = at_terminal(words, ("[y/N]", "n\n"), ("[y/N]", "n\n")).screen
    assert "2 CA certificates are offered: compare each by itself" in screen
    is_first = screen.index(server.plant.sha256) < screen.index(sha256(other))
    answers = ("y\n", "n\n") if is_first else ("n\n", "y\n")
    done = at_terminal(words, *(("[y/N]", answer) for answer in answers))
    assert done.code == 0
    assert read_anchors(home / "trust.pem") == (server.plant.certificate,)
