"""Server CPU per enrollment beside a bare openssl handshake: python -m tests.bench.enrollments

16 clients, a new TLS connection for each enrollment, P-256, client certificate, policy, event,
durable commit; in turn with a handshake with the same client certificates against Debian's openssl.
"""

from __future__ import annotations

import contextlib
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from OpenSSL import SSL

from tests.bench import load
from tests.bench.machine import Server, ca_server, interpreter
from tests.support.ports import free_port

_CLIENTS = 16
_ROUNDS = 7
_EACH = 40  # connections of each client in a round
_VERSIONS = {"TLS 1.2": SSL.TLS1_2_VERSION, "TLS 1.3": SSL.TLS1_3_VERSION}


@contextlib.contextmanager
def _openssl(folder: Path, anchor: Path, device: Path) -> Iterator[Server]:
    port = free_port()
    command = ["openssl", "s_server", "-quiet", "-accept", f"127.0.0.1:{port}", "-no_ticket",
               "-no_cache", "-cert", str(device), "-key", str(device), "-Verify", "3",
               "-CAfile", str(anchor)]  # fmt: skip
    log = (folder / "s_server.log").open("wb")
    with log, subprocess.Popen(command, stdin=subprocess.PIPE, stdout=log, stderr=log) as process:
        time.sleep(0.5)
        try:
            yield Server(process, port, anchor)
        finally:
            process.terminate()


def _cpu_each(server: Server, work: Callable[[int], None]) -> float:
    """Return the server's CPU seconds per connection while the clients do `work(client)`."""
    before = server.cpu_seconds()
    load.in_parallel([lambda client=client: work(client) for client in range(_CLIENTS)])  # type: ignore[misc]  # mypy cannot infer the default
    return (server.cpu_seconds() - before) / (_CLIENTS * _EACH)


def _compare(name: str, version: int, ours: Server, theirs: Server, devices: list[Path]) -> None:
    to_ours = [load.context(ours.ca, device, version) for device in devices]
    to_theirs = [load.context(theirs.ca, device, version) for device in devices]
    ratios, own, other, rates = [], [], [], []
    for number in range(_ROUNDS):
        made = [load.requests(_EACH, f"{name} {number} {c}") for c in range(_CLIENTS)]

        def enroll(client: int, made: list[list[bytes]] = made) -> None:
            for request in made[client]:
                with load.connected(ours.port, to_ours[client]) as connection:
                    assert load.exchange(connection, request) == 200

        def shake(client: int) -> None:
            for _ in range(_EACH):
                with load.connected(theirs.port, to_theirs[client]):
                    pass

        began = time.perf_counter()
        own.append(_cpu_each(ours, enroll))
        rates.append(_CLIENTS * _EACH / (time.perf_counter() - began))
        other.append(_cpu_each(theirs, shake))
        ratios.append(own[-1] / other[-1])
    print(
        f"{name}: enrollment {statistics.median(own) * 1e6:.0f} us CPU"
        f" ({statistics.median(rates):.0f}/s with the clients on the same machine),"
        f" openssl handshake {statistics.median(other) * 1e6:.0f} us,"
        f" ratio {statistics.median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f})"
    )


def main() -> int:
    """Print one line for each TLS version."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        anchor, devices = load.vendor(folder, _CLIENTS)
        print(f"server: {interpreter()}")
        with (
            ca_server(folder, policy="lab") as ours,
            _openssl(folder, anchor, devices[0]) as theirs,
        ):
            for title, version in _VERSIONS.items():
                _compare(title, version, ours, theirs, devices)
    return 0


if __name__ == "__main__":
    sys.exit(main())
