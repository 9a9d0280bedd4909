"""What every benchmark needs: a CA and its server as processes, and what a process has used."""

from __future__ import annotations

import contextlib
import os
import platform
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tests.support.serving import cipsec, serving
from tests.support.waiting import children

_TICK = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True, slots=True)
class Server:
    """A running process and where it listens."""

    process: subprocess.Popen[bytes]
    port: int
    ca: Path

    def cpu_seconds(self) -> float:
        """Return the CPU time it has used, its threads and worker processes included."""
        return sum(_cpu(pid) for pid in [self.process.pid, *children(self.process.pid)])

    def peak_memory(self) -> int:
        """Return the most memory it ever held, in bytes."""
        return _status(self.process.pid, "VmHWM") * 1024


def interpreter() -> str:
    """Return what runs the server: between builds of one version a third of the time can lie."""
    compiler = platform.python_compiler()
    return f"{platform.python_implementation()} {platform.python_version()}, {compiler}"


def _cpu(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / _TICK


def _status(pid: int, key: str) -> int:
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith(f"{key}:"):
            return int(line.split()[1])
    raise KeyError(key)


@contextlib.contextmanager
def ca_server(folder: Path, *, policy: str, workers: int = 1) -> Iterator[Server]:
    """Run `cipsec ca serve` on a new CA in `folder`."""
    ca = folder / "ca"
    made = cipsec("ca", "init", "--name", "bench", "--no-passphrase", "--policy", policy,
                  "--ca-dir", ca)  # fmt: skip
    assert made.returncode == 0, made
    with serving(ca, "-q", "--workers", str(workers)) as server:
        yield Server(server.process, server.port, server.anchor)
