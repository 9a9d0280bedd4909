"""Processes that share a store, some killed in the middle: what is scarce stays scarce."""

from __future__ import annotations

import json
import random
import subprocess
import sys
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from tests.support.est import Server

from .spending import KINDS, Ask, Scarce, dumped, granted, spent

ROOT = Path(__file__).parents[2]
CROWD = 50
PATIENCE = 120.0  # seconds

Answer = dict[str, Any]
Process = subprocess.Popen[str]


@pytest.fixture(params=["provisioning", "allowlist"])  # fifty logins from one address are "busy"
def kind(request: pytest.FixtureRequest) -> str:
    """What is scarce; passwords at once are tested in one process."""
    return str(request.param)


def start(server: Server, scarce: Scarce) -> Process:
    """Start a server process and wait until it is ready."""
    command = [sys.executable, "-m", "tests.ra.spender", str(server.folder.path), scarce.rules]
    pipe = subprocess.PIPE
    process = subprocess.Popen(command, cwd=ROOT, stdin=pipe, stdout=pipe, text=True)
    assert process.stdout
    assert process.stdout.readline() == "ready\n"
    return process


def tell(process: Process, asks: Sequence[Ask]) -> None:
    """Let a crowd loose on it."""
    assert process.stdin
    process.stdin.write(dumped(asks) + "\n")
    process.stdin.flush()


def answers(process: Process, *, kill_after: int | None = None) -> list[Answer]:
    """Return what left the process; with `kill_after` it is killed once that many did."""
    assert process.stdout
    found = []
    with process:
        if kill_after == 0:
            process.kill()
        for line in process.stdout:
            if not line.endswith("\n"):
                break  # the last word of a process that was killed
            found.append(json.loads(line))
            if len(found) == kill_after:
                process.kill()
        process.wait(PATIENCE)
    return found


def run(server: Server, scarce: Scarce, asks: Sequence[Ask]) -> list[Answer]:
    """Let a crowd ask a new process, and return its answers in the order of the crowd."""
    process = start(server, scarce)
    tell(process, asks)
    return sorted(answers(process), key=lambda answer: answer["number"])


def test_two_processes(kind: str, server: Server) -> None:
    """Fifty want one use, half of them from another process: one gets it."""
    scarce = KINDS[kind](server.folder)
    crowd = scarce.asks(CROWD)
    processes = [start(server, scarce) for _ in range(2)]
    for number, process in enumerate(processes):
        tell(process, crowd[number::2])
    found = [answer for process in processes for answer in answers(process)]
    assert Counter(answer["status"] for answer in found) == {200: 1, 403: CROWD - 1}
    refusals = [answer["body"] for answer in found if answer["status"] == 403]
    assert all(scarce.used_up in body for body in refusals)
    assert (len(granted(server)), spent(server, scarce)) == (1, 1)


@pytest.mark.parametrize("seed", range(4))
def test_killed_in_the_middle(kind: str, seed: int, server: Server) -> None:
    """Of two processes one is killed: what was answered is on record, and nothing is spent twice.

    Whoever lost his answer asks again and gets his certificate; in the end twenty have one.
    """
    limit, rng = 20, random.Random(seed)
    scarce = KINDS[kind](server.folder, limit)
    crowd = scarce.asks(CROWD)
    first, second = (start(server, scarce) for _ in range(2))
    tell(first, crowd[::2])
    tell(second, crowd[1::2])
    lost = answers(first, kill_after=rng.choice([0, 1, 2, 5]))
    kept = answers(second)
    numbered = [(2 * a["number"], a) for a in lost] + [(2 * a["number"] + 1, a) for a in kept]
    before = {number: a["body"] for number, a in numbered if a["status"] == 200}
    recorded = granted(server)
    assert len(before) <= len(recorded) == spent(server, scarce) <= limit
    again = run(server, scarce, crowd)
    check_the_same(kind, before, again)
    assert len(granted(server)) == spent(server, scarce) == limit
    assert set(recorded) <= set(granted(server))


def check_the_same(kind: str, before: dict[int, str], again: list[Answer]) -> None:
    """Who had a certificate has the same one, unless the device's next key replaced it."""
    for number, body in before.items():
        answer = again[number]
        if kind == "allowlist" and answer["status"] == 403:
            assert "not in force any more" in answer["body"]
        else:
            assert (answer["status"], answer["body"]) == (200, body)
