"""Where devices are named: every place reads what stands there as text, and nothing fails."""

from __future__ import annotations

import pytest
from cryptography import x509
from cryptography.x509.oid import ObjectIdentifier
from hypothesis import given
from hypothesis import strategies as st

from cipsec.errors import Malformed
from cipsec.pki import der as read_der
from cipsec.pki import names, places
from cipsec.pki.device import SUBJECT_DIRECTORY_ATTRIBUTES, mac_texts
from tests.support import der

_HARDWARE = "1.3.6.1.5.5.7.8.4"
_MAC_ADDRESS = "1.3.6.1.1.1.1.22"
_OCTETS = 0x04


def _other(kind: str, value: bytes) -> x509.OtherName:
    return x509.OtherName(ObjectIdentifier(kind), value)


def _module(serial: bytes, kind: str = "1.3.6.1.4.1.99999.1") -> x509.OtherName:
    return _other(_HARDWARE, der.sequence(der.oid(kind), der.tlv(_OCTETS, serial)))


SAID = places.Said(
    names.parse_subject("CN=Drive 7,serialNumber=77,CN=Drive 8,1.2.3.4=x"),
    [
        x509.DNSName("drive-7.local"),
        x509.UniformResourceIdentifier("urn:dev:7"),
        x509.RFC822Name("drive@plant"),
        x509.DirectoryName(names.parse_subject("O=Plant,serialNumber=78")),
        _other("1.2.3.5", der.tlv(der.UTF8, "ü".encode())),
        _module(b"79"),
        _module(b"\x00\x01", kind="1.2.3.6"),
    ],
    [
        x509.Extension(
            ObjectIdentifier("1.2.3.7"),
            critical=False,
            value=x509.UnrecognizedExtension(
                ObjectIdentifier("1.2.3.7"), der.tlv(0x02, b"\x60\x40\xc8\xf2")
            ),
        )
    ],
)


@pytest.mark.parametrize(
    ("selector", "texts"),
    [
        ("subject:CN", ["Drive 8", "Drive 7"]),
        ("subject:serialNumber", ["77"]),
        ("subject:OU", []),
        ("subject:1.2.3.4", ["x"]),
        ("san:dns", ["drive-7.local"]),
        ("san:uri", ["urn:dev:7"]),
        ("san:email", ["drive@plant"]),
        ("san:directory:serialNumber", ["78"]),
        ("san:directory:CN", []),
        ("san:othername:1.2.3.5", ["ü"]),
        ("hardwareModuleName", ["79", "0x0001"]),
        ("hardwareModuleName:1.2.3.6", ["0x0001"]),
        ("extension:1.2.3.7", ["1614858482"]),
        ("extension:1.2.3.8", []),
        ("directory:mac", []),
    ],
)
def test_a_place_is_read_and_called_by_its_name(selector: str, texts: list[str]) -> None:
    """All the values, in the order of the encoding; `str` gives back what was parsed."""
    place = places.parse(selector)
    assert list(place.texts(SAID)) == texts
    assert str(place) == selector


@pytest.mark.parametrize(
    ("selector", "shown"),
    [("subject:2.5.4.5", "subject:serialNumber"), ("subject:cn", "subject:CN")],
)
def test_names_are_shown_in_one_way(selector: str, shown: str) -> None:
    """By name where there is one; no case."""
    assert str(places.parse(selector)) == shown


@pytest.mark.parametrize(
    "selector",
    [
        "",
        "subject",
        "subject:",
        "subject:nothing",
        "subject:2.5.4.3.",
        "subject:1.40.1",
        "san:",
        "san:ip",
        "san:dns:x",
        "san:directory",
        "san:othername:CN x",
        "hardwareModuleName:x",
        "extension:",
        "directory:serial",
        "directory:mac:x",
        "cn",
    ],
)
def test_other_selectors_are_refused(selector: str) -> None:
    """With what could have been meant."""
    with pytest.raises(Malformed) as refused:
        places.parse(selector)
    assert refused.value.hint


@pytest.mark.parametrize(
    ("data", "text"),
    [
        (der.tlv(0x13, b"a b"), "a b"),
        (der.tlv(0x16, b"a"), "a"),
        (der.tlv(0x14, b"\xfc"), "ü"),
        (der.tlv(0x1E, b"\x00a"), "a"),
        (der.tlv(0x1E, b"\x00"), "0x1e0100"),
        (der.tlv(0x16, b"\xfc"), "0x1601fc"),
        (der.tlv(0x04, b"text"), "text"),
        (der.tlv(0x04, b"a\x00"), "0x6100"),
        (der.tlv(0x04, b"\x7f"), "0x7f"),
        (der.tlv(0x02, b"\xff"), "-1"),
        (der.tlv(0x02), "0x0200"),
        (der.sequence(), "0x3000"),
        (der.tlv(0x0C, b"a") * 2, "0x0c01610c0161"),
        (b"", "0x"),
        (b"\x0c", "0x0c"),
        (b"\x0c\x80a\0\0", "0x0c80610000"),
        (b"\x0c\x84\0\0\0\1a", "0x0c840000000161"),
        (b"\x1f\x01a", "0x1f0161"),
        (der.tlv(0x0C, b"a" * 300), "a" * 300),
    ],
    ids=range(19),
)
def test_elements_are_read_as_text(data: bytes, text: str) -> None:
    """Strings, octets and integers; anything else as it is encoded."""
    assert read_der.text(data) == text


def _attributes(kind: str, *values: bytes) -> bytes:
    return der.sequence(der.attribute(kind, *values))


@pytest.mark.parametrize(
    ("data", "texts"),
    [
        (_attributes(_MAC_ADDRESS, der.tlv(0x16, b"00-00-bc-12-34-56")), ("00-00-bc-12-34-56",)),
        (_attributes(_MAC_ADDRESS, der.tlv(_OCTETS, bytes(5) + b"\x07")), ("000000000007",)),
        (_attributes(_MAC_ADDRESS, der.tlv(der.UTF8, b"a"), der.tlv(0x16, b"b")), ("a", "b")),
        (_attributes("1.2.3", der.tlv(0x16, b"a")), ()),
        (_attributes(_MAC_ADDRESS, der.tlv(_OCTETS, b"abc"), der.tlv(0x16, b"\xff")), ()),
        (der.sequence(der.tlv(0x31, der.oid(_MAC_ADDRESS), der.tlv(0x31))), ()),
        (der.sequence(der.sequence(der.oid(_MAC_ADDRESS))), ()),
    ],
    ids=range(7),
)
def test_mac_addresses_are_read_as_others_encode_them(data: bytes, texts: tuple[str, ...]) -> None:
    """Text, or six octets; several where a device has several ports."""
    assert mac_texts(data) == texts


@given(st.binary(max_size=80))
def test_any_bytes_are_some_text_or_none(data: bytes) -> None:
    """In every place that holds bytes, whole and behind a good beginning."""
    for value in (data, der.sequence(data), der.sequence(der.oid("1.2.3"), data)):
        extensions = [
            x509.Extension(oid, critical=False, value=x509.UnrecognizedExtension(oid, value))
            for oid in (SUBJECT_DIRECTORY_ATTRIBUTES, ObjectIdentifier("1.2.3"))
        ]
        said = places.Said(None, [_other(_HARDWARE, value), _other("1.2.3", value)], extensions)
        for selector in (
            "hardwareModuleName",
            "hardwareModuleName:1.2.3",
            "san:othername:1.2.3",
            "extension:1.2.3",
            "directory:mac",
        ):
            assert all(isinstance(text, str) for text in places.parse(selector).texts(said))


@pytest.mark.parametrize(
    "dotted", ["0.9.2342.19200300.100.1.1", "1.2.840.113549.1.1.11", "2.999.3"]
)
def test_object_identifiers_are_read(dotted: str) -> None:
    """X.690 section 8.19: the first two arcs share an octet, and more where the first is 2."""
    assert read_der.dotted(der.oid(dotted)[2:]) == dotted


def test_a_module_of_another_shape_has_no_serial_number() -> None:
    """The types must be those of RFC 4108."""
    value = der.sequence(der.oid("1.2.3"), der.tlv(der.UTF8, b"79"))
    said = places.Said(None, [_other(_HARDWARE, value)], [])
    assert places.parse("hardwareModuleName").texts(said) == []


def test_an_extension_that_cannot_be_written_says_nothing() -> None:
    """cryptography has kinds that it reads and does not encode."""

    class Opaque(x509.ExtensionType):
        oid = ObjectIdentifier("1.2.3")

    said = places.Said(None, [], [x509.Extension(Opaque.oid, critical=False, value=Opaque())])
    assert places.parse("extension:1.2.3").texts(said) == ()


def test_an_object_identifier_that_is_cut_off_is_none() -> None:
    """A hardware module of an unreadable type names nobody where a type is asked for."""
    for content in (b"", b"\x2a\x83"):
        with pytest.raises(ValueError, match="cut off"):
            read_der.dotted(content)
