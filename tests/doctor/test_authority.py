"""The CA's own keys and certificates, and its server: whole ones, and each way of being not so."""

from __future__ import annotations

import os
import shutil
from contextlib import closing
from datetime import timedelta
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.serialization import Encoding

from cipsec import times
from cipsec.ca_folder import CaFolder
from cipsec.pki import keys
from cipsec.serve.certificate import ServerCertificate
from tests.support import ca, serving, vendor

from .looking import ASK, FAIL, OK, WARN, at_ca, brief, rules

_RESTORE = "restore the CA folder from a backup"


def test_key(ca_folder: CaFolder, tmp_path: Path) -> None:
    """Its own key is; another CA's is not."""
    assert brief(at_ca(ca_folder, "ca key")) == [(OK, "ca.key is the key of ca.pem")]
    other = ca.make(tmp_path / "other")
    shutil.copy(other.key_file, ca_folder.key_file)
    [found] = at_ca(ca_folder, "ca key")
    assert found.verdict is FAIL
    assert found.detail == f"{ca_folder.key_file} is not the key of ca.pem"
    assert found.hint == _RESTORE


def test_encrypted_key(tmp_path: Path) -> None:
    """Nobody is asked for a passphrase, and nothing is claimed about the key."""
    folder = ca.make(tmp_path / "ca", passphrase="correct horse")
    [found] = at_ca(folder, "ca key")
    assert found.verdict is OK
    assert "encrypted" in found.detail


@pytest.mark.parametrize("content", [None, b"", b"\x00\x1b[2K", b"-----BEGIN PRIVATE KEY-----\n"])
def test_damaged_key(ca_folder: CaFolder, content: bytes | None) -> None:
    """A key that is gone, empty, noise or cut off fails, in one line."""
    ca_folder.key_file.unlink()
    if content is not None:
        ca_folder.key_file.write_bytes(content)
    [found] = at_ca(ca_folder, "ca key")
    assert (found.verdict, found.hint) == (FAIL, _RESTORE)
    assert str(ca_folder.key_file) in found.detail


def test_certificate(ca_folder: CaFolder) -> None:
    """Valid for long, for less than half a year, no longer, and not yet."""
    days = ca_folder.certificate().not_valid_after_utc - times.now()
    for later, verdict in (
        (timedelta(), OK),
        (days - timedelta(days=181), OK),
        (days - timedelta(days=179), WARN),
        (days + timedelta(seconds=5), FAIL),
        (-timedelta(days=1200), FAIL),
    ):
        found = at_ca(ca_folder, "ca certificate", later=later)
        assert [one.verdict for one in found] == [verdict], found
    assert found[0].hint == "date -u"


def test_no_certificate_of_a_ca(ca_folder: CaFolder) -> None:
    """A device's certificate in the CA's place signs nothing that anybody would take."""
    leaf = vendor.issue("CN=Drive 7")
    ca_folder.certificate_file.write_bytes(leaf.pem)
    found = at_ca(ca_folder, "ca certificate")
    assert (FAIL, "ca.pem is not the certificate of a CA") in brief(found)
    assert found[0].hint == f"cipsec cert show {ca_folder.certificate_file}"
    forged = vendor.issue("CN=Line 4", signer=keys.generate(keys.KeyType.EC_P256))
    ca_folder.certificate_file.write_bytes(forged.pem)
    found = at_ca(ca_folder, "ca certificate")
    assert (FAIL, "the signature of ca.pem is wrong") in brief(found)


@pytest.mark.parametrize("check", ["ca key", "ca certificate"])
def test_damaged_certificate(ca_folder: CaFolder, check: str) -> None:
    """Noise in ca.pem, or no file, is what the checks that need it say."""
    ca_folder.certificate_file.write_bytes(b"\xff" * 100)
    assert brief(at_ca(ca_folder, check)) == [
        (FAIL, f"{ca_folder.certificate_file} holds no certificate")
    ]
    ca_folder.certificate_file.unlink()
    assert brief(at_ca(ca_folder, check)) == [
        (FAIL, f"there is no file {ca_folder.certificate_file}")
    ]


def test_provisioning_issuer(ca_folder: CaFolder) -> None:
    """Nothing before the first provisioning certificate; then its issuer is whole, or is not."""
    assert at_ca(ca_folder, "provisioning issuer") == []
    ca_folder.provisioning_authority(None, times.now())
    found = brief(at_ca(ca_folder, "provisioning issuer"))
    assert found[0] == (OK, "provisioning.key is the key of provisioning.pem")
    assert [verdict for verdict, _ in found] == [OK, OK]
    shutil.copy(ca_folder.key_file, ca_folder.provisioning_key_file)
    found = brief(at_ca(ca_folder, "provisioning issuer"))
    assert found[0][0] is FAIL


def _issue(folder: CaFolder, *hosts: str, ago: timedelta = timedelta()) -> None:
    """Make the server's certificate as it would, for these hosts."""
    certificate = ServerCertificate(folder)
    with closing(folder.store()) as database:
        now = times.now() - ago
        assert certificate.ensure(folder.authority(None), database, hosts, now)


def test_server_certificate(ca_folder: CaFolder) -> None:
    """While no server runs, whatever is wrong is mended by the next start, and said so."""
    assert brief(at_ca(ca_folder, "server certificate")) == [
        (OK, "there is none before the server starts first")
    ]
    _issue(ca_folder, "localhost", "127.0.0.1")
    assert brief(at_ca(ca_folder, "server certificate")) == [
        (OK, "it is valid, and for the names of ca.toml")
    ]
    rules(ca_folder, ASK, head='[server]\nhosts = ["ca.plant.example"]')
    [found] = at_ca(ca_folder, "server certificate")
    assert found.verdict is OK
    assert found.detail == (
        "server.pem does not name dns:ca.plant.example, which ca.toml does;"
        " another is made when the server starts"
    )


def test_running_server(ca_folder: CaFolder, tmp_path: Path) -> None:
    """A server that runs is seen; one that runs with a wrong certificate fails."""
    assert brief(at_ca(ca_folder, "server")) == [(OK, "no server runs on this machine")]
    with serving.serving(ca_folder.path) as server, server.halted():
        assert brief(at_ca(ca_folder, "server")) == [(OK, "a server runs")]
        assert [one.verdict for one in at_ca(ca_folder, "server certificate")] == [OK]
        rules(ca_folder, ASK, head='[server]\nhosts = ["198.51.100.77"]')
        [found] = at_ca(ca_folder, "server certificate")
        assert (found.verdict, found.hint) == (WARN, "cipsec doctor")
        assert found.detail == (
            "server.pem does not name ip:198.51.100.77, which ca.toml does; "
            "the server makes another within a minute"
        )
        later = at_ca(ca_folder, "server certificate", later=timedelta(days=400))
        assert [one.verdict for one in later] == [FAIL]
        assert "expired" in later[0].detail
        _replace_server(ca_folder, tmp_path)
        assert brief(at_ca(ca_folder, "server certificate")) == [
            (FAIL, "server.key is not the key of server.pem"),
            (FAIL, "server.pem is not issued by this CA"),
        ]
        ca_folder.server_certificate_file.write_bytes(b"\0")
        [found] = at_ca(ca_folder, "server certificate")
        assert found.verdict is FAIL
        assert found.detail.startswith("it cannot be used")


def _replace_server(folder: CaFolder, tmp_path: Path) -> None:
    other = ca.make(tmp_path / "other")
    pem = other.certificate().public_bytes(Encoding.PEM)
    folder.server_certificate_file.write_bytes(pem)


def test_lost_addresses(ca_folder: CaFolder) -> None:
    """An address that this machine had when the certificate was made, and has no more."""
    _issue(ca_folder, "localhost", "198.51.100.77")
    [found] = at_ca(ca_folder, "server certificate")
    assert found.detail.startswith("server.pem names ip:198.51.100.77, which this machine has no")
    ca_folder.config_file.write_text("broken")  # it may be a host of ca.toml
    assert brief(at_ca(ca_folder, "server certificate")) == [(OK, "it is valid")]


@pytest.mark.skipif(os.name == "nt", reason="needs links")
def test_a_lock_that_cannot_be_opened(ca_folder: CaFolder, tmp_path: Path) -> None:
    """A lock file that is none: whether a server runs cannot be told."""
    ca_folder.lock_file.mkdir()
    [found] = at_ca(ca_folder, "server")
    assert found.verdict is WARN
    assert found.hint == f"ls -l {ca_folder.lock_file}"
