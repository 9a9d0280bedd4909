"""Programs that a rule asks: shell scripts, and how they are asked."""

from __future__ import annotations

import asyncio
import contextlib
import math
from collections.abc import Callable, Mapping
from pathlib import Path
from types import SimpleNamespace

import pytest

from cipsec.ra import program
from cipsec.ra.external import Opinion, Programs
from cipsec.ra.notyet import NotYet
from tests.support.waiting import LONG

Command = tuple[str, ...]
Script = Callable[[str], Command]
DOCUMENT: Mapping[str, object] = {"id": "4711", "subject": "CN=drive \x1b[2K é", "sans": ["a", "b"]}


def scripts(folder: Path) -> Script:
    """Return a function from a shell script's text to a command."""

    def write(text: str) -> Command:
        path = folder / f"ask-{len(list(folder.iterdir()))}"
        path.write_text(f"#!/bin/sh\n{text}\n")
        path.chmod(0o755)
        return (str(path),)

    return write


def hurry(monkeypatch: pytest.MonkeyPatch, begun: Path) -> None:
    """Let the time of a program be over once it has written a file, however long that takes."""

    def clock() -> float:
        return math.inf if begun.exists() and begun.stat().st_size else 0.0

    monkeypatch.setattr(program, "time", SimpleNamespace(monotonic=clock))


async def begun(programs: Programs, address: str, count: int) -> None:
    """Wait until programs are asked about that many requests of an address."""
    async with asyncio.timeout(LONG):
        while programs._by_address[address] < count:
            await asyncio.sleep(0.01)


def descriptors() -> set[tuple[str, str]]:
    """Return what this process has open: numbers, and what they lead to."""
    found = set()
    for path in Path("/proc/self/fd").iterdir():
        with contextlib.suppress(OSError):  # the one that was open to list them
            found.add((path.name, str(path.readlink())))
    return found


def made(tmp_path: Path, *, seconds: float = LONG) -> Programs:
    """Return new ones, which have two minutes: this machine may be busy."""
    folder = tmp_path / "ca"
    folder.mkdir(exist_ok=True)
    return Programs(folder, seconds=seconds)


async def ask(
    programs: Programs, command: Command, key: str = "4711", *, address: str = ""
) -> Opinion:
    """Ask as the RA does."""
    for _ in range(64):
        try:
            return programs.opinion(command, key, lambda: DOCUMENT, address=address)
        except NotYet as wait:
            await wait.ready()
    raise AssertionError


def asked(programs: Programs, command: Command, key: str = "4711") -> Opinion:
    """Ask as `policy check` does: in a loop of its own."""
    return asyncio.run(ask(programs, command, key))
