"""Names: read as people type them, shown as RFC 4514 writes them, compared by value."""

from __future__ import annotations

import contextlib
import re

import pytest
from cryptography import x509
from cryptography.x509.oid import NameOID
from hypothesis import example, given
from hypothesis import strategies as st

from cipsec.errors import UsageError
from cipsec.pki import names


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("CN=Drive 7,O=Plant", "CN=Drive 7,O=Plant"),
        ("CN=Drive 7, O=Plant", "CN=Drive 7,O=Plant"),
        (" cn=a,ou=b,c=DE", "CN=a,OU=b,C=DE"),
        (r"CN=a\, b", r"CN=a\, b"),
        (r"CN=a\\, O=b", r"CN=a\\,O=b"),
        ("SN=0001:6040C8F2", "serialNumber=0001:6040C8F2"),
        ("SERIALNUMBER=5,E=a@b", "serialNumber=5,emailAddress=a@b"),
        ("CN=a+OU=b", "CN=a+OU=b"),
        ("1.2.3.4=x", "1.2.3.4=x"),
        ("CN=[/red]", "CN=[/red]"),
    ],
)
def test_subjects_are_read(text: str, shown: str) -> None:
    """In the order typed, which is the reverse of the encoding's."""
    assert names.show_name(names.parse_subject(text)) == shown


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "empty"),
        ("Drive 7", "not a distinguished name"),
        ("/CN=a/O=b", "not a distinguished name"),
        ("FOO=a", "not a distinguished name"),
        ("CN=", "length"),
        ("CN=" + "x" * 65, "length"),
        ("C=DEU", "length"),
        ("serialNumber=a_b", "not allowed"),
        ("serialNumber=Straße", "not allowed"),
        ("DC=ü", "not allowed"),
    ],
)
def test_other_subjects_are_refused(text: str, words: str) -> None:
    """Also those that cryptography would encode and could not read back."""
    with pytest.raises(UsageError, match=words) as caught:
        names.parse_subject(text)
    assert "CN=Drive 7" in (caught.value.hint or "")


@given(st.text(max_size=60))
def test_any_subject_is_a_name_or_a_usage_error(text: str) -> None:
    """What is a name can be encoded, and read back as the same."""
    for given_text in (text, f"CN={text}", f"serialNumber={text}", f"1.2.3={text}"):
        with contextlib.suppress(UsageError):
            name = names.parse_subject(given_text)
            request = x509.CertificateSigningRequestBuilder().subject_name(name)
            assert request
            assert name.public_bytes()


@given(st.text(st.characters(codec="utf-8"), min_size=1, max_size=15))
def test_what_is_shown_is_read(value: str) -> None:
    """Any value of a common name survives being shown and typed again."""
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, value)])
    assert names.parse_subject(names.show_name(name)) == name


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("dns:drive7.local", "dns:drive7.local"),
        ("DNS:drive7.local.", "dns:drive7.local"),
        ("dns:*.plant", "dns:*.plant"),
        ("ip:10.0.0.7", "ip:10.0.0.7"),
        ("ip:fe80::1%eth0", "ip:fe80::1"),
        ("email:a@b", "email:a@b"),
        ("uri:urn:dev:7", "uri:urn:dev:7"),
    ],
)
def test_alternative_names_are_read(text: str, shown: str) -> None:
    """As `--san` takes them."""
    assert names.show_san(names.parse_san(text)) == shown


@pytest.mark.parametrize(
    "text",
    [
        "",
        "drive7",
        "dns:",
        "dns:a b",
        "dns:-a",
        "dns:a..b",
        "dns:10.0.0.7",
        "dns:ü",
        "dns:*",
        "dns:" + "a" * 64,
        "ip:10.0.0.0/8",
        "ip:10.0.0.256",
        "email:a",
        "email:a@b\n",
        "uri:x",
        "uri:a:\x1b[2K",
        "other:1.2.3",
    ],
)
def test_other_alternative_names_are_refused(text: str) -> None:
    """With the kinds there are."""
    with pytest.raises(UsageError) as caught:
        names.parse_san(text)
    assert "dns:NAME" in (caught.value.hint or "")


@given(st.text(max_size=40))
def test_any_alternative_name_is_one_or_a_usage_error(text: str) -> None:
    """For every kind."""
    for kind in ("dns", "ip", "email", "uri", ""):
        with contextlib.suppress(UsageError):
            names.parse_san(f"{kind}:{text}")


def test_every_kind_of_alternative_name_is_shown() -> None:
    """Also those that are never read from the command line."""
    oid = x509.ObjectIdentifier("1.2.3")
    assert names.show_san(x509.RegisteredID(oid)) == "rid:1.2.3"
    assert names.show_san(x509.OtherName(oid, b"\5\0")) == "other:1.2.3:0500"
    directory = x509.DirectoryName(names.parse_subject("CN=a"))
    assert names.show_san(directory) == "dir:CN=a"


def test_a_host_is_a_name_or_an_address() -> None:
    """As a server is reached."""
    assert names.show_san(names.host_name("line4.local")) == "dns:line4.local"
    assert names.show_san(names.host_name("fe80::1%eth0")) == "ip:fe80::1"
    with pytest.raises(UsageError):
        names.host_name("a b")
    for text in ("dns:line4.local", "bücher.example", ""):
        with pytest.raises(UsageError, match="neither a host name nor an address"):
            names.host_name(text)


_NEAR_HOSTS = st.text(alphabet="a1-_.*: \n٣é:%/A", max_size=12)


@given(_NEAR_HOSTS | st.from_regex(r"[0-9a-f.:%]{1,20}") | st.text(alphabet="a.", max_size=300))
def test_a_host_is_shown_as_the_name_it_is_reached_by(text: str) -> None:
    """Without the errors that say why it is none."""
    wanted = None
    with contextlib.suppress(UsageError):
        wanted = names.show_san(names.host_name(text))
    assert names.show_host(text) == wanted


@given(_NEAR_HOSTS | st.text(alphabet="a1.-", max_size=300))
@example("a." * 126 + "a")
@example("a" * 64)
@example("10.0.0.1.")
def test_a_host_name_has_good_labels_and_ends_in_no_number(text: str) -> None:
    """RFC 1123 section 2.1, label by label."""
    labels = text.removeprefix("*.").removesuffix(".").split(".")
    good = all(re.fullmatch(r"(?!-)[A-Za-z0-9_-]{1,63}(?<!-)", label) for label in labels)
    assert names.is_host_name(text) is (len(text) <= 253 and good and not labels[-1].isdigit())


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("CN=Drive 7,O=Plant", "cn=drive  7,O=PLANT", True),
        ("CN=a,O=b", "O=b,CN=a", False),
        ("CN=a", "CN=b", False),
        ("CN=a+O=b", "O=b+CN=a", True),
        ("CN=Antrieb Ä", "CN=antrieb ä", True),
        ("CN=Straße", "CN=STRASSE", False),  # equal by RFC 4518, and another host's name
        ("CN=drive-\u212a", "CN=drive-k", False),  # the Kelvin sign
    ],
)
def test_names_are_compared_by_value(one: str, other: str, same: bool) -> None:
    """RFC 5280 section 7.1: not by string type, case or white space."""
    pair = names.parse_subject(one), names.parse_subject(other)
    assert names.same_name(*pair) is same


def test_alternative_names_are_compared_as_sets() -> None:
    """Order and case do not count."""
    one = [names.parse_san("dns:A.local"), names.parse_san("ip:10.0.0.7")]
    assert names.same_sans(one, [names.parse_san("ip:10.0.0.7"), names.parse_san("dns:a.local")])
    assert not names.same_sans(one, one[:1])
    dotted = [x509.DNSName("drive7.local."), x509.UniformResourceIdentifier("urn:x.")]
    plain = [x509.DNSName("drive7.local"), x509.UniformResourceIdentifier("urn:x.")]
    assert names.same_sans(dotted, plain)
    assert not names.same_sans(plain[1:], [x509.UniformResourceIdentifier("urn:x")])


@pytest.mark.parametrize(
    ("serial", "shown"), [(0xABC, "0abc"), (0, "00"), (-123, "-7b"), (1 << 159, "80" + "00" * 19)]
)
def test_serial_numbers_are_even_hex(serial: int, shown: str) -> None:
    """Also the negative ones that some certificates have."""
    assert names.show_serial(serial) == shown
