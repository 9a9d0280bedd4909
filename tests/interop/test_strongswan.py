"""strongSwan's `pki --estca` and `pki --est` as Debian has them: TLS, HTTP and polling."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from cipsec.ca_folder import CaFolder
from tests.support import ca, programs, serving
from tests.support.serving import Serving

pytestmark = pytest.mark.programs


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Serving]:
    """A server with the rules of `ca init`: users are granted, others wait."""
    programs.need("pki", "openssl")
    ca.make(tmp_path / "ca")
    password = tmp_path / "password"
    password.write_text("correct horse battery\n")
    serving.result("user", "add", "alice", "--password-file", password, "--ca-dir", tmp_path / "ca")
    with serving.serving(tmp_path / "ca") as running:
        yield running


@pytest.fixture
def request_pem(tmp_path: Path) -> Path:
    """A key and a CSR, made by `pki`."""
    programs.need("pki")
    key, path = tmp_path / "key.pem", tmp_path / "request.pem"
    made = programs.run("pki", "--gen", "--type", "ecdsa", "--size", "256", "--outform", "pem")
    key.write_bytes(made.stdout)
    made = programs.run("pki", "--req", "--type", "ecdsa", "--in", key, "--dn", "CN=swan, O=Plant",
                        "--san", "swan.plant.example", "--outform", "pem")  # fmt: skip
    assert made.returncode == 0, made
    path.write_bytes(made.stdout)
    return path


def _est(server: Serving, request: Path, *options: str | Path) -> list[str]:
    return [str(part) for part in (
        "pki", "--est", "--url", f"https://127.0.0.1:{server.port}", "--in", request,
        "--cacert", server.anchor, "--outform", "pem", "--interval", "1", *options)]  # fmt: skip


def _verified(server: Serving, pem: bytes, path: Path) -> bool:
    path.write_bytes(pem)
    return programs.run("openssl", "verify", "-CAfile", server.anchor, path).returncode == 0


def test_estca_fetches_the_ca(server: Serving, tmp_path: Path) -> None:
    """`pki --estca` reads /cacerts and writes our CA's certificate."""
    out = tmp_path / "fetched"
    done = programs.run("pki", "--estca", "--url", f"https://127.0.0.1:{server.port}", "--cacert",
                        server.anchor, "--caout", out, "--outform", "pem", "--force")  # fmt: skip
    assert done.returncode == 0, done
    fetched = [path.read_bytes() for path in tmp_path.glob("fetched*")]
    assert any(server.anchor.read_bytes().strip() == pem.strip() for pem in fetched)


def test_est_with_a_password(server: Serving, request_pem: Path, tmp_path: Path) -> None:
    """`pki --est --userpass` enrolls at once."""
    done = programs.run(*_est(server, request_pem, "--userpass", "alice:correct horse battery"))
    assert done.returncode == 0, done
    assert _verified(server, done.stdout, tmp_path / "certificate.pem")


def test_est_with_a_wrong_password(server: Serving, request_pem: Path) -> None:
    """A wrong password fails, and nothing is issued."""
    done = programs.run(*_est(server, request_pem, "--userpass", "alice:wrong"))
    assert done.returncode != 0
    assert done.stdout == b""


def test_est_with_a_certificate(server: Serving, request_pem: Path, tmp_path: Path) -> None:
    """`pki --est --cert --key` renews with the certificate it has, by /simplereenroll."""
    first = programs.run(*_est(server, request_pem, "--userpass", "alice:correct horse battery"))
    certificate = tmp_path / "certificate.pem"
    assert _verified(server, first.stdout, certificate)
    key = tmp_path / "key.pem"
    renewed = programs.run(*_est(server, request_pem, "--cert", certificate, "--key", key))
    assert renewed.returncode == 0, renewed
    assert renewed.stdout != first.stdout
    assert _verified(server, renewed.stdout, tmp_path / "renewed.pem")


def test_est_through_a_pending_approval(server: Serving, request_pem: Path, tmp_path: Path) -> None:
    """`pki --est` without credentials polls until an administrator approves."""
    folder = ("--ca-dir", server.ca)
    client = subprocess.Popen(
        _est(server, request_pem, "--maxpolltime", "300"),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    try:
        until = time.monotonic() + 120
        requests: list[dict[str, str]] = []
        while not requests:
            assert time.monotonic() < until, "no request arrives"
            assert client.poll() is None, client.communicate()
            requests = serving.result("ca", "pending", *folder)["requests"]
        serving.result("ca", "approve", requests[0]["id"], *folder)
        out, error = client.communicate(timeout=180)
    finally:
        client.kill()
        client.wait()
    assert client.returncode == 0, error
    assert _verified(server, out, tmp_path / "certificate.pem")


def test_est_after_a_rejection(ca_folder: CaFolder, request_pem: Path) -> None:
    """A rejected request ends `pki --est`, which gets no certificate."""
    folder = ("--ca-dir", ca_folder.path)
    with serving.serving(ca_folder.path) as running:
        command = _est(running, request_pem, "--maxpolltime", "2")
        programs.run(*command)
        request = serving.result("ca", "pending", *folder)["requests"][0]["id"]
        serving.result("ca", "reject", request, "--note", "unknown cabinet", *folder)
        done = programs.run(*command)
    assert done.returncode != 0
    assert done.stdout == b""
