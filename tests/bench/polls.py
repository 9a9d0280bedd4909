"""Server CPU per poll of a waiting device beside an enrollment: python -m tests.bench.polls

The same clients against two servers of the same kind: one grants, the other asks an administrator,
who does not answer. A poll sends the same CSR again, each on a new TLS connection, or all of them
on one connection that is kept.
"""

from __future__ import annotations

import statistics
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

from OpenSSL import SSL

from tests.bench import load
from tests.bench.machine import Server, ca_server

_CLIENTS = 16
_ROUNDS = 7
_EACH = 40  # connections of each client in a round
_KEPT = 200  # polls on a connection that is kept


def _cpu(server: Server, work: Callable[[int], None], each: int) -> float:
    """Return the server's CPU seconds for one of the `each` things that every client does."""
    before = server.cpu_seconds()
    load.in_parallel([lambda client=client: work(client) for client in range(_CLIENTS)])  # type: ignore[misc]  # mypy cannot infer the default
    return (server.cpu_seconds() - before) / (_CLIENTS * each)


def _fresh(server: Server, tls: SSL.Context, requests: list[bytes], status: int) -> None:
    for request in requests:
        with load.connected(server.port, tls) as connection:
            assert load.exchange(connection, request) == status


def _kept(server: Server, tls: SSL.Context, request: bytes) -> None:
    with load.connected(server.port, tls) as connection:
        for _ in range(_KEPT):
            assert load.exchange(connection, request) == 202


def _compare(grants: Server, asks: Server, devices: list[Path]) -> None:
    to_grants = [load.context(grants.ca, device, SSL.TLS1_2_VERSION) for device in devices]
    to_asks = [load.context(asks.ca, device, SSL.TLS1_2_VERSION) for device in devices]
    waiting = load.requests(_CLIENTS, "Waiting")
    for client in range(_CLIENTS):  # what polls ask about is recorded before the first round
        _fresh(asks, to_asks[client], [waiting[client]], 202)
    new, kept, costs = [], [], []
    for number in range(_ROUNDS):
        made = [load.requests(_EACH, f"Drive {number} {c}") for c in range(_CLIENTS)]

        def enroll(client: int, made: list[list[bytes]] = made) -> None:
            _fresh(grants, to_grants[client], made[client], 200)

        enrollment = _cpu(grants, enroll, _EACH)
        polled = _cpu(asks, lambda c: _fresh(asks, to_asks[c], [waiting[c]] * _EACH, 202), _EACH)
        stayed = _cpu(asks, lambda c: _kept(asks, to_asks[c], waiting[c]), _KEPT)
        costs.append((enrollment, polled, stayed))
        new.append(polled / enrollment)
        kept.append(stayed / enrollment)
    enrollment, polled, stayed = (
        statistics.median(column) * 1e6 for column in zip(*costs, strict=True)
    )
    print(
        f"enrollment {enrollment:.0f} us CPU;"
        f" poll on a new connection {polled:.0f} us, ratio {statistics.median(new):.2f} (aim 0.6);"
        f" on a kept one {stayed:.0f} us, ratio {statistics.median(kept):.2f} (aim 0.1)"
    )


def main() -> int:
    """Print one line."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        _, devices = load.vendor(folder, _CLIENTS)
        for policy in ("lab", "approval"):
            (folder / policy).mkdir()
        with (
            ca_server(folder / "lab", policy="lab") as grants,
            ca_server(folder / "approval", policy="approval") as asks,
        ):
            _compare(grants, asks, devices)
    return 0


if __name__ == "__main__":
    sys.exit(main())
