"""The whole story on one machine, played with the real commands; showing it is left to `_cli`."""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import shlex
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cipsec import files
from cipsec.errors import CipsecError, LocalState

_LOOPBACK = "127.0.0.1"
_READY_SECONDS = 20.0
_PENDING = 11


@dataclass(frozen=True, slots=True)
class Stage:
    """Where the story is told: `say` a sentence, `show` a command before it runs.

    `output` gets what a command printed; None lets the commands print for themselves, which at a
    terminal they do in tables.
    """

    say: Callable[[str], None]
    show: Callable[[str], None]
    output: Callable[[str], None] | None


def play(folder: Path, stage: Stage) -> None:
    """Play the story in `folder`; raise LocalState when a command does not do what it should."""
    story = _Story(folder, stage)
    fingerprint = story.set_up()
    with story.server():
        story.discover(fingerprint)
        story.enroll_with_password(fingerprint)
        story.ask_and_approve()
        story.renew()
    stage.say("That was the whole story. What happened is in the record:")
    story.run("ca", "log", "--ca-dir", "ca")


class _Story:
    def __init__(self, folder: Path, stage: Stage) -> None:
        self._folder = folder
        self._stage = stage

    def set_up(self) -> str:
        """Make the CA and a user; return the CA's fingerprint."""
        self._stage.say("A CA for the line: one folder.")
        self.run("ca", "init", "--name", "Line 4", "--no-passphrase", "--ca-dir", "ca")
        self._stage.say("A user who may enroll with a password, made up for this demo.")
        files.create(self._folder / "password", secrets.token_urlsafe(12).encode() + b"\n")
        self.run("user", "add", "alice", "--password-file", "password", "--ca-dir", "ca")
        return str(self._json("ca", "show", "--ca-dir", "ca")["ca"]["sha256"])

    @contextlib.contextmanager
    def server(self) -> Iterator[None]:
        """Run the server for as long as the block lasts."""
        self._stage.say("Its EST server, announced by multicast DNS on the loopback interface.")
        ready = self._folder / "ready.json"
        command = ["ca", "serve", "--ca-dir", "ca", "--listen", f"{_LOOPBACK}:0",
                   "--interface", _LOOPBACK, "--ready-file", "ready.json"]  # fmt: skip
        self._stage.show(f"{_shown(command)} &")
        with (self._folder / "serve.log").open("wb") as log:
            process = subprocess.Popen(
                _argv(command), cwd=self._folder, stderr=log, env=_environment()
            )
            try:
                self._wait_for(ready, process)
                yield
            finally:
                process.terminate()
                process.wait()

    def _wait_for(self, ready: Path, process: subprocess.Popen[bytes]) -> None:
        until = time.monotonic() + _READY_SECONDS
        while not ready.exists():
            if process.poll() is not None or time.monotonic() > until:
                raise LocalState(
                    "the server did not start", hint=f"look at {self._folder / 'serve.log'}"
                )
            time.sleep(0.05)

    def discover(self, fingerprint: str) -> None:
        """Find the server by mDNS."""
        self._stage.say("An engineer's PC finds it, and sees that it is the plant's.")
        self.run("discover", "--interface", _LOOPBACK, "--fingerprint", fingerprint,
                 "--timeout", "4")  # fmt: skip

    def enroll_with_password(self, fingerprint: str) -> None:
        """Enroll a first endpoint, granted at once by its password."""
        self._stage.say("The PC enrolls with user name and password: granted by the rule 'users'.")
        self.run("enroll", "--interface", _LOOPBACK, "--fingerprint", fingerprint,
                 "--user", "alice", "--password-file", "password",
                 "--subject", "CN=engineering-pc", "--identity", "pc")  # fmt: skip

    def ask_and_approve(self) -> None:
        """Enroll a second endpoint that has to wait for an administrator."""
        self._stage.say("A replaced drive has no password: it waits for an administrator.")
        self.run("enroll", "--interface", _LOOPBACK, "--trust", "ca/ca.pem", "--device",
                 "0001:6040C8F2", "--subject", "CN=Drive 7", "--identity", "drive",
                 "--no-wait", expected=_PENDING)  # fmt: skip
        self.run("ca", "pending", "--ca-dir", "ca")
        request = str(self._json("ca", "pending", "--ca-dir", "ca")["requests"][0]["id"])[:12]
        self.run("ca", "approve", request, "--note", "seen at the cabinet", "--ca-dir", "ca")
        self._stage.say("Its next poll receives the certificate; the key never left the drive.")
        self.run("enroll", "--identity", "drive")
        self.run("cert", "verify", "drive/certificate.pem", "--trust", "ca/ca.pem",
                 "--key", "drive/key.pem")  # fmt: skip

    def renew(self) -> None:
        """Renew the second endpoint's certificate with a new key."""
        self._stage.say("The drive renews by itself: its certificate proves who it is.")
        self.run("renew", "--identity", "drive")
        self.run("ca", "list", "--ca-dir", "ca")

    def run(self, *arguments: str, expected: int = 0) -> None:
        """Show one command, run it, and show its output."""
        self._stage.show(_shown(arguments))
        output = self._stage.output
        done = subprocess.run(
            _argv(arguments),
            cwd=self._folder,
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
                f"cipsec {arguments[0]} ended with {done.returncode}, not {expected}",
                hint="run it again with: cipsec demo --keep DIR, and look into DIR",
            )

    def _json(self, *arguments: str) -> Any:
        done = subprocess.run(
            _argv([*arguments, "--json"]), cwd=self._folder, env=_environment(), check=True,
            capture_output=True, stdin=subprocess.DEVNULL,
        )  # fmt: skip
        return json.loads(done.stdout)


def _argv(arguments: list[str] | tuple[str, ...]) -> list[str]:
    return [sys.executable, "-m", "cipsec", *arguments]


def _shown(arguments: list[str] | tuple[str, ...]) -> str:
    return shlex.join(["cipsec", *arguments])


def _environment() -> dict[str, str]:
    """The caller's own CA and identity are not part of this story."""
    return {name: value for name, value in os.environ.items() if not name.startswith("CIPSEC_")}
