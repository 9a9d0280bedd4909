"""Name constraints: which names are within which, with openssl as second opinion."""

from __future__ import annotations

import ipaddress
from pathlib import Path

import pytest
from cryptography import x509

from cipsec.errors import Untrusted
from cipsec.pki import constraints, names, path
from tests.support import der, programs, vendor
from tests.vendors import opinions
from tests.vendors.cases import ACME


def _network(text: str) -> x509.IPAddress:
    return x509.IPAddress(ipaddress.ip_network(text))


def _address(text: str) -> x509.IPAddress:
    return x509.IPAddress(ipaddress.ip_address(text))


def _directory(text: str) -> x509.DirectoryName:
    return x509.DirectoryName(names.parse_subject(text))


# A base, an alternative name, and whether the one holds the other.
WITHIN = [
    (x509.DNSName("plant.local"), x509.DNSName("plant.local"), True),
    (x509.DNSName("plant.local"), x509.DNSName("a.b.PLANT.local"), True),
    (x509.DNSName("Plant.Local"), x509.DNSName("a.plant.local"), True),
    (x509.DNSName("plant.local"), x509.DNSName("myplant.local"), False),
    (x509.DNSName("plant.local"), x509.DNSName("local"), False),
    (x509.DNSName("plant.local"), x509.DNSName("plant.local.org"), False),
    (x509.RFC822Name("a@plant.local"), x509.RFC822Name("a@PLANT.local"), True),
    (x509.RFC822Name("a@plant.local"), x509.RFC822Name("b@plant.local"), False),
    (x509.RFC822Name("plant.local"), x509.RFC822Name("b@plant.local"), True),
    (x509.RFC822Name("plant.local"), x509.RFC822Name("b@x.plant.local"), False),
    (x509.RFC822Name(".plant.local"), x509.RFC822Name("b@x.plant.local"), True),
    (x509.RFC822Name(".plant.local"), x509.RFC822Name("b@plant.local"), False),
    (_network("192.0.2.0/24"), _address("192.0.2.255"), True),
    (_network("192.0.2.0/24"), _address("192.0.3.0"), False),
    (_network("2001:db8::/32"), _address("2001:db8::1"), True),
    (_network("2001:db8::/32"), _address("2001:db9::1"), False),
    (_network("0.0.0.0/0"), _address("::1"), False),
    (_directory("O=Acme"), _directory("CN=x,O=Acme"), True),
    (_directory("O=Acme"), _directory("CN=x,O=aCME"), True),
    (_directory("CN=x,O=Acme"), _directory("O=Acme"), False),
    (_directory("O=Acme"), _directory("CN=Acme"), False),
]


def _chain(limits: x509.NameConstraints, name: x509.GeneralName) -> list[vendor.Party]:
    issuing = vendor.ca("CN=Limited", ACME.root, extensions=[(limits, True)])
    sans = x509.SubjectAlternativeName([name])
    # Without subject, so that only the alternative name is judged.
    leaf = vendor.issue(x509.Name([]), issuing, extensions=[(sans, True)])
    return [leaf, issuing]


def _holds(limits: x509.NameConstraints, leaf: vendor.Party) -> bool:
    try:
        constraints.check(leaf.certificate, [limits])
    except Untrusted:
        return False
    return True


@pytest.mark.programs
@pytest.mark.parametrize(("base", "name", "within"), WITHIN)
@pytest.mark.parametrize("excluded", [False, True])
def test_within(
    tmp_path: Path,
    base: x509.GeneralName,
    name: x509.GeneralName,
    within: bool,  # parameters of a test come by name
    excluded: bool,
) -> None:
    """Permitted what is within, excluded what is not; openssl thinks so too."""
    programs.need("openssl")
    limits = x509.NameConstraints(None, [base]) if excluded else x509.NameConstraints([base], None)
    chain = _chain(limits, name)
    expected = within != excluded
    assert _holds(limits, chain[0]) == expected
    assert opinions.openssl(tmp_path, [one.der for one in chain], [ACME.root]) == expected


@pytest.mark.parametrize(
    ("base", "name"),
    [
        (x509.DNSName("plant.local"), x509.DNSName("*.plant.local")),
        (x509.RegisteredID(x509.ObjectIdentifier("1.2.3")),) * 2,
        (x509.UniformResourceIdentifier("plant.local"), x509.UniformResourceIdentifier("urn:x")),
    ],
)
@pytest.mark.parametrize("excluded", [False, True])
def test_what_is_not_understood(
    base: x509.GeneralName,
    name: x509.GeneralName,
    excluded: bool,  # parameters of a test come by name
) -> None:
    """A form that is constrained and not understood, and a wildcard, are refused either way."""
    limits = x509.NameConstraints(None, [base]) if excluded else x509.NameConstraints([base], None)
    leaf, _ = _chain(limits, name)
    assert not _holds(limits, leaf)


def test_mail_in_the_subject() -> None:
    """It counts where there is none among the alternative names (RFC 5280 section 4.2.1.10)."""
    limits = x509.NameConstraints([x509.RFC822Name("plant.local")], None)
    assert _holds(limits, vendor.issue("emailAddress=a@plant.local,CN=x"))
    assert not _holds(limits, vendor.issue("emailAddress=a@evil.org,CN=x"))
    sans = x509.SubjectAlternativeName([x509.RFC822Name("a@plant.local")])
    with_san = vendor.issue("emailAddress=a@evil.org,CN=x", extensions=[(sans, False)])
    assert _holds(limits, with_san)


def test_subtrees_with_a_minimum() -> None:
    """RFC 5280 has none; what cryptography would overlook is refused."""
    base = der.tlv(0x82, b"plant.local")
    for subtree, understood in ((base, True), (base + b"\x80\x01\x01", False)):
        value = der.sequence(der.tlv(0xA0, der.sequence(subtree)))
        extension = x509.UnrecognizedExtension(x509.NameConstraints.oid, value)
        root = vendor.ca("Acme Odd", extensions=[(extension, True)])
        if understood:
            assert path.anchor(root.certificate).constraints
        else:
            with pytest.raises(Untrusted, match="not understood"):
                path.anchor(root.certificate)
