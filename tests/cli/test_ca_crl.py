"""`cipsec ca crl`: the list that is there, or another; PEM and DER; beside a server and without."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from cipsec import times
from cipsec.ca_folder import CaFolder
from cipsec.pki import keys, revocation
from tests.support import ca, programs, serving
from tests.support.serving import Serving
from tests.support.terminal import at_terminal

from .conftest import Cipsec

_KEYS = [
    *("number", "entries", "this_update", "next_update", "sha256", "signed", "url", "published"),
    "former",
]


def _revoke_one(on_ca: Cipsec, tmp_path: Path) -> int:
    """Let the operator sign a certificate and revoke it; return its serial number."""
    asked = ca.write_pem(tmp_path / "csr", ca.request())
    serial = on_ca("ca", "issue", asked, "--json").json["certificate"]["serial"]
    assert on_ca("ca", "revoke", serial, "-y").code == 0
    return int(serial, 16)


def test_pem_on_stdout(on_ca: Cipsec, ca_folder: CaFolder, tmp_path: Path) -> None:
    """The first is signed; from then on that one is handed out, until something is revoked."""
    first = on_ca("ca", "crl")
    assert first.code == 0
    found = x509.load_pem_x509_crl(first.out.encode())
    assert found.public_bytes(Encoding.DER) == ca_folder.crl_file.read_bytes()
    assert re.fullmatch(r"cipsec: revocation list \d+ is signed\n", first.err)
    again = on_ca("ca", "crl")
    assert (again.code, again.out, again.err) == (0, first.out, "")
    serial = _revoke_one(on_ca, tmp_path)
    changed = x509.load_pem_x509_crl(on_ca("ca", "crl").out.encode())
    assert [one.serial_number for one in changed] == [serial]
    assert changed.public_bytes(Encoding.DER) == ca_folder.crl_file.read_bytes()


@pytest.mark.parametrize(
    ("name", "options", "is_der"),
    [
        ("list.pem", [], False),
        ("list", [], False),
        ("list.crl", [], True),
        ("list.DER", [], True),
        ("list.pem", ["--form", "der"], True),
        ("list.crl", ["--form", "pem"], False),
    ],
)
def test_files(on_ca: Cipsec, tmp_path: Path, name: str, options: list[str], is_der: bool) -> None:
    """The ending says which; `--form` says it better. What is there is not overwritten unasked."""
    path = tmp_path / name
    ran = on_ca("ca", "crl", "-o", path, *options, "--json")
    assert ran.code == 0
    shown = ran.json["crl"]
    assert list(shown) == [*_KEYS, "file"]
    assert shown["file"] == str(path)
    read = x509.load_der_x509_crl if is_der else x509.load_pem_x509_crl
    before = path.read_bytes()
    assert read(before).next_update_utc == read(before).last_update_utc + timedelta(days=8)
    refused = on_ca("ca", "crl", "-o", path, *options)
    assert (refused.code, refused.out) == (6, "")
    assert on_ca("ca", "crl", "-o", path, *options, "-f").code == 0
    assert path.read_bytes() == before


def test_json_without_a_file(on_ca: Cipsec) -> None:
    """What is known of it, and the list itself in PEM."""
    shown = on_ca("ca", "crl", "--json").json["crl"]
    assert list(shown) == [*_KEYS, "file", "pem"]
    assert (shown["signed"], shown["entries"], shown["file"]) == (True, 0, None)
    assert len(x509.load_pem_x509_crl(shown["pem"].encode())) == 0
    for form in ((), ("--form", "der")):
        again = on_ca("ca", "crl", "--json", *form).json["crl"]
        assert again == shown | {"signed": False}


@pytest.mark.programs
def test_after_a_roll_over(on_ca: Cipsec, ca_folder: CaFolder, tmp_path: Path) -> None:
    """PEM has each root's list, the present one's first; DER has one, and that is said.

    Whoever reads the whole file finds what the former root issued; who reads one list has the
    present one's, as before.
    """
    programs.need("openssl")
    former = ca_folder.certificate()
    (tmp_path / "former.pem").write_bytes(former.public_bytes(Encoding.PEM))
    asked = ca.write_pem(tmp_path / "csr", ca.request())
    serial = on_ca("ca", "issue", asked, "-o", tmp_path / "c.pem", "--json").json["certificate"]
    for step in ((), ("--activate", "-y")):  # which may be the second after it was issued
        assert on_ca("ca", "rollover", *step).code == 0
    assert on_ca("ca", "revoke", serial["serial"], "-y").code == 0
    path = tmp_path / "lists.pem"
    assert on_ca("ca", "crl", "-o", path, "--json").json["crl"]["former"] == 1
    first, second = (one.parsed for one in revocation.read(path.read_bytes(), "lists"))
    assert first.is_signature_valid(keys.served(ca_folder.certificate().public_key()))
    assert second.is_signature_valid(keys.served(former.public_key()))
    number = programs.run("openssl", "crl", "-in", path, "-noout", "-crlnumber").stdout
    wanted = first.extensions.get_extension_for_class(x509.CRLNumber).value.crl_number
    assert int(number.partition(b"=")[2], 0) == wanted
    told = programs.run(
        *("openssl", "verify", "-crl_check", "-CRLfile", path, "-CAfile", tmp_path / "former.pem"),
        tmp_path / "c.pem",
    )
    assert b"certificate revoked" in told.stderr
    judged = on_ca("cert", "verify", tmp_path / "c.pem", "--trust", tmp_path / "former.pem",
                   "--crl", path, "--json")  # fmt: skip
    [found] = [one for one in judged.json["findings"] if one["check"] == "revocation"]
    assert (judged.code, found["verdict"]) == (10, "fail")
    assert f"{path}: list 2" in found["detail"]
    alone = on_ca("ca", "crl", "--form", "der", "-o", tmp_path / "list.crl")
    assert (tmp_path / "list.crl").read_bytes() == first.public_bytes(Encoding.DER)
    assert "what the former root issued is looked up in another list" in alone.err


def test_days(on_ca: Cipsec) -> None:
    """Signed anew in any case, for as long as is wanted, with the next number."""
    first = on_ca("ca", "crl", "--json").json["crl"]
    ran = on_ca("ca", "crl", "--days", 60, "--json")
    shown = ran.json["crl"]
    assert shown["number"] > first["number"]
    listed = x509.load_pem_x509_crl(shown["pem"].encode())
    # Back-dated by a day; signed in one second with the first, it begins a second later.
    assert listed.next_update_utc is not None
    period = listed.next_update_utc - listed.last_update_utc
    assert timedelta(days=61) - period in {timedelta(), timedelta(seconds=1)}
    assert on_ca("ca", "crl", "--json").json["crl"]["number"] == shown["number"]


def test_the_ca_shows_it(on_ca: Cipsec, ca_folder: CaFolder, tmp_path: Path) -> None:
    """Nothing before the first; why another is due."""
    assert on_ca("ca", "show", "--json").json["ca"]["crl"] is None
    made = on_ca("ca", "crl", "--json").json["crl"]
    shown = on_ca("ca", "show", "--json").json["ca"]["crl"]
    assert (shown["number"], shown["entries"], shown["due"]) == (made["number"], 0, None)
    _revoke_one(on_ca, tmp_path)
    assert on_ca("ca", "show", "--json").json["ca"]["crl"]["due"] == "something was revoked since"
    assert "due: something was revoked since" in on_ca("ca", "show").out
    ca_folder.config_file.write_text("broken")
    assert on_ca("ca", "show", "--json").json["ca"]["crl"]["number"] == made["number"]


@pytest.fixture
def locked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> CaFolder:
    """A CA whose key has a passphrase."""
    folder = ca.make(tmp_path / "locked", passphrase="correct horse")
    monkeypatch.setenv("CIPSEC_CA_DIR", str(folder.path))
    return folder


def test_the_passphrase_only_when_it_is_needed(
    cipsec: Cipsec, locked: CaFolder, tmp_path: Path
) -> None:
    """To sign, not to hand out what is there."""
    nobody = cipsec("ca", "crl", "--no-input")
    assert (nobody.code, nobody.out) == (2, "")
    assert nobody.err.endswith("cipsec: hint: add --passphrase-file FILE\n")
    (tmp_path / "wrong").write_text("battery staple\n")
    wrong = cipsec("ca", "crl", "--passphrase-file", tmp_path / "wrong")
    assert (wrong.code, wrong.out) == (6, "")
    assert not locked.crl_file.exists()
    asked = at_terminal(["ca", "crl", "-q"], ("Passphrase of the CA's key: ", "correct horse\n"))
    assert asked.code == 0
    assert "-----BEGIN X509 CRL-----" in asked.screen
    assert cipsec("ca", "crl", "--no-input").code == 0


@pytest.mark.parametrize(
    "argv",
    [["--form", "p7b"], ["--form", ""], ["--days", "0"], ["--days", "3651"], ["--days", "x"]],
)
def test_wrong_usage(on_ca: Cipsec, ca_folder: CaFolder, argv: list[str]) -> None:
    """Exit 2 with a sentence, and nothing is signed."""
    ran = on_ca("ca", "crl", *argv)
    assert (ran.code, ran.out) == (2, "")
    assert re.match("cipsec: error: [ -~…]+\ncipsec: hint: ", ran.err)
    assert not ca_folder.crl_file.exists()


def test_no_place_for_the_file(on_ca: Cipsec, ca_folder: CaFolder, tmp_path: Path) -> None:
    """Refused before anything is signed."""
    for path in (tmp_path / "none" / "list.crl", tmp_path):
        ran = on_ca("ca", "crl", "-o", path)
        assert (ran.code, ran.out) == (6, "")
    assert not ca_folder.crl_file.exists()


def test_the_list_cannot_be_laid_down(on_ca: Cipsec, ca_folder: CaFolder) -> None:
    """Said in a line, exit 6, and nothing on stdout."""
    ca_folder.crl_file.mkdir()
    ran = on_ca("ca", "crl")
    assert (ran.code, ran.out) == (6, "")
    assert ran.err == (f"cipsec: error: {ca_folder.crl_file} is not a file that can be replaced\n")


def test_a_wrong_clock(on_ca: Cipsec, monkeypatch: pytest.MonkeyPatch) -> None:
    """Before the CA's own begin nothing is signed."""
    monkeypatch.setattr(times, "now", lambda: datetime(1970, 1, 1, tzinfo=UTC))
    ran = on_ca("ca", "crl")
    assert ran.code == 6
    assert "valid only from" in ran.err


@pytest.fixture
def server(locked: CaFolder, tmp_path: Path) -> Iterator[Serving]:
    """A server that was given the passphrase."""
    (tmp_path / "passphrase").write_text("correct horse\n")
    with serving.serving(locked.path, "--passphrase-file", str(tmp_path / "passphrase")) as running:
        yield running


@pytest.mark.programs
def test_beside_a_server(cipsec: Cipsec, server: Serving, tmp_path: Path) -> None:
    """Nobody needs the passphrase: the server signs what was revoked, and the command waits."""
    programs.need("openssl")
    asked = ca.write_pem(tmp_path / "csr", ca.request())
    passphrase = ["--passphrase-file", tmp_path / "passphrase"]
    issued = cipsec("ca", "issue", asked, *passphrase, "--json").json["certificate"]
    revoked = cipsec("ca", "revoke", issued["serial"], "-y", "--reason", "keyCompromise")
    assert revoked.err == (
        "cipsec: this CA takes what is revoked no more\n"
        "cipsec: the running server puts it on the revocation list within seconds\n"
    )
    ran = cipsec("ca", "crl", "--no-input", "-o", tmp_path / "list.crl", "--json")
    assert (ran.code, ran.json["crl"]["signed"]) == (0, False), ran
    done = programs.run("openssl", "crl", "-inform", "DER", "-in", tmp_path / "list.crl",
                        "-noout", "-text", "-CAfile", server.anchor)  # fmt: skip
    assert b"verify OK" in done.stderr
    assert f"Serial Number: {issued['serial'].upper()}".encode() in done.stdout
    assert b"Key Compromise" in done.stdout
