"""The profile `rfc5280`: each clause with a certificate that breaks it, and nothing else."""

from __future__ import annotations

import re

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa

from cipsec.pki import rfc5280
from cipsec.pki.keys import spki
from tests.pki.specimens import (
    AKI,
    BOTH_ENDS,
    CA,
    EXTENDED_KEY_USAGE,
    GENERALIZED,
    HAS_AKI,
    HAS_SKI,
    IA5,
    NAMED,
    SIGNS,
    SIGNS_ALL,
    SKI,
    TELETEX,
    USUAL,
    UTC,
    make,
    without,
)
from tests.support import der

# cryptography warns of serial numbers that are not positive, and of names that are too long.
pytestmark = pytest.mark.filterwarnings(
    "ignore::UserWarning", "ignore::cryptography.utils.CryptographyDeprecationWarning"
)

RSA = spki(rsa.generate_private_key(65537, 2048).public_key())
SHORT = spki(rsa.generate_private_key(65537, 1024).public_key())
KOBLITZ = spki(ec.generate_private_key(ec.SECP256K1()).public_key())
EDWARDS = spki(ed25519.Ed25519PrivateKey.generate().public_key())
EMPTY = der.sequence()


def wrong(certificate: x509.Certificate) -> dict[str, str]:
    """Return what is not ok: each check with its verdicts and details."""
    found: dict[str, str] = {}
    for one in rfc5280.certificate(certificate):
        if one.verdict == "ok":
            assert one.hint is None
        else:
            assert one.hint
            said = f"{one.verdict}: {one.detail}"
            found[one.check] = f"{found[one.check]}; {said}" if one.check in found else said
    return found


def name(oid: str, tag: int, value: bytes) -> bytes:
    """Return a distinguished name of one attribute."""
    return der.name((oid, tag, value))


def san(*names: bytes, critical: bool = False) -> bytes:
    """Return the extension with alternative names."""
    return der.extension(der.SUBJECT_ALT_NAME, der.sequence(*names), critical=critical)


def usage(bits: bytes, *, critical: bool = True) -> bytes:
    """Return a key usage of a BIT STRING's content."""
    return der.extension(der.KEY_USAGE, der.tlv(0x03, bits), critical=critical)


def time(tag: int, begin: bytes, end: bytes) -> bytes:
    """Return a validity."""
    return der.tlv(UTC, begin) + der.tlv(tag, end)


def ca(*extensions: bytes) -> x509.Certificate:
    """Return a CA's certificate with these extensions."""
    return make(extensions)


def test_what_is_right() -> None:
    """Nothing is said against it, by any of the checks."""
    assert wrong(make()) == {}
    assert [one.check for one in rfc5280.certificate(make())] == list(rfc5280.CHECKS)
    assert wrong(make((CA, SIGNS_ALL, HAS_SKI, HAS_AKI))) == {}
    assert wrong(make((CA, SIGNS_ALL, HAS_SKI), issuer=der.DRIVE)) == {}


NULL = b"\x05\x00"
FIELDS = {
    "no extensions in version 3": (make(None), "version", "warn: .*without any extension"),
    "version 1": (make(None, version=b""), "version", "warn: version 1"),
    "extensions in version 1": (make(version=b""), "version", "fail: it has extensions"),
    "serial zero": (make(serial=b"\0"), "serial number", "fail: it is zero"),
    "serial negative": (make(serial=b"\xff\x00"), "serial number", "fail: it is negative"),
    "serial short": (make(serial=b"\x05"), "serial number", "warn: 5: too short"),
    "serial long": (make(serial=b"\x01" * 21), "serial number", "fail: 21 octets"),
    "algorithms differ": (
        make(outer=der.sequence(der.oid("1.2.840.10045.4.3.3"))),
        "signature algorithm",
        "fail: the algorithm that is signed",
    ),
    "no parameters of RSA": (
        make(inner=der.sequence(der.oid("1.2.840.113549.1.1.11"))),
        "signature algorithm",
        "fail: .*have NULL",
    ),
    "SHA-1": (
        make(inner=der.sequence(der.oid("1.2.840.113549.1.1.5"), NULL)),
        "signature algorithm",
        "fail: sha1WithRSAEncryption proves nothing",
    ),
    "an unknown signature": (
        make(inner=der.sequence(der.oid("1.2.3"))),
        "signature algorithm",
        "warn: .*not known",
    ),
    "no issuer": (make(issuer=EMPTY), "issuer", "fail: it is empty"),
    "GeneralizedTime before 2050": (
        make(validity=time(GENERALIZED, b"250101000000Z", b"20350101000000Z")),
        "validity encoding",
        "fail: notAfter is before 2050",
    ),
    "ended before it began": (
        make(validity=time(UTC, b"350101000000Z", b"250101000000Z")),
        "validity encoding",
        "fail: it ends before it begins",
    ),
    "a short RSA key": (make(key=SHORT), "public key", "fail: an RSA key of 1024 bits"),
    "a strange curve": (make(key=KOBLITZ), "public key", "warn: few programs know"),
    "a damaged key": (
        make(key=der.sequence(der.sequence(der.oid("1.2.3")), b"\x03\x01\x00")),
        "public key",
        "fail: its algorithm 1.2.3",
    ),
    "RSA without NULL": (
        make(
            key=der.sequence(
                der.sequence(der.oid("1.2.840.113549.1.1.1")), RSA[RSA.index(b"\x03\x82") :]
            )
        ),
        "public key",
        "warn: its algorithm or curve",
    ),
    "unique ids": (
        make(unique_ids=der.tlv(0x81, b"\0a")),
        "unique identifiers",
        "fail: issuerUniqueID",
    ),
}


@pytest.mark.parametrize(("certificate", "check", "said"), FIELDS.values(), ids=FIELDS)
def test_fields(certificate: x509.Certificate, check: str, said: str) -> None:
    """One field is wrong, and one check says so."""
    found = wrong(certificate)
    assert re.match(said, found.pop(check))
    if certificate.extensions:
        assert found == {}


@pytest.mark.parametrize(
    "validity",
    [
        time(UTC, b"250101000000Z", b"491231235959Z"),
        time(GENERALIZED, b"250101000000Z", b"20500101000000Z"),
        time(GENERALIZED, b"250101000000Z", b"99991231235959Z"),
        time(UTC, b"240229000000Z", b"280229235959Z"),
    ],
    ids=["2049", "2050", "no end", "leap days"],
)
def test_times_that_are_right(validity: bytes) -> None:
    """UTCTime through 2049, GeneralizedTime from 2050."""
    assert wrong(make(validity=validity)) == {}


C, SERIAL_NUMBER, EMAIL = der.COUNTRY, der.SERIAL_NUMBER, "1.2.840.113549.1.9.1"
SUBJECTS = {
    "not UTF-8": (name(der.COMMON_NAME, der.UTF8, b"\xff"), "fail: .*no text"),
    "empty": (name(der.COMMON_NAME, der.UTF8, b""), "fail: the common name is empty"),
    "long": (name(der.COMMON_NAME, der.UTF8, b"a" * 65), "fail: .*65 characters, more than 64"),
    "Teletex": (name(der.COMMON_NAME, TELETEX, b"a"), "warn: .*TeletexString"),
    "IA5": (name(der.COMMON_NAME, IA5, b"a"), "fail: .*no DirectoryString"),
    "serialNumber": (name(SERIAL_NUMBER, der.UTF8, b"1"), "fail: .*not a PrintableString"),
    "country": (name(C, der.PRINTABLE, b"DEU"), "fail: the country has 3 characters, not 2"),
    "e-mail": (name(EMAIL, der.UTF8, b"a@b"), "fail: .*not an IA5String"),
}


@pytest.mark.parametrize(("subject", "said"), SUBJECTS.values(), ids=SUBJECTS)
def test_names(subject: bytes, said: str) -> None:
    """In the subject as in the issuer."""
    for certificate, check in (
        (make(subject=subject), "subject"),
        (make(issuer=subject), "issuer"),
    ):
        found = wrong(certificate)
        assert re.match(said, found.pop(check))
        assert found == {}


def test_an_empty_subject() -> None:
    """Then the alternative names say who it is, and have to be critical."""
    critical = san(der.tlv(0x82, b"drive-7"), critical=True)
    assert wrong(make(without(NAMED, put=[critical]), subject=EMPTY)) == {}
    assert "critical where the subject is empty" in wrong(make(subject=EMPTY))["alternative names"]
    assert "names nobody" in wrong(make(without(NAMED), subject=EMPTY))["subject"]
    of_ca = make((CA, SIGNS_ALL, HAS_SKI, HAS_AKI), subject=EMPTY)
    assert "a CA has to have a name" in wrong(of_ca)["subject"]


def eku(*oids: str, critical: bool = False) -> bytes:
    """Return an extended key usage."""
    value = der.sequence(*map(der.oid, oids))
    return der.extension(EXTENDED_KEY_USAGE, value, critical=critical)


def mapped(*oids: str) -> bytes:
    """Return policy mappings, from the first to the second, or none at all."""
    value = der.sequence(der.sequence(*map(der.oid, oids))) if oids else EMPTY
    return der.extension("2.5.29.33", value, critical=True)


SERVER, ANY = "1.3.6.1.5.5.7.3.1", "2.5.29.37.0"
CONSTRAINTS = der.sequence(der.tlv(0xA0, der.sequence(der.tlv(0x82, b"plant.local"))))
WITH_MINIMUM = der.sequence(
    der.tlv(0xA0, der.sequence(der.tlv(0x82, b"plant.local"), b"\x80\x01\x01"))
)
POLICY = der.sequence(der.oid("1.2.3"))
POLICIES = der.extension("2.5.29.32", der.sequence(POLICY))
LIMITED = der.extension(der.BASIC_CONSTRAINTS, b"\x30\x06\x01\x01\xff\x02\x01\x00", critical=True)
EXTENSIONS = {
    "empty": (make(()), "extensions", "fail: the list of extensions is empty"),
    "unknown and critical": (
        make((*USUAL, der.extension("1.2.3", NULL, critical=True))),
        "criticality",
        "fail: 1.2.3 is critical and not known",
    ),
    "critical key id": (
        make(without(HAS_SKI, put=[der.extension(SKI, b"\x04\x01k", critical=True)])),
        "criticality",
        "fail: subjectKeyIdentifier must not be critical",
    ),
    "key usage not critical": (
        make(without(SIGNS, put=[usage(b"\x07\x80", critical=False)])),
        "criticality",
        "warn: keyUsage should be critical",
    ),
    "basicConstraints of a CA not critical": (
        ca(
            der.extension(der.BASIC_CONSTRAINTS, b"\x30\x03\x01\x01\xff"),
            SIGNS_ALL,
            HAS_SKI,
            HAS_AKI,
        ),
        "criticality",
        "fail: basicConstraints of a CA",
    ),
    "name constraints not critical": (
        ca(CA, SIGNS_ALL, HAS_SKI, HAS_AKI, der.extension("2.5.29.30", CONSTRAINTS)),
        "criticality",
        "fail: nameConstraints has to be critical",
    ),
    "signs and is no CA": (
        make(without(SIGNS, put=[SIGNS_ALL])),
        "basic constraints",
        "fail: its key may sign certificates",
    ),
    "a limit without the right": (
        ca(LIMITED, SIGNS, HAS_SKI, HAS_AKI),
        "basic constraints",
        "fail: .*may sign no certificates",
    ),
    "a CA without key usage": (ca(CA, HAS_SKI, HAS_AKI), "key usage", "fail: a CA's certificate"),
    "an EC key that enciphers": (
        make(without(SIGNS, put=[usage(b"\x05\xa0")])),
        "key usage",
        "fail: keyEncipherment is nothing that EC keys do",
    ),
    "an RSA key that agrees": (
        make(without(SIGNS, put=[usage(b"\x03\x88")]), key=RSA),
        "key usage",
        "fail: keyAgreement is nothing that RSA keys do",
    ),
    "an Edwards key that agrees": (
        make(without(SIGNS, put=[usage(b"\x03\x88")]), key=EDWARDS),
        "key usage",
        "fail: keyAgreement is nothing that Edwards curve keys do",
    ),
    "EKU against KU": (
        make(without(SIGNS, put=[usage(b"\x06\x40")])),
        "extended key usage",
        "fail: serverAuth needs the key usage digitalSignature or",
    ),
    "EKU twice": (
        make(without(BOTH_ENDS, put=[eku(SERVER, SERVER)])),
        "extended key usage",
        "warn: serverAuth is there 2 times",
    ),
    "any EKU, critical": (
        make(without(BOTH_ENDS, put=[eku(ANY, critical=True)])),
        "extended key usage",
        "warn: anyExtendedKeyUsage should not",
    ),
    "no SKI": (make(without(HAS_SKI)), "subject key identifier", "warn: there is none"),
    "no SKI of a CA": (
        ca(CA, SIGNS_ALL, HAS_AKI),
        "subject key identifier",
        "fail: a CA's certificate",
    ),
    "no AKI": (make(without(HAS_AKI)), "authority key identifier", "fail: there is none"),
    "AKI without key id": (
        make(without(HAS_AKI, put=[der.extension(AKI, b"\x30\x00")])),
        "authority key identifier",
        "fail: it does not have the identifier",
    ),
    "no names": (make(without(NAMED, put=[san()])), "alternative names", "fail: it is empty"),
    "critical names": (
        make(without(NAMED, put=[san(der.tlv(0x82, b"a"), critical=True)])),
        "alternative names",
        "warn: it should not be critical",
    ),
    "a blank name": (
        make(without(NAMED, put=[san(der.tlv(0x82, b" "))])),
        "alternative names",
        "fail: .*not the name of a host",
    ),
    "an address as a name": (
        make(without(NAMED, put=[san(der.tlv(0x82, b"192.0.2.7"))])),
        "alternative names",
        "fail: dns:192.0.2.7 is not the name of a host",
    ),
    "an e-mail address": (
        make(without(NAMED, put=[san(der.tlv(0x81, b"nobody"))])),
        "alternative names",
        "fail: .*not an address",
    ),
    "a URI": (
        make(without(NAMED, put=[san(der.tlv(0x86, b"/relative"))])),
        "alternative names",
        "fail: .*not a whole URI",
    ),
    "an empty directory name": (
        make(without(NAMED, put=[san(der.tlv(0xA4, EMPTY))])),
        "alternative names",
        "fail: .*empty distinguished name",
    ),
    "name constraints of no CA": (
        make((*USUAL, der.extension("2.5.29.30", CONSTRAINTS, critical=True))),
        "name constraints",
        "fail: they are for CAs only",
    ),
    "a minimum": (
        ca(
            CA,
            SIGNS_ALL,
            HAS_SKI,
            HAS_AKI,
            der.extension("2.5.29.30", WITH_MINIMUM, critical=True),
        ),
        "name constraints",
        "fail: a subtree has a minimum",
    ),
    "a policy twice": (
        make((*USUAL, der.extension("2.5.29.32", der.sequence(POLICY, POLICY)))),
        "policies",
        "fail: the policy 1.2.3 is there 2 times",
    ),
    "no policies": (
        make((*USUAL, der.extension("2.5.29.32", EMPTY))),
        "policies",
        "fail: the list of policies is empty",
    ),
    "mappings of no CA": (
        make((*USUAL, POLICIES, mapped("1.2.3", "1.2.4"))),
        "policies",
        "warn: policyMappings is for CAs only",
    ),
    "policy constraints of no CA": (
        make((*USUAL, der.extension("2.5.29.36", b"\x30\x03\x80\x01\x00", critical=True))),
        "policies",
        "warn: policyConstraints is for CAs only",
    ),
    "from any policy": (
        ca(CA, SIGNS_ALL, HAS_SKI, HAS_AKI, POLICIES, mapped("2.5.29.32.0", "1.2.4")),
        "policies",
        "fail: a policy is mapped from or to any",
    ),
    "to any policy": (
        ca(CA, SIGNS_ALL, HAS_SKI, HAS_AKI, POLICIES, mapped("1.2.3", "2.5.29.32.0")),
        "policies",
        "fail: a policy is mapped from or to any",
    ),
    "mappings of a policy it has not": (
        ca(CA, SIGNS_ALL, HAS_SKI, HAS_AKI, POLICIES, mapped("1.2.9", "1.2.4")),
        "policies",
        "warn: the policy 1.2.9 is mapped",
    ),
    "no mappings": (
        ca(CA, SIGNS_ALL, HAS_SKI, HAS_AKI, POLICIES, mapped()),
        "policies",
        "fail: the list of policy mappings is empty",
    ),
    "mappings that are none": (
        ca(CA, SIGNS_ALL, HAS_SKI, HAS_AKI, der.extension("2.5.29.33", NULL, critical=True)),
        "policies",
        "fail: the policy mappings cannot be read",
    ),
}


@pytest.mark.parametrize(("certificate", "check", "said"), EXTENSIONS.values(), ids=EXTENSIONS)
def test_extensions(certificate: x509.Certificate, check: str, said: str) -> None:
    """One extension is wrong: its check says so, and no other fails for it."""
    found = wrong(certificate)
    assert re.match(said, found.pop(check))
    assert not any(one.startswith("fail") for one in found.values()) or check == "extensions"


TWICE = make((*USUAL, NAMED))
UNREADABLE = make(without(NAMED, put=[der.extension(der.SUBJECT_ALT_NAME, b"junk")]))


@pytest.mark.parametrize(
    ("certificate", "said"),
    [(TWICE, "fail: subjectAltName is there 2 times"), (UNREADABLE, "fail: .*cannot be read")],
    ids=["twice", "unreadable"],
)
def test_one_bad_extension_does_not_hide_the_others(
    certificate: x509.Certificate, said: str
) -> None:
    """What is wrong with the others is found as well."""
    assert re.match(said, wrong(certificate)["extensions"])
