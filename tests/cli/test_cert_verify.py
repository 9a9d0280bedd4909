"""`cipsec cert verify`: one certificate, several, folders; trust, lists, names, profiles."""

from __future__ import annotations

import base64
import io
import sys
from datetime import timedelta
from pathlib import Path

import cryptography_vectors
import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import BestAvailableEncryption, Encoding, pkcs12

from cipsec import times
from cipsec.pki import keys
from tests.support import der, programs, vendor
from tests.support.terminal import at_terminal

from .conftest import Cipsec, Ran

ROOT = vendor.ca("Acme Root")
ISSUING = vendor.ca("Acme Devices", ROOT)
DEVICE = vendor.device(ISSUING, extensions=[(vendor.SAN, False)])
OTHER = vendor.device(ISSUING, "0001:00000002")


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder, to work in, with what a vendor hands out."""
    monkeypatch.chdir(tmp_path)
    parties = {"root": ROOT, "issuing": ISSUING, "drive": DEVICE, "other": OTHER}
    for name, party in parties.items():
        Path(f"{name}.pem").write_bytes(party.pem)
    Path("root.crl").write_bytes(vendor.crl(ROOT))
    Path("issuing.crl").write_bytes(vendor.crl(ISSUING, OTHER, encoding=Encoding.DER))
    Path("drive.key").write_bytes(keys.to_pem(DEVICE.key))
    Path("locked.key").write_bytes(keys.to_pem(DEVICE.key, "long enough"))
    Path("passphrase").write_text("long enough\n")
    return tmp_path


VECTORS = Path(cryptography_vectors.__file__).parent / "x509" / "custom"
TRUSTED = ("--trust", "root.pem", "--intermediates", "issuing.pem")
LISTS = ("--crl", "root.crl", "--crl", "issuing.crl")
pytestmark = pytest.mark.usefixtures("folder")


def verdicts(ran: Ran) -> list[tuple[str, str]]:
    """Return check and verdict of each finding."""
    return [(row["check"], row["verdict"]) for row in ran.json["findings"]]


def test_everything_is_well(cipsec: Cipsec) -> None:
    """One line for each check."""
    options = (*TRUSTED, *LISTS, "--key", "drive.key", "--name", "drive7.plant.local")
    ran = cipsec("cert", "verify", "drive.pem", *options, "--at", "2026-11-23")
    assert ran.code == 0
    assert [row[:2] for row in ran.rows] == [
        ["validity", "ok"],
        ["path", "ok"],
        ["revocation", "ok"],
        ["revocation", "ok"],
        ["key", "ok"],
        ["name", "ok"],
    ]
    assert ran.rows[1] == [
        "path",
        "ok",
        "leads to CN=Acme Root,O=Acme by way of CN=Acme Devices,O=Acme",
        "-",
    ]
    assert ran.err == "cipsec: 6 findings: 0 fail, 0 warn\n"


def test_all_that_is_wrong_is_said(cipsec: Cipsec) -> None:
    """Not the first alone; each with what to do; exit code 10."""
    options = ("--key", "drive.key", "--name", "192.0.2.7", "--purpose", "server")
    ran = cipsec("cert", "verify", "other.pem", *TRUSTED, *LISTS, *options, "--json")
    assert ran.code == 10
    assert verdicts(ran) == [
        ("validity", "ok"),
        ("path", "ok"),
        ("revocation", "fail"),
        ("revocation", "ok"),
        ("key", "fail"),
        ("name", "fail"),
        ("purpose", "warn"),
    ]
    for row in ran.json["findings"]:
        assert row["file"] == str(Path("other.pem").absolute())
        assert (row["hint"] is None) == (row["verdict"] == "ok")


def test_without_trust_no_path_is_judged(cipsec: Cipsec) -> None:
    """Which is said, and how it would be."""
    ran = cipsec("cert", "verify", "--json", "drive.pem")
    assert verdicts(ran) == [("validity", "ok")]
    assert ran.err == (
        "cipsec: whom to trust is not said, so no path is judged; add --trust FILE\n"
        "cipsec: 1 finding: 0 fail, 0 warn\n"
    )


def test_a_time_of_ones_own(cipsec: Cipsec) -> None:
    """Before it began, and after a list has ended."""
    ran = cipsec("cert", "verify", "drive.pem", *TRUSTED, "--at", "2020-01-01", "--json")
    assert verdicts(ran) == [("validity", "fail"), ("path", "fail")]
    late = vendor.crl(ISSUING, until=times.now() + timedelta(days=1))
    Path("issuing.crl").write_bytes(late)
    ran = cipsec("cert", "verify", "drive.pem", *TRUSTED, *LISTS, "--at", "2030-01-01", "--json")
    assert verdicts(ran)[2:] == [("revocation", "fail"), ("revocation", "ok")]


def test_a_locked_key(cipsec: Cipsec) -> None:
    """Opened with its passphrase, from a file or by somebody at the terminal."""
    command = ("cert", "verify", "drive.pem", "--key", "locked.key")
    assert cipsec(*command, "--passphrase-file", "passphrase").code == 0
    assert cipsec(*command, "--no-input").code != 0
    shown = at_terminal(command, ("Passphrase of locked.key: ", "long enough\n"))
    assert "the key belongs to the certificate" in shown.screen


def test_several_files(cipsec: Cipsec) -> None:
    """Each has its own findings, and none of them stops the others."""
    Path("junk.pem").write_bytes(b"junk")
    ran = cipsec("cert", "verify", "drive.pem", "junk.pem", "missing.pem", "root.crl", *TRUSTED)
    assert ran.code == 10
    assert [row[:3] for row in ran.rows] == [
        ["drive.pem", "validity", "ok"],
        ["drive.pem", "path", "ok"],
        ["junk.pem", "file", "fail"],
        ["missing.pem", "file", "fail"],
        ["root.crl", "file", "warn"],
    ]
    assert ran.rows[3][3:] == [
        "there is no file missing.pem",
        "name the file that holds the certificate",
    ]


def test_a_folder(cipsec: Cipsec) -> None:
    """The files that may be certificates; how many others there are is said."""
    ran = cipsec("cert", "verify", ".", *TRUSTED, *LISTS, "--json")
    assert ran.code == 10
    names = [Path(row["file"]).name for row in ran.json["findings"]]
    assert list(dict.fromkeys(names)) == ["drive.pem", "issuing.pem", "other.pem", "root.pem"]
    assert "not looked at in .: 5 other files" in ran.err
    failed = {row["file"] for row in ran.json["findings"] if row["verdict"] == "fail"}
    assert failed == {str(Path("other.pem").absolute())}


def test_an_empty_folder(cipsec: Cipsec) -> None:
    """An error, for nothing was judged."""
    Path("empty").mkdir()
    ran = cipsec("cert", "verify", "empty")
    assert ran.code == 6
    assert "empty holds no file that ends in" in ran.err


def test_one_file_that_is_none(cipsec: Cipsec) -> None:
    """Alone it is an error, not a finding."""
    Path("junk.pem").write_bytes(b"junk")
    ran = cipsec("cert", "verify", "junk.pem")
    assert (ran.code, ran.out) == (6, "")
    assert ran.err.startswith("cipsec: error: junk.pem is neither PEM")


@pytest.mark.parametrize("order", [(0, 1, 2), (2, 1, 0), (1, 0, 2)])
def test_a_bundle(cipsec: Cipsec, order: tuple[int, ...]) -> None:
    """In any order that of the device is judged, which is said; the others lead to the anchor."""
    parts = DEVICE.pem, ISSUING.pem, ROOT.pem
    Path("chain.pem").write_bytes(b"".join(parts[place] for place in order))
    options = ("--trust", "root.pem", "--key", "drive.key")
    ran = cipsec("cert", "verify", "chain.pem", *options)
    assert ran.code == 0
    whose = "serialNumber=0001:6040C8F2,CN=Drive 7,O=Acme"
    assert f"of chain.pem that of {whose} is judged" in ran.err


def test_a_bundle_that_cannot_be_read(cipsec: Cipsec) -> None:
    """A name with a tag that no name has: findings, and Malformed for what is taken apart."""
    odd = VECTORS / "long-form-name-attribute.pem"
    Path("chain.pem").write_bytes(odd.read_bytes() + DEVICE.pem)
    ran = cipsec("cert", "verify", "chain.pem", *TRUSTED, "--name", "a.b", "--key", "drive.key")
    assert ran.code == 10
    assert "that of a name that cannot be read is judged" in ran.err
    ran = cipsec("cert", "verify", "chain.pem", "--profile", "rfc5280")
    assert ran.code == 6
    assert "cannot be taken apart" in ran.err


def test_stdin(cipsec: Cipsec, monkeypatch: pytest.MonkeyPatch) -> None:
    """`curl … | cipsec cert verify -`."""
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(DEVICE.pem)))
    ran = cipsec("cert", "verify", "-", *TRUSTED, "--json")
    assert ran.code == 0
    assert {row["file"] for row in ran.json["findings"]} == {"-"}


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--purpose", "both"), "choose client, server or any"),
        (("--profile", "all"), "choose rfc5280 or cip"),
        (("--crl", "root.crl"), "add --trust FILE"),
        (("--trust", "-", "--crl", "-"), "write one of them into a file"),
        (("--at", "soon"), "write 2027-01-31"),
    ],
)
def test_wrong_usage(cipsec: Cipsec, options: tuple[str, ...], said: str) -> None:
    """What to write instead."""
    ran = cipsec("cert", "verify", "drive.pem", *options)
    assert (ran.code, ran.out) == (2, "")
    assert f"cipsec: hint: {said}" in ran.err


@pytest.mark.programs
@pytest.mark.parametrize("form", ["pkcs7", "pkcs7 in PEM", "base64"])
def test_lists_in_other_forms(cipsec: Cipsec, form: str) -> None:
    """What `cert show` shows as a list is used as one: else a revoked device passed."""
    programs.need("openssl")
    pack = ("openssl", "crl2pkcs7", "-in", "issuing.crl", "-inform", "DER", "-certfile", "root.pem")
    forms = {"pkcs7": (*pack, "-outform", "DER"), "pkcs7 in PEM": pack}
    list_ = Path("issuing.crl").read_bytes()
    data = programs.run(*forms[form]).stdout if form in forms else base64.encodebytes(list_)
    Path("x.crl").write_bytes(data)
    assert len(cipsec("cert", "show", "x.crl", "--json").json["crls"]) == 1
    ran = cipsec("cert", "verify", "other.pem", *TRUSTED, "--crl", "x.crl", "--json")
    assert (ran.code, verdicts(ran)[2]) == (10, ("revocation", "fail"))


def test_trust_behind_a_passphrase(cipsec: Cipsec) -> None:
    """PKCS#12 is opened wherever certificates are read."""
    locked = BestAvailableEncryption(b"long enough")
    cas = pkcs12.serialize_key_and_certificates(b"x", None, None, [ROOT.certificate], locked)
    Path("root.p12").write_bytes(cas)
    command = ("cert", "verify", "issuing.pem", "--trust", "root.p12")
    assert cipsec(*command, "--passphrase-file", "passphrase").code == 0
    ran = cipsec(*command, "--no-input")
    assert (ran.code, "hint: add --passphrase-file FILE" in ran.err) == (2, True)


def test_a_key_on_stdin(cipsec: Cipsec, monkeypatch: pytest.MonkeyPatch) -> None:
    """As every file, and once."""
    key = Path("drive.key").read_bytes()
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(key)))
    assert verdicts(cipsec("cert", "verify", "drive.pem", "--key", "-", "--json"))[1:] == [
        ("key", "ok")
    ]
    assert cipsec("cert", "verify", "-", "--key", "-").code == 2


@pytest.mark.parametrize("option", ["--trust", "--intermediates", "--crl", "--key"])
def test_files_that_cannot_be_used(cipsec: Cipsec, option: str) -> None:
    """Nothing is judged by half; the file is named, of several that are given, and what it is."""
    trust = () if option == "--trust" else ("--trust", "root.pem")
    given = {
        "junk": (b"junk", " PEM"),
        "empty": (b"", " is empty"),
        "html": (b"<html>", " is HTML or XML"),
        "utf16": (ROOT.pem.decode().encode("utf-16"), " is UTF-16 text"),
    }
    for name, (data, said) in given.items():
        Path(name).write_bytes(data)
        ran = cipsec("cert", "verify", "drive.pem", *trust, option, name)
        assert (ran.code, ran.out) == (6, "")
        error, hint = ran.err.splitlines()
        assert error.startswith(f"cipsec: error: {name}")
        assert said in error
        assert hint.startswith("cipsec: hint: ")
        assert "Traceback" not in ran.err
    assert cipsec("cert", "verify", "drive.pem", *trust, option, "missing").code == 6


@pytest.mark.parametrize("encoding", [Encoding.PEM, Encoding.DER])
def test_what_is_no_list_is_no_warning(cipsec: Cipsec, encoding: Encoding) -> None:
    """A certificate in the place of the list: said, in DER as in PEM, and nothing is judged."""
    Path("wrong").write_bytes(ROOT.certificate.public_bytes(encoding))
    ran = cipsec("cert", "verify", "drive.pem", *TRUSTED, "--crl", "wrong")
    assert (ran.code, ran.out) == (6, "")
    assert "wrong holds no revocation list, only: certificate" in ran.err


def test_lists_in_der_one_behind_the_other(cipsec: Cipsec) -> None:
    """As `cert show` takes them; else a device that is on the second passed with a warning."""
    lists = (vendor.crl(ROOT, encoding=Encoding.DER), Path("issuing.crl").read_bytes())
    Path("both.crl").write_bytes(b"".join(lists))
    ran = cipsec("cert", "verify", "other.pem", *TRUSTED, "--crl", "both.crl", "--json")
    assert verdicts(ran)[2:] == [("revocation", "fail"), ("revocation", "ok")]


def test_what_to_do_about_a_path_fits_what_is_wrong_with_it(cipsec: Cipsec) -> None:
    """Files that are added help where a CA is missing, and nowhere else."""
    missing = cipsec("cert", "verify", "drive.pem", "--trust", "root.pem")
    assert [row[3] for row in missing.rows if row[0] == "path"] == [
        "give the CAs that are missing: --trust FILE for the root, --intermediates FILE"
    ]
    limited = vendor.ca(
        "Limited",
        ROOT,
        extensions=[(x509.NameConstraints([x509.DNSName("plant.example")], None), True)],
    )
    Path("limited.pem").write_bytes(limited.pem)
    Path("beyond.pem").write_bytes(vendor.device(limited, extensions=[(vendor.SAN, False)]).pem)
    between = ("--intermediates", "limited.pem")
    beyond = cipsec("cert", "verify", "beyond.pem", "--trust", "root.pem", *between)
    [row] = [row for row in beyond.rows if row[0] == "path"]
    assert row[1:] == [
        "fail",
        "the certificate has a name beyond those that its CA may give",
        "no file that is added mends this: have it issued anew, by a CA that is fit for it",
    ]


@pytest.mark.parametrize("profile", ["rfc5280", "cip"])
def test_profiles(cipsec: Cipsec, profile: str) -> None:
    """All their checks, with something to do for each that is not ok."""
    Path("old.der").write_bytes(der.certificate())
    ran = cipsec("cert", "verify", "old.der", "--profile", profile, "--json")
    wrong = [row for row in ran.json["findings"] if row["verdict"] != "ok"]
    assert len(ran.json["findings"]) > 10
    assert wrong
    assert all(row["hint"] for row in wrong)
    assert ran.code == (10 if "fail" in [row["verdict"] for row in wrong] else 0)


def test_both_profiles(cipsec: Cipsec) -> None:
    """Neither is dropped for the other."""
    Path("old.der").write_bytes(der.certificate())

    def found(*options: str) -> list[dict[str, str]]:
        ran = cipsec("cert", "verify", "old.der", *options, "--json")
        return [row for row in ran.json["findings"] if row["check"] != "validity"]

    rfc, cip = ("--profile", "rfc5280"), ("--profile", "cip")
    assert found(*cip, *rfc) == found(*rfc, *cip) == found(*rfc) + found(*cip)


def test_hostile_names(cipsec: Cipsec) -> None:
    """What a certificate says reaches no terminal as it is."""
    name = der.name((der.COMMON_NAME, der.UTF8, b"\x1b[2K\x1b]0;x\x07[red]\xe2\x80\xae"))
    Path("x.der").write_bytes(der.certificate(subject=name))
    for profile in ("rfc5280", "cip"):
        options = ("--trust", "x.der", "--name", "a.b", "--profile", profile)
        for more in ((), ("--json",)):
            out = cipsec("cert", "verify", "x.der", *options, *more).out
            assert out.replace("\n", "").replace("\t", "").isprintable()


def test_a_name_with_line_breaks_says_nothing_for_the_program(cipsec: Cipsec) -> None:
    """Else a certificate could write the line of which a person reads the result."""
    forged = der.name((der.COMMON_NAME, der.UTF8, b"x\ncipsec: 0 findings: 0 fail, 0 warn"))
    Path("x.pem").write_bytes(_pem(der.certificate(subject=forged)) + ROOT.pem)
    ran = cipsec("cert", "verify", "x.pem")
    assert len(ran.err.splitlines()) == 3
    assert ran.err.startswith(r"cipsec: of x.pem that of CN=x\x0acipsec: 0 findings")


def _pem(certificate: bytes) -> bytes:
    return x509.load_der_x509_certificate(certificate).public_bytes(Encoding.PEM)
