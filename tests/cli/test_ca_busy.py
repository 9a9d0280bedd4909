"""The CA's commands beside others, and with nobody to answer."""

from __future__ import annotations

import json
import os
import sqlite3
import subprocess
import sys
import threading

import pytest

from cipsec.ca_folder import CaFolder
from tests.support import ca

from .commands import POLICY, READ, WRITE
from .conftest import Cipsec

_PLAYER = """
import sys
from cipsec import ca_folder
from cipsec._cli.main import main
print("ready", flush=True)
sys.stdin.readline()
sys.exit(main(sys.argv[1:]))
"""


def _player(*argv: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", _PLAYER, *argv],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )


@pytest.mark.parametrize("attempt", range(4))
def test_two_administrators_at_once(on_ca: Cipsec, ca_folder: CaFolder, attempt: int) -> None:
    """Approve and reject from two processes: exactly one decides, the other reads what stands."""
    identifier = ca.ask(ca_folder)
    argv = [identifier, "--json", "--ca-dir", str(ca_folder.path)]
    verbs = ["approve", "reject"]
    players = [_player("ca", verb, *argv) for verb in verbs]
    for player in players:
        assert player.stdout is not None
        assert player.stdout.readline() == "ready\n"
    for player in players:
        assert player.stdin is not None
        player.stdin.write("\n")
        player.stdin.flush()
    made = [json.loads(player.communicate()[0])["decisions"][0] for player in players]
    assert sorted(one["changed"] for one in made) == [False, True]
    assert made[0]["outcome"] == made[1]["outcome"]
    winner = next(verb for verb, one in zip(verbs, made, strict=True) if one["changed"])
    assert made[0]["outcome"].startswith(winner)
    assert sorted(player.returncode for player in players) == [0, 10]
    events = on_ca("ca", "log", "--json").json["events"]
    assert [one["event"] for one in events] == ["pending", made[0]["outcome"]]


def test_while_another_writes(on_ca: Cipsec, ca_folder: CaFolder) -> None:
    """While another process holds the store for writing, reading works and deciding waits."""
    ids = [ca.ask(ca_folder) for _ in range(2)]
    other = sqlite3.connect(ca_folder.store_file, isolation_level=None, check_same_thread=False)
    other.execute("BEGIN IMMEDIATE")
    other.execute("UPDATE requests SET polls = 1000")
    for argv in (["ca", "pending"], ["ca", "show", ids[0]], ["ca", "log"], ["ca", "list"]):
        assert on_ca(*argv).code == 0
    threading.Timer(0.5, lambda: other.execute("COMMIT")).start()
    assert on_ca("ca", "approve", *ids).code == 0
    shown = on_ca("ca", "pending", "--state", "approved", "--json").json["requests"]
    assert [one["polls"] for one in shown] == [1000, 1000]
    other.close()


@pytest.mark.parametrize(
    "argv",
    [
        *[*READ, *WRITE, *POLICY],
        ["ca"],
        ["ca", "init"],
        ["ca", "issue"],
        ["policy"],
        ["policy", "check", "missing"],
        ["user"],
        ["user", "add", "alice"],
        ["user", "check", "alice"],
        ["user", "set-password", "alice"],
        ["user", "remove", "alice"],
        ["ca", "approve"],
        ["ca", "reject", "--match", "x"],
    ],
)
def test_never_asks(ca_folder: CaFolder, argv: list[str]) -> None:
    """With --no-input and stdin left open nothing waits for anybody."""
    there = [] if len(argv) == 1 else ["--no-input", "--ca-dir", str(ca_folder.path)]
    reading, writing = os.pipe()
    try:
        done = subprocess.run(
            [sys.executable, "-m", "cipsec", *argv, *there],
            stdin=reading,
            capture_output=True,
            text=True,
            check=False,
            timeout=180,
        )
    finally:
        os.close(reading)
        os.close(writing)
    assert done.returncode in {0, 2, 3, 6}
    assert "Traceback" not in done.stderr
