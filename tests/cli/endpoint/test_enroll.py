"""`cipsec enroll`, `renew`, `status` as transcripts: stdout, stderr, exit code, files."""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path

import pytest

from cipsec.pki.names import show_serial
from tests.cli.endpoint.acting import KEYS, Run, enroll
from tests.support.canned import EstServer, Plant, text


def test_enroll(run: Run, server: EstServer, home: Path) -> None:
    """The result on stdout, nothing on stderr, five names in the folder."""
    code, out, err = run(*enroll(server, "--subject", "CN=Drive 7,O=Plant"))
    assert (code, err) == (0, "")
    certificate = server.issued[0]
    assert re.sub(r"  +", "  ", out).splitlines() == [
        f"directory  {home}",
        f"key  {home}/key.pem",
        f"certificate  {home}/certificate.pem",
        f"chain  {home}/chain.pem",
        f"trust  {home}/trust.pem",
        "subject  CN=Drive 7,O=Plant",
        f"serial  {show_serial(certificate.serial_number)}",
        f"sha256  {_sha256(home)}",
        f"not before  {certificate.not_valid_before_utc:%Y-%m-%dT%H:%M:%SZ}",
        f"not after  {certificate.not_valid_after_utc:%Y-%m-%dT%H:%M:%SZ}",
        "issuer  CN=Test Plant CA",
        f"server  {server.url}",
    ]
    shown = {path.name for path in home.iterdir() if not path.name.startswith(".")}
    assert shown == {"1", "current", "key.pem", "certificate.pem", "chain.pem", "trust.pem"}


def _sha256(home: Path) -> str:
    command = ["openssl", "x509", "-in", str(home / "certificate.pem"), "-noout"]
    said = subprocess.check_output([*command, "-fingerprint", "-sha256"], text=True)
    return said.partition("=")[2].strip().replace(":", "").lower()


def test_openssl_reads_the_identity(run: Run, server: EstServer, home: Path) -> None:
    """Key and certificate serve as a credential, and the chain verifies."""
    run(*enroll(server))
    command = ["openssl", "verify", "-CAfile", str(home / "trust.pem")]
    subprocess.run([*command, str(home / "certificate.pem")], check=True, capture_output=True)
    assert run(*enroll(server, "-f", "--cert", str(home / "certificate.pem")))[0] == 2
    pair = ["--cert", str(home / "certificate.pem"), "--key", str(home / "key.pem")]
    assert run(*enroll(server, "-f", *pair))[0] == 0
    assert server.posts()[-1].client


def test_json(run: Run, server: EstServer) -> None:
    """Exactly the keys of the contract, status with three more."""
    code, out, err = run(*enroll(server, "--json"))
    assert (code, err) == (0, "")
    got = json.loads(out)
    assert list(got) == ["identity"]
    assert list(got["identity"]) == KEYS
    code, out, err = run("renew", "--json")
    assert (code, err) == (0, "")
    assert list(json.loads(out)["identity"]) == KEYS
    code, out, err = run("status", "--json")
    assert (code, err) == (0, "")
    status = json.loads(out)["identity"]
    assert list(status) == [*KEYS, "days_left", "due", "pending"]
    assert (status["days_left"], status["due"], status["pending"]) == (364, False, None)


@pytest.mark.parametrize(
    ("status", "code", "says"),
    [(403, 12, "not on any list"), (401, 13, "not on any list"), (404, 3, "no such EST service"),
     (500, 4, "an error of its own"), (503, 4, "cannot answer now")],
)  # fmt: skip
def test_refusals(run: Run, server: EstServer, status: int, code: int, says: str) -> None:
    """Each has its exit code, and the server's reason reaches the person."""
    server.answers["simpleenroll"] = lambda _: text(status, "not on any list")
    got, out, err = run(*enroll(server, "--no-wait"))
    assert (got, out) == (code, "")
    assert err.startswith("cipsec: error: ")
    assert says in err


def test_untrusted(run: Run, server: EstServer, tmp_path: Path, home: Path) -> None:
    """Exit 5: nobody to ask, a wrong fingerprint, another CA's file."""
    code, out, err = run("enroll", "--server", server.address)
    assert (code, out) == (5, "")
    assert server.plant.sha256 in err
    assert "--fingerprint SHA256" in err
    code, _, _ = run("enroll", "--server", server.address, "--fingerprint", "0" * 64)
    assert code == 5
    other = Plant("Other").pem(tmp_path, "other.pem")
    code, _, _ = run("enroll", "--server", server.address, "--trust", str(other))
    assert code == 5
    assert server.posts() == []
    assert not (home / "key.pem").exists()


def test_passwords(run: Run, server: EstServer, tmp_path: Path) -> None:
    """From a file, on no stream, and a hint where nobody can be asked."""
    secret = tmp_path / "password"
    secret.write_text("gehëim\n")
    code, out, err = run(*enroll(server, "--user", "ada"))
    assert code == 2
    assert "--password-file" in err
    words = enroll(server, "--user", "ada", "--password-file", str(secret), "-vv")
    code, out, err = run(*words)
    assert code == 0
    assert "gehëim" not in out + err
    assert [post.headers["authorization"] for post in server.posts()] == ["Basic YWRhOmdlaMOraW0="]


@pytest.mark.parametrize(
    "words",
    [
        ["--server", "http://plant"],
        ["--server", ""],
        ["--server", "https://ada:secret@plant"],
        ["--label", "cacerts"],
        ["--server", "x", "--fingerprint", "12"],
        ["--server", "x", "--subject", "Drive 7"],
        ["--server", "x", "--subject", ""],
        ["--server", "x", "--san", "drive7"],
        ["--server", "x", "--device", "0:0"],
        ["--server", "x", "--mac", "ff:ff:ff:ff:ff:ff"],
        ["--server", "x", "--key-type", "rsa-512"],
        ["--server", "x", "--cert", "x.pem"],
        ["--server", "x", "--timeout", "soon"],
        ["--server", "x", "--trust", "x", "--fingerprint", "0" * 64],
        ["--interface", "no-such-interface"],
        ["--slot", "9c"],
        ["--smartcard", "--slot", "9e"],
        ["--smartcard", "--cert", "x.pem", "--key", "x.key"],
        ["--password", "x"],
        ["--insecure"],
    ],
)
def test_wrong_usage(run: Run, words: list[str], home: Path) -> None:
    """Exit 2 before anything is sent or made."""
    code, out, err = run("enroll", *words)
    assert (code, out) == (2, "")
    assert err.startswith("cipsec: error: ")
    assert not home.exists()


def test_dry_run(run: Run, server: EstServer, home: Path) -> None:
    """Says what would be done, asks for /cacerts alone, writes nothing."""
    code, out, err = run(*enroll(server, "-n", "--subject", "CN=Drive 7", "--json"))
    assert code == 0
    assert err == f"cipsec: would ask for a certificate for CN=Drive 7 at {server.address}\n"
    identity = json.loads(out)["identity"]
    assert identity["subject"] == "CN=Drive 7"
    assert set(KEYS) <= set(identity)
    assert {seen.operation for seen in server.seen} == {"cacerts"}
    assert not home.exists()


def test_an_identity_is_not_replaced_unasked(run: Run, server: EstServer, home: Path) -> None:
    """Exit 6, the hint is to renew."""
    run(*enroll(server))
    code, _, err = run(*enroll(server))
    assert code == 6
    assert f"hint: cipsec renew --identity {home}, or add -f" in err
    assert run(*enroll(server, "-f"))[0] == 0


def test_renew(run: Run, server: EstServer) -> None:
    """When due, with or without a value; a dry run changes nothing."""
    run(*enroll(server))
    for words in (["--if-due"], ["--if-due", "30d"], ["--if-due=66%"], ["--if-due", "--json"]):
        code, _, err = run("renew", *words)
        assert code == 0
        assert err.startswith("cipsec: not due before ")
    code, _, err = run("renew", "-n")
    assert (code, err) == (0, f"cipsec: would renew at {server.address}\n")
    assert len(server.posts()) == 1
    assert run("renew", "--if-due", "0%", "--same-key")[0] == 0
    first, second = server.posts()
    assert second.operation == "simplereenroll"
    assert first.request.spki == second.request.spki
    assert run("renew", "--if-due", "later")[0] == 2


def test_nothing_there(run: Run, home: Path) -> None:
    """Exit 3 for both, and no folder is left."""
    for verb in ("status", "renew"):
        code, out, err = run(verb)
        assert (code, out) == (3, "")
        assert err.splitlines()[-1] == f"cipsec: hint: cipsec enroll --identity {home}"
    assert not home.exists()


def test_damage(run: Run, server: EstServer, home: Path) -> None:
    """Exit 6 for all three, with a way out."""
    run(*enroll(server))
    (home / "certificate.pem").write_bytes(b"rubbish")
    for words in (["status"], ["renew"], enroll(server)):
        code, _, err = run(*words)
        assert code == 6
        assert f"cipsec enroll -f --identity {home}" in err


def test_hostile_text_is_harmless(run: Run, server: EstServer, tmp_path: Path) -> None:
    """Names and reasons from outside cannot move the cursor or reorder a line."""
    evil = "\x1b]0;owned\x07\u202etxt.exe\n"
    server.answers["simpleenroll"] = lambda _: text(403, evil)
    code, out, err = run(*enroll(server))
    assert code == 12
    assert not set("\x1b\x07\u202e") & set(out + err)
    rogue = Plant("CA\x1b[2J\u202e")
    with EstServer(rogue, tmp_path).running() as other:
        code, out, err = run(*enroll(other, "-n"))
        assert code == 0
        code, out, err = run(*enroll(other))
    assert code == 0
    assert not set("\x1b\u202e") & set(out + err)
    assert r"issuer       CN=CA\x1b[2J\u202e" in out
