"""`cipsec csr verify`: several requests, folders, and what a CA would see in them."""

from __future__ import annotations

import io
import os
import sys
from datetime import timedelta
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.serialization import Encoding

from cipsec import times
from cipsec.ca_folder import CaFolder
from cipsec.pki import csr, names
from cipsec.pki.csr import CertificateRequest
from tests.support import ca, der, vendor

from .conftest import Cipsec

SECRET = b"correct-horse"
DRIVE = der.name(
    (der.COMMON_NAME, der.UTF8, b"Drive 7"), (der.SERIAL_NUMBER, der.PRINTABLE, b"0001:6040C8F2")
)
GOOD = der.request(subject=DRIVE)
BAD = der.request(subject=der.name())


def _details(rows: list[list[str]], check: str) -> list[tuple[str, str]]:
    return [(row[1], row[2]) for row in rows if row[0] == check]


def test_several_requests_are_judged_each(cipsec: Cipsec, tmp_path: Path) -> None:
    """The file stands first; what cannot be read is a finding, and the others are judged."""
    good, bad, none = tmp_path / "good.csr", tmp_path / "bad.csr", tmp_path / "none.csr"
    good.write_bytes(GOOD)
    bad.write_bytes(BAD)
    none.write_bytes(der.certificate())
    ran = cipsec("csr", "verify", good, bad, none)
    assert ran.code == 10
    assert {row[0] for row in ran.rows} == {str(good), str(bad), str(none)}
    fails = {(row[0], row[1]) for row in ran.rows if row[2] == "fail"}
    assert fails == {(str(bad), "subject"), (str(none), "file")}
    assert ran.err.endswith("2 fail, 3 warn\n")


def test_a_folder_stands_for_its_requests(cipsec: Cipsec, tmp_path: Path) -> None:
    """What else is in it is counted."""
    (tmp_path / "a.csr").write_bytes(GOOD)
    (tmp_path / "b.p10").write_bytes(GOOD)
    (tmp_path / "key.pem").write_bytes(b"")
    ran = cipsec("csr", "verify", tmp_path, "--json")
    assert ran.code == 0
    assert f"cipsec: not looked at in {tmp_path}: 1 other file\n" in ran.err
    files = {finding["file"] for finding in ran.json["findings"]}
    assert files == {f"{tmp_path}/a.csr", f"{tmp_path}/b.p10"}
    (tmp_path / "empty").mkdir()
    refused = cipsec("csr", "verify", tmp_path / "empty")
    assert (refused.code, refused.out) == (6, "")
    assert "holds no file that ends in .csr, .p10, .req" in refused.err


def test_one_finding_is_told_as_cert_verify_tells_it(cipsec: Cipsec, tmp_path: Path) -> None:
    """In the same words and with something to do: the two were written apart."""
    junk = tmp_path / "folder" / "x.csr"
    junk.parent.mkdir()
    junk.symlink_to(tmp_path / "x.crt")
    (tmp_path / "x.crt").write_bytes(b"junk\0")
    request, certificate = (
        cipsec(noun, "verify", name, "--json")
        for noun, name in (("csr", junk.parent), ("cert", tmp_path))
    )
    shown = ("cipsec: 1 finding: 1 fail, 0 warn\n",) * 2
    assert (request.err, certificate.err.splitlines(keepends=True)[-1]) == shown
    [row], [other] = request.json["findings"], certificate.json["findings"]
    assert (row.keys(), row["file"], bool(row["hint"])) == (other.keys(), str(junk), True)


def test_what_to_do_is_said(cipsec: Cipsec, tmp_path: Path) -> None:
    """Beside what fails."""
    (tmp_path / "x.csr").write_bytes(BAD)
    (row,) = [r for r in cipsec("csr", "verify", tmp_path / "x.csr").rows if r[1] == "fail"]
    assert row[3] == "cipsec csr create --subject 'CN=Drive 7' names it"


def test_a_challenge_password_is_told_and_never_shown(cipsec: Cipsec, tmp_path: Path) -> None:
    """By no command, at no verbosity, in no encoding."""
    challenge = der.attribute(der.CHALLENGE, der.tlv(der.PRINTABLE, SECRET))
    (tmp_path / "x.csr").write_bytes(der.request(challenge))
    for verb in ("show", "verify"):
        for options in ((), ("--json",), ("-v", "-v", "-v"), ("-vvv", "--json")):
            ran = cipsec("csr", verb, tmp_path / "x.csr", *options)
            assert ran.code == 0
            assert "challenge" in ran.out
            said = ran.out + ran.err
            assert SECRET.decode() not in said
            assert SECRET.hex() not in said


def test_stdin_is_read_once(
    cipsec: Cipsec, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """And may stand among files."""
    (tmp_path / "x.csr").write_bytes(GOOD)
    for given in (("-", "-"), ("-", "--cert", "-")):
        ran = cipsec("csr", "verify", *given)
        assert (ran.code, ran.out) == (2, "")
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(GOOD)))
    ran = cipsec("csr", "verify", tmp_path / "x.csr", "-", "--json")
    assert {finding["file"] for finding in ran.json["findings"]} == {f"{tmp_path}/x.csr", "-"}


def test_a_ca_refuses_its_own_names(cipsec: Cipsec, tmp_path: Path) -> None:
    """What no rule can grant is found by who knows the CA's folder."""
    own, folder = "est.line4.example", tmp_path / "ca"
    options = ("--ca-dir", folder, "--name", "Line 4", "--host", own, "--no-passphrase")
    assert cipsec("ca", "init", *options).code == 0
    subject = names.parse_subject("CN=Drive 7")
    request = csr.build(der.KEY, subject, sans=[names.host_name(own)])
    (tmp_path / "x.csr").write_bytes(request.public_bytes(Encoding.PEM))
    assert cipsec("csr", "verify", tmp_path / "x.csr").code == 0
    ran = cipsec("csr", "verify", tmp_path / "x.csr", "--ca-dir", folder)
    ((verdict, detail),) = _details(ran.rows, "limits")
    assert (ran.code, verdict) == (10, "fail")
    assert "this server's own name" in detail


def test_what_a_certificate_proves_is_said(on_ca: Cipsec, tmp_path: Path) -> None:
    """By a vendor that is known, by one that is not, and of another device."""
    root = vendor.ca("Acme Root")
    (tmp_path / "root.pem").write_bytes(root.pem)
    on_ca("vendor", "add", tmp_path / "root.pem", "--name", "acme", "--vendor-id", "0001", "-y")
    (tmp_path / "x.csr").write_bytes(GOOD)
    for party, presented, identity in (
        (vendor.device(root), ("ok", "proves: device 0001:6040C8F2"), ("ok", "proved")),
        (vendor.device(None), ("warn", "proves nothing"), ("ok", "as it claims")),
        (vendor.device(root, "0001:00000009"), ("ok", "proves"), ("fail", "it is refused")),
    ):
        (tmp_path / "cert.pem").write_bytes(party.pem)
        ran = on_ca("csr", "verify", tmp_path / "x.csr", "--cert", tmp_path / "cert.pem")
        for check, (verdict, words) in (("presented", presented), ("identity", identity)):
            ((found, detail),) = _details(ran.rows, check)
            assert (found, words in detail) == (verdict, True), detail
        assert ran.code == (10 if identity[0] == "fail" else 0)


def test_other_names_than_the_certificates_are_told(on_ca: Cipsec, tmp_path: Path) -> None:
    """They would be refused as a renewal."""
    (tmp_path / "x.csr").write_bytes(GOOD)
    on_ca("ca", "issue", tmp_path / "x.csr", "-o", tmp_path / "c.pem")
    (tmp_path / "y.csr").write_bytes(der.request())
    renewal = on_ca("csr", "verify", tmp_path / "x.csr", "--cert", tmp_path / "c.pem")
    assert not _details(renewal.rows, "renewal")
    other = on_ca("csr", "verify", tmp_path / "y.csr", "--cert", tmp_path / "c.pem")
    ((verdict, detail),) = _details(other.rows, "renewal")
    assert (verdict, "as a renewal it is refused" in detail) == ("warn", True)


def test_a_renewal_is_judged_as_the_settings_have_it(
    on_ca: Cipsec, ca_folder: CaFolder, tmp_path: Path
) -> None:
    """In its grace a certificate that has ended is renewed and proves nothing else; too early."""
    asked = ca.request("CN=Drive 7,serialNumber=0001:6040C8F2")
    ca.write_pem(tmp_path / "x.csr", asked)
    (tmp_path / "c.der").write_bytes(_issued(on_ca, ca_folder, asked, days_ago=740))
    argv = ("csr", "verify", tmp_path / "x.csr", "--cert", tmp_path / "c.der")
    before = on_ca(*argv)
    assert not _details(before.rows, "renewal")
    _set_renewal(ca_folder, 'grace = "30d"')
    ran = on_ca(*argv)
    ((verdict, detail),) = _details(ran.rows, "renewal")
    assert (verdict, detail.partition(" has ")[2]) == ("ok", "ended, and may be renewed still")
    for check in ("presented", "identity"):
        assert _details(ran.rows, check) == _details(before.rows, check)
    (tmp_path / "c.der").write_bytes(_issued(on_ca, ca_folder, asked, days_ago=0))
    _set_renewal(ca_folder, 'earliest = "50%"')
    ((verdict, detail),) = _details(on_ca(*argv).rows, "renewal")
    assert verdict == "warn"
    assert "is not renewed before" in detail
    assert detail.endswith("as a renewal it is refused")


def _set_renewal(folder: CaFolder, setting: str) -> None:
    before, _, rest = folder.config_file.read_text().partition("[renewal]\n")
    after = rest[rest.index("\n\n") :]
    folder.config_file.write_text(f"{before}[renewal]\n{setting}{after}")


def _issued(on_ca: Cipsec, folder: CaFolder, asked: CertificateRequest, *, days_ago: int) -> bytes:
    now = times.now() - timedelta(days=days_ago)
    on_ca("ca", "approve", ca.ask(folder, asked, now=now))
    return ca.receive(folder, asked, now=now)


def test_other_names_by_an_attribute_are_told(on_ca: Cipsec, tmp_path: Path) -> None:
    """ChangeSubjectName is refused, unless ca.toml says that it is ignored."""
    change = der.attribute("1.3.6.1.5.5.7.7.36", der.sequence(der.DRIVE))
    (tmp_path / "x.csr").write_bytes(der.request(change))
    ran = on_ca("csr", "verify", tmp_path / "x.csr", "--ca-dir", os.environ["CIPSEC_CA_DIR"])
    ((verdict, detail),) = _details(ran.rows, "limits")
    assert (ran.code, verdict) == (10, "fail")
    assert "asks for other names by ChangeSubjectName" in detail


def test_a_certificate_needs_its_ca(cipsec: Cipsec, tmp_path: Path) -> None:
    """Who vouches for whom is written in its folder."""
    (tmp_path / "x.csr").write_bytes(GOOD)
    ran = cipsec("csr", "verify", tmp_path / "x.csr", "--ca-dir", tmp_path / "none")
    assert (ran.code, ran.out) == (3, "")
