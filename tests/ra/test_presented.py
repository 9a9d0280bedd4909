"""The TLS client certificate: of every kind, what it proves and why it proves nothing else."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from datetime import timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from hypothesis import given, settings
from hypothesis import strategies as st

from cipsec.ca import profile
from cipsec.errors import Malformed
from cipsec.pki import keys
from cipsec.pki.device import DeviceId, Identity
from cipsec.pki.identity import DEFAULT, parse_rules
from cipsec.pki.names import show_serial
from cipsec.ra.presented import NOTHING, Presented, look_at
from cipsec.ra.sources import Sources
from cipsec.store import credentials
from tests.support import ca, der, est, vendor
from tests.support.est import NOW, Server

# cryptography warns of names that are longer than X.520 allows; the command line silences it.
pytestmark = pytest.mark.filterwarnings("ignore::UserWarning")

DEVICE = DeviceId(1, 0x6040C8F2)
DAY, SECOND = timedelta(days=1), timedelta(seconds=1)
CANNOT_READ = "the client certificate cannot be read"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A CA with a record."""
    with est.serving(tmp_path_factory.mktemp("presented")) as server:
        yield server


def shown_by(server: Server, *chain: bytes) -> Presented:
    """Return what a chain is."""
    return look_at(chain, DEFAULT, server.sources, server.now)


def proves_nothing(shown: Presented) -> bool:
    """Tell whether it proves neither a device nor anybody."""
    return (shown.own, shown.vendor, shown.credential, shown.proved) == (
        None, None, None, Identity(),
    )  # fmt: skip


def test_nothing(server: Server) -> None:
    """Without a certificate nothing is claimed and nothing proved."""
    assert shown_by(server) is NOTHING
    assert proves_nothing(NOTHING)
    why = "no client certificate was presented"
    assert (NOTHING.not_own, NOTHING.not_vendor, NOTHING.not_provisioning) == (why, why, why)


# Of this CA.


def test_an_own_certificate_is_proof(server: Server) -> None:
    """Valid and on record: its serial number is known, and its device is proved."""
    certificate = server.record(ca.request(sans=["dns:drive-7"]))
    serial = show_serial(certificate.serial_number)
    shown = shown_by(server, est.der(certificate), b"whatever else")
    assert (shown.own, shown.proved) == (serial, Identity(DEVICE))
    assert shown.kind == f"certificate {serial} of this CA"
    assert (shown.vendor, shown.credential, shown.broken) == (None, None, None)
    said = "the client certificate is of this CA"
    assert (shown.not_vendor, shown.not_provisioning) == (said, said)


def test_judgement_is_not_remembered(server: Server) -> None:
    """Only parsing and signature check are cached: time and record count at each request."""
    certificate = server.record(ca.request(), validity=DAY)
    chain, serial = [est.der(certificate)], show_serial(certificate.serial_number)
    end = NOW + DAY
    for now, own in (
        (NOW, serial),
        (end, serial),
        (end + SECOND, None),
        (NOW - timedelta(hours=25), None),
        (NOW, serial),
    ):
        assert look_at(chain, DEFAULT, server.sources, now).own == own
    late = look_at(chain, DEFAULT, server.sources, end + SECOND)
    assert late.not_own == f"certificate {serial} is expired"
    assert late.kind == f"certificate {serial} of this CA (is expired)"
    server.revoke(certificate)
    revoked = shown_by(server, *chain)
    assert proves_nothing(revoked)
    assert revoked.not_own == f"certificate {serial} is revoked"


def test_what_this_ca_signed_for_others_is_no_proof(server: Server) -> None:
    """The EST server's certificate, and one that is not on record, renew nothing."""
    own_server = server.record(ca.request(), kind=profile.SERVER)
    lost = server.record(ca.request(), known=False)
    for certificate, why in (
        (own_server, "is not an endpoint's"),
        (lost, "is not in this CA's record"),
        (server.authority.certificate, "is not in this CA's record"),
    ):
        shown = shown_by(server, est.der(certificate))
        assert proves_nothing(shown)
        assert shown.not_own == f"certificate {show_serial(certificate.serial_number)} {why}"


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


def test_a_lookalike_ca_is_unknown(server: Server) -> None:
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
    shown = shown_by(server, est.der(forged), est.der(false_ca))
    assert proves_nothing(shown)
    assert shown.not_own == "the client certificate is issued by an unknown CA"
    assert shown.kind.startswith("issued by an unknown CA certificate of ")
    root = shown_by(server, est.der(false_ca))
    assert proves_nothing(root)
    assert root.not_own == "the client certificate is self-signed"


# Provisioning certificates.


def test_a_provisioning_certificate_is_a_credential_and_nothing_else(server: Server) -> None:
    """It is found by the record, proves no device, and renews nothing."""
    shown = shown_by(server, *server.card("card-1", uses=3))
    assert shown.credential
    assert (shown.credential.name, shown.credential.uses) == ("card-1", 3)
    assert (shown.own, shown.vendor, shown.proved) == (None, None, Identity())
    assert shown.kind == "provisioning certificate card-1"
    said = "the client certificate is a provisioning certificate"
    assert (shown.not_own, shown.not_vendor) == (said, said)


@pytest.mark.parametrize(
    ("later", "status"),
    [(timedelta(), "valid"), (7 * DAY, "valid"), (7 * DAY + SECOND, "expired")],
)
def test_a_provisioning_certificate_ends(
    later: timedelta, status: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """On the second; then it proves nothing, and says why."""
    with est.serving(tmp_path_factory.mktemp("card")) as server:
        chain = server.card(days=7)
        server.now = NOW + later
        shown = shown_by(server, *chain)
    assert bool(shown.credential) is (status == "valid")
    if not shown.credential:
        assert shown.not_provisioning == "the provisioning certificate card-1 is expired"
        assert shown.kind == "provisioning certificate card-1 (expired)"


def test_a_revoked_or_forgotten_provisioning_certificate(server: Server) -> None:
    """Revoked by name, or lost from the record after a restored backup: nothing is proved."""
    chain = server.card("card-2")
    shown = shown_by(server, *chain)
    assert shown.credential
    serial = shown.credential.serial
    server.database.write(
        lambda db: credentials.revoke(db, serial, by="anna", reason="keyCompromise", at=0)
    )
    revoked = shown_by(server, *chain)
    assert proves_nothing(revoked)
    assert revoked.not_provisioning == "the provisioning certificate card-2 is revoked"
    server.database.write(lambda db: db.execute("DELETE FROM credentials"))
    lost = shown_by(server, *chain)
    assert proves_nothing(lost)
    assert lost.not_provisioning == (
        f"the provisioning certificate {serial} is not in this CA's record"
    )


def test_a_provisioning_certificate_of_another_ca(
    server: Server, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """One plant's card is nobody's in the next."""
    with est.serving(tmp_path_factory.mktemp("other")) as other:
        chain = other.card()
    shown = shown_by(server, *chain)
    assert proves_nothing(shown)
    assert shown.not_provisioning == "the client certificate is issued by an unknown CA"


def test_before_the_first_card_there_is_no_issuer(tmp_path_factory: pytest.TempPathFactory) -> None:
    """The first one works in the server that was started before it was made."""
    with est.serving(tmp_path_factory.mktemp("first")) as server:
        before = shown_by(server, der.certificate())
        assert before.not_provisioning == "the client certificate is self-signed"
        assert shown_by(server, *server.card()).credential


def test_a_damaged_issuer_file_is_said(tmp_path_factory: pytest.TempPathFactory) -> None:
    """It names the file; and is mended by the next look."""
    with est.serving(tmp_path_factory.mktemp("damaged")) as server:
        chain = server.card()
        path = server.folder.provisioning_certificate_file
        whole = path.read_bytes()
        path.write_bytes(b"garbage")
        with pytest.raises(Malformed, match=r"provisioning\.pem holds no certificate"):
            shown_by(server, *chain)
        path.write_bytes(whole)
        assert shown_by(server, *chain).credential


def test_the_issuer_itself_is_no_credential(server: Server) -> None:
    """Neither its certificate nor the CA's own buys anything."""
    server.card("card-3")
    issuer = server.folder.provisioning_certificate()
    assert issuer
    shown = shown_by(server, est.der(issuer))
    assert proves_nothing(shown)


def test_an_own_certificate_signed_as_a_card_is_not_on_record(server: Server) -> None:
    """What the provisioning issuer signed is looked up among cards only, whatever its number."""
    own = server.record(ca.request())
    issuer = server.folder.provisioning_authority(None, server.now).certificate
    key = keys.from_pem(server.folder.provisioning_key_file.read_bytes(), None)
    forged = vendor.issue("CN=x", vendor.Party(issuer, key), serial=own.serial_number)
    shown = shown_by(server, forged.der)
    assert proves_nothing(shown)


# Of vendors.


@pytest.fixture
def acme(server: Server) -> Iterator[vendor.Pki]:
    """A vendor who is trusted for this test."""
    pki = vendor.make()
    folder = server.folder.path / "vendors"
    vendor.install(folder, "acme", pki.root)
    yield pki
    for path in folder.iterdir():
        path.unlink()


def test_a_vendors_certificate_proves_its_device(server: Server, acme: vendor.Pki) -> None:
    """The path leads to a trusted anchor; what the leaf says of its device is proved."""
    shown = shown_by(server, *acme.chain)
    assert shown.vendor
    assert (shown.vendor.vendor, shown.proved) == ("acme", Identity(DEVICE))
    assert shown.kind == "certificate by vendor acme"
    said = "the client certificate is issued by a vendor"
    assert (shown.not_own, shown.not_provisioning, shown.broken) == (said, said, None)


def test_a_look_alike_vendor_proves_nothing(server: Server, acme: vendor.Pki) -> None:
    """Same names, same key identifiers: another key."""
    forger = vendor.look_alike(acme.issuing)
    forged = vendor.look_alike(acme.device, forger)
    shown = shown_by(server, forged.der, forger.der)
    assert proves_nothing(shown)
    assert shown.not_vendor
    assert shown.broken is None


def test_a_vendor_speaks_only_for_its_vendor_ids(server: Server, acme: vendor.Pki) -> None:
    """A device of another vendor is not proved by it; the reason says which."""
    folder = server.folder.path / "vendors"
    vendor.install(folder, "acme", acme.root, vendor_ids=["0002"])
    shown = shown_by(server, *acme.chain)
    assert proves_nothing(shown)
    assert shown.not_vendor == "the vendor's CA does not speak for Vendor ID 0001"
    vendor.install(folder, "acme", acme.root, vendor_ids=["0002", "0001"])
    assert shown_by(server, *acme.chain).vendor


def test_a_broken_vendor_file_is_nobodys_no(server: Server, acme: vendor.Pki) -> None:
    """It is said that it cannot be judged, with the file for us and without it for the device."""
    (server.folder.path / "vendors" / "acme.toml").write_text("strict_everything = ???\n")
    shown = shown_by(server, *acme.chain)
    assert proves_nothing(shown)
    assert shown.broken
    assert "acme.toml" in shown.broken
    assert shown.not_vendor == "the vendors' certificates cannot be used now"
    own = server.record(ca.request())
    assert shown_by(server, est.der(own)).broken is None  # of this CA: no vendor is asked


def test_a_vendors_certificate_that_names_two_devices_proves_none(
    server: Server, acme: vendor.Pki
) -> None:
    """The contradiction is kept for whoever refuses it."""
    leaf = vendor.issue("CN=0001:00000008,serialNumber=0001:00000007", acme.issuing)
    shown = shown_by(server, leaf.der, acme.issuing.der)
    assert shown.reading.conflict


def test_what_is_read_follows_the_rules(server: Server, acme: vendor.Pki) -> None:
    """Under other rules the same certificate names another device; no answer is kept too long."""
    rules = parse_rules(
        [{"name": "cn", "selector": "subject:CN", "pattern": "Drive (?P<serial>[0-9]+)",
          "base": "dec", "vendor": "0002"}]
    )  # fmt: skip
    for expected, by in ((DeviceId(2, 7), rules), (DEVICE, DEFAULT), (DeviceId(2, 7), rules)):
        shown = look_at(acme.chain, by, server.sources, NOW)
        assert shown.proved == Identity(expected)


# Of nobody that is known.


def test_a_self_signed_certificate_is_a_claim(server: Server) -> None:
    """It names a device and proves nothing."""
    subject = der.name(
        (der.COMMON_NAME, der.UTF8, b"Drive 7"),
        (der.SERIAL_NUMBER, der.PRINTABLE, b"0001:6040C8F2"),
    )
    shown = shown_by(server, der.certificate(subject=subject))
    assert shown.reading.identity == Identity(DEVICE)
    assert proves_nothing(shown)
    assert shown.not_own == shown.not_provisioning == "the client certificate is self-signed"


X400 = der.extension(der.SUBJECT_ALT_NAME, der.sequence(der.tlv(0xA3, b"\x30\x00")))
TWICE = der.extension(der.KEY_USAGE, b"\x03\x02\x07\x80")
GARBAGE = [
    b"",
    b"0",
    b"garbage",
    der.certificate()[:-1],
    der.certificate() + b"\0",
    der.certificate(version=1),
    der.certificate(version=9),
    der.certificate(subject=b"\x30\x03\x31\x01\x05"),
    der.certificate(subject=der.name((der.COMMON_NAME, der.UTF8, b"\xff\xfe"))),
    der.certificate(X400),
    der.certificate(TWICE, TWICE),
    der.certificate(der.extension(der.BASIC_CONSTRAINTS, b"\xff")),
    der.certificate(der.extension("2.5.29.1", b"\0" * 20_000)),
]


@pytest.mark.parametrize("garbage", GARBAGE, ids=range(len(GARBAGE)))
def test_a_certificate_that_cannot_be_read(garbage: bytes, server: Server) -> None:
    """It proves and claims nothing, and never raises; TLS let it in, HTTP answers."""
    shown = shown_by(server, garbage)
    assert proves_nothing(shown)
    assert not shown.reading.identity


def test_what_cannot_be_parsed_is_said(server: Server) -> None:
    """All three reasons are the same."""
    shown = shown_by(server, b"garbage")
    expected = Presented("an unreadable certificate", CANNOT_READ, CANNOT_READ, CANNOT_READ)
    assert shown == expected


@pytest.mark.parametrize("tag", [0x00, 0x03, 0x05])
def test_a_subject_that_cannot_be_read(tag: int, server: Server) -> None:
    """Under an issuer that can: a string of no type, a BIT STRING, a NULL."""
    damaged = bytearray(est.der(server.authority.certificate))
    damaged[damaged.rindex(b"\x0c\x06Line 4")] = tag
    assert shown_by(server, bytes(damaged)).not_own == CANNOT_READ


@settings(max_examples=60)
@given(data=st.data())
def test_any_damage_to_a_certificate(data: st.DataObject, server: Server) -> None:
    """However a certificate is damaged, it is judged without an exception, and is not ours."""
    whole = est.der(server.authority.certificate)
    damaged = bytearray(whole)
    for _ in range(data.draw(st.integers(1, 4))):
        damaged[data.draw(st.integers(0, len(whole) - 1))] = data.draw(st.integers(0, 255))
    assert shown_by(server, bytes(damaged)).own is None


def test_certificates_are_told_apart_by_their_bytes(server: Server) -> None:
    """Two certificates for one key and name are two applicants: each was approved by itself."""
    asked = ca.request()
    keys_shown = {shown_by(server, est.der(server.record(asked))).key for _ in range(3)}
    assert len(keys_shown) == 3
    assert NOTHING.key not in keys_shown


def test_many_large_certificates_are_not_kept(server: Server) -> None:
    """What is remembered of strangers is bounded: a certificate beyond 16 KiB is not parsed."""
    filler = der.extension("2.5.29.1", b"\0" * 15_000)
    large = der.certificate(filler)
    assert len(large) < 16 * 1024
    assert shown_by(server, large).not_own == "the client certificate is self-signed"
    larger = der.certificate(filler, der.extension("2.5.29.2", b"\0" * 2_000))
    assert shown_by(server, larger).not_own == CANNOT_READ


def test_sources_are_asked_not_copied(server: Server) -> None:
    """A judge of another CA does not take ours for its own."""
    stranger: Sources = dataclasses.replace(server.sources, cas=(vendor.ca("Line 4").certificate,))
    certificate = server.record(ca.request())
    shown = look_at([est.der(certificate)], DEFAULT, stranger, NOW)
    assert proves_nothing(shown)
    assert shown_by(server, est.der(certificate)).own
