"""`csr verify`: every finding on a request, also on those that a CA would not read to the end."""

from __future__ import annotations

import contextlib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cipsec.errors import Malformed
from cipsec.pki import csr, lint
from cipsec.ra import objections
from tests.support import der, programs

pytestmark = pytest.mark.filterwarnings("ignore:Attribute's length must be:UserWarning")

SAN = der.extension(der.SUBJECT_ALT_NAME, der.sequence(der.tlv(0x82, b"drive7.local")))
DRIVE = der.name(
    (der.COMMON_NAME, der.UTF8, b"Drive 7"), (der.SERIAL_NUMBER, der.PRINTABLE, b"0001:6040C8F2")
)


def _found(made: bytes) -> set[tuple[str, str, str]]:
    return {(f.check, f.verdict, f.detail) for f in lint.request(made)}


def _fails(made: bytes) -> dict[str, str]:
    return {f.check: f.detail for f in lint.request(made) if f.verdict == "fail"}


def test_a_good_request_has_nothing_against_it() -> None:
    """Every check says what it found."""
    assert _found(der.request(der.requested(SAN), subject=DRIVE)) == {
        ("signature", "ok", "made with the key in the request"),
        ("key", "ok", "ec-p256"),
        ("hash", "ok", "sha256"),
        ("subject", "ok", "serialNumber=0001:6040C8F2,CN=Drive 7"),
        ("san", "ok", "dns:drive7.local"),
        ("identity", "ok", "0001:6040C8F2, as it claims; a CSR cannot prove it"),
        ("attributes", "ok", "nothing but requested extensions"),
        ("extensions", "ok", "nothing that a CA does not grant"),
    }


def test_a_bare_request_is_warned_of() -> None:
    """Without names and without a device it may still be granted."""
    verdicts = {f.check: f.verdict for f in lint.request(der.request())}
    assert verdicts["san"] == verdicts["identity"] == "warn"
    assert "fail" not in verdicts.values()


def test_a_request_for_nobody_fails() -> None:
    """Neither subject nor alternative name."""
    assert _fails(der.request(subject=der.name())) == {
        "subject": "empty, and there is no DNS name or IP address: it names nobody"
    }


def test_a_signature_by_another_key_fails() -> None:
    """And the rest is judged all the same."""
    made = bytearray(der.request())
    made[-1] ^= 1
    assert _fails(bytes(made)) == {"signature": "not made with the key in the request"}


@pytest.mark.parametrize(
    ("extension", "detail"),
    [
        (
            der.extension(der.BASIC_CONSTRAINTS, der.sequence(b"\1\1\xff")),
            "asks for a CA certificate",
        ),
        (
            der.extension(der.KEY_USAGE, b"\x03\x02\x01\x06"),
            "asks for the right to sign: keyCertSign, cRLSign",
        ),
        (
            der.extension("2.5.29.37", der.sequence(der.oid("1.3.6.1.5.5.7.3.28"))),
            "asks for the usage cmcRA",
        ),
        (
            der.extension("2.5.29.37", der.sequence(der.oid("1.2.3.4"))),
            "asks for the usage 1.2.3.4",
        ),
        (der.extension(der.BASIC_CONSTRAINTS, b"\xff"), "cannot be read: its DER does not decode"),
    ],
)
def test_what_no_ca_grants_fails(extension: bytes, detail: str) -> None:
    """As `ra` will refuse it."""
    assert _fails(der.request(der.requested(extension))) == {"extensions": detail}


def test_a_wildcard_fails_and_other_kinds_of_names_are_warned_of() -> None:
    """An endpoint's certificate has host names and addresses."""
    names = der.sequence(
        der.tlv(0x82, b"*.plant"), der.tlv(0x81, b"a@b"), der.tlv(0x87, b"\x0a\0\0\7")
    )
    extension = der.extension(der.SUBJECT_ALT_NAME, names)
    found = [f for f in lint.request(der.request(der.requested(extension))) if f.check == "san"]
    assert [f.verdict for f in found] == ["fail", "warn", "ok"]


def test_an_unknown_extension_is_warned_of() -> None:
    """The certificate will not have it."""
    made = der.request(der.requested(der.extension("1.2.3.4", b"\5\0")))
    assert ("extensions", "warn", "asks for 1.2.3.4, which a CA leaves out") in _found(made)


def test_attributes_are_told_one_by_one() -> None:
    """Twice the same, one not known, and a challengePassword whose value is not told."""
    challenge = der.attribute(der.CHALLENGE, der.tlv(der.PRINTABLE, b"open sesame"))
    unknown = der.attribute(der.UNSTRUCTURED_NAME, der.tlv(der.PRINTABLE, b"x"))
    found = [
        f
        for f in lint.request(der.request(challenge, challenge, unknown))
        if f.check == "attributes"
    ]
    assert sorted(f.verdict for f in found) == ["fail", "warn", "warn"]
    assert "sesame" not in str(found)


def test_other_names_by_an_attribute_fail() -> None:
    """What a CA refuses is not said to be unknown and not looked at."""
    oid = csr.CHANGE_SUBJECT_NAME.dotted_string
    made = der.request(der.requested(SAN), der.attribute(oid, der.name()))
    assert objections.to_change(csr.parse(made))
    assert "by ChangeSubjectName" in _fails(made)["attributes"]


def test_attributes_that_cannot_be_read_fail() -> None:
    """Two values where RFC 2985 has one."""
    two = der.attribute(der.CHALLENGE, der.tlv(0x13, b"x"), der.tlv(0x13, b"y"))
    assert "single-valued" in _fails(der.request(two))["attributes"]


def test_names_that_no_endpoint_gets_fail() -> None:
    """Wildcards, also where only old clients look; more than a CA compares; nobody by a URI."""
    wildcard = der.name((der.COMMON_NAME, der.UTF8, b"*.plant.local"))
    assert "CN=*.plant.local is a wildcard" in _fails(der.request(subject=wildcard))["subject"]
    inner = der.extension(der.SUBJECT_ALT_NAME, der.sequence(der.tlv(0x82, b"a*.local")))
    assert "is a wildcard" in _fails(der.request(der.requested(inner)))["san"]
    many = der.sequence(*(der.tlv(0x82, b"a%d.local" % n) for n in range(65)))
    made = der.request(der.requested(der.extension(der.SUBJECT_ALT_NAME, many)))
    assert _fails(made)["san"] == "65 alternative names, 64 are the most"
    crowd = der.name(*[(der.COMMON_NAME, der.UTF8, b"a%d" % n) for n in range(65)])
    assert _fails(der.request(subject=crowd))["subject"] == "65 common names, 64 are the most"
    uri = der.extension(der.SUBJECT_ALT_NAME, der.sequence(der.tlv(0x86, b"urn:a")))
    assert "names nobody" in _fails(der.request(der.requested(uri), subject=der.name()))["subject"]


def test_what_fails_is_what_a_ca_refuses() -> None:
    """Neither more nor less: there is no second truth beside the server's."""
    ca = der.extension(der.BASIC_CONSTRAINTS, der.sequence(b"\x01\x01\xff"))
    for made in (
        der.request(),
        der.request(der.requested(SAN), subject=DRIVE),
        der.request(der.requested(ca)),
        der.request(subject=der.name()),
        der.request(subject=der.name((der.COMMON_NAME, der.UTF8, b"*.a"))),
        der.request(subject=der.name((der.COMMON_NAME, der.UTF8, b"\xff"))),
        der.request(der.requested(SAN), der.requested(SAN)),
        der.request(der.attribute(der.CHALLENGE, der.tlv(0x13, b"x"))),
    ):
        assert bool(_fails(made)) is _refused(made), _fails(made)


def _refused(made: bytes) -> bool:
    try:
        return objections.to_request(csr.parse(made), ()) is not None
    except Malformed:
        return True


def test_a_subject_that_cannot_be_read_fails() -> None:
    """Without hiding what else there is to say."""
    made = der.request(subject=der.name((der.COMMON_NAME, der.UTF8, b"\xff")))
    assert _fails(made) == {"subject": "cannot be read: its DER does not decode"}


def test_a_request_larger_than_a_ca_reads_fails() -> None:
    """It parses, and would be refused."""
    large = der.attribute(der.UNSTRUCTURED_NAME, der.tlv(der.PRINTABLE, b"x" * 70_000))
    assert "size" in _fails(der.request(large))


@pytest.mark.programs
@pytest.mark.parametrize(
    ("options", "failing"),
    [
        (("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:secp521r1"), {"key"}),
        (("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:sect283k1"), {"key", "signature"}),
        (("-newkey", "rsa:1024"), {"key"}),
        (("-newkey", "rsa:2048", "-sha1"), {"hash", "signature"}),
        (("-newkey", "rsa:2048", "-md5"), {"hash", "signature"}),
        (("-newkey", "ed25519"), {"key", "hash"}),
        (("-newkey", "rsa:2048", "-addext", "basicConstraints=CA:TRUE"), {"extensions"}),
        (("-newkey", "rsa:2048"), set()),
    ],
)
def test_requests_of_openssl_are_judged(
    options: tuple[str, ...], failing: set[str], tmp_path: Path
) -> None:
    """What is weak is named, and nothing raises."""
    programs.need("openssl")
    command = ("openssl", "req", "-new", "-noenc", "-keyout", tmp_path / "k", "-subj", "/CN=a")
    made = programs.run(*command, "-outform", "DER", *options).stdout
    assert set(_fails(made)) == failing


@pytest.mark.programs
def test_a_dsa_request_is_judged(tmp_path: Path) -> None:
    """Its signature is good; its key is of a kind that nobody serves."""
    programs.need("openssl")
    parameters, key = tmp_path / "p", tmp_path / "k"
    programs.run("openssl", "dsaparam", "-out", parameters, "1024")
    programs.run("openssl", "gendsa", "-out", key, parameters)
    request = ("openssl", "req", "-new", "-key", key, "-subj", "/CN=a", "-outform", "DER")
    assert _fails(programs.run(*request).stdout) == {
        "key": "keys of the kind dsa are not served; use EC P-256"
    }


@pytest.mark.programs
def test_a_curve_written_out_is_warned_of(tmp_path: Path) -> None:
    """RFC 5480 section 2.1.1 wants its name."""
    programs.need("openssl")
    key = tmp_path / "k"
    make = ("openssl", "ecparam", "-name", "prime256v1", "-genkey", "-noout", "-param_enc")
    programs.run(*make, "explicit", "-out", key)
    request = ("openssl", "req", "-new", "-key", key, "-subj", "/CN=a", "-outform", "DER")
    found = lint.request(programs.run(*request).stdout)
    assert [f.verdict for f in found if f.check == "key"] == ["ok", "warn"]


def test_what_is_no_request_is_malformed() -> None:
    """There is nothing to find in it."""
    with pytest.raises(Malformed, match="not a certificate signing request"):
        lint.request(der.certificate())


_WHOLE = der.request(der.requested(SAN), der.attribute(der.CHALLENGE, der.tlv(0x13, b"x")))


@given(st.integers(0, len(_WHOLE) - 1), st.binary(min_size=1, max_size=3), st.binary(max_size=90))
def test_any_request_is_judged_or_malformed(at: int, inserted: bytes, value: bytes) -> None:
    """Nothing else is raised, however it is mutated and whatever it asks for."""
    for made in (
        _WHOLE[:at] + inserted + _WHOLE[at + len(inserted) :],
        der.request(der.requested(der.extension(der.SUBJECT_ALT_NAME, value))),
        der.request(value),
    ):
        with contextlib.suppress(Malformed):
            assert lint.request(made)
