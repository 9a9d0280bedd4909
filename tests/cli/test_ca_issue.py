"""`cipsec ca issue`: the operator signs by hand."""

from __future__ import annotations

import re
import subprocess
import sys
from datetime import timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import ExtendedKeyUsageOID

from cipsec import times
from cipsec.ca_folder import CaFolder
from cipsec.pki import load
from tests.support import ca
from tests.support.terminal import at_terminal

from .conftest import Cipsec


@pytest.fixture
def request_file(tmp_path: Path) -> Path:
    """A request of a drive."""
    return ca.write_pem(tmp_path / "drive.csr", ca.request(sans=["dns:drive7.local"]))


def test_issue(on_ca: Cipsec, ca_folder: CaFolder, request_file: Path) -> None:
    """PEM alone on stdout; certificate and event are on record, with who and why."""
    ran = on_ca("ca", "issue", request_file, "--note", "spare part")
    assert ran.code == 0
    [issued] = load.certificates(ran.out.encode(), "stdout")
    issued.verify_directly_issued_by(ca_folder.certificate())
    [shown] = on_ca("ca", "list", "--json").json["certificates"]
    assert shown["serial"] == f"{issued.serial_number:032x}"
    assert shown["rule"] == "by hand"
    assert shown["reason"] == "signed by operator: spare part"
    assert ran.err == f"cipsec: certificate {shown['serial']} is signed and on record\n"
    [event] = on_ca("ca", "log", "--json").json["events"]
    assert (event["event"], event["actor"], event["serial"]) == (
        "granted",
        "operator",
        shown["serial"],
    )
    assert event["reason"] == "signed by operator: spare part"


def test_issue_to_a_file(on_ca: Cipsec, request_file: Path, tmp_path: Path) -> None:
    """-o writes the file, refuses to overwrite it before anything is signed, and -f does."""
    target = tmp_path / "drive.pem"
    ran = on_ca("ca", "issue", request_file, "-o", target, "--days", "10", "--json")
    assert ran.code == 0
    shown = ran.json["certificate"]
    assert shown["file"] == str(target)
    assert shown["pem"] == target.read_text()
    left = times.parse_time(shown["not_after"]) - times.now()
    assert timedelta(days=9) < left <= timedelta(days=10)
    again = on_ca("ca", "issue", request_file, "-o", target)
    assert again.code == 6
    assert again.err.endswith("cipsec: hint: add -f to overwrite it\n")
    assert len(on_ca("ca", "list").rows) == 1
    assert on_ca("ca", "issue", request_file, "-o", target, "-f").code == 0
    assert len(on_ca("ca", "list").rows) == 2
    assert target.read_text() != shown["pem"]


@pytest.mark.parametrize("output", [[], ["-o", "-"]])
def test_issue_json_on_stdout(on_ca: Cipsec, request_file: Path, output: list[str]) -> None:
    """With --json stdout is one object, which holds the PEM."""
    shown = on_ca("ca", "issue", request_file, *output, "--json").json["certificate"]
    assert shown["file"] is None
    assert load.certificates(shown["pem"].encode(), "pem")


def test_dry_run(on_ca: Cipsec, request_file: Path, tmp_path: Path) -> None:
    """-n says what would be signed and needs no key; the keys are those of the real one."""
    target = tmp_path / "drive.pem"
    ran = on_ca("ca", "issue", request_file, "-n", "-o", target, "--json")
    assert ran.code == 0
    assert ran.json["certificate"]["serial"] is None
    assert ran.json["certificate"]["san"] == ["dns:drive7.local"]
    assert not target.exists()
    assert on_ca("ca", "list").out == ""
    real = on_ca("ca", "issue", request_file, "--json").json["certificate"]
    assert list(real) == list(ran.json["certificate"])


def test_stdin(ca_folder: CaFolder) -> None:
    """`-` is stdin, in DER too."""
    der = ca.request().parsed.public_bytes(Encoding.DER)
    argv = ["ca", "issue", "-", "--ca-dir", str(ca_folder.path)]
    done = subprocess.run(
        [sys.executable, "-m", "cipsec", *argv], input=der, capture_output=True, check=True
    )
    assert done.stdout.startswith(b"-----BEGIN CERTIFICATE-----\n")


def _asking(*extensions: x509.ExtensionType) -> bytes:
    """Return a CSR in PEM that asks for these extensions."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "Drive 7")])
    builder = x509.CertificateSigningRequestBuilder().subject_name(name)
    for extension in extensions:
        builder = builder.add_extension(extension, critical=False)
    return builder.sign(key, SHA256()).public_bytes(Encoding.PEM)


@pytest.mark.parametrize(
    ("extension", "why"),
    [
        (x509.BasicConstraints(ca=True, path_length=None), "asks for a CA certificate"),
        (x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CODE_SIGNING]), "extended key usage"),
        (x509.SubjectAlternativeName([x509.DNSName("est.plant")]), "this server's own name"),
        (x509.SubjectAlternativeName([x509.DNSName("*.plant")]), "wildcard"),
    ],
)
def test_never_signed(
    cipsec: Cipsec, tmp_path: Path, extension: x509.ExtensionType, why: str
) -> None:
    """Not even an operator signs these: exit 12, nothing on stdout, nothing on record."""
    folder = ca.make(tmp_path / "ca", hosts=["est.plant"])
    (tmp_path / "csr").write_bytes(_asking(extension))
    for more in ([], ["-n"]):
        ran = cipsec("ca", "issue", tmp_path / "csr", "--ca-dir", folder.path, *more)
        assert (ran.code, ran.out) == (12, "")
        assert why in ran.err
    assert cipsec("ca", "list", "--ca-dir", folder.path).out == ""


def test_a_device_that_asks_is_not_answered_with_it(
    on_ca: Cipsec, ca_folder: CaFolder, tmp_path: Path
) -> None:
    """Signed by hand is not approved: the same request by EST still waits."""
    asked = ca.request()
    on_ca("ca", "issue", ca.write_pem(tmp_path / "csr", asked))
    ca.ask(ca_folder, asked)


def test_passphrase(cipsec: Cipsec, tmp_path: Path, request_file: Path) -> None:
    """An encrypted key needs its passphrase: wrong is exit 6, none and nobody to ask exit 2."""
    folder = ca.make(tmp_path / "ca", passphrase="correct horse")
    argv = ["ca", "issue", request_file, "--ca-dir", folder.path]
    (tmp_path / "right").write_text("correct horse\n")
    (tmp_path / "wrong").write_text("incorrect\n")
    wrong = cipsec(*argv, "--passphrase-file", tmp_path / "wrong")
    assert (wrong.code, wrong.out) == (6, "")
    assert wrong.err == "cipsec: error: the passphrase does not open the key\n"
    assert cipsec(*argv, "--no-input").code == 2
    assert cipsec(*argv, "--passphrase-file", tmp_path / "none").code == 6
    assert cipsec("ca", "issue", "-", *argv[3:], "--passphrase-file", "-").code == 2
    assert cipsec("ca", "list", *argv[3:]).out == ""
    assert cipsec(*argv, "--passphrase-file", tmp_path / "right").code == 0
    typed = at_terminal([str(a) for a in argv], ("Passphrase of the CA's key: ", "correct horse\n"))
    assert typed.code == 0
    assert "correct horse" not in typed.screen


@pytest.mark.parametrize("output", ["", ".", "missing/drive.pem", "x" * 300])
def test_targets_that_cannot_be(
    on_ca: Cipsec, request_file: Path, tmp_path: Path, output: str
) -> None:
    """What cannot be written is refused before anything is signed."""
    ran = on_ca("ca", "issue", request_file, "-o", tmp_path / output)
    assert (ran.code, ran.out) == (6, "")
    assert on_ca("ca", "list").out == ""


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\x00" * 100,
        b"\x30\x84\xff\xff\xff\xff",
        b"-----BEGIN CERTIFICATE REQUEST-----\n!!!!\n-----END CERTIFICATE REQUEST-----\n",
        b"<html>log in</html>",
        b"A" * 100_000,
    ],
)
def test_what_is_no_request(on_ca: Cipsec, tmp_path: Path, content: bytes) -> None:
    """Bytes that are no CSR are exit 6 and one sentence."""
    (tmp_path / "csr").write_bytes(content)
    ran = on_ca("ca", "issue", tmp_path / "csr")
    assert (ran.code, ran.out) == (6, "")
    assert re.match("cipsec: error: [^\n]+\n", ran.err)


def test_an_expired_ca(cipsec: Cipsec, tmp_path: Path, request_file: Path) -> None:
    """A CA past its end signs nothing that would be expired from birth."""
    folder = ca.make(tmp_path / "ca", now=times.now() - timedelta(days=7301))
    ran = cipsec("ca", "issue", request_file, "--ca-dir", folder.path)
    assert (ran.code, ran.out) == (6, "")
    assert "the CA's own certificate expired at " in ran.err
