"""A whole plant powers up: 10,000 devices connect within a second. python -m tests.bench.storm

Each makes a TLS 1.2 connection with a client certificate, enrolls once and waits for its answer; a
broken connection is tried again. Printed: how many were served, how long they waited, and the
server's peak memory beside what it held before.
"""

from __future__ import annotations

import asyncio
import resource
import ssl
import statistics
import sys
import tempfile
import time
from pathlib import Path

from tests.bench import load
from tests.bench.machine import ca_server

_DEVICES = 10_000
_SECONDS = 1.0  # in which all of them connect
_TRIES = 5


def _context(anchor: Path, device: Path) -> ssl.SSLContext:
    made = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    made.check_hostname = False
    made.load_verify_locations(anchor)
    made.load_cert_chain(device)
    made.maximum_version = ssl.TLSVersion.TLSv1_2
    return made


async def _enroll(port: int, tls: ssl.SSLContext, request: bytes, delay: float) -> float | None:
    """Return the seconds until the certificate came, or None when it never did."""
    await asyncio.sleep(delay)
    began = time.perf_counter()
    for _ in range(_TRIES):
        try:
            reader, writer = await asyncio.open_connection("127.0.0.1", port, ssl=tls,
                                                           ssl_handshake_timeout=300)  # fmt: skip
            writer.write(request)
            head = await reader.readuntil(b"\r\n\r\n")
            writer.transport.abort()
        except (OSError, asyncio.IncompleteReadError):
            continue
        if head.startswith(b"HTTP/1.1 200 "):
            return time.perf_counter() - began
    return None


async def _storm(port: int, tls: list[ssl.SSLContext], requests: list[bytes]) -> list[float | None]:
    return await asyncio.gather(
        *(
            _enroll(port, tls[n % len(tls)], request, _SECONDS * n / len(requests))
            for n, request in enumerate(requests)
        )
    )


def main() -> int:
    """Print one line; the exit status tells whether every device was served."""
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    with tempfile.TemporaryDirectory() as name:
        _, devices = load.vendor(Path(name), 16)
        requests = load.requests(_DEVICES)
        with ca_server(Path(name), policy="lab") as server:
            tls = [_context(server.ca, device) for device in devices]
            idle, began = server.peak_memory(), time.perf_counter()
            waits = asyncio.run(_storm(server.port, tls, requests))
            lasted, cpu = time.perf_counter() - began, server.cpu_seconds()
            peak = server.peak_memory()
    served = sorted(wait for wait in waits if wait is not None)
    print(
        f"{len(served)} of {_DEVICES} served in {lasted:.1f} s ({cpu:.1f} s of server CPU);"
        f" wait p50 {statistics.median(served):.1f} s, p99 {served[int(len(served) * 0.99)]:.1f} s;"
        f" memory {idle / 1e6:.0f} MB before, {peak / 1e6:.0f} MB at the most"
    )
    return 0 if len(served) == _DEVICES else 1


if __name__ == "__main__":
    sys.exit(main())
