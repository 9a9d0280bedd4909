"""Independent clients: curl and openssl, as an engineer would try them."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.front.serving import Front
from tests.support import programs
from tests.support.canned import Plant


@pytest.mark.programs
@pytest.mark.parametrize("tls", [("--tlsv1.2", "--tls-max", "1.2"), ("--tlsv1.3",)])
@pytest.mark.parametrize(
    "options",
    [
        (),
        ("--http1.0",),
        ("-H", "Transfer-Encoding: chunked"),
        ("-H", "Expect: 100-continue"),
        ("-H", "Connection: close"),
    ],
)
def test_curl(
    front: Front, plant: Plant, tmp_path: Path, tls: tuple[str, ...], options: tuple[str, ...]
) -> None:
    """Two requests in a row, each with a body."""
    programs.need("curl")
    anchor = plant.pem(tmp_path)
    certificate, key = Plant("Vendor").credential(tmp_path, "Drive 7")
    url = f"https://localhost:{front.port}/a"
    done = programs.run("curl", "-sS", "--fail", *tls, *options, "--cacert", anchor, "--cert",
                        certificate, "--key", key, "--data-binary", "x" * 2000,
                        url, url)  # fmt: skip
    assert done.stderr == b""
    assert done.stdout == (b"POST /a " + b"x" * 2000) * 2
    assert all(len(request.peer.chain) == 1 for request in front.seen)


@pytest.mark.programs
def test_curl_uploads_too_much(front: Front, plant: Plant, tmp_path: Path) -> None:
    """It reads the refusal although it was not done sending."""
    programs.need("curl")
    large = tmp_path / "large"
    large.write_bytes(bytes(5_000_000))
    for options in ((), ("-H", "Transfer-Encoding: chunked")):
        done = programs.run("curl", "-sS", "-w", "%{http_code}", "-H", "Expect:", *options,
                            "--cacert", plant.pem(tmp_path), "--data-binary", f"@{large}",
                            f"https://localhost:{front.port}/a")  # fmt: skip
        assert done.stdout.endswith(b"413"), done
    assert front.seen == []


@pytest.mark.programs
@pytest.mark.parametrize("version", ["-tls1_2", "-tls1_3"])
def test_openssl(front: Front, plant: Plant, tmp_path: Path, version: str) -> None:
    """The chain is sent whole, a client certificate is asked for, of whatever issuer."""
    programs.need("openssl")
    request = b"GET /x HTTP/1.0\r\n\r\n"
    done = programs.run("openssl", "s_client", "-connect", f"127.0.0.1:{front.port}", version,
                        "-CAfile", plant.pem(tmp_path), "-ign_eof", stdin=request)  # fmt: skip
    assert b"Verification: OK" in done.stdout
    assert b"No client certificate CA names sent" in done.stdout
    assert b"Client Certificate Types" in done.stdout or version == "-tls1_3"
    assert b"HTTP/1.1 200 OK" in done.stdout
    assert b"GET /x " in done.stdout
