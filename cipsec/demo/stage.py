"""Where a story is told: commands are shown, run for real, and have to end as the story says."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cipsec import shell
from cipsec.errors import CipsecError, LocalState

LOOPBACK = "127.0.0.1"
_READY_SECONDS = 60.0
_LOG = "serve.log"
_AGAIN = "run it again with: cipsec demo --keep DIR, and look into DIR"


@dataclass(frozen=True, slots=True)
class Stage:
    """Who watches: `say` a sentence, `show` a command before it runs.

    `output` gets what a command printed; None lets the commands print for themselves, which at a
    terminal they do in tables.
    """

    say: Callable[[str], None]
    show: Callable[[str], None]
    output: Callable[[str], None] | None


class Play:
    """Runs the commands of a story in its folder, where `ca` is the CA's."""

    def __init__(self, folder: Path, stage: Stage) -> None:
        self.folder = folder
        self._stage = stage
        self.say = stage.say

    def run(self, *arguments: str, expected: int = 0) -> None:
        """Show one command, run it, and show its output; raise when it ends otherwise."""
        self._stage.show(_shown(arguments))
        output = self._stage.output
        done = subprocess.run(
            _argv(arguments),
            cwd=self.folder,
            env=_environment(),
            check=False,
            text=True,
            stdout=subprocess.PIPE if output else None,
            stderr=subprocess.STDOUT if output else None,
            stdin=subprocess.DEVNULL,
        )
        if output:
            output(done.stdout)
        if done.returncode != expected:
            raise CipsecError(
                f"cipsec {arguments[0]} ended with {done.returncode}, not {expected}", hint=_AGAIN
            )

    def ca(self, *arguments: str, expected: int = 0) -> None:
        """Run a command about the CA."""
        self.run(*arguments, "--ca-dir", "ca", expected=expected)

    def waiting(self) -> str:
        """Return the id of the request that waits longest, as short as people type it."""
        done = subprocess.run(
            _argv(["ca", "pending", "--ca-dir", "ca", "--json"]), cwd=self.folder,
            env=_environment(), check=True, capture_output=True, stdin=subprocess.DEVNULL,
        )  # fmt: skip
        listed: Any = json.loads(done.stdout)
        return str(listed["requests"][0]["id"])[:12]

    @contextlib.contextmanager
    def server(self) -> Iterator[None]:
        """Run the CA's server for as long as the block lasts."""
        self.say("Its EST server, announced by multicast DNS on the loopback interface.")
        command = ["ca", "serve", "--ca-dir", "ca", "--listen", f"{LOOPBACK}:0",
                   "--interface", LOOPBACK, "--ready-file", "ready.json"]  # fmt: skip
        self._stage.show(f"{_shown(command)} &")
        with (self.folder / _LOG).open("wb") as log:
            process = subprocess.Popen(
                _argv(command), cwd=self.folder, stderr=log, env=_environment()
            )
            try:
                self._wait_for(self.folder / "ready.json", process)
                yield
            finally:
                process.terminate()
                process.wait()

    def _wait_for(self, ready: Path, process: subprocess.Popen[bytes]) -> None:
        until = time.monotonic() + _READY_SECONDS
        while not ready.exists():
            if process.poll() is not None or time.monotonic() > until:
                raise LocalState("the server did not start", hint=f"{_AGAIN}/{_LOG}")
            time.sleep(0.05)


def _argv(arguments: Sequence[str]) -> list[str]:
    return [sys.executable, "-m", "cipsec", *arguments]


def _shown(arguments: Sequence[str]) -> str:
    return shell.join(["cipsec", *arguments])


def _environment() -> dict[str, str]:
    """The caller's own CA and identity are not part of this story."""
    return {name: value for name, value in os.environ.items() if not name.startswith("CIPSEC_")}
