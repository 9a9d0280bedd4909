"""`cipsec ca serve` as a process of its own, on loopback."""

from __future__ import annotations

import contextlib
import json
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from tests.support.clock import environment

_START_SECONDS = 180


@dataclass(frozen=True, slots=True)
class Serving:
    """A running server and the folder of its CA."""

    process: subprocess.Popen[bytes]
    ready: dict[str, Any]
    ca: Path

    @property
    def port(self) -> int:
        """The port it listens on, on 127.0.0.1."""
        return int(self.ready["port"])

    @property
    def url(self) -> str:
        """The EST service's URL on loopback."""
        return f"https://127.0.0.1:{self.port}/.well-known/est"

    @property
    def anchor(self) -> Path:
        """The CA's certificate in PEM."""
        return self.ca / "ca.pem"

    def stop(self, number: int = signal.SIGTERM) -> int:
        """Send a signal and return the exit status."""
        self.process.send_signal(number)
        return self.process.wait(timeout=120)

    @contextlib.contextmanager
    def halted(self) -> Iterator[None]:
        """Let it do nothing for a while, such as mend what a test breaks."""
        self.process.send_signal(signal.SIGSTOP)
        try:
            yield
        finally:
            self.process.send_signal(signal.SIGCONT)


def cipsec(
    *arguments: str | Path, stdin: bytes = b"", clock: datetime | None = None
) -> subprocess.CompletedProcess[bytes]:
    """Run one command line of cipsec as a process of its own, perhaps with another clock."""
    command = [sys.executable, "-m", "cipsec", *map(str, arguments)]
    return subprocess.run(
        command,
        input=stdin,
        capture_output=True,
        check=False,
        timeout=300,
        env=environment(clock),
    )


def result(*arguments: str | Path) -> Any:
    """Run a command that must succeed, and return the JSON it prints."""
    done = cipsec(*arguments, "--json")
    assert done.returncode == 0, (arguments, done)
    return json.loads(done.stdout)


def start(
    ca: Path, *options: str, log: Path | None = None, clock: datetime | None = None
) -> Serving:
    """Start a server on an existing CA folder and wait until it accepts requests."""
    ready = ca.parent / f"{ca.name}-ready.json"
    ready.unlink(missing_ok=True)
    command = [sys.executable, "-m", "cipsec", "ca", "serve", "--ca-dir", str(ca), "--listen",
               "127.0.0.1:0", "--no-announce", "--ready-file", str(ready), *options]  # fmt: skip
    with (log or ca.parent / f"{ca.name}-serve.log").open("ab") as stream:
        process = subprocess.Popen(command, stdout=stream, stderr=stream, env=environment(clock))
    until = time.monotonic() + _START_SECONDS
    ended = process.poll()  # before the file is looked for: it may get ready and end in between
    while not ready.exists():
        assert ended is None, f"the server ended with {ended}"
        ended = process.poll()
        assert time.monotonic() < until, "the server does not get ready"
        time.sleep(0.02)
    return Serving(process, json.loads(ready.read_text()), ca)


@contextlib.contextmanager
def serving(ca: Path, *options: str, clock: datetime | None = None) -> Iterator[Serving]:
    """Run a server for as long as the block lasts."""
    server = start(ca, *options, clock=clock)
    try:
        yield server
    finally:
        if server.process.poll() is None:
            server.stop()
