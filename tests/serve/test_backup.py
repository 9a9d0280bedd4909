"""A disaster from end to end: saved while it serves, restored elsewhere, endpoints live on."""

from __future__ import annotations

import json
import threading
from pathlib import Path

from tests.support import serving
from tests.support.serving import Serving

_SECRET = "correct horse battery"


def _enroll(server: Serving, name: str) -> None:
    identity = server.ca.parent / name
    serving.result("enroll", "--server", f"127.0.0.1:{server.port}", "--trust", server.anchor,
                   "--subject", f"CN={name}", "--identity", identity)  # fmt: skip


def test_saved_while_serving_and_restored(tmp_path: Path) -> None:
    """An endpoint of before the backup renews at the restored CA; one of after it asks anew."""
    (tmp_path / "secret").write_text(_SECRET)
    secret = ("--passphrase-file", tmp_path / "secret")
    serving.result("ca", "init", "--name", "Line 4", "--policy", "lab", *secret, "--ca-dir",
                   tmp_path / "ca")  # fmt: skip
    options = ("--passphrase-file", str(tmp_path / "secret"))
    server = serving.start(tmp_path / "ca", *options)
    port = server.port
    try:
        _enroll(server, "before")
        others = [
            threading.Thread(target=_enroll, args=(server, f"pc-{number}")) for number in range(3)
        ]
        for other in others:
            other.start()
        made = serving.result("ca", "backup", tmp_path / "b", *secret, "--ca-dir", server.ca)
        for other in others:
            other.join()
        _enroll(server, "after")
    finally:
        assert server.stop() == 0
    (tmp_path / "ca").rename(tmp_path / "lost")
    place = tmp_path / "elsewhere"
    done = serving.result("ca", "restore", tmp_path / "b", *secret, "--ca-dir", place)["backup"]
    assert done["newest_event"] == made["backup"]["newest_event"]
    serial = json.loads(
        serving.cipsec("status", "--identity", tmp_path / "after", "--json").stdout
    )["identity"]["serial"]
    assert done["unknown_from"] <= serial[:12] <= done["unknown_to"]
    server = serving.start(place, *options, "--listen", f"127.0.0.1:{port}")
    try:
        for name, rule in (("before", "renewal"), ("after", "laboratory")):
            done = serving.cipsec("renew", "--identity", tmp_path / name)
            assert done.returncode == 0, done.stderr
            renewed = serving.result("ca", "list", "--ca-dir", place)["certificates"][-1]
            assert (renewed["subject"], renewed["rule"]) == (f"CN={name}", rule)
    finally:
        assert server.stop() == 0
