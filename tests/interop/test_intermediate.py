"""A CA under a root that openssl made: clients that trust only the root accept all of it."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import pkcs7

from cipsec import survey
from cipsec.ca_folder import CaFolder, fingerprint
from cipsec.discovery.server import Server
from tests.support import programs, serving
from tests.support.serving import Serving

from .test_curl import openssl_csr

pytestmark = pytest.mark.programs

_EXTENSIONS = (
    "basicConstraints=critical,CA:TRUE,pathlen:0\n"
    "keyUsage=critical,keyCertSign,cRLSign\n"
    "subjectKeyIdentifier=hash\n"
    "authorityKeyIdentifier=keyid:always\n"
)


def openssl(*words: str | Path) -> None:
    """Run openssl, which must succeed."""
    done = programs.run("openssl", *words)
    assert done.returncode == 0, done


@pytest.fixture(scope="module")
def plant(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with `root.pem`, made by openssl, and the intermediate CA `ca`, which grants."""
    programs.need("openssl", "curl", "pki")
    at = tmp_path_factory.mktemp("plant")
    openssl("req", "-x509", "-newkey", "rsa:3072", "-nodes", "-keyout", at / "root.key", "-out",
            at / "root.pem", "-subj", "/O=Works/CN=Works Root", "-days", "3000", "-addext",
            "keyUsage=critical,keyCertSign,cRLSign")  # fmt: skip
    init = ("ca", "init", "--intermediate", "--ca-dir", at / "ca")
    made = serving.result(*init, "--name", "Line 4", "--no-passphrase", "--policy", "lab")
    (at / "extensions").write_text(_EXTENSIONS)
    openssl("x509", "-req", "-in", made["ca"]["csr"], "-CA", at / "root.pem", "-CAkey",
            at / "root.key", "-days", "400", "-extfile", at / "extensions", "-set_serial", "7",
            "-out", at / "signed.pem")  # fmt: skip
    serving.result(*init, "--certificate", at / "signed.pem", "--chain", at / "root.pem")
    return at


@pytest.fixture(scope="module")
def server(plant: Path) -> Iterator[Serving]:
    """The server of that CA."""
    settings = plant / "ca" / "ca.toml"
    one_line = 'labels = []\none_line = [""]'
    settings.write_text(settings.read_text().replace("labels = []", one_line))
    with serving.serving(plant / "ca") as running:
        yield running


def test_openssl_verifies_the_server(server: Serving, plant: Path) -> None:
    """The server sends the intermediate: the root alone is enough, by the strictest rules."""
    done = programs.run("openssl", "s_client", "-connect", f"127.0.0.1:{server.port}", "-CAfile",
                        plant / "root.pem", "-verify_return_error", "-x509_strict")  # fmt: skip
    assert b"Verify return code: 0 (ok)" in done.stdout, done
    assert b"depth=2" in done.stderr
    assert done.stdout.count(b"s:CN = Line 4\n") == 1
    assert b"s:O = Works, CN = Works Root" not in done.stdout  # a root is not sent


def test_curl_enrolls_with_the_root(server: Serving, plant: Path, tmp_path: Path) -> None:
    """/cacerts has both; the certificate issued chains to the root by way of them."""
    bundle = programs.run("curl", "-sS", "--cacert", plant / "root.pem", f"{server.url}/cacerts")
    handed_out = pkcs7.load_der_pkcs7_certificates(base64.b64decode(bundle.stdout))
    root = x509.load_pem_x509_certificate((plant / "root.pem").read_bytes())
    own = CaFolder(server.ca).certificate()
    assert {*handed_out} == {root, own}
    request = openssl_csr(tmp_path, "/CN=Drive 7").read_bytes()
    got = programs.run("curl", "-sS", "-f", "--cacert", plant / "root.pem", "-H",
                       "Content-Type: application/pkcs10", "--data-binary", "@-",
                       f"{server.url}/simpleenroll", stdin=request)  # fmt: skip
    [leaf] = pkcs7.load_der_pkcs7_certificates(base64.b64decode(got.stdout))
    assert leaf.not_valid_after_utc == own.not_valid_after_utc  # 400 days, not 730
    pem = serving.result("ca", "list", "--ca-dir", server.ca, "--match", "Drive 7")
    [row] = pem["certificates"]
    shown = serving.result("ca", "show", row["serial"], "--ca-dir", server.ca)
    (tmp_path / "leaf.pem").write_text(shown["certificate"]["pem"])
    (tmp_path / "ca.pem").write_bytes((server.ca / "ca.pem").read_bytes())
    openssl("verify", "-x509_strict", "-CAfile", plant / "root.pem", "-untrusted",
            tmp_path / "ca.pem", tmp_path / "leaf.pem")  # fmt: skip


def test_strongswan_enrolls_with_the_root(server: Serving, plant: Path, tmp_path: Path) -> None:
    """`pki --estca` gets both CAs, `pki --est` a certificate.

    Before 5.9.11 it reads no base64 with line feeds and knows no labels, hence `one_line`.
    """
    key, request = tmp_path / "swan.key", tmp_path / "swan.csr"
    made = programs.run("pki", "--gen", "--type", "ecdsa", "--size", "256", "--outform", "pem")
    key.write_bytes(made.stdout)
    made = programs.run("pki", "--req", "--type", "ecdsa", "--in", key, "--dn", "CN=swan",
                        "--outform", "pem")  # fmt: skip
    request.write_bytes(made.stdout)
    url = f"https://127.0.0.1:{server.port}"
    trust = ("--url", url, "--cacert", plant / "root.pem")
    done = programs.run("pki", "--estca", *trust, "--caout", tmp_path / "fetched", "--outform",
                        "pem", "--force")  # fmt: skip
    assert done.returncode == 0, done
    assert len(list(tmp_path.glob("fetched*"))) == 2
    done = programs.run("pki", "--est", *trust, "--cacert", server.ca / "ca.pem", "--in", request,
                        "--outform", "pem")  # fmt: skip
    assert done.returncode == 0, done
    assert b"BEGIN CERTIFICATE" in done.stdout


@pytest.mark.parametrize("known", ["root", "intermediate", "file", "file of the intermediate"])
def test_our_own_endpoint(server: Serving, plant: Path, tmp_path: Path, known: str) -> None:
    """Root or intermediate, by fingerprint or as a file: each is enough to enroll and renew."""
    folder = CaFolder(server.ca)
    trust: dict[str, tuple[str | Path, ...]] = {
        "root": ("--fingerprint", fingerprint(folder.root())),
        "intermediate": ("--fingerprint", fingerprint(folder.certificate())),
        "file": ("--trust", plant / "root.pem"),
        "file of the intermediate": ("--trust", server.ca / "ca.pem"),
    }
    home = tmp_path / "pc"
    words = ("--server", f"127.0.0.1:{server.port}", "--identity", home, *trust[known])
    identity = serving.result("enroll", *words, "--subject", f"CN=pc {known}")["identity"]
    openssl("verify", "-CAfile", plant / "root.pem", "-untrusted", identity["chain"],
            identity["certificate"])  # fmt: skip
    assert serving.result("renew", "--identity", home)["identity"]["serial"] != identity["serial"]


def test_who_is_who(server: Serving, plant: Path) -> None:
    """People compare the root: the server says its fingerprint, discovery shows the same.

    Marking the servers of a CA works by either.
    """
    root = x509.load_pem_x509_certificate((plant / "root.pem").read_bytes())
    assert server.ready["ca_sha256"] == fingerprint(root)
    heard = Server("Line 4", "est.local", server.port, ("127.0.0.1",), "lo", {})
    assert survey.ask(heard).ca_sha256 == fingerprint(root)
    for known in (root, CaFolder(server.ca).certificate()):
        assert survey.ask(heard, fingerprint=fingerprint(known)).trusted is True
    assert survey.ask(heard, fingerprint="0" * 64).trusted is False


def test_the_provisioning_issuer(server: Serving, plant: Path, tmp_path: Path) -> None:
    """It is made and works as under a root; the folder that is handed out trusts the root."""
    card = tmp_path / "card"
    serving.result("ca", "provision", "card-1", "-o", card, "--ca-dir", server.ca)
    assert (
        x509.load_pem_x509_certificate((card / "ca.pem").read_bytes()) == CaFolder(server.ca).root()
    )
    words = ("--cert", card / "certificate.pem", "--key", card / "key.pem", "--trust")
    done = serving.cipsec("enroll", "--server", f"127.0.0.1:{server.port}", *words,
                          card / "ca.pem", "--identity", tmp_path / "pc", "--json")  # fmt: skip
    assert done.returncode == 0, done
    assert json.loads(done.stdout)["identity"]["issuer"] == "CN=Line 4"
