"""`cipsec cert show` of what is no plain certificate: lists, PKCS#12, pipes, folders, devices."""

from __future__ import annotations

import io
import os
import sys
import threading
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    pkcs12,
)

from cipsec import named
from cipsec.pki import keys, names
from tests.support import der
from tests.support.terminal import at_terminal

from .conftest import Cipsec, Ran

LEAF = der.certificate(serial=b"\x05")
OTHER = der.certificate(serial=b"\x06")
PEM = der.pem("CERTIFICATE", LEAF)


def _refused(ran: Ran, code: int, *stderr: str) -> None:
    assert (ran.code, ran.out) == (code, "")
    assert ran.err.splitlines() == [f"cipsec: {line}" for line in stderr]


def _serials(ran: Ran) -> list[str]:
    return [certificate["serial"] for certificate in ran.json["certificates"]]


CRL_AT = datetime(2026, 1, 1, tzinfo=UTC)


def _crl(*serials: int, until: datetime = CRL_AT + timedelta(days=1)) -> bytes:
    builder = x509.CertificateRevocationListBuilder(names.parse_subject("CN=Plant"), CRL_AT, until)
    for serial in serials:
        revoked = x509.RevokedCertificateBuilder(serial, CRL_AT).build()
        builder = builder.add_revoked_certificate(revoked)
    builder = builder.add_extension(x509.CRLNumber(9), critical=False)
    return builder.sign(der.KEY, keys.signing_hash(der.KEY)).public_bytes(Encoding.PEM)


def test_revocation_lists_are_summed_up(cipsec: Cipsec, tmp_path: Path) -> None:
    """Whose, which, since when, until when, and how many are revoked; beside certificates too."""
    path = tmp_path / "x.pem"
    path.write_bytes(_crl(5, 6, 7))
    lines = cipsec("cert", "show", path).out.splitlines()
    assert "next update          2026-01-02T00:00:00Z (overdue)" in lines
    assert "revoked              3" in lines
    path.write_bytes(_crl() + PEM)
    ran = cipsec("cert", "show", "--json", path)
    assert (ran.code, ran.err, _serials(ran)) == (0, "", ["05"])
    (shown,) = ran.json["crls"]
    assert (shown["issuer"], shown["number"], shown["revoked"]) == ("CN=Plant", 9, 0)
    assert "revoked              0" in cipsec("cert", "show", path).out.splitlines()


def _archive(folder: Path, word: bytes) -> Path:
    path = folder / "x.p12"
    both = [x509.load_der_x509_certificate(one) for one in (LEAF, OTHER)]
    locked = BestAvailableEncryption(word) if word else NoEncryption()
    made = pkcs12.serialize_key_and_certificates(b"x", der.KEY, both[0], both[1:], locked)
    path.write_bytes(made)
    return path


def test_pkcs12_is_opened_and_its_key_stays_in_it(cipsec: Cipsec, tmp_path: Path) -> None:
    """The passphrase from a file; the chain is shown, the key said to be there."""
    path, word = _archive(tmp_path, b"secret"), tmp_path / "word"
    word.write_text("secret\n")
    ran = cipsec("cert", "show", "--json", "-v", path, "--passphrase-file", word)
    assert ran.err == f"cipsec: {path} holds other things as well: private key\n"
    assert (ran.code, _serials(ran), ran.json["others"]) == (0, ["05", "06"], ["private key"])


def test_pkcs12_without_a_passphrase_needs_none(cipsec: Cipsec, tmp_path: Path) -> None:
    """Nobody is asked."""
    ran = cipsec("cert", "show", "--json", "--no-input", _archive(tmp_path, b""))
    assert (ran.code, _serials(ran)) == (0, ["05", "06"])


def test_a_wrong_passphrase_is_said_to_be_wrong(cipsec: Cipsec, tmp_path: Path) -> None:
    """Exit 6; nobody to ask is exit 2, and names the option."""
    path, word = _archive(tmp_path, b"secret"), tmp_path / "word"
    word.write_text("Secret")
    _refused(
        cipsec("cert", "show", path, "--passphrase-file", word),
        6,
        f"error: this passphrase does not open {path}, or it is damaged",
        f"hint: try another, or see: openssl pkcs12 -info -noout -in {path}",
    )
    _refused(
        cipsec("cert", "show", path, "--no-input"),
        2,
        f"error: Passphrase of {path} is needed and nobody can be asked",
        "hint: add --passphrase-file FILE",
    )


def test_at_a_terminal_the_passphrase_is_asked(tmp_path: Path) -> None:
    """And does not appear on the screen."""
    path = _archive(tmp_path, b"secret")
    seen = at_terminal(["cert", "show", str(path)], (f"Passphrase of {path}: ", "secret\n"))
    assert (seen.code, seen.restored) == (0, True)
    assert "certificate          2 of 2" in seen.screen
    assert "secret" not in seen.screen


def test_one_stdin_does_not_give_both(
    cipsec: Cipsec, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """File and passphrase; the passphrase alone it may give."""
    data = _archive(tmp_path, b"secret").read_bytes()
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(data)))
    _refused(
        cipsec("cert", "show", "-", "--passphrase-file", "-"),
        2,
        "error: the passphrase and the file cannot both come from stdin",
        "hint: add --passphrase-file FILE",
    )
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"secret\n")))
    assert cipsec("cert", "show", tmp_path / "x.p12", "--passphrase-file", "-").code == 0


def test_what_is_no_file_is_said_at_once(cipsec: Cipsec, tmp_path: Path) -> None:
    """A folder, a device; nothing waits for what never comes."""
    _refused(
        cipsec("cert", "show", tmp_path),
        6,
        f"error: {tmp_path} is a directory",
        f"hint: name a file in it: ls {tmp_path}",
    )
    _refused(
        cipsec("cert", "show", "/dev/zero"),
        6,
        "error: /dev/zero is a device, not a file",
        "hint: name a file",
    )


def test_pipes_are_read_when_somebody_writes(
    cipsec: Cipsec, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As `<(command)` gives them, in pieces; one that nobody has open is left."""
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)

    def write() -> None:
        with pipe.open("wb", buffering=0) as file:
            file.write(PEM[:100])
            time.sleep(0.1)
            file.write(PEM[100:])

    monkeypatch.setattr(named, "_PATIENCE", 60.0)
    writer = threading.Thread(target=write)
    writer.start()
    assert _serials(cipsec("cert", "show", "--json", pipe)) == ["05"]
    writer.join()
    monkeypatch.setattr(named, "_PATIENCE", 0.1)
    _refused(
        cipsec("cert", "show", pipe),
        6,
        f"error: nobody writes into the pipe {pipe}",
        "hint: name a file",
    )


@pytest.mark.parametrize("option", ["", "--trust", "--intermediates", "--key", "--name", "--at"])
def test_a_variable_that_is_not_set_checks_nothing_and_says_so(
    cipsec: Cipsec, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, option: str
) -> None:
    """`--name "$HOST"` left the name out with exit 0; `verify "$CERT"` judged this folder."""
    monkeypatch.chdir(tmp_path)
    Path("x.pem").write_bytes(PEM)
    ran = cipsec("cert", "verify", *(("x.pem", option) if option else ()), "")
    assert (ran.code, ran.out) == (2, "")


def test_nothing_is_no_file_of_the_other_commands(cipsec: Cipsec, tmp_path: Path) -> None:
    """Nor are CAs to trust, before anything is sent."""
    path = tmp_path / "x.csr"
    path.write_bytes(der.pem("CERTIFICATE REQUEST", der.request()))
    for words in (
        ("cert", "show", ""),
        ("cert", "show", "127.0.0.1:1", "--trust", ""),
        ("csr", "show", ""),
        ("csr", "verify", ""),
    ):
        ran = cipsec(*words)
        assert (ran.code, ran.out) == (2, "")
        assert "the name of a file is empty" in ran.err
    ran = cipsec("csr", "verify", path, "--cert", "", "--ca-dir", tmp_path / "none")
    assert (ran.code, ran.out) == (3, "")
