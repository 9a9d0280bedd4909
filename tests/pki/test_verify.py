"""Certificates judged against key, name and purpose; paths and lists have tests of their own."""

from __future__ import annotations

import ipaddress
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID

from cipsec.pki import keys, names, verify
from cipsec.pki.lint import Finding
from cipsec.tls.client import is_named
from cipsec.tls.judged import findings
from tests.pki import specimens
from tests.pki.trees import NOW
from tests.support import der, programs, vendor
from tests.support.vendor import CLIENT_AUTH, SERVER_AUTH, Extensions, Party
from tests.vendors import opinions

ROOT = vendor.ca("Acme Root")
SIGNING = x509.KeyUsage(True, False, False, False, False, False, False, False, False)
AGREEING = x509.KeyUsage(False, False, False, False, True, False, False, False, False)


def device(*sans: x509.GeneralName, extensions: Extensions = ()) -> Party:
    """Return a device's certificate with alternative names."""
    named: Extensions = [(x509.SubjectAlternativeName(sans), False)] if sans else []
    return vendor.device(ROOT, extensions=[*named, *extensions])


def judged(leaf: Party, **options: object) -> list[Finding]:
    """Return all but the first finding, which is on the validity."""
    expected = verify.Expected(**options)  # type: ignore[arg-type]  # each test gives what fits
    found = verify.certificate(leaf.certificate, expected, NOW)
    assert found[0].check == "validity"
    assert all((one.hint is None) == (one.verdict == "ok") for one in found[1:])
    return found[1:]


def dns(name: str) -> x509.DNSName:
    """Return a DNS name."""
    return x509.DNSName(name)


def ip(text: str) -> x509.IPAddress:
    """Return an address."""
    return x509.IPAddress(ipaddress.ip_address(text))


PRESENT = (
    dns("Drive-7.plant.local"),
    dns("*.line4.local"),
    dns("*.local"),
    dns("192.0.2.9"),
    ip("192.0.2.7"),
)
NAMES = [
    ("drive-7.plant.local", "ok", "it is for dns:drive-7.plant.local"),
    ("DRIVE-7.PLANT.LOCAL.", "ok", "it is for"),
    ("192.0.2.7", "ok", "it is for ip:192.0.2.7"),
    ("a.line4.local", "warn", "is matched by dns:*.line4.local"),
    ("b.a.line4.local", "fail", "not for dns:b.a.line4.local, but for dns:Drive-7"),
    ("line4.local", "fail", "not for"),  # by *.local, which TLS programs refuse
    ("drive-7", "fail", "not for"),
    ("plant.local", "fail", "not for"),
    ("192.0.2.8", "fail", "not for ip:192.0.2.8"),
    ("192.0.2.9", "fail", "the address is written as a DNS name"),
    ("::ffff:192.0.2.7", "fail", "not for"),
]


@pytest.mark.parametrize(("wanted", "verdict", "detail"), NAMES)
def test_names(wanted: str, verdict: str, detail: str) -> None:
    """Whole names, one label for a wildcard, addresses as addresses (RFC 9525 section 6)."""
    [found] = judged(device(*PRESENT), name=names.host_name(wanted))
    assert (found.check, found.verdict) == ("name", verdict)
    assert detail in found.detail


def test_a_letter_that_looks_like_another_is_not_it() -> None:
    """The Kelvin sign in lower case is a k: to Python, and to no TLS program."""
    san = der.sequence(der.tlv(0x82, "drive-\u212a.plant".encode()))
    named = der.extension(der.SUBJECT_ALT_NAME, san)
    leaf = specimens.make(specimens.without(specimens.NAMED, put=[named]))
    expected = verify.Expected(name=dns("drive-k.plant"))
    assert verify.certificate(leaf, expected, NOW)[-1].verdict == "fail"
    assert not is_named(leaf, "drive-k.plant")
    assert not names.same_sans(names.sans_of(leaf), [dns("drive-k.plant")])


def test_the_common_name_is_no_host_name() -> None:
    """Peers stopped looking there (RFC 9525 section 1.4)."""
    leaf = vendor.issue("CN=drive-7", ROOT)
    [found] = judged(leaf, name=names.host_name("drive-7"))
    assert found.verdict == "fail"
    assert found.detail == (
        "not for dns:drive-7, but for no name; it is the common name, which peers no longer look at"
    )


PURPOSES = [
    (CLIENT_AUTH, "client", ["ok"]),
    (CLIENT_AUTH, "server", ["fail"]),
    (SERVER_AUTH, "server", ["ok"]),
    (x509.ExtendedKeyUsage([ExtendedKeyUsageOID.ANY_EXTENDED_KEY_USAGE]), "server", ["ok"]),
    (None, "client", ["warn"]),
    (CLIENT_AUTH, "any", []),
]


@pytest.mark.parametrize(("usages", "purpose", "verdicts"), PURPOSES)
def test_purposes(usages: x509.ExtendedKeyUsage | None, purpose: str, verdicts: list[str]) -> None:
    """Those that are named; without any it may be all."""
    leaf = device(extensions=[(usages, False)] if usages else ())
    assert [one.verdict for one in judged(leaf, purpose=purpose)] == verdicts


def test_a_key_that_may_not_sign() -> None:
    """TLS has the key sign the handshake."""
    leaf = device(extensions=[(CLIENT_AUTH, False), (AGREEING, True)])
    usage, purpose = judged(leaf, purpose="client")
    assert (usage.verdict, purpose.verdict) == ("fail", "ok")
    assert "digitalSignature" in usage.detail
    leaf = device(extensions=[(CLIENT_AUTH, False), (SIGNING, True)])
    assert [one.verdict for one in judged(leaf, purpose="client")] == ["ok"]


def test_an_rsa_key_that_only_deciphers() -> None:
    """It serves the old suites: a warning, for a client a failure; the same of a server seen."""
    deciphers = x509.KeyUsage(False, False, True, False, False, False, False, False, False)
    both = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH])
    key = rsa.generate_private_key(65537, 2048)
    leaf = vendor.issue("CN=x", ROOT, key=key, usage=deciphers, extensions=[(both, False)])
    server, client = (judged(leaf, purpose=one)[0] for one in ("server", "client"))
    assert (server.verdict, client.verdict) == ("warn", "fail")
    seen = findings([leaf.certificate], "a.b", "TLSv1.2", None, NOW)
    assert [(o.verdict, o.detail) for o in seen if o.check == "usage"] == [("warn", server.detail)]


def test_a_ca_for_another_purpose() -> None:
    """Its extended key usage limits those below it, where the path is known."""
    issuing = vendor.ca("Acme Servers", ROOT, extensions=[(SERVER_AUTH, False)])
    leaf = vendor.device(issuing, extensions=[(CLIENT_AUTH, False)])
    path = {"anchors": [ROOT.certificate], "intermediates": [issuing.certificate]}
    _, purpose, of_ca = judged(leaf, purpose="client", **path)
    assert (purpose.verdict, of_ca.verdict) == ("ok", "fail")
    assert "its CA CN=Acme Servers,O=Acme" in of_ca.detail


def test_keys() -> None:
    """Its own, another, and one of another kind."""
    leaf = device()
    [mine] = judged(leaf, key=leaf.key.public_key())
    assert (mine.verdict, mine.detail) == ("ok", "the key belongs to the certificate")
    [other] = judged(leaf, key=ec.generate_private_key(ec.SECP256R1()).public_key())
    assert (other.verdict, other.detail) == ("fail", "the key belongs to another certificate")
    [kind] = judged(leaf, key=keys.generate(keys.KeyType.RSA_2048).public_key())
    assert kind.verdict == "fail"
    assert kind.detail.startswith("the key is rsa-2048, the certificate's is ec-p256")


def test_a_key_that_cannot_be_read() -> None:
    """The certificate's: it belongs to none."""
    damaged = der.sequence(der.sequence(der.oid("1.2.3")), b"\x03\x01\x00")
    expected = verify.Expected(key=der.KEY.public_key())
    _, found = verify.certificate(specimens.make(key=damaged), expected, NOW)
    assert (found.check, found.verdict) == ("key", "fail")
    assert "cannot be read" in found.detail


def test_extensions_that_cannot_be_read() -> None:
    """Nothing can be said of names and purposes then, and that is no yes."""
    junk = der.extension(der.SUBJECT_ALT_NAME, b"junk")
    odd = specimens.make(specimens.without(specimens.NAMED, put=[junk]))
    for expected in (verify.Expected(name=dns("drive-7")), verify.Expected(purpose="client")):
        _, found = verify.certificate(odd, expected, NOW)
        assert (found.check, found.verdict) == ("extensions", "fail")


def _pointer(key: bytes | None, issuer: Party | None, serial: int) -> Extensions:
    named = [x509.DirectoryName(issuer.certificate.issuer)] if issuer else None
    return [(x509.AuthorityKeyIdentifier(key, named, serial if issuer else None), False)]


OTHER = vendor.ca("Another Root")
SERIAL = ROOT.certificate.serial_number
KEY_ID = x509.SubjectKeyIdentifier.from_public_key(ROOT.key.public_key()).digest


@pytest.mark.programs
@pytest.mark.parametrize(
    ("pointer", "verdict"),
    [
        (_pointer(KEY_ID, None, 0), "ok"),
        (_pointer(KEY_ID, ROOT, SERIAL), "ok"),
        (_pointer(None, ROOT, SERIAL), "ok"),
        (_pointer(b"another", None, 0), "warn"),
        (_pointer(KEY_ID, ROOT, SERIAL + 1), "warn"),
        (_pointer(KEY_ID, OTHER, SERIAL), "warn"),
    ],
)
def test_an_authority_key_identifier(pointer: Extensions, verdict: str, tmp_path: Path) -> None:
    """One that points to another CA's key: the path holds, and openssl does not find it."""
    leaf = vendor.issue("CN=Drive 7", ROOT, aki=False, extensions=pointer)
    [path] = judged(leaf, anchors=[ROOT.certificate])
    assert (path.check, path.verdict) == ("path", verdict)
    assert path.detail.startswith("leads to CN=Acme Root,O=Acme")
    assert path.detail.endswith("has the key identifier of another CA") == (verdict == "warn")
    programs.need("openssl")
    assert opinions.openssl(tmp_path, [leaf.der], [ROOT]) == (verdict == "ok")
