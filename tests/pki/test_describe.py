"""What `show` tells of certificates and requests: everything, in plain values, judging nothing."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import TypeVar

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import ExtendedKeyUsageOID
from hypothesis import given
from hypothesis import strategies as st

from cipsec.pki import csr, describe, keys, names
from cipsec.pki.device import SUBJECT_DIRECTORY_ATTRIBUTES, Mac, mac_attributes
from cipsec.pki.faults import UNREADABLE
from tests.support import der

pytestmark = [
    pytest.mark.filterwarnings("ignore:Attribute's length must be:UserWarning"),
    pytest.mark.filterwarnings("ignore:Parsed a serial number which wasn't positive"),
]

_T = TypeVar("_T")

NOW = datetime(2027, 1, 31, 6, tzinfo=UTC)
MAC = Mac.parse("00:00:bc:12:34:56")


def _certificate() -> x509.Certificate:
    """One with every extension that an endpoint's certificate has, signed by nobody in sight."""
    usage = x509.KeyUsage(True, False, False, False, True, False, False, False, False)
    purposes = [ExtendedKeyUsageOID.SERVER_AUTH, x509.ObjectIdentifier("1.2.3.4")]
    directory = x509.UnrecognizedExtension(SUBJECT_DIRECTORY_ATTRIBUTES, mac_attributes(MAC))
    builder = x509.CertificateBuilder(
        issuer_name=names.parse_subject("CN=Line 4"),
        subject_name=names.parse_subject("CN=Drive 7,serialNumber=0001:6040C8F2"),
        public_key=der.KEY.public_key(),
        serial_number=0xABC,
        not_valid_before=NOW - timedelta(days=1),
        not_valid_after=NOW + timedelta(days=41, hours=1),
    )
    for value, critical in (
        (x509.SubjectAlternativeName([names.parse_san("ip:10.0.0.7")]), False),
        (usage, True),
        (x509.ExtendedKeyUsage(purposes), False),
        (x509.BasicConstraints(ca=False, path_length=None), True),
        (x509.SubjectKeyIdentifier(b"\x01\x02"), False),
        (x509.AuthorityKeyIdentifier(b"\x03\x04", None, None), False),
        (directory, False),
    ):
        builder = builder.add_extension(value, critical=critical)
    return builder.sign(der.KEY, keys.signing_hash(der.KEY))


def test_a_certificate_is_described_whole() -> None:
    """The JSON contract of `cert show`."""
    made = _certificate()
    shown = describe.certificate(made, NOW)
    assert len(str(shown.pop("sha256"))) == 64
    assert len(str(shown.pop("spki_sha256"))) == 64
    assert shown == {
        "subject": "CN=Drive 7,serialNumber=0001:6040C8F2",
        "issuer": "CN=Line 4",
        "serial": "0abc",
        "not_before": "2027-01-30T06:00:00Z",
        "not_after": "2027-03-13T07:00:00Z",
        "days_left": 41,
        "self_signed": False,
        "key_type": "ec-p256",
        "signature_algorithm": "ecdsa-with-SHA256",
        "device": "0001:6040C8F2",
        "vendor_id": 1,
        "device_serial": 1614858482,
        "mac": "00:00:bc:12:34:56",
        "mac_local": False,
        "identity": [
            _named("0001:6040C8F2", "device", "subject:serialNumber", "canonical-serialnumber"),
            _named("00:00:bc:12:34:56", "mac", "directory:mac", "mac-attribute"),
        ],
        "identity_conflict": None,
        "san": ["ip:10.0.0.7"],
        "key_usage": ["digitalSignature", "keyAgreement"],
        "extended_key_usage": ["serverAuth", "1.2.3.4"],
        "basic_constraints": {"ca": False, "path_length": None},
        "subject_key_id": "0102",
        "authority_key_id": "0304",
        "extensions": [
            {
                "oid": "2.5.29.9",
                "name": "subjectDirectoryAttributes",
                "critical": False,
                "der": mac_attributes(MAC).hex(),
            }
        ],
        "critical": ["keyUsage", "basicConstraints"],
        "unreadable": [],
    }


def _named(value: str, kind: str, place: str, rule: str) -> dict[str, object]:
    return {
        "value": value,
        "kind": kind,
        "place": place,
        "rule": rule,
        "rule_verified": False,
        "assurance": "unverified",
    }


def _assurance(described: dict[str, object]) -> object:
    found = described["identity"]
    assert isinstance(found, list)
    return found[0]["assurance"]


def test_what_a_name_is_worth_is_told() -> None:
    """A CSR and a self-signed certificate claim; a signed one proves to whoever verifies it."""
    subject = der.name((der.COMMON_NAME, der.UTF8, b"0001:6040C8F2"))
    alone = x509.load_der_x509_certificate(der.certificate(subject=subject))
    asked = x509.load_der_x509_csr(der.request(subject=subject))
    assert _assurance(describe.certificate(alone, NOW)) == "claimed"
    assert _assurance(describe.request(asked)) == "claimed"
    assert _assurance(describe.certificate(_certificate(), NOW)) == "unverified"


def test_a_request_is_described_whole() -> None:
    """The JSON contract of `csr show`."""
    subject = names.parse_subject("CN=Drive 7")
    made = csr.build(der.KEY, subject, sans=[names.parse_san("dns:a")], mac=MAC)
    shown = describe.request(made)
    assert shown["subject"] == "CN=Drive 7"
    assert shown["san"] == ["dns:a"]
    assert shown["mac"] == "00:00:bc:12:34:56"
    assert shown["device"] is None
    assert shown["challenge_password"] is False
    assert shown["attributes"] == []


def test_of_a_challenge_password_only_the_presence_is_told() -> None:
    """Outside EST it is a secret."""
    parsed = x509.load_der_x509_csr(
        der.request(
            der.attribute(der.CHALLENGE, der.tlv(der.PRINTABLE, b"open sesame")),
            der.attribute(der.UNSTRUCTURED_NAME, der.tlv(der.PRINTABLE, b"x")),
        )
    )
    shown = describe.request(parsed)
    assert shown["challenge_password"] is True
    assert shown["attributes"] == [der.UNSTRUCTURED_NAME]
    assert "sesame" not in json.dumps(shown)
    assert b"open sesame".hex() not in json.dumps(shown)


def test_self_signed_is_told_by_the_signature() -> None:
    """Equal names alone are not enough."""
    made = x509.load_der_x509_certificate(der.certificate())
    forged = bytearray(der.certificate())
    forged[-1] ^= 1
    assert describe.certificate(made, NOW)["self_signed"] is True
    broken = x509.load_der_x509_certificate(bytes(forged))
    assert describe.certificate(broken, NOW)["self_signed"] is False


@pytest.mark.parametrize(
    ("end", "days_left"),
    [
        (b"20270131070000Z", 0),
        (b"20270131050000Z", -1),
        (b"20270201070000Z", 1),
        (b"99991231235959Z", None),
    ],
)
def test_days_left_are_whole_days(end: bytes, days_left: int | None) -> None:
    """Zero on the last day, negative after the end, none where no end is defined."""
    made = x509.load_der_x509_certificate(der.certificate(not_after=end))
    assert describe.certificate(made, NOW)["days_left"] == days_left


@pytest.mark.parametrize(
    ("made", "key", "value"),
    [
        (der.certificate(serial=b"\x85"), "serial", "-7b"),
        (der.certificate(serial=b"\x00"), "serial", "00"),
        (
            der.certificate(subject=der.name((der.COUNTRY, der.PRINTABLE, b"DEU"))),
            "subject",
            "C=DEU",
        ),
        (
            der.certificate(subject=der.name((der.COMMON_NAME, der.UTF8, b"\xff"))),
            "unreadable",
            ["subject: its DER does not decode", "issuer: its DER does not decode"],
        ),
        (
            der.certificate(der.extension(der.SUBJECT_ALT_NAME, der.sequence(der.tlv(0xA3)))),
            "unreadable",
            ["extensions: x400Address/EDIPartyName are not supported types"],
        ),
        (
            der.certificate(
                der.extension(der.BASIC_CONSTRAINTS, der.sequence()),
                der.extension(der.BASIC_CONSTRAINTS, der.sequence()),
            ),
            "unreadable",
            ["extensions: Duplicate 2.5.29.19 extension found"],
        ),
        (
            der.certificate(der.extension(der.KEY_USAGE, b"\x03\x02\x00\x01", critical=True)),
            "key_usage",
            [],
        ),
    ],
    ids=range(7),
)
def test_odd_certificates_are_described_as_far_as_they_go(
    made: bytes, key: str, value: object
) -> None:
    """What cannot be read is said; the rest is there."""
    shown = describe.certificate(x509.load_der_x509_certificate(made), NOW)
    assert shown[key] == value
    assert shown["key_type"] == "ec-p256"


@given(st.binary(max_size=120), st.integers(0, 1000), st.binary(max_size=2))
def test_what_can_be_loaded_can_be_described(value: bytes, at: int, inserted: bytes) -> None:
    """Any extension and any mutation: once cryptography has loaded it, nothing raises."""
    extension = der.extension(der.SUBJECT_ALT_NAME, value)
    for made in (der.certificate(extension), _mutated(der.certificate(extension), at, inserted)):
        if certificate := _loaded(x509.load_der_x509_certificate, made):
            json.dumps(describe.certificate(certificate, NOW))
    asked = der.request(der.requested(extension))
    for made in (asked, _mutated(asked, at, inserted)):
        if request := _loaded(x509.load_der_x509_csr, made):
            json.dumps(describe.request(request))


def _mutated(data: bytes, at: int, inserted: bytes) -> bytes:
    return data[:at] + inserted + data[at + len(inserted) :]


def _loaded(load: Callable[[bytes], _T], data: bytes) -> _T | None:
    with contextlib.suppress(*UNREADABLE):
        return load(data)
    return None


@pytest.mark.parametrize("key_type", keys.KeyType)
def test_keys_are_named_as_they_are_asked_for(key_type: keys.KeyType) -> None:
    """`--key-type` and `key_type` use the same words."""
    made = csr.build(keys.generate(key_type), names.parse_subject("CN=a"))
    shown = describe.request(x509.load_der_x509_csr(made.public_bytes(Encoding.DER)))
    assert shown["key_type"] == key_type
