"""`cipsec cert show`: certificates in files, on stdin and from servers, seen and not judged."""

from __future__ import annotations

import contextlib
import io
import os
import socket
import ssl
import subprocess
import sys
import threading
import time
import unicodedata
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    pkcs7,
    pkcs12,
)

from cipsec._cli import given
from cipsec.pki import keys, names
from tests.support import der
from tests.support.terminal import at_terminal

from .conftest import Cipsec, Ran

LEAF = der.certificate(serial=b"\x05")
OTHER = der.certificate(serial=b"\x06", not_after=b"99991231235959Z")
PEM = der.pem("CERTIFICATE", LEAF)
KEY = keys.to_pem(der.KEY)


def _refused(ran: Ran, code: int, *stderr: str) -> None:
    assert (ran.code, ran.out) == (code, "")
    assert ran.err.splitlines() == [f"cipsec: {line}" for line in stderr]


def _serials(ran: Ran) -> list[str]:
    return [certificate["serial"] for certificate in ran.json["certificates"]]


@pytest.mark.parametrize("data", [PEM, LEAF], ids=["pem", "der"])
def test_a_file_is_shown(cipsec: Cipsec, tmp_path: Path, data: bytes) -> None:
    """Names and values, one a line."""
    (tmp_path / "x.pem").write_bytes(data)
    ran = cipsec("cert", "show", tmp_path / "x.pem")
    assert (ran.code, ran.err) == (0, "")
    lines = dict(line.split("  ", 1) for line in ran.out.splitlines())
    assert lines["subject"].strip() == "CN=Drive 7"
    assert lines["serial"].strip() == "05"
    assert lines["self signed"].strip() == "yes"


def test_every_certificate_of_a_file_is_shown(cipsec: Cipsec, tmp_path: Path) -> None:
    """Numbered for people, a list as JSON."""
    both = [x509.load_der_x509_certificate(one) for one in (LEAF, OTHER)]
    (tmp_path / "x.p7b").write_bytes(pkcs7.serialize_certificates(both, Encoding.DER))
    ran = cipsec("cert", "show", tmp_path / "x.p7b")
    counted = [line.split()[1:] for line in ran.out.splitlines() if line.startswith("certificate ")]
    assert counted == [["1", "of", "2"], ["2", "of", "2"]]
    assert sorted(_serials(cipsec("cert", "show", "--json", tmp_path / "x.p7b"))) == ["05", "06"]


def test_no_well_defined_expiry_is_told_in_words(cipsec: Cipsec, tmp_path: Path) -> None:
    """99991231235959Z is not a date that anybody plans for (RFC 5280 section 4.1.2.5)."""
    (tmp_path / "x").write_bytes(OTHER)
    assert (
        "not after            no well-defined expiry\n"
        in cipsec("cert", "show", tmp_path / "x").out
    )
    shown = cipsec("cert", "show", "--json", tmp_path / "x").json["certificates"][0]
    assert (shown["not_after"], shown["days_left"]) == ("9999-12-31T23:59:59Z", None)


def test_what_a_certificate_names_is_told_with_its_worth(cipsec: Cipsec, tmp_path: Path) -> None:
    """Self-signed it is a claim; otherwise its chain has to be verified first."""
    subject = der.name((der.SERIAL_NUMBER, der.PRINTABLE, b"0001:6040C8F2"))
    alone = der.certificate(subject=subject)
    signed = alone[:-1] + bytes([alone[-1] ^ 1])  # not by its own key
    for made, worth, token in (
        (alone, "claimed", "claimed"),
        (signed, "claimed unless its chain is verified", "unverified"),
    ):
        (tmp_path / "x").write_bytes(made)
        lines = cipsec("cert", "show", tmp_path / "x").out.splitlines()
        assert f"device               0001:6040C8F2 (vendor 1, serial 1614858482), {worth}" in lines
        (shown,) = cipsec("cert", "show", "--json", tmp_path / "x").json["certificates"]
        assert shown["identity"] == [
            {
                "value": "0001:6040C8F2",
                "kind": "device",
                "place": "subject:serialNumber",
                "rule": "canonical-serialnumber",
                "rule_verified": False,
                "assurance": token,
            }
        ]


def test_stdin_is_read(cipsec: Cipsec, monkeypatch: pytest.MonkeyPatch) -> None:
    """`curl … | cipsec cert show -`."""
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(PEM)))
    assert _serials(cipsec("cert", "show", "--json", "-")) == ["05"]


def test_what_else_a_file_holds_is_said(cipsec: Cipsec, tmp_path: Path) -> None:
    """A key beside its certificate."""
    (tmp_path / "x.pem").write_bytes(PEM + KEY)
    ran = cipsec("cert", "show", "--json", tmp_path / "x.pem")
    assert ran.err == f"cipsec: {tmp_path}/x.pem holds other things as well: private key\n"
    assert _serials(ran) == ["05"]


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
        "hint: stdin is read with -",
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

    writer = threading.Thread(target=write)
    writer.start()
    assert _serials(cipsec("cert", "show", "--json", pipe)) == ["05"]
    writer.join()
    monkeypatch.setattr(given, "_PATIENCE", 0.1)
    _refused(
        cipsec("cert", "show", pipe),
        6,
        f"error: nobody writes into the pipe {pipe}",
        "hint: name a file, or give it on stdin with -",
    )


def test_a_key_given_by_mistake_is_not_shown(cipsec: Cipsec, tmp_path: Path) -> None:
    """Not one line of it."""
    (tmp_path / "k.pem").write_bytes(KEY)
    path = tmp_path / "k.pem"
    _refused(
        cipsec("cert", "show", path),
        6,
        f"error: there is no certificate in {path}, only: private key",
        f"hint: keep it private; cipsec csr create --key {path} makes a request with it",
    )


def test_a_gigabyte_given_by_mistake_is_not_read(cipsec: Cipsec, tmp_path: Path) -> None:
    """A disk image, or a pipe without an end."""
    path = tmp_path / "disk.img"
    with path.open("wb") as file:
        file.truncate(1 << 30)
    _refused(
        cipsec("cert", "show", path),
        6,
        f"error: {path} is larger than 16777216 bytes",
        f"hint: see what it is: file {path}",
    )
    with open("/dev/zero", "rb") as endless:  # noqa: PTH123  # handed on as a descriptor
        ran = subprocess.run(
            [sys.executable, "-m", "cipsec", "cert", "show", "-"],
            stdin=endless,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
    assert (ran.returncode, ran.stdout) == (6, "")
    assert ran.stderr.startswith("cipsec: error: stdin gives more than 16777216 bytes\n")


def test_missing_files_are_said_to_be_missing(cipsec: Cipsec, tmp_path: Path) -> None:
    """Exit 6, as the contract has it for local state."""
    _refused(cipsec("cert", "show", tmp_path / "x"), 6, f"error: there is no file {tmp_path}/x")


def test_an_address_without_port_is_no_file(cipsec: Cipsec) -> None:
    """And what is missing is said."""
    _refused(
        cipsec("cert", "show", "192.0.2.7"),
        6,
        "error: there is no file 192.0.2.7",
        "hint: a server is given with its port: cipsec cert show 192.0.2.7:2221",
    )


@contextlib.contextmanager
def _server(folder: Path, address: str) -> Iterator[int]:
    """A TLS server that presents two certificates to one client; yields its port."""
    (folder / "server.pem").write_bytes(KEY + PEM + der.pem("CERTIFICATE", OTHER))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "server.pem")
    family = socket.AF_INET6 if ":" in address else socket.AF_INET

    def answer() -> None:
        with contextlib.suppress(OSError):
            connection, _ = listening.accept()
            with connection, context.wrap_socket(connection, server_side=True) as secured:
                secured.recv(1)

    with socket.create_server((address, 0), family=family) as listening:
        thread = threading.Thread(target=answer)
        thread.start()
        try:
            yield listening.getsockname()[1]
        finally:
            with contextlib.suppress(OSError):
                listening.shutdown(socket.SHUT_RDWR)
            thread.join()


def test_a_servers_leaf_is_shown_and_the_rest_counted(cipsec: Cipsec, tmp_path: Path) -> None:
    """Without --chain; how many more, on stderr."""
    with _server(tmp_path, "127.0.0.1") as port:
        ran = cipsec("cert", "show", "--json", f"localhost:{port}")
    assert ran.err == "cipsec: 1 more in the chain; add --chain to see it\n"
    assert _serials(ran) == ["05"]
    assert (ran.json["presented"], ran.json["tls_version"]) == (2, "TLSv1.3")


def test_a_servers_chain_is_shown_whole(cipsec: Cipsec, tmp_path: Path) -> None:
    """With --chain, also by IPv6 address."""
    with _server(tmp_path, "::1") as port:
        ran = cipsec("cert", "show", "--json", "--chain", f"[::1]:{port}")
    assert (ran.err, _serials(ran)) == ("", ["05", "06"])


def test_a_file_named_like_a_server_is_a_file(
    cipsec: Cipsec, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A path that exists wins."""
    monkeypatch.chdir(tmp_path)
    Path("localhost:1").write_bytes(PEM)
    assert _serials(cipsec("cert", "show", "--json", "localhost:1")) == ["05"]


def test_a_server_that_is_not_there_is_unreachable(cipsec: Cipsec) -> None:
    """Exit 4."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        port = listening.getsockname()[1]
    where = f"127.0.0.1:{port}"
    _refused(
        cipsec("cert", "show", where), 4, f"error: {where} cannot be reached: connection refused"
    )


@pytest.mark.parametrize(
    ("given", "message", "hint"),
    [
        ("a:0", "0 is not a port", "a port is 1 to 65535"),
        ("a:65536", "65536 is not a port", "a port is 1 to 65535"),
        ("https://a:8443/x", "a server is given as HOST:PORT", "cipsec cert show a:8443"),
        ("https://a/x", "a server is given as HOST:PORT", "cipsec cert show a:443"),
    ],
)
def test_servers_given_otherwise_are_wrong_usage(
    cipsec: Cipsec, given: str, message: str, hint: str
) -> None:
    """Before anything is connected."""
    _refused(cipsec("cert", "show", given), 2, f"error: {message}", f"hint: {hint}")


_HOSTILE = {
    "escape": b"\x1b[2K\x1b]0;title\x07",
    "markup": b"[/red][link=http://x]",
    "right to left": "a\u202eb\u2066".encode(),
    "lines": b"a\nsubject  CN=other\tok\r",
    "long": b"A" * 65_000,
}


@pytest.mark.filterwarnings("ignore:Attribute's length must be:UserWarning")
@pytest.mark.parametrize("value", _HOSTILE.values(), ids=_HOSTILE)
def test_hostile_names_are_harmless(cipsec: Cipsec, tmp_path: Path, value: bytes) -> None:
    """In subject, issuer, alternative names and unknown extensions; in pipes and at a terminal."""
    path = tmp_path / "x.der"
    san = der.sequence(der.tlv(0x82, value if value.isascii() else b"x"))
    extensions = der.extension(der.SUBJECT_ALT_NAME, san), der.extension("1.2.3", value)
    path.write_bytes(
        der.certificate(*extensions, subject=der.name((der.COMMON_NAME, der.UTF8, value)))
    )
    for ran in (cipsec("cert", "show", path), cipsec("cert", "show", "--json", path)):
        assert (ran.code, ran.err) == (0, "")
        assert _is_harmless(ran.out)
    assert len(cipsec("cert", "show", path).out) < 5000
    assert _is_harmless(at_terminal(["cert", "show", str(path)]).screen)


def _is_harmless(text: str) -> bool:
    bad = {"Cc", "Cf", "Zl", "Zp", "Cs", "Co"}
    return not {unicodedata.category(char) for char in text.replace("\n", "")} & bad


def test_showing_a_file_imports_nothing_that_takes_time(tmp_path: Path) -> None:
    """`cert show FILE` may take twice as long as importing cryptography.x509: no TLS, no HTTP."""
    (tmp_path / "x.pem").write_bytes(PEM)
    ran = subprocess.run(
        [sys.executable, "-X", "importtime", "-m", "cipsec", "cert", "show", tmp_path / "x.pem"],
        capture_output=True,
        text=True,
        check=True,
    )
    imported = {line.rpartition("|")[2].strip() for line in ran.stderr.splitlines()}
    assert "cryptography.x509" in imported
    heavy = {"rich", "asyncio", "ssl", "httpx", "OpenSSL", "zeroconf", "sqlite3"}
    assert not imported & heavy
    assert "cryptography.hazmat.primitives.serialization.ssh" not in imported
