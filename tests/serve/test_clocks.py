"""Clocks that are wrong, and days that are odd: server and endpoint as processes of their own."""

from __future__ import annotations

import json
import subprocess
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509

from cipsec import times
from tests.support import ca, programs
from tests.support.serving import Serving, cipsec, serving

NOWHERE = datetime(1970, 1, 1, 0, 0, 42, tzinfo=UTC)
HOUR = timedelta(hours=1)


@pytest.fixture
def lab(tmp_path: Path) -> Path:
    """A CA folder that grants to everybody, made an hour ago."""
    ca.make(tmp_path / "ca", policy="lab", now=times.now() - HOUR)
    return tmp_path / "ca"


def enroll(server: Serving, identity: Path, clock: datetime | None = None) -> tuple[int, str]:
    """Enroll; return the exit code and what stderr says."""
    done = cipsec(
        "enroll", "--server", f"127.0.0.1:{server.port}", "--fingerprint",
        str(server.ready["ca_sha256"]), "--identity", identity, "--no-input",
        clock=clock,
    )  # fmt: skip
    return done.returncode, done.stderr.decode()


def certificate(identity: Path) -> x509.Certificate:
    """Return the certificate in use."""
    return x509.load_pem_x509_certificate((identity / "certificate.pem").read_bytes())


def test_an_endpoint_whose_clock_is_not_set(lab: Path, tmp_path: Path) -> None:
    """It is told so, sends nothing of value and leaves nothing; with the right time it enrolls."""
    identity = tmp_path / "identity"
    with serving(lab) as server:
        code, said = enroll(server, identity, NOWHERE)
        assert code == 5
        assert "this machine's clock says 1970-01-01T00:00:" in said
        assert "cipsec: hint: check this machine's clock with: date -u" in said
        assert "Traceback" not in said
        assert not (identity / "next").exists()
        assert enroll(server, identity)[0] == 0
        done = cipsec("renew", "--identity", identity, clock=NOWHERE)
        assert done.returncode == 5
        status = cipsec("status", "--identity", identity, "--json")
        assert json.loads(status.stdout)["identity"]["days_left"] == 729  # the old one, untouched


@pytest.mark.parametrize("hours", [-23, 23])
def test_a_server_a_day_off(lab: Path, tmp_path: Path, hours: int) -> None:
    """Back-dating covers a clock ahead; one behind issues what is valid already."""
    identity = tmp_path / "identity"
    with serving(lab, clock=times.now() + hours * HOUR) as server:
        assert enroll(server, identity) == (0, "")
        assert cipsec("renew", "--identity", identity).returncode == 0
    assert certificate(identity).not_valid_before_utc < times.now()


def test_a_server_further_ahead(lab: Path, tmp_path: Path) -> None:
    """Its certificates are of tomorrow: the endpoint says by how much, and keeps none."""
    with serving(lab, clock=times.now() + 60 * HOUR) as server:
        code, said = enroll(server, tmp_path / "identity")
    assert code == 5
    assert "certificate is not yet valid; this machine's clock says 20" in said


def test_a_server_whose_clock_is_not_set(lab: Path) -> None:
    """It does not start: everything that it would sign is worth nothing."""
    done = cipsec("ca", "serve", "--ca-dir", lab, "--no-announce", "--listen", "127.0.0.1:0",
                  "--for", "1s", clock=NOWHERE)  # fmt: skip
    assert done.returncode == 6
    said = done.stderr.decode()
    assert "the CA's own certificate is valid only from 20" in said
    assert "cipsec: hint: check this machine's clock with: date -u" in said


def test_no_ca_is_made_in_1970(tmp_path: Path) -> None:
    """It would have ended before anybody set the clock."""
    place = tmp_path / "new"
    done = cipsec("ca", "init", "--name", "L", "--no-passphrase", "--ca-dir", place, clock=NOWHERE)
    assert done.returncode == 6
    assert b"this machine's clock is not set: it says 1970-01-01T00:00:" in done.stderr
    assert not place.exists()


@pytest.mark.parametrize(
    ("day", "end", "encoded"),
    [
        (datetime(2028, 2, 29, 12, tzinfo=UTC), (2030, 2, 28), ["UTCTIME", "UTCTIME"]),
        (datetime(2047, 12, 31, 23, 30, tzinfo=UTC), (2049, 12, 30), ["UTCTIME", "UTCTIME"]),
        (datetime(2048, 1, 3, tzinfo=UTC), (2050, 1, 2), ["UTCTIME", "GENERALIZEDTIME"]),
        (datetime(2050, 1, 1, 12, tzinfo=UTC), (2052, 1, 1), ["UTCTIME", "GENERALIZEDTIME"]),
        (
            datetime(2050, 1, 2, 12, tzinfo=UTC),
            (2052, 1, 2),
            ["GENERALIZEDTIME", "GENERALIZEDTIME"],
        ),
    ],
    ids=["leap day", "last of 2049", "first of 2050", "over the turn", "after it"],
)
def test_odd_days(
    tmp_path: Path, day: datetime, end: tuple[int, int, int], encoded: list[str]
) -> None:
    """A leap day; UTCTime through 2049 and GeneralizedTime from 2050 on (RFC 5280 4.1.2.5).

    Enrolled, renewed over a connection with that certificate, and judged by openssl.
    """
    programs.need("openssl")
    place, identity = tmp_path / "ca", tmp_path / "identity"
    made = cipsec("ca", "init", "--name", "L", "--no-passphrase", "--policy", "lab", "--host",
                  "127.0.0.1", "--ca-dir", place, clock=day - timedelta(days=30))  # fmt: skip
    assert made.returncode == 0, made.stderr
    with serving(place, clock=day) as server:
        assert enroll(server, identity, day) == (0, "")
        done = cipsec("renew", "--identity", identity, clock=day)
        assert (done.returncode, done.stderr) == (0, b"")
    last = certificate(identity).not_valid_after_utc
    assert (last.year, last.month, last.day) == end
    assert _times(identity / "certificate.pem") == encoded
    judged = programs.run(
        "openssl", "verify", "-x509_strict", "-attime", str(int(day.timestamp())),
        "-CAfile", place / "ca.pem", identity / "certificate.pem",
    )  # fmt: skip
    assert judged.returncode == 0, judged.stderr


def _times(path: Path) -> list[str]:
    """Return how openssl says that the validity is encoded."""
    said = subprocess.run(
        ["openssl", "asn1parse", "-in", path], capture_output=True, text=True, check=True
    )
    words: list[Any] = [line.split() for line in said.stdout.splitlines()]
    kinds = [word.strip(":") for line in words for word in line]
    return [kind for kind in kinds if kind in {"UTCTIME", "GENERALIZEDTIME"}]
