"""Which device a certificate or CSR names: found, shown with its place, or in contradiction."""

from __future__ import annotations

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID, ObjectIdentifier
from hypothesis import given
from hypothesis import strategies as st

from cipsec.pki import csr, names
from cipsec.pki.device import DeviceId, Identity, Mac, mac_attributes
from cipsec.pki.extraction import Source
from cipsec.pki.identity import (
    DEFAULT,
    PRESETS,
    Reading,
    of_certificate,
    of_parts,
    of_request,
    parse_rules,
)
from tests.support import der

DEVICE = DeviceId(0x0001, 0x6040C8F2)
OTHER = DeviceId(0x0002, 0x00000001)
MAC = Mac(0x0000BC123456)

_DIRECTORY = "2.5.29.9"
_HARDWARE = "1.3.6.1.5.5.7.8.4"

OWN = {
    "name": "acme",
    "selector": "subject:serialNumber",
    "pattern": "(?P<serial>[0-9]{8})",
    "base": "dec",
    "vendor": "0001",
}


def _of(subject: str, mac: Mac | None = None, *tables: object) -> Reading:
    """Read a CSR made for the purpose, by the default rules or those given."""
    made = csr.build(der.KEY, names.parse_subject(subject), mac=mac)
    request = csr.parse(made.public_bytes(Encoding.DER))
    return of_request(request, parse_rules(list(tables) or None))


@pytest.mark.parametrize(
    ("subject", "identity"),
    [
        ("serialNumber=0001:6040C8F2,CN=Drive 7", Identity(DEVICE)),
        ("CN=0001:6040C8F2", Identity(DEVICE)),
        ("serialNumber=00-00-bc-12-34-56", Identity(mac=MAC)),
        ("serialNumber=0001:6040C8F2,CN=00:00:bc:12:34:56", Identity(DEVICE, MAC)),
        ("serialNumber=0001:6040C8F2,CN=0001:6040c8f2", Identity(DEVICE)),
        ("serialNumber=1614858482", Identity()),
        ("serialNumber=12345678", Identity()),
        ("serialNumber=0000:6040C8F2", Identity()),
        ("serialNumber=0001:00000000", Identity()),
        ("CN=ff:ff:ff:ff:ff:ff", Identity()),
        ("CN=Drive 0001:6040C8F2", Identity()),
        ("O=0001:6040C8F2", Identity()),
    ],
)
def test_a_subject_names_its_device(subject: str, identity: Identity) -> None:
    """All of the value or nothing: eight decimal digits could be either base."""
    reading = _of(subject)
    assert (reading.identity, reading.conflict) == (identity, None)


def test_each_value_has_its_place_and_rule() -> None:
    """In the order of the rules, and nobody answers for those shipped."""
    reading = _of("CN=0001:6040C8F2,serialNumber=0001:6040C8F2", MAC)
    assert reading.identity == Identity(DEVICE, MAC)
    assert [(str(f.identity), f.rule, f.place, f.verified) for f in reading.found] == [
        ("0001:6040C8F2", "canonical-serialnumber", "subject:serialNumber", False),
        ("0001:6040C8F2", "canonical-cn", "subject:CN", False),
        ("00:00:bc:12:34:56", "mac-attribute", "directory:mac", False),
    ]


@pytest.mark.parametrize(
    ("subject", "mac", "one", "other"),
    [
        (
            "CN=0002:00000001,serialNumber=0001:6040C8F2",
            None,
            "0001:6040C8F2 in subject:serialNumber (rule canonical-serialnumber)",
            "0002:00000001 in subject:CN (rule canonical-cn)",
        ),
        (
            "serialNumber=0002:00000001,serialNumber=0001:6040C8F2",
            None,
            "0001:6040C8F2 in subject:serialNumber (rule canonical-serialnumber)",
            "0002:00000001 in subject:serialNumber (rule canonical-serialnumber)",
        ),
        (
            "CN=00:00:bc:00:00:01,serialNumber=0001:6040C8F2",
            MAC,
            "00:00:bc:00:00:01 in subject:CN (rule mac-cn)",
            "00:00:bc:12:34:56 in directory:mac (rule mac-attribute)",
        ),
    ],
)
def test_what_names_two_devices_is_a_conflict(
    subject: str, mac: Mac | None, one: str, other: str
) -> None:
    """At two places or at one; a device or a MAC address."""
    assert _of(subject, mac).conflict == f"names {one} and {other}"


def test_an_ambiguous_number_is_a_conflict_of_rules() -> None:
    """Where an operator's rules read eight digits in both bases; only those that both take."""
    hexadecimal = OWN | {
        "name": "old acme",
        "pattern": "(?P<serial>[0-9A-F]{8})",
        "base": "hex",
    }
    reading = _of("serialNumber=12345678", None, OWN, hexadecimal)
    assert reading.conflict == (
        "names 0001:00BC614E in subject:serialNumber (rule acme)"
        " and 0001:12345678 in subject:serialNumber (rule old acme)"
    )
    clear = _of("serialNumber=6040C8F2", None, OWN, hexadecimal)
    assert (clear.identity, clear.conflict) == (Identity(DEVICE), None)


def test_rules_of_ones_own_replace_the_defaults() -> None:
    """And say so by name; an operator answers for them."""
    reading = _of("serialNumber=12345678,CN=0002:00000001", MAC, OWN)
    assert reading.identity == Identity(DeviceId(1, 12345678))
    assert [(f.rule, f.verified) for f in reading.found] == [("acme", True)]


def test_a_rule_may_read_certificates_or_requests_only() -> None:
    """What vendors write is no rule for what applicants write."""
    made = der.certificate(subject=der.name((der.SERIAL_NUMBER, der.PRINTABLE, b"12345678")))
    certificate = x509.load_der_x509_certificate(made)
    for source, by_certificate in (("certificate", True), ("csr", False), ("any", True)):
        rules = parse_rules([OWN | {"source": source}])
        assert bool(of_certificate(certificate, rules).identity) is by_certificate
        by_request = _of("serialNumber=12345678", None, OWN | {"source": source}).identity
        assert bool(by_request) is (source != "certificate")


def test_an_802_1ar_certificate_names_its_module() -> None:
    """RFC 4108 section 5, by presets for it; not by default."""
    serial = der.sequence(der.oid("1.3.6.1.4.1.99999.1"), der.tlv(0x04, b"0001:6040C8F2"))
    other = der.tlv(0xA0, der.oid(_HARDWARE), der.tlv(0xA0, serial))
    san = der.extension(der.SUBJECT_ALT_NAME, der.sequence(other))
    certificate = x509.load_der_x509_certificate(der.certificate(san))
    rules = parse_rules([{"preset": "canonical-hardwaremodule"}])
    assert of_certificate(certificate, rules).identity == Identity(DEVICE)
    assert not of_certificate(certificate).identity


def test_of_an_unreadable_certificate_the_rest_is_read() -> None:
    """Extensions that do not decode hide no subject, nor the other way round."""
    good = der.name((der.COMMON_NAME, der.UTF8, b"0001:6040C8F2"))
    twice = [der.extension("1.2.3", b"\x05\0")] * 2
    directory = der.extension(_DIRECTORY, mac_attributes(MAC))
    bad = der.name((der.COMMON_NAME, der.UTF8, b"\xff"))
    for made, identity in (
        (der.certificate(*twice, subject=good), Identity(DEVICE)),
        (der.certificate(directory, subject=bad), Identity(mac=MAC)),
    ):
        assert of_certificate(x509.load_der_x509_certificate(made)).identity == identity


_HOSTILE = [
    "0001:6040C8F2\0",
    "\u202e0001:6040C8F2",
    "0001:6040C8F2\u200b",
    "0001：6040C8F2",
    "٠٠٠١:٦٠٤٠٠٠٠٠",
    "0001:6040C8F2\n0001:6040C8F2",
    "0001: 6040C8F2",
    "0001:6040\nC8F2",
    "[/red]0001:6040C8F2",
    "\x1b[2K0001:6040C8F2",
    "0001:6040C8F2" * 5000,
    "A" * 65_000,
    "00:00:bc:12:34:56\0",
    "00:00:bc-12:34:56",
]


@pytest.mark.filterwarnings("ignore:Attribute's length must be:UserWarning")
@pytest.mark.parametrize("text", _HOSTILE, ids=range(len(_HOSTILE)))
def test_hostile_text_names_nobody(text: str) -> None:
    """NUL, marks that reorder or hide, look-alikes, other digits, and far too much of it."""
    made = der.certificate(subject=der.name((der.COMMON_NAME, der.UTF8, text.encode())))
    assert of_certificate(x509.load_der_x509_certificate(made)) == Reading(Identity())


def test_white_space_around_a_name_hides_no_device() -> None:
    """Who compares names does not see it (RFC 5280 section 7.1); two devices stay a conflict."""
    spaced = der.name((der.COMMON_NAME, der.UTF8, b" 0001:6040C8F2\n"))
    made = x509.load_der_x509_certificate(der.certificate(subject=spaced))
    assert of_certificate(made).identity == Identity(DEVICE)
    other = (der.SERIAL_NUMBER, der.PRINTABLE, b"0001:00000007")
    two = der.name(other, (der.COMMON_NAME, der.UTF8, b"0001:6040C8F2  "))
    made = x509.load_der_x509_certificate(der.certificate(subject=two))
    assert of_certificate(made).conflict is not None


def test_one_place_with_very_many_values_is_a_conflict() -> None:
    """What is read has an end, and what is not read could name another device."""
    subject = der.name(*[(der.SERIAL_NUMBER, der.PRINTABLE, b"0001:6040C8F2")] * 33)
    made = x509.load_der_x509_certificate(der.certificate(subject=subject))
    assert of_certificate(made).conflict == "has 33 values in subject:serialNumber"


_ALL = parse_rules(
    [{"preset": n, **({"vendor": "1"} if p.needs_vendor else {})} for n, p in PRESETS.items()]
)
_OIDS = st.sampled_from([NameOID.COMMON_NAME, NameOID.SERIAL_NUMBER, NameOID.ORGANIZATION_NAME])
_TEXTS = st.one_of(
    st.text(min_size=1, max_size=20),
    st.sampled_from(["0001:6040C8F2", "0002:00000001", "00:00:bc:12:34:56", "0x1-0x2", "7"]),
)


@pytest.mark.filterwarnings("ignore:Attribute's length must be:UserWarning")
@given(
    st.lists(st.tuples(_OIDS, _TEXTS), max_size=4),
    st.lists(st.one_of(st.binary(max_size=30), _TEXTS.map(str.encode)), max_size=2),
    st.binary(max_size=50),
)
def test_whatever_is_said_is_read(
    attributes: list[tuple[ObjectIdentifier, str]], modules: list[bytes], directory: bytes
) -> None:
    """A Reading and never an error; no conflict exactly where all that is found agrees."""
    subject = x509.Name([x509.NameAttribute(oid, text) for oid, text in attributes])
    wrapped = [der.sequence(der.oid("1.2.3"), der.tlv(0x04, module)) for module in modules]
    kind = ObjectIdentifier(_HARDWARE)
    sans = [x509.OtherName(kind, value) for value in wrapped + modules]
    value = x509.UnrecognizedExtension(ObjectIdentifier(_DIRECTORY), directory)
    extension = x509.Extension(value.oid, critical=False, value=value)
    for rules in (DEFAULT, _ALL):
        reading = of_parts(Source.CERTIFICATE, subject, sans, [extension], rules)
        devices = {found.identity.device for found in reading.found} - {None}
        macs = {found.identity.mac for found in reading.found} - {None}
        assert (reading.conflict is None) == (max(len(devices), len(macs)) <= 1)
        assert bool(reading.identity) == bool(reading.found)
