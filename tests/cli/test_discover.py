"""`cipsec discover` as people and scripts run it: what it prints, where, and how it ends."""

from __future__ import annotations

import json
import os
import secrets
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from cipsec import survey
from cipsec._cli.main import main
from cipsec.discovery.announce import Announcement, host_name
from cipsec.discovery.interfaces import choose

from ..discovery.peers import Stranger, announcing, est_server, new_authority

LO = choose(["127.0.0.1"])[0].name
_LISTEN = "5"  # seconds: long enough for a machine that is busy


@pytest.fixture(autouse=True)
def _patience(monkeypatch: pytest.MonkeyPatch) -> None:
    """What answers has time to."""
    monkeypatch.setattr(survey, "_TIMEOUT", 60.0)


@pytest.fixture
def service() -> str:
    """A service type nobody else on this machine announces."""
    return f"_t{secrets.token_hex(5)}._tcp.local."


@pytest.fixture
def here(service: str) -> list[str]:
    """The command, on loopback and for this test's service type."""
    return ["discover", "--interface", "127.0.0.1", "--service-type", service]


def announcement(service: str, name: str = "Line 4", port: int = 1) -> Announcement:
    """Announce on loopback; nothing listens at port 1."""
    return Announcement(name, port, wanted=["127.0.0.1"], service=service)


def test_nothing_answers(here: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    """Exit 3, nothing on stdout, and a hint what to try."""
    assert main([*here, "--timeout", "0.2"]) == 3
    out, err = capsys.readouterr()
    assert out == ""
    assert err == (
        f"cipsec: error: no EST server answered on {LO}\n"
        "cipsec: hint: cipsec discover --timeout 10 --interface IF; where a firewall blocks UDP"
        " 5353, or the server is in another subnet: cipsec enroll --server HOST:PORT\n"
    )


@pytest.mark.parametrize("watch", [False, True])
def test_nothing_answers_json(
    here: list[str], capsys: pytest.CaptureFixture[str], *, watch: bool
) -> None:
    """The error is one JSON object; in a list the key is there and empty, in a stream one line."""
    assert main([*here, "--timeout", "0.2", "--json", *(["--watch"] if watch else [])]) == 3
    out = capsys.readouterr().out
    shown = json.loads(out)
    assert shown["error"]["kind"] == "not_found"
    assert out.count("\n") == 1 if watch else shown["servers"] == []


def test_rows_in_a_pipe(here: list[str], service: str, capsys: pytest.CaptureFixture[str]) -> None:
    """One line a server, in the order to try, columns separated by tabs."""
    with announcing(announcement(service)), announcing(announcement(service, "Älter [/red]", 2)):
        assert main([*here, "--timeout", _LISTEN, "--no-probe"]) == 0
    out, err = capsys.readouterr()
    assert out.splitlines() == [
        f"Line 4\thttps://127.0.0.1:1\t{LO}\t-\t-\t-",
        f"Älter [/red]\thttps://127.0.0.1:2\t{LO}\t-\t-\t-",
    ]
    assert err == ""


def test_json(
    here: list[str], service: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The keys of the contract, and the CA's fingerprint written as openssl writes it accepted."""
    plant = new_authority("Plant")
    written = "sha256 Fingerprint=" + ":".join(
        plant.sha256.upper()[i : i + 2] for i in range(0, 64, 2)
    )
    with (
        est_server(plant.server(tmp_path), [plant.certificate]) as port,
        announcing(announcement(service, port=port)),
    ):
        assert main([*here, "--timeout", _LISTEN, "--json", "--fingerprint", written]) == 0
    out, err = capsys.readouterr()
    assert json.loads(out) == {
        "servers": [
            {
                "name": "Line 4",
                "host": host_name(),
                "port": port,
                "addresses": ["127.0.0.1"],
                "interface": LO,
                "url": f"https://127.0.0.1:{port}",
                "label": None,
                "txt": {},
                "reachable": True,
                "ca_sha256": plant.sha256,
                "trusted": True,
            }
        ]
    }
    assert err == ""


def test_another_ca_is_warned_of(
    here: list[str], service: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A server of another CA is listed as not trusted, and stderr says so even with -q."""
    rogue = new_authority("Rogue")
    with (
        est_server(rogue.server(tmp_path), [rogue.certificate]) as port,
        announcing(announcement(service, "Free certificates", port)),
    ):
        assert main([*here, "--timeout", _LISTEN, "-q", "--fingerprint", "ab" * 32]) == 0
    out, err = capsys.readouterr()
    assert out.split("\t")[4:] == ["yes", "no\n"]
    assert err == f"cipsec: warning: Free certificates ({LO}): it belongs to another CA\n"


def test_whose_it_is(
    here: list[str], service: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A person who gives no fingerprint is told the one to compare."""
    plant = new_authority("Plant")
    with (
        est_server(plant.server(tmp_path), [plant.certificate]) as port,
        announcing(announcement(service, port=port)),
    ):
        assert main([*here, "--timeout", _LISTEN]) == 0
    out, err = capsys.readouterr()
    assert out == f"Line 4\thttps://127.0.0.1:{port}\t{LO}\t-\tyes\t-\n"
    assert err == f"cipsec: Line 4 ({LO}): its CA has the SHA-256 {plant.sha256}\n"


def test_a_server_that_is_not_there(
    here: list[str], service: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Announced, and nobody listens: listed as not reachable, with the reason on stderr."""
    with announcing(announcement(service)):
        assert main([*here, "--timeout", _LISTEN]) == 0
    out, err = capsys.readouterr()
    assert out.split("\t")[4:] == ["no", "-\n"]
    assert err.startswith(f"cipsec: Line 4 ({LO}): 127.0.0.1:1 ")


def test_what_strangers_send_is_shown_harmlessly(
    here: list[str], service: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Escapes, markup, direction marks and line ends reach no terminal and break no row."""
    stranger = Stranger(service)

    def speak() -> None:
        stranger.say("\u202e[red]4 eniL\u2028".encode(), host=[b"\x1b[2Jh\n\t", b"local"])

    with stranger.repeating(speak):
        assert main([*here, "--timeout", _LISTEN, "--no-probe"]) == 0
        shown = capsys.readouterr().out
        assert main([*here, "--timeout", _LISTEN, "--no-probe", "--json"]) == 0
        printed = capsys.readouterr().out
    stranger.close()
    assert shown == (f"\\u202e[red]4 eniL\\u2028\thttps://127.0.0.1:8443\t{LO}\t-\t-\t-\n")
    assert printed.isascii()
    assert "\x1b" not in printed
    (server,) = json.loads(printed)["servers"]
    assert (server["name"], server["host"]) == ("\u202e[red]4 eniL\u2028", "\x1b[2Jh\n\t.local")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--timeout", "0"], "--timeout 0.0 makes no sense"),
        (["--timeout", "nan"], "--timeout nan makes no sense"),
        (["--timeout", "inf"], "--timeout inf makes no sense"),
        (["--interface", "nix"], "there is no interface 'nix'"),
        (["--service-type", "est"], "'est' is not a DNS-SD service type"),
        (["--fingerprint", "ab"], "'ab' is not a SHA-256 fingerprint"),
        (["--fingerprint", "ab" * 20], f"'{'ab' * 20}' is not a SHA-256 fingerprint"),
        (["--fingerprint", "ab" * 32, "--no-probe"], "--fingerprint compares what a probe finds"),
    ],
)
def test_wrong_usage(
    arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Exit 2 before anything is sent, with a hint."""
    assert main(["discover", *arguments]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith(f"cipsec: error: {message}\ncipsec: hint: ")


def watching(here: list[str], *more: str) -> subprocess.Popen[str]:
    """Start `--watch` as a process of its own."""
    return subprocess.Popen(
        [sys.executable, "-m", "cipsec", *here, "--watch", "--no-probe", *more],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def lines(process: subprocess.Popen[str]) -> Iterator[dict[str, Any]]:
    """Yield the JSON lines of a process as they come."""
    assert process.stdout
    return map(json.loads, process.stdout)


def test_watch(here: list[str], service: str) -> None:
    """JSON lines tell of each coming and going when it happens; Ctrl-C ends it with 130."""
    with watching(here, "--json") as process:
        told = lines(process)
        with announcing(announcement(service)):
            found = next(told)
        gone = next(told)
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=180)
    assert list(found) == [
        "event", "name", "host", "port", "addresses", "interface", "url", "label", "txt",
        "reachable", "ca_sha256", "trusted",
    ]  # fmt: skip
    assert [(e["event"], e["name"]) for e in (found, gone)] == [
        ("found", "Line 4"),
        ("gone", "Line 4"),
    ]
    assert process.returncode == 130
    assert err == ""


def test_watch_for_a_time(here: list[str], service: str) -> None:
    """With --timeout a watch ends by itself, and it was a success if there was anything."""
    with announcing(announcement(service)), watching(here, "--timeout", _LISTEN) as process:
        out, err = process.communicate(timeout=180)
    assert out == f"found\tLine 4\thttps://127.0.0.1:1\t{LO}\t-\t-\t-\n"
    assert (process.returncode, err) == (0, "")


@pytest.mark.skipif(os.name == "nt", reason="pseudo-terminals are POSIX")
def test_terminal(here: list[str], service: str) -> None:
    """At a terminal there is a live line on stderr and a table with a head on stdout."""
    import pty

    master, slave = pty.openpty()
    with announcing(announcement(service)):
        command = [sys.executable, "-m", "cipsec", *here, "--timeout", _LISTEN, "--no-probe"]
        process = subprocess.Popen(command, stdout=slave, stderr=slave, stdin=slave)
        os.close(slave)
        seen = b""
        while True:
            try:
                piece = os.read(master, 4096)
            except OSError:  # the other end is closed
                break
            seen += piece
        os.close(master)
    assert process.wait(180) == 0
    assert f"listening on {LO}".encode() in seen
    head, row = seen.splitlines()[-2:]
    assert b"INTERFACE" in head
    assert b"https://127.0.0.1:1 " in row
