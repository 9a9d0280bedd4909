"""What is proved and what only claimed: presented certificates of every kind, and names."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from datetime import timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.name import _ASN1Type
from cryptography.x509.oid import NameOID
from hypothesis import given, settings
from hypothesis import strategies as st

from cipsec.ca import profile
from cipsec.pki import csr, keys
from cipsec.pki.csr import CertificateRequest
from cipsec.pki.device import DeviceId, Identity, Mac
from cipsec.pki.names import parse_subject, show_serial
from cipsec.ra.evidence import NOTHING, OwnAnchor, Presented, gather, presented
from cipsec.store import certificates
from cipsec.store.certificates import CertificateRow
from tests.support import ca, der, est
from tests.support.est import NOW, Server

# cryptography warns of names that are longer than X.520 allows; the command line silences it.
pytestmark = pytest.mark.filterwarnings("ignore::UserWarning")

DEVICE = DeviceId(1, 0x6040C8F2)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A CA with a record."""
    with est.serving(tmp_path_factory.mktemp("evidence")) as server:
        yield server


@pytest.fixture
def anchor(server: Server) -> OwnAnchor:
    """The CA as judge of its own certificates."""

    def recorded(serial: str) -> CertificateRow | None:
        return server.database.read(lambda db: certificates.by_serial(db, serial))

    return OwnAnchor(server.authority.certificate, recorded)


def bytes_of(certificate: x509.Certificate) -> bytes:
    """Return a certificate's DER."""
    return certificate.public_bytes(Encoding.DER)


def test_nothing(anchor: OwnAnchor) -> None:
    """Without a certificate nothing is claimed and nothing proved."""
    assert presented([], anchor, NOW) is NOTHING
    found = gather(ca.request("CN=a"), NOTHING, user=None, label="", renewal=False)
    assert (found.proved, found.claimed) == ("nothing", "nothing")
    assert found.own is None
    assert found.identity == Identity()


def test_an_own_certificate_is_proof(server: Server, anchor: OwnAnchor) -> None:
    """A valid certificate of this CA, on record: its serial is known, its names are compared."""
    certificate = server.record(ca.request(sans=["dns:drive-7"]))
    serial = show_serial(certificate.serial_number)
    shown = presented([bytes_of(certificate), b"whatever else"], anchor, NOW)
    assert shown.own_serial == serial
    assert shown.identity == Identity(DEVICE)
    same = gather(ca.request(sans=["dns:DRIVE-7"]), shown, user=None, label="", renewal=True)
    assert same.own
    assert (same.own.serial, same.own.same_names) == (serial, True)
    assert same.proved == f"certificate {serial} of this CA"
    assert same.claimed == "device 0001:6040C8F2"
    other = gather(ca.request(), shown, user="anna", label="", renewal=True)
    assert other.own
    assert not other.own.same_names
    assert other.proved == f"certificate {serial} of this CA, user anna"


def test_judgement_is_not_remembered(server: Server, anchor: OwnAnchor) -> None:
    """Only the signature check is cached: time and record count anew at each request."""
    asked = ca.request()
    certificate = server.record(asked, validity=timedelta(days=1))
    chain, serial = [bytes_of(certificate)], show_serial(certificate.serial_number)
    end = NOW + timedelta(days=1)
    for now, own in (
        (NOW, serial),
        (end, serial),
        (end + timedelta(seconds=1), None),
        (NOW - timedelta(hours=25), None),
        (NOW, serial),
    ):
        assert presented(chain, anchor, now).own_serial == own
    late = presented(chain, anchor, end + timedelta(seconds=1))
    assert late.not_own == f"certificate {serial} is expired"
    assert late.kind == f"certificate {serial} of this CA (is expired)"
    forgotten = dataclasses.replace(anchor, recorded=lambda _: None)
    unknown = presented(chain, forgotten, NOW)
    assert unknown.not_own == f"certificate {serial} is not in this CA's record"
    assert presented(chain, anchor, NOW).own_serial == serial


def test_what_this_ca_signed_for_others_is_no_proof(server: Server, anchor: OwnAnchor) -> None:
    """The EST server's certificate, and one that is not on record, renew nothing."""
    own_server = server.record(ca.request(), kind=profile.SERVER)
    lost = server.record(ca.request(), known=False)
    for certificate, why in (
        (own_server, "is not an endpoint's"),
        (lost, "is not in this CA's record"),
        (server.authority.certificate, "is not in this CA's record"),
    ):
        shown = presented([bytes_of(certificate)], anchor, NOW)
        assert shown.own_serial is None
        assert shown.not_own == f"certificate {show_serial(certificate.serial_number)} {why}"
        found = gather(ca.request(), shown, user=None, label="", renewal=False)
        assert found.proved == "nothing"


def lookalike(server: Server) -> tuple[x509.Certificate, keys.PrivateKey]:
    """Return a CA of the same name and key identifier with another key."""
    key = keys.generate(keys.KeyType.EC_P256)
    original = server.authority.certificate
    builder = x509.CertificateBuilder(
        subject_name=original.subject,
        issuer_name=original.subject,
        public_key=key.public_key(),
        serial_number=original.serial_number,
        not_valid_before=original.not_valid_before_utc,
        not_valid_after=original.not_valid_after_utc,
        extensions=list(original.extensions),
    )
    return builder.sign(key, hashes.SHA256()), key


def test_a_lookalike_ca_is_unknown(server: Server, anchor: OwnAnchor) -> None:
    """Same name, same key identifier, even a serial number that is on record: not its key."""
    asked = ca.request()
    original = server.record(asked)
    false_ca, key = lookalike(server)
    builder = x509.CertificateBuilder(
        subject_name=original.subject,
        issuer_name=false_ca.subject,
        public_key=asked.public_key,
        serial_number=original.serial_number,
        not_valid_before=original.not_valid_before_utc,
        not_valid_after=original.not_valid_after_utc,
        extensions=list(original.extensions),
    )
    forged = builder.sign(key, hashes.SHA256())
    shown = presented([bytes_of(forged), bytes_of(false_ca)], anchor, NOW)
    assert shown.own_serial is None
    assert shown.not_own == "the client certificate is issued by an unknown CA"
    assert shown.kind.startswith("issued by an unknown CA certificate of ")
    root = presented([bytes_of(false_ca)], anchor, NOW)
    assert root.own_serial is None
    assert root.not_own == "the client certificate is self-signed"


def test_a_self_signed_certificate_is_a_claim(anchor: OwnAnchor) -> None:
    """It names a device, proves nothing, and what it names is said to be claimed."""
    subject = der.name(
        (der.COMMON_NAME, der.UTF8, b"Drive 7"),
        (der.SERIAL_NUMBER, der.PRINTABLE, b"0001:6040C8F2"),
    )
    shown = presented([der.certificate(subject=subject)], anchor, NOW)
    assert shown.identity == Identity(DEVICE)
    assert shown.own_serial is None
    found = gather(ca.request("CN=a"), shown, user=None, label="", renewal=False)
    assert found.proved == "nothing"
    assert found.claimed == (
        "device 0001:6040C8F2, self-signed certificate of serialNumber=0001:6040C8F2,CN=Drive 7"
    )


X400 = der.extension(der.SUBJECT_ALT_NAME, der.sequence(der.tlv(0xA3, b"\x30\x00")))
TWICE = der.extension(der.KEY_USAGE, b"\x03\x02\x07\x80")


@pytest.mark.parametrize(
    "garbage",
    [
        b"",
        b"0",
        b"garbage",
        der.certificate()[:-1],
        der.certificate() + b"\0",
        der.certificate(version=1),
        der.certificate(version=9),
        der.certificate(X400),
        der.certificate(TWICE, TWICE),
        der.certificate(der.extension(der.BASIC_CONSTRAINTS, b"\xff")),
        der.certificate(subject=b"\x30\x03\x31\x01\x05"),
        der.certificate(subject=der.name((der.COMMON_NAME, der.UTF8, b"\xff\xfe"))),
        der.certificate(der.extension("2.5.29.1", b"\0" * 20_000)),
    ],
    ids=range(13),
)
def test_a_certificate_that_cannot_be_read(garbage: bytes, anchor: OwnAnchor) -> None:
    """It proves and claims nothing, and never raises; TLS let it in, HTTP answers."""
    shown = presented([garbage], anchor, NOW)
    assert shown == Presented("an unreadable certificate", "the client certificate cannot be read")


@settings(deadline=None)
@given(data=st.data())
def test_any_damage_to_a_certificate(data: st.DataObject, server: Server) -> None:
    """However a certificate is damaged, it is judged without an exception, and is not ours."""
    whole = bytes_of(server.authority.certificate)
    damaged = bytearray(whole)
    for _ in range(data.draw(st.integers(1, 4))):
        damaged[data.draw(st.integers(0, len(whole) - 1))] = data.draw(st.integers(0, 255))
    none = OwnAnchor(server.authority.certificate, lambda _: None)
    shown = presented([bytes(damaged)], none, NOW)
    assert shown.own_serial is None
    gather(ca.request("CN=a"), shown, user=None, label="", renewal=False)


def test_who_was_authenticated_is_part_of_the_id() -> None:
    """Users and presented certificates tell applicants apart; no text can pose as another."""
    none, shown = NOTHING, Presented("k", "n", key="certificate 00")
    applicants = [
        gather(ca.request("CN=a"), what, user=user, label="", renewal=False).applicant
        for what in (none, shown)
        for user in (None, "", "anna", "no user", "user:anna")
    ]
    assert len(set(applicants)) == len(applicants)


def test_certificates_are_told_apart_by_their_bytes(server: Server, anchor: OwnAnchor) -> None:
    """Two certificates for one key and name are two applicants: each was approved by itself."""
    asked = ca.request()
    one, other = (presented([bytes_of(server.record(asked))], anchor, NOW) for _ in range(2))
    assert one.key != other.key
    again = presented([bytes_of(server.record(asked))], anchor, NOW)
    assert again.key not in (one.key, other.key)


def retyped(text: str, kind: _ASN1Type) -> CertificateRequest:
    """Return a CSR whose common name has that string type."""
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text, kind)])
    return csr.parse(
        csr.build(keys.generate(keys.KeyType.EC_P256), name).public_bytes(Encoding.DER)
    )


@pytest.mark.parametrize(
    ("text", "kind", "same"),
    [
        ("Drive 7", _ASN1Type.UTF8String, True),
        ("Drive 7", _ASN1Type.PrintableString, True),
        ("Drive 7", _ASN1Type.BMPString, True),
        ("  drive   7 ", _ASN1Type.UTF8String, True),
        ("Drive7", _ASN1Type.UTF8String, False),
        ("Drive 8", _ASN1Type.UTF8String, False),
    ],
)
def test_names_are_compared_by_value(
    text: str, kind: _ASN1Type, same: bool, server: Server, anchor: OwnAnchor
) -> None:
    """String type, case and white space do not make another name (RFC 5280 section 7.1)."""
    certificate = server.record(retyped("Drive 7", _ASN1Type.UTF8String))
    shown = presented([bytes_of(certificate)], anchor, NOW)
    found = gather(retyped(text, kind), shown, user=None, label="", renewal=True)
    assert found.own
    assert found.own.same_names is same


def test_names_that_no_certificate_takes_over_do_not_count(
    server: Server, anchor: OwnAnchor
) -> None:
    """A device that asks for a URI each time, and never gets it, may renew all the same."""
    sans = ["dns:drive-7", "uri:urn:drive-7", "email:anna@plant"]
    certificate = server.record(ca.request(sans=sans))
    shown = presented([bytes_of(certificate)], anchor, NOW)
    for asked, same in (
        (sans, True),
        (["dns:drive-7"], True),
        ([*sans, "ip:192.0.2.7"], False),
        (["uri:urn:drive-7"], False),
    ):
        found = gather(ca.request(sans=asked), shown, user=None, label="", renewal=True)
        assert found.own
        assert found.own.same_names is same


def test_identity_joins_both(server: Server, anchor: OwnAnchor) -> None:
    """The CSR's device comes first, the certificate's fills what the CSR leaves open."""
    mac = Mac.parse("00:00:bc:12:34:56")
    certificate = server.record(ca.request(parse_subject(f"CN={mac}")))
    shown = presented([bytes_of(certificate)], anchor, NOW)
    found = gather(ca.request(), shown, user=None, label="line-3", renewal=False)
    assert found.identity == Identity(DEVICE, mac)
    assert found.label == "line-3"


def test_many_large_certificates_are_not_kept(anchor: OwnAnchor) -> None:
    """What is remembered of strangers is bounded: a certificate beyond 16 KiB is not parsed."""
    filler = der.extension("2.5.29.1", b"\0" * 15_000)
    large = der.certificate(filler)
    assert len(large) < 16 * 1024
    assert presented([large], anchor, NOW).not_own == "the client certificate is self-signed"
    larger = der.certificate(filler, der.extension("2.5.29.2", b"\0" * 2_000))
    assert presented([larger], anchor, NOW).not_own == "the client certificate cannot be read"
