"""Certificates and revocation lists with bits turned over: findings or Malformed, never else."""

from __future__ import annotations

import contextlib
import warnings

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from hypothesis import given, settings
from hypothesis import strategies as st

from cipsec.errors import Malformed
from cipsec.pki import cip, load, revocation, rfc5280, verify
from cipsec.pki.lint import Finding
from tests.pki.trees import NOW
from tests.support import vendor

ROOT = vendor.ca("Acme Root")
POLICIES = x509.CertificatePolicies([x509.PolicyInformation(x509.ObjectIdentifier("1.2.3"), None)])
CONSTRAINTS = x509.NameConstraints([x509.DNSName("plant.local")], None)
ISSUING = vendor.ca(
    "Acme Devices",
    ROOT,
    extensions=[
        (CONSTRAINTS, True),
        (POLICIES, False),
        (x509.PolicyConstraints(0, 0), True),
        (x509.InhibitAnyPolicy(0), True),
    ],
)
DEVICE = vendor.device(
    ISSUING, extensions=[(vendor.SAN, False), (vendor.CLIENT_AUTH, False), (POLICIES, False)]
)
LISTS = vendor.crl(ROOT, encoding=Encoding.DER), vendor.crl(ISSUING, 4711, encoding=Encoding.DER)


def damaged(data: bytes, changes: list[tuple[float, int]]) -> bytes:
    """Return the bytes with some of them changed."""
    changed = bytearray(data)
    for place, bits in changes:
        changed[int(place * len(data))] ^= bits
    return bytes(changed)


def judged(
    leaf: bytes, issuing: bytes = ISSUING.der, lists: tuple[bytes, ...] = LISTS
) -> list[Finding]:
    """Judge all there is to judge; nothing where it cannot be read, which says why."""
    with warnings.catch_warnings(), contextlib.suppress(Malformed):
        warnings.simplefilter("ignore")
        read = [one for n, data in enumerate(lists) for one in revocation.each(data, str(n))]
        [certificate] = load.certificates(leaf, "leaf")
        others = load.certificates(issuing, "issuing")
        expected = verify.Expected(
            [ROOT.certificate],
            others,
            read,
            key=DEVICE.key.public_key(),
            name=x509.DNSName("drive7.plant.local"),
            purpose="client",
        )
        return [
            *verify.certificate(certificate, expected, NOW),
            *rfc5280.certificate(certificate),
            *cip.certificate(certificate, others, NOW),
        ]
    return []


def accepted(found: list[Finding]) -> bool:
    """Tell whether path and revocation are well."""
    verdicts = [one.verdict for one in found if one.check in {"path", "revocation"}]
    return verdicts == ["ok"] * 3


CHANGES = st.lists(
    st.tuples(st.floats(0, 1, exclude_max=True), st.integers(1, 255)), min_size=1, max_size=3
)
SETTINGS = settings(max_examples=200)


def test_undamaged() -> None:
    """So that the others show something."""
    assert accepted(judged(DEVICE.der))


@SETTINGS
@given(CHANGES)
def test_a_certificate(changes: list[tuple[float, int]]) -> None:
    """Of a device: it is not accepted any more."""
    leaf = damaged(DEVICE.der, changes)
    assert leaf == DEVICE.der or not accepted(judged(leaf))


@SETTINGS
@given(CHANGES)
def test_a_ca(changes: list[tuple[float, int]]) -> None:
    """Of its CA: neither."""
    issuing = damaged(ISSUING.der, changes)
    assert issuing == ISSUING.der or not accepted(judged(DEVICE.der, issuing))


@SETTINGS
@given(CHANGES)
def test_a_list(changes: list[tuple[float, int]]) -> None:
    """A list does not say any more that nothing is revoked."""
    lists = LISTS[0], damaged(LISTS[1], changes)
    assert lists == LISTS or not accepted(judged(DEVICE.der, lists=lists))
