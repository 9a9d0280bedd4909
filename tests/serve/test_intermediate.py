"""An intermediate CA whose upper CA renews its certificate while the server runs."""

from __future__ import annotations

import time
from datetime import datetime, timedelta
from pathlib import Path

from cryptography import x509

from cipsec import times
from tests.support import serving, upper
from tests.support.serving import Serving


def _install(place: Path, *given: x509.Certificate) -> str:
    file = upper.write(place.parent / "given.pem", *given)
    argv = ("ca", "init", "--intermediate", "--certificate", file, "--ca-dir", place)
    done = serving.cipsec(*argv)
    assert done.returncode == 0, done.stderr
    return done.stderr.decode()


def _enrolled_until(server: Serving, anchor: Path) -> datetime:
    """Enroll anew and return when the certificate ends."""
    where = ("--server", f"127.0.0.1:{server.port}", "--trust", anchor)
    identity = ("--identity", anchor.parent / "pc", "--subject", f"CN=pc {time.monotonic_ns()}")
    done = serving.result("enroll", *where, *identity, "-f")
    return times.parse_time(done["identity"]["not_after"])


def test_a_server_takes_up_another_certificate_of_a_ca_above(tmp_path: Path) -> None:
    """It issues beyond the end of the old one, without being started anew, as is said."""
    place, old = tmp_path / "ca", upper.root(days=(-1, 5))
    argv = ("--name", "Line 4", "--policy", "lab", "--no-passphrase", "--ca-dir", place)
    assert serving.cipsec("ca", "init", "--intermediate", *argv).returncode == 0
    own = old.answer(place / "ca.csr", days=(-1, 3000))
    said = _install(place, own, old.certificate)
    assert "cipsec: next: cipsec ca serve" in said
    soon = times.now() + timedelta(days=6)
    with serving.serving(place) as server:
        assert _enrolled_until(server, upper.write(tmp_path / "old.pem", old.certificate)) < soon
        renewed = upper.root(key=old.key).certificate
        assert "cipsec: the server that runs takes it up within seconds" in _install(
            place, own, renewed
        )
        anchor, end = upper.write(tmp_path / "new.pem", renewed), time.monotonic() + 120
        while _enrolled_until(server, anchor) < soon:
            assert time.monotonic() < end, "it does not take it up"
            time.sleep(1)
