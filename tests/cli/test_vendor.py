"""`cipsec vendor`: whose device certificates prove a device."""

from __future__ import annotations

import os
import re
import sys
from datetime import timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, pkcs7

from cipsec import times
from cipsec.ca_folder import CaFolder
from cipsec.errors import Untrusted
from cipsec.pki import fingerprint, keys
from cipsec.ra.vendors import Vendors, load
from tests.support import ca, vendor
from tests.support.terminal import at_terminal
from tests.support.vendor import Party

from .conftest import Cipsec

ACME = vendor.make()
ROOT = fingerprint.sha256(ACME.root.certificate)
KEYS = [
    *("name", "subject", "sha256", "not_after", "vendor_ids", "check_expiry", "require_eku"),
    *("require_san", "require_aki", "require_fresh_crl", "revoked", "file"),
]


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Acme's root in a file."""
    return write(tmp_path / "acme-root.pem", ACME.root)


def write(path: Path, *parties: Party) -> Path:
    """Write certificates to a file as people have them."""
    path.write_bytes(b"".join(party.pem for party in parties))
    return path


def proves(folder: CaFolder, pki: vendor.Pki = ACME) -> bool:
    """Tell whether the server would believe a device of the vendor."""
    try:
        Vendors(folder.path / "vendors").verify(pki.chain, times.now())
    except Untrusted:
        return False
    return True


def left(folder: CaFolder) -> list[str]:
    """Return the files in the vendors' folder."""
    return sorted(file.name for file in (folder.path / "vendors").iterdir())


def test_nobody(on_ca: Cipsec) -> None:
    """An empty list is no error; the key is there."""
    ran = on_ca("vendor", "list")
    assert (ran.code, ran.out) == (0, "")
    assert ran.err.startswith("cipsec: there is no vendor; add one with: cipsec vendor add")
    assert on_ca("vendor", "list", "--json").json == {"vendors": []}


def test_a_vendors_life(on_ca: Cipsec, ca_folder: CaFolder, root: Path) -> None:
    """Added with its fingerprint, listed, believed, removed; each with its event and actor."""
    ids = ["--vendor-id", "1", "--vendor-id", "002A"]
    added = on_ca("vendor", "add", root, "--name", "acme", "--fingerprint", ROOT, *ids, "--json")
    assert (added.code, added.err) == (0, "")
    [shown] = added.json["vendors"]
    assert list(shown) == KEYS
    assert shown["name"] == "acme"
    assert shown["subject"] == "CN=Acme Root,O=Acme"
    assert shown["sha256"] == ROOT
    assert shown["not_after"] == "9999-12-31T23:59:59Z"
    assert shown["vendor_ids"] == ["0001", "002A"]
    assert shown["check_expiry"] is False
    assert shown["file"] == str(ca_folder.path / "vendors" / "acme.pem")
    assert on_ca("vendor", "list").rows == [
        ["acme", "CN=Acme Root,O=Acme", "0001, 002A", "9999-12-31T23:59:59Z", ROOT]
    ]
    assert left(ca_folder) == ["acme.pem", "acme.toml"]
    assert proves(ca_folder)

    removed = on_ca("vendor", "remove", "acme", "-y", "--json")
    assert removed.code == 0
    assert [one["name"] for one in removed.json["vendors"]] == ["acme"]
    assert left(ca_folder) == []
    assert not proves(ca_folder)
    events = on_ca("ca", "log", "--json").json["events"]
    told = [(one["event"], one["actor"], one["subject"], one["reason"]) for one in events]
    assert told == [
        (event, "operator", "CN=Acme Root,O=Acme", f"vendor acme, SHA-256 {ROOT}")
        for event in ("vendor-added", "vendor-removed")
    ]


def test_strictness_and_lists(
    on_ca: Cipsec, ca_folder: CaFolder, root: Path, tmp_path: Path
) -> None:
    """Switches and revocation lists lie beside the anchors; what is out of date is said."""
    lists = tmp_path / "acme.crl"
    old = times.now() - timedelta(days=2)
    lists.write_bytes(vendor.crl(ACME.issuing, ACME.device, until=old, encoding=Encoding.DER))
    switches = ["--check-expiry", "--require-eku", "--require-san", "--require-aki"]
    ran = on_ca("vendor", "add", root, "--name", "acme", "-y", "--crl", lists, *switches, "--json")
    assert ran.code == 0
    assert ran.err.startswith("cipsec: warning: vendors/acme.crl is out of date since")
    [shown] = ran.json["vendors"]
    assert [shown[key] for key in KEYS[5:11]] == [True, True, True, True, False, False]
    assert left(ca_folder) == ["acme.crl", "acme.pem", "acme.toml"]
    assert "warning" in on_ca("vendor", "list").err
    assert not proves(ca_folder)
    again = on_ca("vendor", "add", root, "--name", "acme", "-yf", "--json")
    assert again.json["vendors"][0]["check_expiry"] is False
    assert left(ca_folder) == ["acme.crl", "acme.pem", "acme.toml"]
    assert not proves(ca_folder), "the lists stay until others come"
    assert proves(ca_folder, ACME.with_device("0001:00000002"))


@pytest.mark.parametrize("form", ["pem", "der", "pkcs7", "stdin"])
def test_forms_of_files(
    on_ca: Cipsec, ca_folder: CaFolder, tmp_path: Path, form: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Several certificates at once; one fingerprint vouches for what its certificate issued."""
    certificates = [ACME.issuing.certificate, ACME.root.certificate]
    file = tmp_path / "acme"
    match form:
        case "der":
            file.write_bytes(ACME.root.der)
        case "pkcs7":
            file.write_bytes(pkcs7.serialize_certificates(certificates, Encoding.DER))
        case _:
            write(file, ACME.issuing, ACME.root, ACME.root)
    name = "-" if form == "stdin" else str(file)
    with file.open("rb") as stdin:
        if form == "stdin":
            monkeypatch.setattr("sys.stdin", os.fdopen(os.dup(stdin.fileno())))
        colons = ":".join(ROOT[i : i + 2] for i in range(0, 64, 2)).upper()
        ran = on_ca("vendor", "add", name, "--name", "acme", "--fingerprint", colons, "--json")
    assert ran.code == 0, ran.err
    assert len(ran.json["vendors"]) == (1 if form == "der" else 2)
    assert proves(ca_folder)
    if form == "stdin":
        sys.stdin.close()


def test_a_fingerprint_that_is_not_the_one(
    on_ca: Cipsec, ca_folder: CaFolder, root: Path, tmp_path: Path
) -> None:
    """Exit 5, also with -y; nothing is written; another certificate is not vouched for."""
    for more in ([], ["-y"]):
        ran = on_ca("vendor", "add", root, "--name", "acme", "--fingerprint", "0" * 64, *more)
        assert (ran.code, ran.out) == (5, "")
        assert ROOT in ran.err
    bolt = vendor.ca("Bolt Root")
    both = write(tmp_path / "both.pem", ACME.root, bolt)
    ran = on_ca("vendor", "add", both, "--name", "acme", "--fingerprint", ROOT)
    assert ran.code == 5
    assert "cipsec: error: no fingerprint vouches for CN=Bolt Root,O=Acme\n" in ran.err
    assert on_ca("vendor", "add", root, "--name", "acme", "--fingerprint", "12").code == 2
    assert left(ca_folder) == []
    fingerprints = ["--fingerprint", ROOT, "--fingerprint", fingerprint.sha256(bolt.certificate)]
    assert on_ca("vendor", "add", both, "--name", "acme", *fingerprints).code == 0


NOT_ANCHORS = [
    ([ACME.device], "is not a CA"),
    ([vendor.device(None)], "is not a CA"),
    ([ACME.root, ACME.device], "certificate 2: .* is not a CA"),
    ([vendor.ca("X", usage=vendor.signs(certificates=False))], "may not sign certificates"),
    ([vendor.ca("X", extensions=[(vendor.UNKNOWN, True)])], "critical extension"),
    (
        [vendor.ca("X", key=rsa.generate_private_key(65537, 1024))],
        "RSA key of 1024 bits",
    ),
]


@pytest.mark.parametrize(("parties", "why"), NOT_ANCHORS)
def test_what_is_no_anchor(
    on_ca: Cipsec, ca_folder: CaFolder, tmp_path: Path, parties: list[Party], why: str
) -> None:
    """Only CAs' certificates are taken; the refusal names file and reason."""
    file = write(tmp_path / "acme.pem", *parties)
    ran = on_ca("vendor", "add", file, "--name", "acme", "-y")
    assert (ran.code, ran.out) == (6, "")
    assert ran.err.startswith(f"cipsec: error: {file}: certificate")
    assert re.search(why, ran.err)
    assert left(ca_folder) == []


def test_the_plants_own_ca(on_ca: Cipsec, ca_folder: CaFolder, tmp_path: Path) -> None:
    """Nor what it issued, nor another certificate on its key: they would prove every device."""
    own = Party(ca_folder.certificate(), keys.from_pem(ca_folder.key_file.read_bytes()))
    for party in (own, vendor.ca("Acme Below", own), vendor.ca("Acme Twin", key=own.key)):
        ran = on_ca("vendor", "add", write(tmp_path / "x.pem", party), "--name", "acme", "-y")
        assert (ran.code, ran.out) == (2, "")
        assert "is of this CA, and no vendor's" in ran.err
    assert left(ca_folder) == []


def test_add_twice(on_ca: Cipsec, ca_folder: CaFolder, root: Path) -> None:
    """An existing name is kept without -f; one certificate is of one vendor."""
    on_ca("vendor", "add", root, "--name", "acme", "-y")
    for more in (["-y"], []):
        ran = on_ca("vendor", "add", root, "--name", "acme", *more)
        assert (ran.code, ran.out) == (6, "")
        assert ran.err == (
            "cipsec: error: there is a vendor acme\ncipsec: hint: add -f to replace it\n"
        )
    ran = on_ca("vendor", "add", root, "--name", "other", "-yf")
    assert ran.code == 6
    assert "CN=Acme Root,O=Acme is of the vendor acme already" in ran.err
    assert left(ca_folder) == ["acme.pem", "acme.toml"]


@pytest.mark.parametrize(
    "name",
    ["", ".", "..", "../x", "a/b", "a b", ".a", "-x", "a\x1b[2K", "[/red]", "é", "x" * 65, "a\n"],
)
def test_names_that_cannot_be(on_ca: Cipsec, ca_folder: CaFolder, root: Path, name: str) -> None:
    """Wrong usage for add and remove; nothing is written, nothing removed."""
    for argv in (["add", root, "-y", f"--name={name}"], ["remove", "-y", "--", name]):
        ran = on_ca("vendor", *argv)
        assert (ran.code, ran.out) == (2, "")
        assert not set("\x1b\u202e") & set(ran.err)
    assert left(ca_folder) == []
    assert root.exists()


@pytest.mark.parametrize("number", ["", "0", "10000", "x", "-1", "0001:6040C8F2"])
def test_vendor_ids_that_cannot_be(on_ca: Cipsec, root: Path, number: str) -> None:
    """Wrong usage, before anybody is asked."""
    ran = on_ca("vendor", "add", root, "--name", "acme", f"--vendor-id={number}")
    assert (ran.code, ran.out) == (2, "")
    assert "is not a Vendor ID" in ran.err


def test_nobody_to_ask(on_ca: Cipsec, ca_folder: CaFolder, root: Path) -> None:
    """Without a terminal the hint names the options; nothing hangs, nothing changes."""
    for more in ([], ["--no-input"], ["--json"]):
        ran = on_ca("vendor", "add", root, "--name", "acme", *more)
        assert ran.code == 2
        assert "cipsec: hint: add --fingerprint SHA256, or -y\n" in ran.err
        assert ROOT in ran.err
    assert left(ca_folder) == []
    on_ca("vendor", "add", root, "--name", "acme", "-y")
    ran = on_ca("vendor", "remove", "acme")
    assert ran.code == 2
    assert "cipsec: hint: add -y\n" in ran.err
    assert left(ca_folder) == ["acme.pem", "acme.toml"]


def test_at_a_terminal(ca_folder: CaFolder, root: Path) -> None:
    """Subject and fingerprint are shown and a person says yes, or no."""
    there = ["--ca-dir", str(ca_folder.path)]
    argv = ["vendor", "add", str(root), "--name", "acme", *there]
    question = f"Is this CA the vendor's: CN=Acme Root,O=Acme, SHA-256 {ROOT}? [y/N] "
    no = at_terminal(argv, (question, "\n"))
    assert no.code == 10
    assert "cipsec: nothing was added" in no.screen
    assert left(ca_folder) == []
    assert at_terminal(argv, (question, "y\n")).code == 0
    assert proves(ca_folder)
    argv = ["vendor", "remove", "acme", *there]
    assert at_terminal(argv, ("Remove the vendor acme? [y/N] ", "n\n")).code == 10
    assert proves(ca_folder)
    assert at_terminal(argv, ("Remove the vendor acme? [y/N] ", "y\n")).code == 0
    assert left(ca_folder) == []


def test_hostile_subjects(on_ca: Cipsec, tmp_path: Path) -> None:
    """Nothing in a certificate reaches the terminal as it is."""
    name = ca.unchecked_name("\x1b[2K\u202eroot[/red]\n" + "x" * 3000)
    constraints = x509.BasicConstraints(ca=True, path_length=None)
    party = vendor.issue(name, constraints=constraints)
    file = write(tmp_path / "x.pem", party)
    for argv in (
        ["add", file, "--name", "x"],
        ["add", file, "--name", "x", "-y"],
        ["list"],
        ["list", "--json"],
        ["remove", "x", "-y"],
    ):
        ran = on_ca("vendor", *argv)
        assert not set("\x1b\u202e") & set(ran.out + ran.err)
        assert len(ran.out.splitlines()) <= 1 or "--json" in argv


def test_broken_files(on_ca: Cipsec, ca_folder: CaFolder, root: Path) -> None:
    """They are told, the others listed; exit code 6; a broken vendor can be removed."""
    on_ca("vendor", "add", root, "--name", "acme", "-y")
    (ca_folder.path / "vendors" / "bolt.pem").write_bytes(b"junk!")
    ran = on_ca("vendor", "list")
    assert (ran.code, len(ran.rows)) == (6, 1)
    assert "cipsec: warning: vendors/bolt.pem" in ran.err
    removed = on_ca("vendor", "remove", "bolt", "-y", "--json")
    assert (removed.code, removed.json) == (0, {"vendors": []})
    assert on_ca("vendor", "list").code == 0


def test_a_broken_list(on_ca: Cipsec, ca_folder: CaFolder, root: Path, tmp_path: Path) -> None:
    """It is not taken, and nothing is written."""
    lists = tmp_path / "x.crl"
    lists.write_bytes(b"junk")
    ran = on_ca("vendor", "add", root, "--name", "acme", "-y", "--crl", lists)
    assert (ran.code, ran.out) == (6, "")
    assert f"{lists} is neither PEM, DER, PKCS#7 nor base64" in ran.err
    assert left(ca_folder) == []


def test_a_list_that_its_ca_did_not_sign(
    on_ca: Cipsec, ca_folder: CaFolder, root: Path, tmp_path: Path
) -> None:
    """It is not taken, also not in place of a good one; laid there by hand, it is told."""
    forged = vendor.crl(ACME.root, signer=vendor.make("Bolt").root.key)
    lists = tmp_path / "x.crl"
    lists.write_bytes(forged)
    ran = on_ca("vendor", "add", root, "--name", "acme", "-y", "--crl", lists)
    assert (ran.code, ran.out, left(ca_folder)) == (6, "", [])
    assert "is not signed by CN=Acme Root,O=Acme, the CA it says it is of" in ran.err
    assert on_ca("vendor", "add", root, "--name", "acme", "-y").code == 0
    assert on_ca("vendor", "add", root, "--name", "acme", "-yf", "--crl", lists).code == 6
    assert left(ca_folder) == ["acme.pem", "acme.toml"]
    (ca_folder.path / "vendors" / "acme.crl").write_bytes(forged)
    ran = on_ca("vendor", "list")
    assert (ran.code, len(ran.rows)) == (6, 1)
    assert "cipsec: warning: vendors/acme.crl is not signed by CN=Acme Root,O=Acme" in ran.err


@pytest.mark.parametrize("what", [".crl", ".pem"])
def test_what_would_be_too_long_to_be_read_again(
    on_ca: Cipsec,
    ca_folder: CaFolder,
    root: Path,
    monkeypatch: pytest.MonkeyPatch,
    what: str,
) -> None:
    """It is not taken, nothing is written: a vendor that is there goes on proving devices."""
    on_ca("vendor", "add", root, "--name", "acme", "-y")
    before = left(ca_folder)
    lists = root.with_name("x.crl")
    lists.write_bytes(vendor.crl(ACME.issuing, ACME.device))
    monkeypatch.setitem(load.LIMITS, what, 100)
    ran = on_ca("vendor", "add", root, "--name", "acme", "-yf", "--crl", lists)
    assert (ran.code, left(ca_folder)) == (6, before)
    assert ran.err.startswith(f"cipsec: error: vendors/acme{what} would be larger than 100 bytes")


def test_an_expired_root(on_ca: Cipsec, tmp_path: Path) -> None:
    """It is taken, with a word of what it proves."""
    old = vendor.ca("Acme Old", end=times.now() - timedelta(days=1))
    file = write(tmp_path / "old.pem", old)
    ran = on_ca("vendor", "add", file, "--name", "acme", "-y")
    assert ran.code == 0
    assert "it proves devices all the same" in ran.err
    ran = on_ca("vendor", "add", file, "--name", "acme", "-yf", "--check-expiry")
    assert "it proves nothing" in ran.err


def test_usage(on_ca: Cipsec, root: Path, tmp_path: Path) -> None:
    """A name is needed; what is not there is said."""
    ran = on_ca("vendor", "add", root)
    assert (ran.code, ran.err) == (
        2,
        "cipsec: error: the vendor has no name\ncipsec: hint: add --name NAME\n",
    )
    assert on_ca("vendor", "add", tmp_path / "missing", "--name", "acme").code == 6
    ran = on_ca("vendor", "remove", "nobody", "-y")
    assert (ran.code, ran.out) == (3, "")
    assert "there is no vendor nobody" in ran.err
