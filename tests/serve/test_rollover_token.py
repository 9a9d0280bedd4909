"""The roll-over of a CA whose keys are on a token: a server that runs follows by its session."""

from __future__ import annotations

from pathlib import Path

import pytest

from cipsec.ca_folder import CaFolder
from tests.support import programs, serving, softhsm
from tests.support.waiting import until

from .test_rollover import (
    _accepted,
    _all_speak_under,
    _enroll,
    _handed_out,
    _renew,
    _save,
    _verifies,
)

pytestmark = pytest.mark.programs


@pytest.mark.parametrize("workers", [(), ("--workers", "2")], ids=["one", "two"])
def test_a_server_follows(
    tmp_path: Path, workers: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Pinned to the old root, an endpoint that slept is led to the new one; both keys sign."""
    programs.need("curl", "openssl")
    with softhsm.token(tmp_path / "hsm", monkeypatch) as hsm:
        folder = CaFolder(tmp_path / "ca")
        pin = ("--passphrase-file", str(hsm.pin_file))
        where = ("--ca-dir", folder.path, *pin)
        argv = ("ca", "init", "--name", "Line 4", "--policy", "lab", "--days", "365")
        serving.result(*argv, "--key", hsm.uri(), *where)
        old = _save(tmp_path / "old.pem", folder.certificate())
        server = serving.start(folder.path, "-v", *pin, *workers)
        try:
            for name in ("early", "sleeper"):
                _enroll(server, tmp_path, name, old)
            serving.result("ca", "rollover", *where)
            new = _save(tmp_path / "new.pem", folder.successor.certificate())
            until(lambda: _handed_out(server, old) == 4)
            assert "the CA has a new root" in _renew(tmp_path, "early")
            serving.result("ca", "rollover", "--activate", "-y", *where)
            until(lambda: _all_speak_under(server, folder.certificate(), workers))
            assert _accepted(server, old)
            assert _accepted(server, new)
            for name in ("early", "sleeper"):
                assert ("new root" in _renew(tmp_path, name)) is (name == "sleeper")
                _verifies(tmp_path, name, new)
            until(lambda: all(path.exists() for path in folder.crl_files()))
        finally:
            assert server.stop() == 0
