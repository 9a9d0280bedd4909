"""The roll-over of an intermediate CA end to end: a server that runs, an endpoint that sleeps."""

from __future__ import annotations

from pathlib import Path

import pytest
from cryptography import x509

from cipsec.ca_folder import CaFolder
from cipsec.endpoint.trust import read_anchors
from cipsec.pki import keys
from tests.support import programs, serving, upper
from tests.support.serving import Serving
from tests.support.upper import Ca
from tests.support.waiting import until

from .test_rollover import (
    _accepted,
    _all_speak_under,
    _enroll,
    _handed_out,
    _renew,
    _speaks_under,
    _start,
    _verifies,
)

pytestmark = pytest.mark.programs

_CRL = b"-----BEGIN X509 CRL-----"


def _cipsec(plant: Path, *arguments: str | Path) -> None:
    """Run a command on the CA that must succeed."""
    done = serving.cipsec(*arguments, "--ca-dir", plant / "ca")
    assert done.returncode == 0, done.stderr


def _install(plant: Path, root: Ca, request: Path) -> x509.Certificate:
    own = root.answer(request, authority=upper.points_at(root))
    given = upper.write(plant / "given.pem", own, root.certificate)
    _cipsec(plant, "ca", "init", "--intermediate", "--certificate", given)
    return own


@pytest.mark.parametrize("workers", [(), ("--workers", "2")], ids=["one", "two"])
def test_the_whole_story(tmp_path: Path, workers: tuple[str, ...]) -> None:
    """Who trusts the root alone never notices; what the old key issued is verified and renews."""
    programs.need("curl", "openssl")
    root, plant = upper.root(), tmp_path
    (plant / "secret").write_text("correct horse battery")
    secret = ("--passphrase-file", plant / "secret")
    argv = ("ca", "init", "--intermediate", "--name", "Line 4", "--policy", "lab")
    _cipsec(plant, *argv, *secret)
    folder = CaFolder(plant / "ca")
    old = _install(plant, root, folder.request_file)
    anchor = upper.write(plant / "root.pem", root.certificate)
    server = _start(plant, "-v", *workers)
    try:
        for name in ("early", "sleeper"):
            _enroll(server, plant, name, anchor)
        _cipsec(plant, "ca", "rollover", *secret)
        new = _install(plant, root, folder.successor.request_file)
        until(lambda: _handed_out(server, anchor) == 3)
        assert "new root" not in _renew(plant, "early")
        _verifies(plant, "early", anchor)
        _issued_by(plant, "early", old)

        _cipsec(plant, "ca", "rollover", "--activate", *secret)
        until(lambda: _all_speak_under(server, new, workers))
        assert _accepted(server, anchor)
        assert _handed_out(server, anchor) == 3
        _verifies(plant, "sleeper", anchor)
        _enroll(server, plant, "third", anchor)
        for name in ("early", "sleeper"):
            assert "new root" not in _renew(plant, name)
        for name in ("early", "sleeper", "third"):
            _issued_by(plant, name, new)
            _verifies(plant, name, anchor)
            assert root.certificate in read_anchors(plant / name / "trust.pem")
        until(lambda: _lists(server, folder, anchor) == 2)
    finally:
        assert server.stop() == 0


def _issued_by(plant: Path, name: str, issuer: x509.Certificate) -> None:
    pem = (plant / name / "certificate.pem").read_bytes()
    x509.load_pem_x509_certificate(pem).verify_directly_issued_by(issuer)


def _lists(server: Serving, folder: CaFolder, anchor: Path) -> int:
    """Return of how many keys EST hands out a revocation list, each signed by its own."""
    got = programs.run("curl", "-sS", "--cacert", anchor, f"{server.url}/crls")
    der = programs.run("openssl", "base64", "-d", stdin=got.stdout).stdout
    shown = programs.run("openssl", "pkcs7", "-inform", "DER", "-print_certs", stdin=der).stdout
    parts = shown.split(_CRL)[1:]
    found = [x509.load_pem_x509_crl(_CRL + part) for part in parts]
    every = [keys.served(one.public_key()) for one in folder.roots()]
    return sum(any(one.is_signature_valid(key) for one in found) for key in every)


def test_an_endpoint_that_was_given_the_intermediate(tmp_path: Path) -> None:
    """By its fingerprint: it has taken the root over with its first certificate, and follows."""
    plant, root = tmp_path, upper.root()
    argv = ("ca", "init", "--intermediate", "--name", "Line 4", "--policy", "lab")
    _cipsec(plant, *argv, "--no-passphrase")
    folder = CaFolder(plant / "ca")
    own = _install(plant, root, folder.request_file)
    with serving.serving(plant / "ca") as server:
        _enroll(server, plant, "pc", upper.write(plant / "own.pem", own))
        _cipsec(plant, "ca", "rollover")
        new = _install(plant, root, folder.successor.request_file)
        _cipsec(plant, "ca", "rollover", "--activate")
        until(lambda: _speaks_under(server, new))
        _renew(plant, "pc")
        _issued_by(plant, "pc", new)
