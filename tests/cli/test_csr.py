"""`cipsec csr`: keys and requests made, shown and judged, as a person and a script see it."""

from __future__ import annotations

import io
import sys
import unicodedata
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from cipsec.pki import csr, keys
from tests.support import der, programs
from tests.support.terminal import at_terminal

from .conftest import Cipsec, Ran
from .hostile import HOSTILE

PEM = der.pem("CERTIFICATE REQUEST", der.request())


def _typed(monkeypatch: pytest.MonkeyPatch, data: bytes) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(data)))


def _names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def _refused(ran: Ran, code: int, *stderr: str) -> None:
    assert (ran.code, ran.out) == (code, "")
    assert ran.err.splitlines() == [f"cipsec: {line}" for line in stderr]


def test_create_makes_the_key_and_prints_the_request(cipsec: Cipsec, tmp_path: Path) -> None:
    """PKCS#8, mode 0600, P-256; the request alone on stdout."""
    key = tmp_path / "k.pem"
    ran = cipsec("csr", "create", "--key", key, "--subject", "CN=Drive 7")
    assert (ran.code, ran.err) == (0, f"cipsec: made the key {key}\n")
    parsed = x509.load_pem_x509_csr(ran.out.encode())
    assert parsed.subject.rfc4514_string() == "CN=Drive 7"
    assert key.read_bytes().startswith(b"-----BEGIN PRIVATE KEY-----")
    assert key.stat().st_mode & 0o777 == 0o600
    made = keys.from_pem(key.read_bytes()).public_key()
    assert keys.spki(made) == keys.spki(parsed.public_key())
    assert _names(tmp_path) == ["k.pem"]


def test_create_uses_a_key_and_never_changes_it(cipsec: Cipsec, tmp_path: Path) -> None:
    """Also with -f, which is for the request."""
    key, request = tmp_path / "k.pem", tmp_path / "x.csr"
    cipsec("csr", "create", "--key", key, "-o", request)
    before = key.read_bytes()
    ran = cipsec("csr", "create", "--key", key, "-o", request, "-f")
    assert (ran.code, ran.out, ran.err) == (0, "", f"cipsec: wrote the request {request}\n")
    assert key.read_bytes() == before
    assert request.stat().st_mode & 0o777 == 0o644


def test_create_says_everything_as_json(cipsec: Cipsec, tmp_path: Path) -> None:
    """The record of `csr show`, the PEM, and where things are."""
    key, request = tmp_path / "k.pem", tmp_path / "x.csr"
    options = [
        "--device",
        "1:6040c8f2",
        "--mac",
        "0000.bc12.3456",
        "--san",
        "dns:a",
        "--san",
        "ip:::1",
    ]
    ran = cipsec("csr", "create", "--key", key, "-o", request, "--json", "-q", *options)
    assert (ran.code, ran.err) == (0, "")
    shown = ran.json["csr"]
    assert shown["subject"] == "serialNumber=0001:6040C8F2,CN=0001:6040C8F2"
    assert (shown["device"], shown["mac"]) == ("0001:6040C8F2", "00:00:bc:12:34:56")
    assert shown["san"] == ["dns:a", "ip:::1"]
    assert shown["pem"].encode() == request.read_bytes()
    assert (shown["key"], shown["key_created"]) == (str(key), True)
    assert shown["output"] == str(request)
    assert list(ran.json) == ["csr"]


@pytest.mark.parametrize("key_type", keys.KeyType)
def test_create_makes_keys_of_every_type(
    cipsec: Cipsec, tmp_path: Path, key_type: keys.KeyType
) -> None:
    """As --key-type says."""
    ran = cipsec("csr", "create", "--key", tmp_path / "k", "--key-type", key_type, "--json")
    assert ran.json["csr"]["key_type"] == key_type


@pytest.mark.programs
def test_openssl_verifies_what_create_writes(cipsec: Cipsec, tmp_path: Path) -> None:
    """The independent judge."""
    programs.need("openssl")
    ran = cipsec(
        "csr", "create", "--key", tmp_path / "k", "--san", "ip:10.0.0.7", "--device", "1:2"
    )
    judged = programs.run("openssl", "req", "-verify", "-noout", "-text", stdin=ran.out.encode())
    assert judged.returncode == 0
    assert b"self-signature verify OK" in judged.stderr
    assert b"serialNumber = 0001:00000002" in judged.stdout
    assert b"IP Address:10.0.0.7" in judged.stdout


def test_create_refuses_what_exists_before_a_key_is_made(cipsec: Cipsec, tmp_path: Path) -> None:
    """Nothing appears, nothing changes."""
    (tmp_path / "x.csr").write_bytes(b"old")
    ran = cipsec("csr", "create", "--key", tmp_path / "k", "-o", tmp_path / "x.csr")
    _refused(ran, 6, f"error: {tmp_path}/x.csr exists", "hint: add -f to overwrite it")
    assert _names(tmp_path) == ["x.csr"]


def test_create_never_writes_a_request_over_a_key(cipsec: Cipsec, tmp_path: Path) -> None:
    """Not over its own, by whatever path, and with -f not over another one."""
    other = tmp_path / "other.pem"
    cipsec("csr", "create", "--key", other)
    key = tmp_path / "k.pem"
    (tmp_path / "link").symlink_to(key)
    ran = cipsec("csr", "create", "--key", key, "-o", tmp_path / "link", "-f")
    _refused(ran, 2, "error: key and request cannot be one file", "hint: name another with -o")
    ran = cipsec("csr", "create", "--key", key, "-o", other, "-f")
    _refused(ran, 6, f"error: {other} holds a private key and stays", "hint: name another with -o")
    assert keys.from_pem(other.read_bytes())
    assert not key.exists()


def test_a_new_key_goes_with_a_request_that_cannot_be_written(
    cipsec: Cipsec, tmp_path: Path
) -> None:
    """Both or neither."""
    target = tmp_path / "missing" / "x.csr"
    ran = cipsec("csr", "create", "--key", tmp_path / "k", "-o", target)
    _refused(ran, 6, f"error: {target} cannot be written: no such file or directory")
    assert _names(tmp_path) == []


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--subject", "Drive 7"], "'Drive 7' is not a distinguished name"),
        (["--subject", ""], "the subject is empty"),
        (["--san", "drive7"], "'drive7' is not an alternative name"),
        (["--device", "6040C8F2"], "'6040C8F2' is not VENDOR:SERIAL in hexadecimal"),
        (["--device", ""], "'' is not VENDOR:SERIAL in hexadecimal"),
        (["--mac", "x"], "'x' is not a MAC address"),
        (["--key-type", "rsa"], "'rsa' is not a key type"),
        (["--subject", "SN=7", "--device", "1:2"], "the subject's serialNumber is not the device"),
    ],
)
def test_create_refuses_wrong_options(
    cipsec: Cipsec, tmp_path: Path, options: list[str], message: str
) -> None:
    """Exit 2, a hint, and no key left behind."""
    ran = cipsec("csr", "create", "--key", tmp_path / "k", *options)
    assert (ran.code, ran.out) == (2, "")
    assert ran.err.splitlines()[0] == f"cipsec: error: {message}"
    assert ran.err.splitlines()[1].startswith("cipsec: hint: ")
    assert _names(tmp_path) == []


def test_create_takes_an_encrypted_key(cipsec: Cipsec, tmp_path: Path) -> None:
    """Made with a passphrase from a file, opened with it, and not without."""
    key, right, wrong = (tmp_path / name for name in ("k", "right", "wrong"))
    right.write_text("open sesame\n")
    wrong.write_text("open barley\n")
    made = cipsec("csr", "create", "--key", key, "--passphrase-file", right)
    assert made.code == 0
    assert b"ENCRYPTED" in key.read_bytes()
    assert cipsec("csr", "create", "--key", key, "--passphrase-file", right).code == 0
    _refused(
        cipsec("csr", "create", "--key", key, "--passphrase-file", wrong),
        6,
        f"error: {key}: the passphrase does not open the key",
    )
    _refused(
        cipsec("csr", "create", "--key", key),
        2,
        f"error: Passphrase of {key} is needed and nobody can be asked",
        "hint: add --passphrase-file FILE",
    )


def test_a_person_is_asked_for_the_passphrase(tmp_path: Path) -> None:
    """At a terminal, unseen."""
    key = tmp_path / "k"
    key.write_bytes(keys.to_pem(keys.generate(keys.KeyType.EC_P256), "open sesame"))
    ran = at_terminal(["csr", "create", "--key", str(key)], (f"of {key}: ", "open sesame\n"))
    assert ran.code == 0
    assert "BEGIN CERTIFICATE REQUEST" in ran.screen
    assert "sesame" not in ran.screen


@pytest.mark.parametrize(
    ("content", "code", "message"),
    [
        (b"", 6, "is empty"),
        (der.pem("CERTIFICATE", der.certificate()), 6, "this is not a private key in PEM"),
        (keys.to_pem(keys.generate(keys.KeyType.EC_P384)), 2, "is an ec-p384 key"),
    ],
)
def test_create_refuses_another_key(
    cipsec: Cipsec, tmp_path: Path, content: bytes, code: int, message: str
) -> None:
    """What is there is named and stays."""
    key = tmp_path / "k"
    key.write_bytes(content)
    ran = cipsec("csr", "create", "--key", key, "--key-type", "ec-p256")
    assert ran.code == code
    assert message in ran.err
    assert str(key) in ran.err
    assert key.read_bytes() == content


def test_create_without_a_key_says_which_option_is_missing(cipsec: Cipsec) -> None:
    """There is no place to make one unasked."""
    _refused(
        cipsec("csr", "create"),
        2,
        "error: Missing option '--key'",
        "hint: cipsec csr create --help",
    )


_BY_PRESET = "by the unverified preset canonical-serialnumber"


def test_show_tells_people_both_number_bases(
    cipsec: Cipsec, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """From stdin; a transcript."""
    subject = der.name(
        (der.COMMON_NAME, der.UTF8, b"Drive 7"),
        (der.SERIAL_NUMBER, der.PRINTABLE, b"0001:6040C8F2"),
    )
    san = der.extension(
        der.SUBJECT_ALT_NAME, der.sequence(der.tlv(0x82, b"a"), der.tlv(0x82, b"b"))
    )
    secret = der.attribute(der.CHALLENGE, der.tlv(der.PRINTABLE, b"open sesame"))
    _typed(monkeypatch, der.request(der.requested(san), secret, subject=subject))
    ran = cipsec("csr", "show", "-")
    assert (ran.code, ran.err) == (0, "")
    lines = dict(line.split("  ", 1) for line in ran.out.splitlines() if not line.startswith(" "))
    assert {name: line.strip() for name, line in lines.items() if name != "spki sha256"} == {
        "subject": "serialNumber=0001:6040C8F2,CN=Drive 7",
        "key type": "ec-p256",
        "signature algorithm": "ecdsa-with-SHA256",
        "device": "0001:6040C8F2 (vendor 1, serial 1614858482), claimed",
        "identity": f"0001:6040C8F2 in subject:serialNumber, {_BY_PRESET}",
        "san": "dns:a",
        "challenge password": "present (its value is not shown)",
    }
    assert "sesame" not in ran.out


def test_a_request_that_names_two_devices_is_shown_and_fails(
    cipsec: Cipsec, tmp_path: Path
) -> None:
    """Both with their places; a MAC address that nobody assigned is told as such."""
    subject = "CN=0002:00000001,serialNumber=0001:6040C8F2"
    options = ["--subject", subject, "--mac", "02:00:00:00:00:07", "-o", tmp_path / "x.csr"]
    cipsec("csr", "create", "--key", tmp_path / "k", *options)
    conflict = (
        "names 0001:6040C8F2 in subject:serialNumber (rule canonical-serialnumber)"
        " and 0002:00000001 in subject:CN (rule canonical-cn)"
    )
    lines = cipsec("csr", "show", tmp_path / "x.csr").out.splitlines()
    assert [line[21:] for line in lines[4:10]] == [
        "0001:6040C8F2 (vendor 1, serial 1614858482), claimed",
        "02:00:00:00:00:07 (locally administered), claimed",
        f"0001:6040C8F2 in subject:serialNumber, {_BY_PRESET}",
        "0002:00000001 in subject:CN, by the unverified preset canonical-cn",
        "02:00:00:00:00:07 in directory:mac, by the unverified preset mac-attribute",
        conflict,
    ]
    assert lines[9].startswith("identity conflict ")
    shown = cipsec("csr", "show", "--json", tmp_path / "x.csr").json["csr"]
    assert (shown["device"], shown["mac_local"]) == ("0001:6040C8F2", True)
    assert shown["identity_conflict"] == conflict
    assert [(one["kind"], one["value"]) for one in shown["identity"]] == [
        ("device", "0001:6040C8F2"),
        ("device", "0002:00000001"),
        ("mac", "02:00:00:00:00:07"),
    ]
    judged = cipsec("csr", "verify", tmp_path / "x.csr")
    assert judged.code == 10
    assert ["identity", "fail", f"it {conflict}: a CA refuses it", "-"] in judged.rows


def test_show_as_json_has_every_key(cipsec: Cipsec, tmp_path: Path) -> None:
    """Also the empty ones."""
    (tmp_path / "x.csr").write_bytes(PEM)
    shown = cipsec("csr", "show", "--json", tmp_path / "x.csr").json["csr"]
    assert shown["device"] is shown["mac"] is shown["mac_local"] is None
    assert shown["identity_conflict"] is None
    assert shown["identity"] == shown["san"] == shown["extensions"] == shown["unreadable"] == []
    assert shown["challenge_password"] is False


def test_verify_says_yes(cipsec: Cipsec, tmp_path: Path) -> None:
    """Rows of four in a pipe, exit 0 with warnings only."""
    (tmp_path / "x.csr").write_bytes(PEM)
    ran = cipsec("csr", "verify", tmp_path / "x.csr")
    assert (ran.code, ran.err) == (0, "cipsec: 8 findings: 0 fail, 2 warn\n")
    assert ran.rows[0] == ["signature", "ok", "made with the key in the request", "-"]
    assert {len(row) for row in ran.rows} == {4}


def test_verify_says_no(cipsec: Cipsec, tmp_path: Path) -> None:
    """Exit 10, and every finding all the same."""
    wrong = bytearray(der.request())
    wrong[-1] ^= 1
    (tmp_path / "x.csr").write_bytes(bytes(wrong))
    ran = cipsec("csr", "verify", "--json", "-q", tmp_path / "x.csr")
    assert (ran.code, ran.err) == (10, "")
    findings = {finding["check"]: finding for finding in ran.json["findings"]}
    assert findings["signature"] == {
        "file": str(tmp_path / "x.csr"),
        "check": "signature",
        "verdict": "fail",
        "detail": "not made with the key in the request",
        "hint": "make the request anew, signed over SHA-256 with the key that is in it",
    }
    assert findings["key"]["verdict"] == "ok"


def test_what_is_no_request_is_said_so(cipsec: Cipsec, tmp_path: Path) -> None:
    """By both commands, with something to type."""
    certificate = tmp_path / "c.pem"
    certificate.write_bytes(der.pem("CERTIFICATE", der.certificate()))
    for verb in ("show", "verify"):
        _refused(
            cipsec("csr", verb, certificate),
            6,
            f"error: there is no certificate signing request in {certificate}, only: certificate",
            f"hint: cipsec cert show {certificate}",
        )


@pytest.mark.filterwarnings("ignore:Attribute's length must be:UserWarning")
@pytest.mark.parametrize("value", HOSTILE.values(), ids=HOSTILE)
@pytest.mark.parametrize("verb", ["show", "verify"])
def test_hostile_names_are_harmless(
    cipsec: Cipsec, tmp_path: Path, verb: str, value: bytes
) -> None:
    """In pipes, as JSON and at a terminal: no control or bidirectional character, no flood."""
    path = tmp_path / "x.csr"
    path.write_bytes(der.request(subject=der.name((der.COMMON_NAME, der.UTF8, value))))
    for ran in (cipsec("csr", verb, path), cipsec("csr", verb, "--json", path)):
        assert ran.code in (0, 10)
        assert _is_harmless(ran.out)
    assert len(cipsec("csr", verb, path).out) < 4000
    shown = at_terminal(["csr", verb, str(path), "--no-color"]).screen
    assert _is_harmless(shown.replace("\x1b[1m", "").replace("\x1b[0m", ""))
    assert "[/red]" in shown or b"red" not in value


def _is_harmless(text: str) -> bool:
    bad = {"Cc", "Cf", "Zl", "Zp", "Cs", "Co"}
    return (
        not {unicodedata.category(char) for char in text.replace("\n", "").replace("\t", "")} & bad
    )


def test_a_file_name_is_no_less_hostile(cipsec: Cipsec, tmp_path: Path) -> None:
    """What a stick brings along is shown in messages."""
    path = tmp_path / "x\x1b[2K\n.csr"
    path.write_bytes(b"<html>")
    ran = cipsec("csr", "show", path)
    assert ran.code == 6
    assert _is_harmless(ran.err)
    assert len(ran.err.splitlines()) == 2
    ran = cipsec("csr", "create", "--key", tmp_path / "k\x1b[2K")
    assert _is_harmless(ran.err)


def test_both_commands_read_what_create_prints(
    cipsec: Cipsec, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`cipsec csr create … | cipsec csr verify -`."""
    made = cipsec("csr", "create", "--key", tmp_path / "k", "--device", "1:2").out.encode()
    _typed(monkeypatch, made)
    assert cipsec("csr", "verify", "-").code == 0
    assert csr.parse(x509.load_pem_x509_csr(made).public_bytes(Encoding.DER)).identity.device
