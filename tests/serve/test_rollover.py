"""A roll-over from end to end: real server, endpoints and programs that know the old root alone."""

from __future__ import annotations

from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from cipsec.ca_folder import CaFolder, fingerprint
from cipsec.endpoint.trust import read_anchors
from tests.support import programs, serving
from tests.support.serving import Serving
from tests.support.waiting import until

pytestmark = pytest.mark.programs

_SECRET = "correct horse battery"


@pytest.fixture
def plant(tmp_path: Path) -> Path:
    """A CA whose root ends in a year, and its passphrase in a file beside it."""
    (tmp_path / "secret").write_text(_SECRET)
    where = ("--passphrase-file", tmp_path / "secret", "--ca-dir", tmp_path / "ca")
    serving.result("ca", "init", "--name", "Line 4", "--policy", "lab", "--days", "365", *where)
    return tmp_path


def _start(plant: Path, *options: str) -> Serving:
    return serving.start(plant / "ca", "--passphrase-file", str(plant / "secret"), *options)


def _rollover(plant: Path, *options: str) -> dict[str, object]:
    secret = ("--passphrase-file", plant / "secret")
    done = serving.result("ca", "rollover", "--ca-dir", plant / "ca", *secret, *options)
    return dict(done["ca"])


def _identity(plant: Path, name: str) -> tuple[str, Path]:
    return "--identity", plant / name


def _enroll(server: Serving, plant: Path, name: str, anchor: Path) -> None:
    serving.result("enroll", "--server", f"127.0.0.1:{server.port}", "--trust", anchor,
                   "--subject", f"CN={name}", *_identity(plant, name))  # fmt: skip


def _renew(plant: Path, name: str) -> str:
    done = serving.cipsec("renew", *_identity(plant, name))
    assert done.returncode == 0, done.stderr.decode()
    return done.stderr.decode()


def _handed_out(server: Serving, anchor: Path) -> int:
    """Return how many certificates /cacerts has, as curl gets them and openssl counts them."""
    got = programs.run("curl", "-sS", "--cacert", anchor, f"{server.url}/cacerts")
    assert got.returncode == 0, got.stderr
    der = programs.run("openssl", "base64", "-d", stdin=got.stdout).stdout
    shown = programs.run("openssl", "pkcs7", "-inform", "DER", "-print_certs", stdin=der).stdout
    return shown.count(b"BEGIN CERTIFICATE")


def _accepted(server: Serving, anchor: Path) -> bool:
    done = programs.run("openssl", "s_client", "-connect", f"127.0.0.1:{server.port}", "-CAfile",
                        anchor, "-verify_return_error", "-x509_strict")  # fmt: skip
    return done.returncode == 0 and b"Verify return code: 0 (ok)" in done.stdout


def _speaks_under(server: Serving, root: x509.Certificate) -> bool:
    """Tell whether the server's TLS certificate is issued by the root's key."""
    pem = (server.ca / "server.pem").read_bytes()
    try:
        x509.load_pem_x509_certificate(pem).verify_directly_issued_by(root)
    except Exception:  # noqa: BLE001  # the other key's
        return False
    done = programs.run("openssl", "s_client", "-connect", f"127.0.0.1:{server.port}")
    return pem.strip() in done.stdout


def _all_speak_under(server: Serving, root: x509.Certificate, workers: tuple[str, ...]) -> bool:
    """Tell whether every worker serves new connections with a certificate of the root's key."""
    if not _speaks_under(server, root):
        return False
    own = x509.load_pem_x509_certificate((server.ca / "server.pem").read_bytes())
    said = f"connections are served with {fingerprint(own)}"
    log = (server.ca.parent / f"{server.ca.name}-serve.log").read_text()
    return log.count(said) >= (int(workers[1]) if workers else 1)


def _save(path: Path, certificate: x509.Certificate) -> Path:
    path.write_bytes(certificate.public_bytes(Encoding.PEM))
    return path


@pytest.mark.parametrize("workers", [(), ("--workers", "2")], ids=["one", "two"])
def test_the_whole_story(
    plant: Path, workers: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Pinned to the old root, an endpoint lives on before, after, and beyond the old root's end."""
    programs.need("curl", "openssl", "faketime")
    folder = CaFolder(plant / "ca")
    old = _save(plant / "old.pem", folder.certificate())
    server = _start(plant, "-v", *workers)
    try:
        for name in ("early", "late"):
            _enroll(server, plant, name, old)
        shown = _rollover(plant)
        new = _save(plant / "new.pem", folder.successor.certificate())
        until(lambda: _handed_out(server, old) == 4)
        said = _renew(plant, "early")
        assert "the CA has a new root, trusted from now on: CN=Line 4, SHA-256 " in said
        assert str(shown["next"]["sha256"]) in said  # type: ignore[index]  # an object of JSON
        assert len(read_anchors(plant / "early" / "trust.pem")) == 2
        assert "new root" not in _renew(plant, "early")
        _verifies(plant, "early", old)

        _rollover(plant, "--activate", "-y")
        until(lambda: _all_speak_under(server, folder.certificate(), workers))
        assert _accepted(server, old)
        assert _accepted(server, new)
        assert _handed_out(server, old) == _handed_out(server, new) == 4
        _enroll(server, plant, "third", old)
        _enroll(server, plant, "fourth", new)
        for name in ("early", "late"):
            assert ("new root" in _renew(plant, name)) is (name == "late")
            _verifies(plant, name, new)
            _verifies(plant, name, old)
    finally:
        assert server.stop() == 0

    monkeypatch.setenv("LD_PRELOAD", _faketime())
    monkeypatch.setenv("FAKETIME", "+366d")
    server = _start(plant, *workers)
    try:
        assert not _accepted(server, old)
        assert _accepted(server, new)
        for name in ("early", "late"):
            _move(plant / name, server)
            _renew(plant, name)
            assert read_anchors(plant / name / "trust.pem") == (folder.certificate(),)
        shown = _rollover(plant, "--retire")
        assert shown["previous"] == []
        assert len(folder.key_files()) == 1
    finally:
        server.stop()


def _faketime() -> str:
    [library] = Path("/usr/lib").glob("*/faketime/libfaketimeMT.so.1")
    return str(library)


def _move(identity: Path, server: Serving) -> None:
    """Let an identity know the port that the server has now."""
    state = identity / "current" / "state.json"
    before, _, after = state.read_text().partition("https://127.0.0.1:")
    rest = after.partition("/")[2]
    state.write_text(f"{before}https://127.0.0.1:{server.port}/{rest}")


def _verifies(plant: Path, name: str, anchor: Path) -> None:
    """See that a peer that has only `anchor` believes what the endpoint presents."""
    where = plant / name
    files = ("-untrusted", where / "chain.pem", where / "certificate.pem")
    done = programs.run("openssl", "verify", "-x509_strict", "-CAfile", anchor, *files)
    assert done.returncode == 0, done.stderr


def test_strongswan_follows(plant: Path) -> None:
    """`pki --est`, pinned to the old root or to the new one, enrolls before and after."""
    programs.need("pki", "openssl")
    folder = CaFolder(plant / "ca")
    old = _save(plant / "old.pem", folder.certificate())
    key = programs.run("pki", "--gen", "--type", "ecdsa", "--size", "256", "--outform", "pem")
    (plant / "key.pem").write_bytes(key.stdout)
    asked = programs.run("pki", "--req", "--type", "ecdsa", "--in", plant / "key.pem", "--dn",
                         "CN=swan", "--outform", "pem")  # fmt: skip
    (plant / "request.pem").write_bytes(asked.stdout)
    server = _start(plant)
    try:
        _rollover(plant)
        new = _save(plant / "new.pem", folder.successor.certificate())
        until(lambda: _handed_out(server, old) == 4)
        assert _swan(server, plant, old) == 0
        _rollover(plant, "--activate", "-y")
        until(lambda: _speaks_under(server, folder.certificate()))
        assert _swan(server, plant, old) == 0
        assert _swan(server, plant, new) == 0
    finally:
        assert server.stop() == 0


def _swan(server: Serving, plant: Path, anchor: Path) -> int:
    done = programs.run("pki", "--est", "--url", f"https://127.0.0.1:{server.port}", "--in",
                        plant / "request.pem", "--cacert", anchor, "--outform", "pem")  # fmt: skip
    assert done.returncode or b"BEGIN CERTIFICATE" in done.stdout
    return done.returncode


def _change_passphrase(plant: Path) -> None:
    (plant / "another").write_text("another secret")
    words = ("--passphrase-file", plant / "secret", "--new-passphrase-file", plant / "another")
    serving.result("ca", "passphrase", "--ca-dir", plant / "ca", *words)
    (plant / "another").replace(plant / "secret")


def test_a_server_that_has_seen_the_next_key_follows(plant: Path) -> None:
    """Also where the passphrase is changed before that key issues."""
    folder = CaFolder(plant / "ca")
    server = _start(plant)
    try:
        _rollover(plant)
        log = plant / "ca-serve.log"
        until(lambda: "the CA's roots changed" in log.read_text())
        _change_passphrase(plant)
        _rollover(plant, "--activate", "-y")
        until(lambda: _speaks_under(server, folder.certificate()))
        assert "stays as it was" not in log.read_text()
    finally:
        assert server.stop() == 0


def test_a_server_without_the_new_passphrase_goes_on(plant: Path) -> None:
    """Where it cannot load the next key it issues as before, and says why, in time and then."""
    folder = CaFolder(plant / "ca")
    old = folder.certificate()
    server = _start(plant)
    try:
        _change_passphrase(plant)
        _rollover(plant)
        log = plant / "ca-serve.log"
        until(lambda: "start it again before the key is activated" in log.read_text())
        _rollover(plant, "--activate", "-y")
        until(lambda: "stays as it was" in log.read_text())
        _enroll(server, plant, "pc", _save(plant / "old.pem", old))
        pem = (plant / "pc" / "certificate.pem").read_bytes()
        x509.load_pem_x509_certificate(pem).verify_directly_issued_by(old)
        assert fingerprint(folder.certificate()) != fingerprint(old)
        assert log.read_text().count("the CA's key stays as it was") == 1
        assert "was not started with: end it and start it again" in log.read_text()
    finally:
        assert server.stop() == 0
