"""Certificates by declaration: byte for byte what CertificateBuilder makes; openssl takes them."""

from __future__ import annotations

import functools
import ipaddress
import subprocess
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.name import _ASN1Type
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID
from hypothesis import given
from hypothesis import strategies as st

from cipsec.ca import profile
from cipsec.ca.authority import Authority, Issued, self_signed
from cipsec.ca.profile import Profile
from cipsec.ca.tbs import Encoder
from cipsec.errors import LocalState
from cipsec.pki import csr, keys
from cipsec.pki.csr import CertificateRequest
from cipsec.pki.device import SUBJECT_DIRECTORY_ATTRIBUTES, Mac, mac_attributes
from cipsec.pki.keys import KeyType
from cipsec.pki.names import parse_subject
from tests.support import der, programs

NOW = datetime(2026, 11, 23, 5, 0, tzinfo=UTC)
PROFILE = profile.endpoint(timedelta(days=730), timedelta(hours=24))
MAC = Mac.parse("00:00:bc:12:34:56")
SANS = (x509.DNSName("drive-7.plant"), x509.IPAddress(ipaddress.ip_address("192.0.2.7")))
DRIVE = parse_subject("CN=Drive 7,O=Plant,C=DE,serialNumber=0001:6040C8F2")


@functools.cache
def key(key_type: KeyType, number: int = 0) -> keys.PrivateKey:
    """One key of each type and number; making RSA keys takes long."""
    return keys.generate(key_type)


@functools.cache
def authority(key_type: KeyType, days: int = 36_500) -> Authority:
    """A CA made at NOW; its own end lies a century ahead."""
    own = key(key_type, 1)
    subject = parse_subject("CN=Line 4,O=Plant")
    return Authority(self_signed(subject, own, now=NOW, validity=timedelta(days=days)), own)


def asked(
    key_type: KeyType = KeyType.EC_P256,
    subject: x509.Name = DRIVE,
    *,
    sans: Sequence[x509.GeneralName] = (),
    mac: Mac | None = None,
) -> CertificateRequest:
    """Return a CSR."""
    built = csr.build(key(key_type), subject, sans=sans, mac=mac, challenge=b"YmluZGluZw==")
    return csr.parse(built.public_bytes(Encoding.DER))


def by_builder(
    ca: Authority,
    request: CertificateRequest,
    *,
    serial: int,
    begin: datetime,
    end: datetime,
    crl_url: str | None = None,
) -> x509.Certificate:
    """Return what CertificateBuilder makes of the same request: the oracle."""
    rsa_key = isinstance(request.public_key, rsa.RSAPublicKey)
    issuer = ca.certificate.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value
    own_key = next(k for t in KeyType if (k := key(t, 1)).public_key() == ca_key(ca))
    digest = hashes.Hash(hashes.SHA256())
    digest.update(
        request.public_key.public_bytes(
            Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
        )
    )
    usage = x509.KeyUsage(True, False, rsa_key, False, False, False, False, False, False)
    extended = [ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH]
    builder = (
        x509.CertificateBuilder()
        .subject_name(request.subject)
        .issuer_name(ca.certificate.subject)
        .public_key(request.public_key)
        .serial_number(serial)
        .not_valid_before(begin)
        .not_valid_after(end)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(usage, critical=True)
        .add_extension(x509.ExtendedKeyUsage(extended), critical=False)
    )
    if request.sans:
        empty = not list(request.subject)
        builder = builder.add_extension(x509.SubjectAlternativeName(request.sans), critical=empty)
    builder = builder.add_extension(
        x509.SubjectKeyIdentifier(digest.finalize()[:20]), critical=False
    ).add_extension(
        x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(issuer), critical=False
    )
    if crl_url:
        names = [x509.UniformResourceIdentifier(crl_url)]
        point = x509.DistributionPoint(names, None, None, None)
        builder = builder.add_extension(x509.CRLDistributionPoints([point]), critical=False)
    if request.identity.mac:
        attributes = mac_attributes(request.identity.mac)
        extension = x509.UnrecognizedExtension(SUBJECT_DIRECTORY_ATTRIBUTES, attributes)
        builder = builder.add_extension(extension, critical=False)
    return builder.sign(own_key, keys.signing_hash(own_key))


def outer_algorithm(certificate: x509.Certificate) -> bytes:
    """Return the AlgorithmIdentifier that stands behind the part that is signed."""
    whole, signed = certificate.public_bytes(Encoding.DER), certificate.tbs_certificate_bytes
    rest = whole[whole.index(signed) + len(signed) :]
    return rest[: 2 + rest[1]]


def ca_key(ca: Authority) -> keys.PublicKey:
    """Return the CA's public key."""
    return keys.served(ca.certificate.public_key())


def check_against_builder(
    ca: Authority, request: CertificateRequest, form: Profile = PROFILE, now: datetime = NOW
) -> x509.Certificate:
    """Issue, compare with the builder's bytes, verify the signature; return the certificate."""
    issued = ca.issue(request, form, now=now, mac=request.identity.mac)
    certificate = x509.load_der_x509_certificate(issued.der)
    assert certificate.public_bytes(Encoding.DER) == issued.der
    oracle = by_builder(
        ca,
        request,
        serial=int(issued.serial, 16),
        begin=issued.not_before,
        end=issued.not_after,
        crl_url=form.crl_url,
    )
    assert certificate.tbs_certificate_bytes == oracle.tbs_certificate_bytes
    assert outer_algorithm(certificate) == outer_algorithm(oracle)
    if isinstance(ca_key(ca), rsa.RSAPublicKey):  # PKCS#1 v1.5 has no randomness
        assert issued.der == oracle.public_bytes(Encoding.DER)
    certificate.verify_directly_issued_by(ca.certificate)
    return certificate


@pytest.mark.parametrize("names", ["subject", "subject and SAN", "MAC", "only SAN"])
@pytest.mark.parametrize("subject_key", [KeyType.EC_P256, KeyType.EC_P384, KeyType.RSA_2048])
@pytest.mark.parametrize("own_key", [KeyType.EC_P256, KeyType.EC_P384, KeyType.RSA_2048])
def test_bytes_are_the_builders(own_key: KeyType, subject_key: KeyType, names: str) -> None:
    """Every CA key, subject key and shape of names encodes as CertificateBuilder encodes it."""
    request = asked(
        subject_key,
        x509.Name([]) if names == "only SAN" else DRIVE,
        sans=SANS if "SAN" in names else (),
        mac=MAC if names == "MAC" else None,
    )
    check_against_builder(authority(own_key), request)


@pytest.mark.parametrize("mac", [MAC, None], ids=["MAC", "no MAC"])
@pytest.mark.parametrize("own_key", [KeyType.EC_P256, KeyType.RSA_2048])
def test_where_the_revocation_list_is(own_key: KeyType, mac: Mac | None) -> None:
    """Said as the builder says it, and not at all where there is no such place."""
    url = "http://crl.plant.example:8080/line-4/ca.crl"
    form = profile.endpoint(timedelta(days=730), timedelta(hours=24), url)
    found = check_against_builder(authority(own_key), asked(sans=SANS, mac=mac), form)
    points = found.extensions.get_extension_for_class(x509.CRLDistributionPoints)
    assert not points.critical
    assert [[name.value for name in one.full_name or []] for one in points.value] == [[url]]
    without = check_against_builder(authority(own_key), asked(sans=SANS, mac=mac))
    assert x509.CRLDistributionPoints.oid not in [one.oid for one in without.extensions]


texts = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=16)
domains = st.from_regex(r"[a-z]([a-z0-9-]{0,20}[a-z0-9])?(\.[a-z]{1,10}){0,3}", fullmatch=True)
addresses = st.ip_addresses()


@given(
    st.lists(st.tuples(st.sampled_from([NameOID.COMMON_NAME, NameOID.ORGANIZATION_NAME]), texts)),
    st.lists(st.one_of(domains.map(x509.DNSName), addresses.map(x509.IPAddress)), max_size=20),
    st.integers(0, 3000),
)
def test_bytes_are_the_builders_for_any_names(
    attributes: list[tuple[x509.ObjectIdentifier, str]], sans: list[x509.GeneralName], days: int
) -> None:
    """Whatever the names and the length of the certificate, the two encoders agree."""
    subject = x509.Name([x509.NameAttribute(oid, text) for oid, text in attributes])
    form = profile.endpoint(timedelta(days=10 * days + 1), timedelta(days=days))
    request = asked(subject=subject, sans=sans)
    check_against_builder(authority(KeyType.EC_P256), request, form)


@pytest.mark.parametrize(
    ("end", "tag"),
    [
        (datetime(2049, 12, 31, 23, 59, 59, tzinfo=UTC), 0x17),
        (datetime(2050, 1, 1, tzinfo=UTC), 0x18),
        (datetime(2050, 1, 1, 0, 0, 1, tzinfo=UTC), 0x18),
    ],
)
def test_utc_time_ends_with_2049(end: datetime, tag: int) -> None:
    """Dates through 2049 are UTCTime (tag 17), later ones GeneralizedTime (RFC 5280 4.1.2.5)."""
    form = profile.endpoint(end - NOW, timedelta(hours=24))
    certificate = check_against_builder(authority(KeyType.EC_P256), asked(), form)
    assert certificate.not_valid_after_utc == end
    written = end.strftime("%y%m%d%H%M%SZ" if tag == 0x17 else "%Y%m%d%H%M%SZ").encode()
    assert bytes([tag, len(written)]) + written in certificate.tbs_certificate_bytes


def test_never_beyond_the_cas_own_end() -> None:
    """A certificate ends with its CA, also when the profile gives it longer."""
    ca = authority(KeyType.EC_P256, days=10)
    issued = ca.issue(asked(), PROFILE, now=NOW + timedelta(days=9))
    assert issued.not_after == ca.certificate.not_valid_after_utc
    assert x509.load_der_x509_certificate(issued.der).not_valid_after_utc == issued.not_after


def test_an_expired_ca_signs_nothing() -> None:
    """From the CA's end on nothing is issued: it would be expired before it is delivered."""
    ca = authority(KeyType.EC_P256, days=10)
    end = ca.certificate.not_valid_after_utc
    ca.issue(asked(), PROFILE, now=end - timedelta(seconds=1))
    for now in (end, end + timedelta(days=400)):
        with pytest.raises(LocalState, match="the CA's own certificate expired at 2026-12-03T"):
            ca.issue(asked(), PROFILE, now=now)


def test_a_clock_before_the_ca_signs_nothing() -> None:
    """A machine whose clock fell back to 1970 does not issue certificates of that time."""
    ca = authority(KeyType.EC_P256)
    with pytest.raises(LocalState, match="valid only from 2026-11-22T05:00:00Z") as raised:
        ca.issue(asked(), PROFILE, now=datetime(1970, 1, 1, tzinfo=UTC))
    assert raised.value.hint == "check this machine's clock with: date -u"


def test_period_is_back_dated_in_whole_seconds() -> None:
    """notBefore lies `backdate` before now, and the fraction of a second is dropped."""
    now = NOW.replace(microsecond=999_999)
    issued = authority(KeyType.EC_P256).issue(asked(), PROFILE, now=now)
    assert issued.not_before == NOW - timedelta(hours=24)
    assert issued.not_after == NOW + timedelta(days=730)


def test_string_types_stay_byte_for_byte() -> None:
    """The subject is the CSR's own bytes: string types and RDNs of several attributes stay."""
    kinds = [_ASN1Type.PrintableString, _ASN1Type.UTF8String, _ASN1Type.BMPString]
    kinds += [_ASN1Type.IA5String, _ASN1Type.T61String, _ASN1Type.VisibleString]
    rdns = [
        x509.RelativeDistinguishedName([x509.NameAttribute(NameOID.ORGANIZATION_NAME, "A", kind)])
        for kind in kinds
    ]
    several = [
        x509.NameAttribute(NameOID.COMMON_NAME, "Drive 7"),
        x509.NameAttribute(NameOID.SERIAL_NUMBER, "0001:6040C8F2"),
    ]
    subject = x509.Name([*rdns, x509.RelativeDistinguishedName(several)])
    request = asked(subject=subject)
    certificate = check_against_builder(authority(KeyType.EC_P256), request)
    assert certificate.subject.public_bytes() == subject.public_bytes()
    assert subject.public_bytes() in certificate.tbs_certificate_bytes


def test_public_key_stays_byte_for_byte() -> None:
    """A compressed EC point, which the builder would unfold, is handed back as it came."""
    own = der.KEY.public_key()
    point = own.public_bytes(Encoding.X962, serialization.PublicFormat.CompressedPoint)
    algorithm = keys.spki(own)[2:23]
    spki = der.sequence(algorithm, der.tlv(0x03, b"\0", point))
    info = der.sequence(b"\x02\x01\x00", DRIVE.public_bytes(), spki, der.tlv(0xA0))
    request = csr.parse(der._signed(info))
    issued = authority(KeyType.EC_P256).issue(request, PROFILE, now=NOW)
    certificate = x509.load_der_x509_certificate(issued.der)
    assert spki in certificate.tbs_certificate_bytes
    assert certificate.public_key() == own


@pytest.mark.programs
def test_a_curve_in_numbers_is_named(tmp_path: Path) -> None:
    """RFC 5480 section 2.1.1 forbids the numbers in certificates; the key stays what it is."""
    programs.need("openssl")
    make = ("openssl", "req", "-new", "-nodes", "-subj", "/CN=a", "-keyout", tmp_path / "k")
    curve = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-384")
    numbers = ("-pkeyopt", "ec_param_enc:explicit", "-outform", "DER")
    request = csr.parse(programs.run(*make, *curve, *numbers).stdout)
    assert request.spki not in request.der
    issued = authority(KeyType.EC_P256).issue(request, PROFILE, now=NOW)
    certificate = x509.load_der_x509_certificate(issued.der)
    assert request.spki in certificate.tbs_certificate_bytes
    assert certificate.public_key() == request.public_key


@pytest.mark.programs
def test_a_key_for_pss_only_signs(tmp_path: Path) -> None:
    """RFC 4055 section 1.2: no keyEncipherment, as other RSA keys have it."""
    programs.need("openssl")
    make = ("openssl", "req", "-new", "-nodes", "-subj", "/CN=a", "-keyout", tmp_path / "k")
    request = csr.parse(programs.run(*make, "-newkey", "rsa-pss", "-outform", "DER").stdout)
    issued = authority(KeyType.EC_P256).issue(request, PROFILE, now=NOW)
    extensions = x509.load_der_x509_certificate(issued.der).extensions
    usage = extensions.get_extension_for_class(x509.KeyUsage).value
    assert (usage.digital_signature, usage.key_encipherment) == (True, False)


def test_nothing_but_the_mac_address_comes_back() -> None:
    """Of the applicant's directory attributes only the MAC address that was read is signed."""
    junk = mac_attributes(MAC) + b"\x30\x03\x02\x01\x05"
    bare = mac_attributes(MAC)[:-17] + b"0000bc123456"  # DER that ends too early
    for value in (junk, bare, b"\x30\x00", b"anything at all"):
        own = key(KeyType.EC_P256)
        extension = x509.UnrecognizedExtension(SUBJECT_DIRECTORY_ATTRIBUTES, value)
        subject = parse_subject(f"CN={MAC}")
        built = (
            x509.CertificateSigningRequestBuilder()
            .subject_name(subject)
            .add_extension(extension, critical=True)
            .sign(own, hashes.SHA256())
        )
        request = csr.parse(built.public_bytes(Encoding.DER))
        certificate = check_against_builder(authority(KeyType.EC_P256), request)
        found = certificate.extensions.get_extension_for_oid(SUBJECT_DIRECTORY_ATTRIBUTES)
        assert not found.critical
        assert found.value.public_bytes() == mac_attributes(MAC)


@pytest.mark.parametrize("critical", [True, False])
def test_a_mac_address_comes_back_only_when_it_is_passed(critical: bool) -> None:
    """Whoever judges the request says so; the applicant's own word is not signed."""
    own, ca = key(KeyType.EC_P256), authority(KeyType.EC_P256)
    for value in (mac_attributes(MAC), b"anything at all"):
        extension = x509.UnrecognizedExtension(SUBJECT_DIRECTORY_ATTRIBUTES, value)
        built = (
            x509.CertificateSigningRequestBuilder()
            .subject_name(DRIVE)
            .add_extension(extension, critical=critical)
            .sign(own, hashes.SHA256())
        )
        request = csr.parse(built.public_bytes(Encoding.DER))
        assert directory(ca.issue(request, PROFILE, now=NOW)) is None
        assert directory(ca.issue(request, PROFILE, now=NOW, mac=MAC)) == mac_attributes(MAC)


def test_a_mac_address_comes_back_only_to_who_gave_one() -> None:
    """A device that says nothing of its MAC address gets the certificate that it asked for."""
    issued = authority(KeyType.EC_P256).issue(asked(), PROFILE, now=NOW, mac=MAC)
    assert directory(issued) is None


def directory(issued: Issued) -> bytes | None:
    """Return the directory attributes of a certificate."""
    extensions = x509.load_der_x509_certificate(issued.der).extensions
    found = {extension.oid: extension.value for extension in extensions}
    value = found.get(SUBJECT_DIRECTORY_ATTRIBUTES)
    return value.public_bytes() if value else None


def test_other_alternative_names_are_left_out() -> None:
    """Of the alternative names only host names and IP addresses are taken over."""
    others = [
        x509.UniformResourceIdentifier("https://plant/7"),
        x509.RFC822Name("anna@plant"),
        x509.DirectoryName(DRIVE),
        x509.RegisteredID(NameOID.COMMON_NAME),
        x509.OtherName(NameOID.COMMON_NAME, b"\x05\x00"),
        x509.DNSName("plant.local\0.evil"),
        x509.DNSName("drive 7"),
        x509.DNSName(""),
        x509.IPAddress(ipaddress.ip_network("192.0.2.0/24")),
    ]
    issued = authority(KeyType.EC_P256).issue(asked(sans=[*others, *SANS]), PROFILE, now=NOW)
    certificate = x509.load_der_x509_certificate(issued.der)
    names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert tuple(names) == issued.sans == SANS
    without = authority(KeyType.EC_P256).issue(asked(sans=others), PROFILE, now=NOW)
    kinds = [e.oid for e in x509.load_der_x509_certificate(without.der).extensions]
    assert x509.SubjectAlternativeName.oid not in kinds


def test_what_the_applicant_wants_otherwise_is_not_signed() -> None:
    """Usages, constraints and unknown extensions of the CSR do not reach the certificate."""
    own = key(KeyType.EC_P256)
    built = (
        x509.CertificateSigningRequestBuilder()
        .subject_name(DRIVE)
        .add_extension(x509.BasicConstraints(ca=True, path_length=5), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CODE_SIGNING]), critical=True)
        .add_extension(x509.UnrecognizedExtension(NameOID.SURNAME, b"\x05\x00"), critical=True)
        .sign(own, hashes.SHA256())
    )
    request = csr.parse(built.public_bytes(Encoding.DER))
    check_against_builder(authority(KeyType.EC_P256), request)


@pytest.mark.programs
@pytest.mark.parametrize("subject_key", [KeyType.EC_P256, KeyType.RSA_2048])
@pytest.mark.parametrize("own_key", [KeyType.EC_P256, KeyType.EC_P384, KeyType.RSA_2048])
@pytest.mark.parametrize("subject", [DRIVE, x509.Name([])], ids=["subject", "only SAN"])
def test_openssl_accepts(
    own_key: KeyType, subject_key: KeyType, subject: x509.Name, tmp_path: Path
) -> None:
    """`openssl x509` reads the certificate and `openssl verify -x509_strict` finds no fault."""
    ca = authority(own_key)
    request = asked(subject_key, subject, sans=SANS, mac=MAC)
    issued = ca.issue(request, PROFILE, now=NOW)
    leaf, root = tmp_path / "leaf.pem", tmp_path / "ca.pem"
    certificate = x509.load_der_x509_certificate(issued.der)
    leaf.write_bytes(certificate.public_bytes(Encoding.PEM))
    root.write_bytes(ca.certificate.public_bytes(Encoding.PEM))
    shown = openssl("x509", "-in", leaf, "-noout", "-text")
    assert f"Serial Number:\n            {':'.join(pairs(issued.serial))}" in shown
    assert "TLS Web Server Authentication, TLS Web Client Authentication" in shown
    assert "DNS:drive-7.plant, IP Address:192.0.2.7" in shown
    at = str(int(NOW.timestamp()))
    for purpose in ("sslserver", "sslclient"):
        verdict = openssl(
            *("verify", "-x509_strict", "-check_ss_sig", "-attime", at),
            *("-purpose", purpose, "-CAfile", root, leaf),
        )
        assert verdict == f"{leaf}: OK\n"


def pairs(text: str) -> list[str]:
    """Return the digits two by two, as openssl shows them."""
    return [text[i : i + 2] for i in range(0, len(text), 2)]


def openssl(*arguments: str | Path) -> str:
    """Run openssl and return what it prints."""
    done = subprocess.run(["openssl", *arguments], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_the_encoder_takes_no_other_keys_parameters() -> None:
    """The three AlgorithmIdentifiers written out are those cryptography writes."""
    for key_type in (KeyType.EC_P256, KeyType.EC_P384, KeyType.RSA_2048):
        ca = authority(key_type)
        encoder = Encoder(ca.certificate.subject, key(key_type, 1))
        made = encoder.certificate(
            asked().parsed, serial=1, period=(NOW, NOW + timedelta(days=1)), extensions=[]
        )
        certificate = x509.load_der_x509_certificate(made)
        assert certificate.signature_algorithm_oid == ca.certificate.signature_algorithm_oid
        certificate.verify_directly_issued_by(ca.certificate)
