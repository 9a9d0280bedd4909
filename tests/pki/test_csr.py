"""Requests: ours are what independent programs read, theirs are read or refused, never worse."""

from __future__ import annotations

import contextlib
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from hypothesis import given
from hypothesis import strategies as st

from cipsec.errors import Malformed, UsageError, WeakKey
from cipsec.pki import csr, keys, names
from cipsec.pki.device import DeviceId, Mac
from tests.support import der, programs

# cryptography warns of names longer than X.520 allows; devices have such names, and it reads them.
pytestmark = pytest.mark.filterwarnings("ignore:Attribute's length must be:UserWarning")

DEVICE = DeviceId(0x0001, 0x6040C8F2)
MAC = Mac.parse("00:00:bc:12:34:56")
SUBJECT = names.parse_subject("CN=Drive 7,O=Plant")


def _der(request: x509.CertificateSigningRequest) -> bytes:
    return request.public_bytes(Encoding.DER)


@pytest.mark.parametrize("key_type", keys.KeyType)
def test_what_is_built_is_parsed(key_type: keys.KeyType) -> None:
    """Subject, names, device, MAC and key come out as they went in, for every key type."""
    key = keys.generate(key_type)
    subject = csr.subject_for(SUBJECT, DEVICE, "unused")
    sans = [names.parse_san("dns:drive7.local"), names.parse_san("ip:10.0.0.7")]
    parsed = csr.parse(_der(csr.build(key, subject, sans=sans, mac=MAC, challenge=b"YQ==")))
    assert names.show_name(parsed.subject) == "serialNumber=0001:6040C8F2,CN=Drive 7,O=Plant"
    assert list(parsed.sans) == sans
    assert (parsed.identity.device, parsed.identity.mac) == (DEVICE, MAC)
    assert parsed.spki == keys.spki(key.public_key())
    assert parsed.challenge == b"YQ=="


def test_the_challenge_is_in_no_text_of_the_value() -> None:
    """Outside EST a challengePassword is a secret, and values end in logs."""
    made = der.request(der.attribute(der.CHALLENGE, der.tlv(der.PRINTABLE, b"open sesame")))
    parsed = csr.parse(made)
    assert parsed.challenge == b"open sesame"
    assert "sesame" not in repr(parsed)


@pytest.mark.programs
@pytest.mark.parametrize("key_type", keys.KeyType)
def test_openssl_verifies_what_is_built(key_type: keys.KeyType, tmp_path: Path) -> None:
    """`openssl req -verify` is the judge."""
    programs.need("openssl")
    request = csr.build(keys.generate(key_type), SUBJECT, mac=MAC)
    ran = programs.run(
        "openssl", "req", "-verify", "-noout", stdin=request.public_bytes(Encoding.PEM)
    )
    assert (ran.returncode, ran.stderr) == (0, b"Certificate request self-signature verify OK\n")


@pytest.mark.programs
def test_openssl_decodes_the_mac_extension(tmp_path: Path) -> None:
    """subjectDirectoryAttributes { macAddress { IA5String } } as RFC 9908 asks for it."""
    programs.need("openssl")
    request = csr.build(keys.generate(keys.KeyType.EC_P256), SUBJECT, mac=MAC)
    value = csr.parse(_der(request)).extensions[0].value.public_bytes()
    printed = programs.run("openssl", "asn1parse", "-inform", "DER", stdin=value)
    kinds = [line.split(b"prim:")[-1].split(b"cons:")[-1] for line in printed.stdout.splitlines()]
    assert [b" ".join(kind.split()) for kind in kinds] == [
        b"SEQUENCE",
        b"SEQUENCE",
        b"OBJECT :1.3.6.1.1.1.1.22",
        b"SET",
        b"IA5STRING :00:00:bc:12:34:56",
    ]


@pytest.mark.programs
@pytest.mark.parametrize(
    ("options", "error", "words"),
    [
        (["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:secp521r1"], WeakKey, "secp521r1"),
        (["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:secp256k1"], WeakKey, "secp256k1"),
        (["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:sect283k1"], Malformed, "not supported"),
        (["-newkey", "rsa:1024"], WeakKey, "1024 bits"),
        (["-newkey", "ed25519"], WeakKey, "ed25519"),
        (["-newkey", "rsa:2048", "-sha1"], WeakKey, "hash"),
        (["-newkey", "rsa:2048", "-md5"], WeakKey, "hash"),
    ],
)
def test_weak_requests_of_openssl_are_refused(
    options: list[str], error: type[Malformed], words: str, tmp_path: Path
) -> None:
    """Each says what is weak."""
    programs.need("openssl")
    made = _openssl_request(tmp_path, *options)
    with pytest.raises(error, match=words):
        csr.parse(made)


def _openssl_request(folder: Path, *options: str) -> bytes:
    key = folder / "key.pem"
    command = ("openssl", "req", "-new", "-noenc", "-keyout", key, "-subj", "/CN=a")
    ran = programs.run(*command, "-outform", "DER", *options)
    assert ran.returncode == 0, ran.stderr
    return ran.stdout


SAN = der.extension(der.SUBJECT_ALT_NAME, der.sequence(der.tlv(0x82, b"a")))


@pytest.mark.parametrize(
    "made",
    [
        der.request(version=1),
        der.request(der.attribute(der.CHALLENGE, der.tlv(0x13, b"x"), der.tlv(0x13, b"y"))),
        der.request(der.attribute(der.CHALLENGE)),
        der.request(
            der.requested(der.extension(der.SUBJECT_ALT_NAME, der.sequence(der.tlv(0xA3))))
        ),
        der.request(der.requested(SAN, SAN)),
        der.request(der.requested(der.extension(der.BASIC_CONSTRAINTS, b"\xff\xff"))),
        der.request(subject=der.name((der.COMMON_NAME, der.UTF8, b"\xff\xfe"))),
        der.request(subject=der.name((der.SERIAL_NUMBER, 0x03, b"\x00\x01"))),
        der.request() + b"\0",
        b"",
        b"0",
    ],
    ids=range(11),
)
def test_odd_requests_are_malformed_and_nothing_worse(made: bytes) -> None:
    """Each of these made cryptography raise another class of exception."""
    with pytest.raises(Malformed):
        csr.parse(made)


@pytest.mark.parametrize("value", [b"DEU", b"A" * 300, b"\x1b[2K\n"])
def test_names_beyond_the_rules_are_read(value: bytes) -> None:
    """A country of three letters or an escape in a name is shown to people, not an exception."""
    subject = der.name((der.COUNTRY, der.PRINTABLE, b"DEU"), (der.COMMON_NAME, der.UTF8, value))
    assert csr.parse(der.request(subject=subject)).subject.rdns


def test_a_large_request_is_not_even_parsed() -> None:
    """The limit is on the DER."""
    with pytest.raises(Malformed, match="too large"):
        csr.parse(b"0" * (csr.MAX_DER + 1))


def test_a_signature_by_another_key_is_refused() -> None:
    """Proof of possession, RFC 2986 section 3."""
    made = bytearray(der.request())
    made[-1] ^= 1
    with pytest.raises(Malformed, match="own key"):
        csr.parse(bytes(made))


_WHOLE = der.request(
    der.requested(SAN), der.attribute(der.CHALLENGE, der.tlv(der.PRINTABLE, b"secret"))
)


@given(st.integers(0, len(_WHOLE) - 1), st.binary(min_size=1, max_size=3))
def test_mutated_requests_never_break_the_reader(position: int, inserted: bytes) -> None:
    """Bytes changed anywhere in a good request give a value or Malformed."""
    mutated = _WHOLE[:position] + inserted + _WHOLE[position + len(inserted) :]
    with contextlib.suppress(Malformed):
        csr.parse(mutated)


@given(st.binary(max_size=200))
def test_any_extension_and_attribute_gives_a_value_or_malformed(value: bytes) -> None:
    """The signature is good, so that the reader gets to the bytes."""
    for attribute in (
        der.requested(der.extension(der.SUBJECT_ALT_NAME, value)),
        der.requested(der.extension("2.5.29.9", value)),
        der.attribute(der.CHALLENGE, value),
        value,
    ):
        with contextlib.suppress(Malformed):
            csr.parse(der.request(attribute))


def test_the_subject_names_the_device_once() -> None:
    """Given as serialNumber or as device, and both only where they agree."""
    same = names.parse_subject("CN=a,serialNumber=0001:6040C8F2")
    assert csr.subject_for(same, DEVICE, "x") == same
    assert names.show_name(csr.subject_for(None, None, "host")) == "CN=host"
    with pytest.raises(UsageError, match="serialNumber"):
        csr.subject_for(names.parse_subject("serialNumber=7"), DEVICE, "x")


def test_a_subject_keeps_its_structure() -> None:
    """Two attributes in one RDN stay together."""
    together = names.parse_subject("CN=a+OU=b,O=c")
    assert len(csr.subject_for(together, DEVICE, "x").rdns) == 3
