"""`cipsec cert show`: certificates in files, on stdin and from servers, seen and not judged."""

from __future__ import annotations

import contextlib
import io
import socket
import ssl
import subprocess
import sys
import threading
import unicodedata
from collections.abc import Iterator
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, pkcs7

from cipsec.pki import keys
from tests.support import der
from tests.support.terminal import at_terminal

from .conftest import Cipsec, Ran
from .hostile import HOSTILE

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
        f"error: {path} is larger than 100663296 bytes",
        f"hint: see what it is: file {path}",
    )
    with open("/dev/zero", "rb") as endless:  # noqa: PTH123  # handed on as a descriptor
        ran = subprocess.run(
            [sys.executable, "-m", "cipsec", "cert", "show", "-"],
            stdin=endless,
            capture_output=True,
            text=True,
            timeout=180,
            check=False,
        )
    assert (ran.returncode, ran.stdout) == (6, "")
    assert ran.stderr.startswith("cipsec: error: stdin gives more than 100663296 bytes\n")


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
def _server(folder: Path) -> Iterator[int]:
    """A TLS server that presents two certificates to one client; yields its port."""
    (folder / "server.pem").write_bytes(KEY + PEM + der.pem("CERTIFICATE", OTHER))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "server.pem")

    def answer() -> None:
        with contextlib.suppress(OSError):
            connection, _ = listening.accept()
            with connection, context.wrap_socket(connection, server_side=True) as secured:
                secured.recv(1)

    with socket.create_server(("127.0.0.1", 0)) as listening:
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
    with _server(tmp_path) as port:
        ran = cipsec("cert", "show", "--json", f"localhost:{port}")
    assert ran.err == "cipsec: 1 more in the chain; add --chain to see it\n"
    assert _serials(ran) == ["05"]
    assert (ran.json["presented"], ran.json["tls_version"]) == (2, "TLSv1.3")


def test_a_servers_chain_is_shown_whole(cipsec: Cipsec, tmp_path: Path) -> None:
    """With --chain, also by IPv6 address; by this one where there is no IPv6, too."""
    with _server(tmp_path) as port:
        ran = cipsec("cert", "show", "--json", "--chain", f"[::ffff:127.0.0.1]:{port}")
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
    with socket.socket() as silent:  # bound, and not listening
        silent.bind(("127.0.0.1", 0))
        where = f"127.0.0.1:{silent.getsockname()[1]}"
        _refused(
            cipsec("cert", "show", where),
            4,
            f"error: {where} cannot be reached: connection refused",
        )


@pytest.mark.parametrize(
    ("given", "message", "hint"),
    [
        ("a:0", "0 is not a port", "a port is 1 to 65535"),
        ("a:65536", "65536 is not a port", "a port is 1 to 65535"),
        ("https://a:8443/x", "a server is given as HOST:PORT", "cipsec cert show a:8443"),
        ("https://u:secret@a/x", "a server is given as HOST:PORT", "cipsec cert show a:443"),
        ("https://a/x", "a server is given as HOST:PORT", "cipsec cert show a:443"),
    ],
)
def test_servers_given_otherwise_are_wrong_usage(
    cipsec: Cipsec, given: str, message: str, hint: str
) -> None:
    """Before anything is connected."""
    _refused(cipsec("cert", "show", given), 2, f"error: {message}", f"hint: {hint}")


@pytest.mark.filterwarnings("ignore:Attribute's length must be:UserWarning")
@pytest.mark.parametrize("value", HOSTILE.values(), ids=HOSTILE)
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
