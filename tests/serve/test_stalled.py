"""A server whose output nobody reads: a stopped terminal, a stuck collector of logs."""

from __future__ import annotations

import fcntl
import json
import os
import re
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from OpenSSL import SSL

from tests.bench import load
from tests.support import ca
from tests.support.waiting import LONG, until

_TWO_PAGES = 8192  # some twenty events


def _read(pipe: int) -> bytes:
    try:
        return os.read(pipe, 1 << 20)
    except BlockingIOError:
        return b""


@pytest.mark.parametrize("options", [[], ["--json"], ["--workers", "2"]])
def test_nobody_waits_for_a_reader_that_has_stopped(tmp_path: Path, options: list[str]) -> None:
    """Devices are answered and the server ends in order; what is read again is told again."""
    folder = ca.make(tmp_path / "ca", policy="lab")
    _, [device] = load.vendor(tmp_path, 1)
    ours, its = os.pipe()
    fcntl.fcntl(its, fcntl.F_SETPIPE_SZ, _TWO_PAGES)
    os.set_blocking(ours, False)
    ready = tmp_path / "ready.json"
    command = [sys.executable, "-m", "cipsec", "ca", "serve", "--ca-dir", str(folder.path),
               "--listen", "127.0.0.1:0", "--no-announce", "--ready-file", str(ready),
               *options]  # fmt: skip
    server = subprocess.Popen(command, stdout=its, stderr=its)
    os.close(its)
    guard = threading.Timer(LONG, server.kill)  # else who waits for an answer waits for ever
    guard.start()
    try:
        until(ready.exists)
        port = json.loads(ready.read_text())["port"]
        tls = load.context(folder.certificate_file, device, SSL.TLS1_2_VERSION)
        with load.connected(port, tls) as connection:
            for request in load.requests(60):
                assert load.exchange(connection, request) == 200
        told = _read(ours)
        assert b"Drive 0" in told
        assert b"Drive 59" not in told
        with load.connected(port, tls) as connection:
            assert load.exchange(connection, load.requests(1, "Later")[0]) == 200
        later = b""

        def was_told() -> bool:
            nonlocal later
            later += _read(ours)
            return b"Later 0" in later

        until(was_told)
        if "--workers" not in options:  # each counts what it has not told
            assert re.search(rb"warning: [1-9][0-9]* events were not told here", later)
        server.send_signal(signal.SIGTERM)
        assert server.wait(timeout=LONG) == 0
    finally:
        guard.cancel()
        server.kill()
        server.wait()
        os.close(ours)
