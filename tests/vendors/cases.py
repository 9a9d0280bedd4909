"""Chains that vendors' devices, and those who would pass for them, present; what each proves."""

from __future__ import annotations

import ipaddress
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import ObjectIdentifier

from cipsec.pki import keys, names
from cipsec.pki.search import STRANGER
from tests.support import vendor
from tests.support.vendor import Extensions, Party

NOW = datetime(2026, 11, 23, 5, 0, tzinfo=UTC)
OLD = datetime(2022, 6, 1, tzinfo=UTC)
LATE = datetime(2031, 1, 1, tzinfo=UTC)

ACME = vendor.make()
BOLT = vendor.make("Bolt")
RSA_KEY = keys.generate(keys.KeyType.RSA_2048)
RSA_ROOT = vendor.ca("Acme RSA Root", key=RSA_KEY)
SHORT = vendor.ca("Acme Short", ACME.root, path_length=0)
LONGER = vendor.ca("Acme Longer", ACME.root, path_length=1)
REKEYED = vendor.ca("Acme Short", SHORT)  # its own next certificate, on another key
HARDWARE = x509.OtherName(ObjectIdentifier("1.3.6.1.5.5.7.8.4"), b"\x30\x00")
POLICIES = x509.CertificatePolicies([x509.PolicyInformation(ObjectIdentifier("1.2.3"), None)])


@dataclass(frozen=True)
class Case:
    """A chain, leaf first, and the anchors; `refusal` is what is said, None where it is a proof."""

    name: str
    chain: Sequence[Party]
    anchors: Sequence[Party] = (ACME.root,)
    refusal: str | None = None

    def __str__(self) -> str:
        return self.name


def below(issuer: Party, *more: Party, **options: object) -> list[Party]:
    """Return a device's chain: itself, its CA, and what else it presents."""
    return [vendor.device(issuer, **options), issuer, *more]  # type: ignore[arg-type]  # each test gives what fits


def devices(**options: object) -> Party:
    """Return an issuing CA below Acme's root."""
    return vendor.ca("Acme Devices 2", ACME.root, **options)  # type: ignore[arg-type]  # each test gives what fits


def limited(
    permitted: list[x509.GeneralName] | None = None,
    excluded: list[x509.GeneralName] | None = None,
    *,
    critical: bool = True,
) -> Party:
    """Return an issuing CA with name constraints."""
    return devices(extensions=[(x509.NameConstraints(permitted, excluded), critical)])


def directory(text: str) -> x509.DirectoryName:
    """Return a directoryName."""
    return x509.DirectoryName(names.parse_subject(text))


def san(*sans: x509.GeneralName) -> Extensions:
    """Return the extension with alternative names."""
    return [(x509.SubjectAlternativeName(sans), False)]


def address(text: str) -> x509.IPAddress:
    """Return an alternative name that is an IP address."""
    return x509.IPAddress(ipaddress.ip_address(text))


def long(count: int) -> list[Party]:
    """Return a chain with that many CAs below the root."""
    chain = [ACME.root]
    for number in range(count):
        chain.insert(0, vendor.ca(f"Acme {number}", chain[0]))
    return [vendor.device(chain[0]), *chain[:-1]]


NETWORK = x509.IPAddress(ipaddress.ip_network("192.0.2.0/24"))
PLANT = x509.DNSName("plant.local")
WEAK_ROOT = vendor.weakly_signed(RSA_ROOT, RSA_ROOT)
CROSS = vendor.ca("Bolt Root", ACME.root, key=BOLT.root.key)
P384 = vendor.ca("Acme P-384", key=keys.generate(keys.KeyType.EC_P384))
P521 = vendor.ca("Acme P-521", key=ec.generate_private_key(ec.SECP521R1()))
BOTH = (ACME.root, ACME.issuing)

ACCEPTED = [
    Case("the usual chain", [ACME.device, ACME.issuing]),
    Case("the root included", [ACME.device, ACME.issuing, ACME.root]),
    Case("out of order", [ACME.device, ACME.root, ACME.issuing]),
    Case("duplicates", [ACME.device, ACME.issuing, ACME.issuing, ACME.root, ACME.issuing]),
    Case("the leaf once more", [ACME.device, ACME.device, ACME.issuing]),
    Case("strangers among it", [ACME.device, BOLT.issuing, BOLT.root, ACME.issuing]),
    Case(
        "a look-alike among it",
        [ACME.device, vendor.look_alike(ACME.issuing), ACME.issuing],
    ),
    Case("issued by the root", [vendor.device(ACME.root)]),
    Case("an intermediate as anchor", [ACME.device], [ACME.issuing]),
    Case("an intermediate as anchor, presented", [ACME.device, ACME.issuing], [ACME.issuing]),
    Case("root and intermediate as anchors", [ACME.device, ACME.issuing], BOTH),
    Case("what is an anchor need not be presented", [ACME.device], BOTH),
    Case("the CA's renewed certificate", below(vendor.ca("Acme New", ACME.root))),
    Case("five CAs", long(5)),
    Case("seven CAs", long(7)),
    Case("cross-certified", [*below(BOLT.root), CROSS]),
    Case("no SKI and no AKI", below(ACME.issuing, ski=False, aki=False)),
    Case("a SAN", below(ACME.issuing, extensions=[(vendor.SAN, False)])),
    Case("EKU for servers only", below(ACME.issuing, extensions=[(vendor.SERVER_AUTH, True)])),
    Case("expired", below(ACME.issuing, end=OLD)),
    Case("not yet valid", below(ACME.issuing, begin=LATE)),
    Case("the CA expired", below(devices(end=OLD))),
    Case("the root expired", [vendor.device(_gone := vendor.ca("Acme Gone", end=OLD))], [_gone]),
    Case("never valid at one time", below(devices(begin=LATE), end=OLD)),
    Case("constraints that are not critical", below(devices(constraints_critical=False))),
    Case("said to be no CA", below(ACME.issuing, constraints=x509.BasicConstraints(False, None))),
    Case("P-384", [vendor.device(P384, key=P384.key)], [P384]),
    Case("P-521", [vendor.device(P521)], [P521]),
    Case("RSA", [vendor.device(RSA_ROOT, key=RSA_KEY)], [RSA_ROOT]),
    Case("a root signed with SHA-1 by itself", [vendor.device(RSA_ROOT), WEAK_ROOT], [WEAK_ROOT]),
    Case(
        "critical policies",
        below(devices(extensions=[(POLICIES, True)])),
    ),
    Case("an unknown extension", below(ACME.issuing, extensions=[(vendor.UNKNOWN, False)])),
    Case("a permitted subject", below(limited([directory("O=Acme")]))),
    Case("permitted but for case", below(limited([directory("O=aCME")], critical=False))),
    Case("another subject excluded", below(limited(None, [directory("O=Bolt")]))),
    Case("DNS names constrained, none there", below(limited([PLANT]))),
    Case("a permitted DNS name", below(limited([PLANT]), extensions=[(vendor.SAN, False)])),
    Case("a permitted address", below(limited([NETWORK]), extensions=san(address("192.0.2.7")))),
    Case("a name of a form not constrained", below(limited([PLANT]), extensions=san(HARDWARE))),
    Case(
        "a self-issued CA does not count",
        below(REKEYED, SHORT),
    ),
    Case("within the path length", below(vendor.ca("Acme B", LONGER), LONGER)),
]

_GRANDCHILD = vendor.ca("Acme C", _CHILD := vendor.ca("Acme B", LONGER))
_FORGED = vendor.ca("Acme Devices", vendor.look_alike(ACME.root))
_SMALL = vendor.ca("Acme Small", ACME.root, key=rsa.generate_private_key(65537, 1024))
_KOBLITZ = vendor.ca("Acme Koblitz", ACME.root, key=ec.generate_private_key(ec.SECP256K1()))
_RSA_ISSUING = vendor.ca("Acme RSA Devices", RSA_ROOT)

REFUSED = [
    Case("a stranger", [BOLT.device, BOLT.issuing, BOLT.root], refusal=STRANGER),
    Case("no anchor at all", [ACME.device, ACME.issuing], [], STRANGER),
    Case("its CA is missing", [ACME.device], refusal=STRANGER),
    Case("a look-alike device", [vendor.look_alike(ACME.device), ACME.issuing], refusal=STRANGER),
    Case("a look-alike CA", below(vendor.look_alike(ACME.issuing)), refusal=STRANGER),
    Case(
        "a look-alike CA beside the real one",
        [*below(vendor.look_alike(ACME.issuing)), ACME.issuing],
        refusal=STRANGER,
    ),
    Case(
        "below a look-alike root", [*below(_FORGED), vendor.look_alike(ACME.root)], refusal=STRANGER
    ),
    Case(
        "a look-alike root that presents the real one",
        [*below(_FORGED), ACME.root],
        refusal=STRANGER,
    ),
    Case("self-signed", [vendor.device(None)], refusal=STRANGER),
    Case("self-signed, with the vendor's chain", [vendor.device(None), *BOTH], refusal=STRANGER),
    Case(
        "self-signed under the CA's name",
        [vendor.issue(names.parse_subject("CN=Acme Root,O=Acme"))],
        refusal=STRANGER,
    ),
    Case("the root itself", [ACME.root], refusal="is a CA's"),
    Case("the issuing CA", [ACME.issuing], refusal="is a CA's"),
    Case("the anchor", [ACME.issuing], [ACME.issuing], STRANGER),
    Case(
        "a device as CA",
        below(ACME.device, ACME.issuing),
        refusal="serialNumber=0001:6040C8F2.* is not a CA",
    ),
    Case(
        "a CA without constraints", below(vendor.issue("CN=X", ACME.root)), refusal="X is not a CA"
    ),
    Case(
        "a CA that may not sign",
        below(devices(usage=vendor.signs(certificates=False))),
        refusal="may not sign certificates",
    ),
    Case(
        "beyond the path length", below(_GRANDCHILD, _CHILD, LONGER), refusal="may have none below"
    ),
    Case(
        "below the path length of an anchor",
        below(vendor.ca("Acme B", SHORT)),
        [SHORT],
        "may have none below",
    ),
    Case("eight CAs", long(8), refusal="more than 8 CAs"),
    Case(
        "an unknown critical extension",
        below(ACME.issuing, extensions=[(vendor.UNKNOWN, True)]),
        refusal=r"critical extension 1\.3\.6\.1\.4\.1\.32473\.1",
    ),
    Case(
        "an unknown critical extension of the CA",
        below(devices(extensions=[(vendor.UNKNOWN, True)])),
        refusal=r"critical extension 1\.3\.6\.1\.4\.1\.32473\.1",
    ),
    Case(
        "policy constraints",
        below(devices(extensions=[(x509.PolicyConstraints(0, None), True)])),
        refusal="demands a certificate policy",
    ),
    Case("a subject not permitted", below(limited([directory("O=Bolt")])), refusal="beyond"),
    Case(
        "a subject not permitted, not critical",
        below(limited([directory("O=Bolt")], critical=False)),
        refusal="beyond",
    ),
    Case(
        "an excluded subject", below(limited(None, [directory("O=Acme")])), refusal="may not give"
    ),
    Case(
        "a subject not permitted by the CA above",
        below(vendor.ca("CN=X,O=Acme,C=DE", _L := limited([directory("O=Acme")])), _L),
        refusal="beyond",
    ),
    Case(
        "a DNS name not permitted",
        below(limited([x509.DNSName("x.org")]), extensions=[(vendor.SAN, False)]),
        refusal="beyond",
    ),
    Case(
        "an excluded DNS name",
        below(limited(None, [PLANT]), extensions=[(vendor.SAN, False)]),
        refusal="may not give",
    ),
    Case(
        "an address not permitted",
        below(limited([NETWORK]), extensions=san(address("198.51.100.7"))),
        refusal="beyond",
    ),
    Case(
        "an IPv6 address where IPv4 is permitted",
        below(limited([NETWORK]), extensions=san(address("2001:db8::7"))),
        refusal="beyond",
    ),
    Case(
        "a name of a form constrained in a way not understood",
        below(
            limited([x509.UniformResourceIdentifier("plant.local")]),
            extensions=san(x509.UniformResourceIdentifier("urn:x")),
        ),
        refusal="not understood",
    ),
    Case(
        "SHA-1",
        [vendor.weakly_signed(vendor.device(RSA_ROOT), RSA_ROOT)],
        [RSA_ROOT],
        "signed with SHA1",
    ),
    Case(
        "MD5",
        [vendor.weakly_signed(vendor.device(RSA_ROOT), RSA_ROOT, hashes.MD5())],
        [RSA_ROOT],
        "signed with MD5",
    ),
    Case(
        "a CA signed with SHA-1",
        below(vendor.weakly_signed(_RSA_ISSUING, RSA_ROOT)),
        [RSA_ROOT],
        "a CA .* signed with SHA1",
    ),
    Case("a CA with an RSA key of 1024 bits", below(_SMALL), refusal="RSA key of 1024 bits"),
    Case(
        "a CA with a key of a kind not served",
        below(_KOBLITZ),
        refusal="kind of key",
    ),
]

CASES = ACCEPTED + REFUSED

# Where second opinions are known to differ, and why.
OPENSSL_DIFFERS = {
    "a look-alike among it": "it tries one CA of a name",
    "cross-certified": "it tries one CA of a name",
    "the root itself": "it takes a CA for a device",
    "the issuing CA": "it takes a CA for a device",
    "the anchor": "it takes an anchor for a device",
    "eight CAs": "its limit is higher",
    "policy constraints": "it looks at policies only when told to",
    "a CA with a key of a kind not served": "it takes any curve",
}
VERIFIER_DIFFERS = {
    "never valid at one time": "it wants the whole path valid at one time",
    "critical policies": "it knows no policies",
    "a permitted subject": "it refuses all directoryNames that are critical",
    "another subject excluded": "it refuses all directoryNames that are critical",
    "a subject not permitted, not critical": "it overlooks directoryNames that are not",
    "a self-issued CA does not count": "it counts them",
    "the root itself": "it takes a CA for a device",
    "the issuing CA": "it takes a CA for a device",
    "the anchor": "it takes an anchor for a device",
    "eight CAs": "its limit is higher",
}
