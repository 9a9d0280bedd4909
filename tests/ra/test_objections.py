"""What no rule can allow."""

from __future__ import annotations

import base64
import dataclasses
import functools
import ipaddress
from collections.abc import Iterator

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.name import _ASN1Type
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from cipsec.pki import csr, keys
from cipsec.pki.csr import CertificateRequest
from cipsec.pki.device import DeviceId, Identity, Mac
from cipsec.pki.identity import NOTHING, Reading, parse_rules
from cipsec.pki.names import parse_subject
from cipsec.ra import objections
from cipsec.ra.evidence import Evidence
from cipsec.ra.presented import Presented
from tests.support import ca, est, evidence, vendor
from tests.support.est import Server

OWN = ("dns:plant.local", "dns:est", "ip:192.0.2.1", "ip:2001:db8::1")
SERVER, CLIENT = ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A CA with a record."""
    with est.serving(tmp_path_factory.mktemp("objections")) as server:
        yield server


@functools.cache
def key() -> keys.PrivateKey:
    """One key for all requests of this module."""
    return keys.generate(keys.KeyType.EC_P256)


def asking(
    *extensions: x509.ExtensionType,
    subject: x509.Name | None = None,
    critical: bool = False,
) -> CertificateRequest:
    """Return a CSR with these extensions."""
    name = subject if subject is not None else parse_subject("CN=Drive 7")
    builder = x509.CertificateSigningRequestBuilder().subject_name(name)
    for extension in extensions:
        builder = builder.add_extension(extension, critical=critical)
    return csr.parse(builder.sign(key(), hashes.SHA256()).public_bytes(Encoding.DER))


def usage(*, certificates: bool = False, crls: bool = False) -> x509.KeyUsage:
    """Return a key usage for signatures, and more."""
    return x509.KeyUsage(True, False, False, False, False, certificates, crls, False, False)


def named(*sans: x509.GeneralName) -> CertificateRequest:
    """Return a CSR with these alternative names."""
    return asking(x509.SubjectAlternativeName(sans))


def common_name(text: str, kind: _ASN1Type = _ASN1Type.UTF8String) -> CertificateRequest:
    """Return a CSR with this common name."""
    attribute = x509.NameAttribute(NameOID.COMMON_NAME, text, kind, _validate=False)
    return asking(subject=x509.Name([attribute]))


@pytest.mark.parametrize(
    "asked",
    [
        asking(),
        asking(x509.BasicConstraints(ca=False, path_length=None), critical=True),
        asking(usage()),
        asking(x509.ExtendedKeyUsage([SERVER])),
        asking(x509.ExtendedKeyUsage([CLIENT, SERVER]), critical=True),
        asking(x509.UnrecognizedExtension(NameOID.SURNAME, b"\x05\x00"), critical=True),
        named(x509.DNSName("drive-7.plant.local"), x509.DNSName("est.plant.local")),
        named(x509.IPAddress(ipaddress.ip_address("192.0.2.11"))),
        named(x509.UniformResourceIdentifier("https://plant.local/")),
        asking(
            x509.SubjectAlternativeName([x509.DNSName("drive-7")]),
            subject=x509.Name([]),
            critical=True,
        ),
        named(*(x509.DNSName(f"drive-{number}") for number in range(64))),
        common_name("plant local"),
        common_name("Drive *7*"),
        common_name("192.0.2.10"),
    ],
)
def test_what_endpoints_ask_for(asked: CertificateRequest) -> None:
    """Ordinary requests meet no objection, whatever else they would like."""
    assert objections.to_request(asked, OWN) is None


@pytest.mark.parametrize(
    ("asked", "reason"),
    [
        (asking(subject=x509.Name([])), "the CSR has neither a subject nor a DNS name or IP"),
        (
            asking(
                x509.SubjectAlternativeName(
                    [x509.UniformResourceIdentifier("urn:x"), x509.DNSName("drive 7")]
                ),
                subject=x509.Name([]),
            ),
            "the CSR has neither a subject nor a DNS name or IP address",
        ),
        (asking(x509.BasicConstraints(ca=True, path_length=0)), "the CSR asks for a CA certific"),
        (asking(usage(certificates=True)), "the CSR asks for the right to sign certificates or"),
        (asking(usage(crls=True)), "the CSR asks for the right to sign certificates or CRLs"),
        (
            asking(x509.ExtendedKeyUsage([SERVER, ExtendedKeyUsageOID.CODE_SIGNING])),
            "the CSR asks for the extended key usage 1.3.6.1.5.5.7.3.3",
        ),
        (
            asking(x509.ExtendedKeyUsage([x509.ObjectIdentifier("1.3.6.1.5.5.7.3.28")])),
            "the CSR asks for the extended key usage 1.3.6.1.5.5.7.3.28",
        ),
        (
            asking(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.ANY_EXTENDED_KEY_USAGE])),
            "the CSR asks for the extended key usage 2.5.29.37.0",
        ),
        (named(x509.DNSName("plant.local")), "the CSR asks for this server's own name, dns:plant"),
        (named(x509.DNSName("drive-7"), x509.DNSName("EST")), "the CSR asks for this server's own"),
        (named(x509.DNSName("PLANT.local.")), "the CSR asks for this server's own name, dns:PLANT"),
        (
            named(x509.IPAddress(ipaddress.ip_address("192.0.2.1"))),
            "the CSR asks for this server's own name, ip:192.0.2.1",
        ),
        (
            named(x509.IPAddress(ipaddress.ip_address("2001:DB8:0::1"))),
            "the CSR asks for this server's own name, ip:2001:db8::1",
        ),
        (named(x509.DNSName("*.local")), "the CSR asks for the wildcard dns:*.local"),
        (named(x509.DNSName("*")), "the CSR asks for the wildcard dns:*"),
        (named(x509.DNSName("pl*nt.local")), "the CSR asks for the wildcard dns:pl*nt.local"),
        (common_name("plant.local"), "the CSR asks for this server's own name, CN=plant.local"),
        (common_name("Plant.Local."), "the CSR asks for this server's own name, CN=plant.local"),
        (common_name("192.0.2.1"), "the CSR asks for this server's own name, CN=192.0.2.1"),
        (
            common_name("plant.local", _ASN1Type.BMPString),
            "the CSR asks for this server's own name, CN=plant.local",
        ),
        (common_name("plant.local\0.evil"), "the CSR asks for this server's own name, CN=plant"),
        (
            named(*(x509.DNSName(f"drive-{number}") for number in range(65))),
            "the CSR asks for 65 alternative names, 64 are the most",
        ),
        (
            named(*(x509.UniformResourceIdentifier(f"urn:{number}") for number in range(400))),
            "the CSR asks for 400 alternative names, 64 are the most",
        ),
        (
            asking(subject=parse_subject(",".join(f"CN=drive-{number}" for number in range(65)))),
            "the CSR asks for 65 common names, 64 are the most",
        ),
        (common_name("*.local"), "the CSR asks for the wildcard CN=*.local"),
        (
            asking(subject=parse_subject("CN=plant.local,CN=Drive 7")),
            "the CSR asks for this server's own name, CN=plant.local",
        ),
    ],
)
def test_what_no_endpoint_gets(asked: CertificateRequest, reason: str) -> None:
    """CA rights, foreign usages, wildcards, the server's own names, nothing at all: refused."""
    objection = objections.to_request(asked, OWN)
    assert objection
    assert objection.startswith(reason)


DEVICE, OTHER = DeviceId(1, 7), DeviceId(1, 8)
MAC, OTHER_MAC = Mac.parse("00:00:bc:12:34:56"), Mac.parse("00:00:bc:12:34:57")


def presenting(
    server: Server,
    asked: CertificateRequest,
    *,
    reading: Reading = NOTHING,
    own: str | None = None,
    renewal: bool = False,
) -> Evidence:
    """Return evidence of somebody with a certificate that says this of its device."""
    shown = Presented("a certificate", "not own", "no vendor's", "no card", None, reading, own=own)
    found = evidence.about(server, asked, renewal=renewal)
    return dataclasses.replace(found, presented=shown)


@pytest.mark.parametrize(
    ("subject", "shown", "agrees"),
    [
        (f"CN=a,serialNumber={DEVICE}", Identity(), True),
        (f"CN=a,serialNumber={DEVICE}", Identity(DEVICE), True),
        (f"CN=a,serialNumber={DEVICE}", Identity(mac=MAC), True),
        ("CN=a", Identity(DEVICE, MAC), True),
        (f"CN={MAC},serialNumber={DEVICE}", Identity(DEVICE, MAC), True),
        (f"CN=a,serialNumber={DEVICE}", Identity(OTHER), False),
        (f"CN={MAC},serialNumber={DEVICE}", Identity(DEVICE, OTHER_MAC), False),
        (f"CN={MAC}", Identity(mac=OTHER_MAC), False),
    ],
)
def test_certificate_and_csr_speak_of_one_device(
    subject: str, shown: Identity, agrees: bool, server: Server
) -> None:
    """Where both name a device it is the same one, or the request is refused and says which."""
    request = ca.request(subject, key=key())
    found = presenting(server, request, reading=Reading(shown))
    objection = objections.to_evidence(found)
    expected = f"the CSR names device {request.identity}, the certificate {shown}"
    assert objection == (None if agrees else expected)


TWO_DEVICES = "CN=0001:00000008,serialNumber=0001:00000007"


def test_what_contradicts_itself_is_refused(server: Server) -> None:
    """A CSR or a certificate that names two devices names none that anybody could rely on."""
    asked = ca.request(TWO_DEVICES, key=key())
    objection = objections.to_evidence(evidence.about(server, asked))
    assert objection == (
        "the CSR names 0001:00000007 in subject:serialNumber (rule canonical-serialnumber)"
        " and 0001:00000008 in subject:CN (rule canonical-cn)"
    )
    shown = vendor.issue(TWO_DEVICES)
    objection = objections.to_evidence(
        evidence.about(server, ca.request("CN=a", key=key()), chain=[shown.der])
    )
    assert objection
    assert objection.startswith("the client certificate names 0001:00000007 in ")


def test_the_rules_in_force_say_what_a_csr_names(server: Server) -> None:
    """Where ca.toml reads a device elsewhere, that one has to agree with the certificate's."""
    rules = parse_rules(
        [{"name": "ou", "selector": "subject:OU", "pattern": "(?P<serial>[0-9]+)", "base": "dec",
          "vendor": "0001"}]
    )  # fmt: skip
    asked = ca.request("CN=a,OU=9", key=key())
    shown = vendor.issue("CN=b,OU=8")
    found = evidence.about(server, asked, chain=[shown.der], rules=rules)
    assert objections.to_evidence(found) == (
        "the CSR names device 0001:00000009, the certificate 0001:00000008"
    )
    assert objections.to_evidence(evidence.about(server, asked, chain=[shown.der])) is None


@pytest.mark.parametrize("renewal", [True, False])
@pytest.mark.parametrize("same", [True, False, None])
def test_a_renewal_keeps_its_names(same: bool | None, renewal: bool, server: Server) -> None:
    """At /simplereenroll with a certificate of this CA other names are refused; else they wait."""
    own = None if same is None else "01a2"
    found = dataclasses.replace(
        presenting(server, ca.request(key=key()), renewal=renewal, own=own), same_names=bool(same)
    )
    objection = objections.to_evidence(found)
    refused = renewal and same is False
    assert objection == ("a renewal must keep the names of certificate 01a2" if refused else None)


UNIQUE, EXPORTER = b"\x01" * 12, b"\x02" * 32


@pytest.mark.parametrize(
    ("challenge", "bindings", "accepted"),
    [
        (None, (), True),
        (None, (UNIQUE,), True),
        (base64.b64encode(UNIQUE), (UNIQUE,), True),
        (base64.b64encode(EXPORTER), (UNIQUE, EXPORTER), True),
        (base64.b64encode(UNIQUE), (EXPORTER,), False),  # sent over TLS 1.3, which has none
        (base64.b64encode(UNIQUE), (), False),
        (base64.b64encode(UNIQUE[:-1]), (UNIQUE,), False),
        (base64.b64encode(UNIQUE + b"\0"), (UNIQUE,), False),
        (UNIQUE, (UNIQUE,), False),  # not base64
        (base64.b64encode(UNIQUE)[:-1] + b"!", (UNIQUE,), False),
        (b"secret", (UNIQUE,), False),  # a password of another protocol
    ],
)
def test_the_challenge_is_this_connections_binding(
    challenge: bytes | None, bindings: tuple[bytes, ...], accepted: bool
) -> None:
    """A value that is present is verified (RFC 7030 section 3.5); one that is absent is not."""
    request = ca.request(key=key(), challenge=challenge)
    objection = objections.to_binding(request, lambda: bindings)
    assert (objection is None) is accepted
    if objection:
        assert "channel binding" in objection
        assert "leave it out" in objection


def test_the_binding_is_not_computed_needlessly() -> None:
    """Without a challengePassword nobody asks TLS for its bindings."""

    def never() -> tuple[bytes, ...]:
        raise AssertionError

    assert objections.to_binding(ca.request(key=key()), never) is None
