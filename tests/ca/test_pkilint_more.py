"""What a CA signs besides endpoints' certificates, before pkilint: next root, lists, reports."""

from __future__ import annotations

from datetime import timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from cipsec import times
from cipsec.ca import profile
from cipsec.ca.authority import Authority, self_signed
from cipsec.ca.rollover import successor
from cipsec.ca_folder import CaFolder
from cipsec.pki import keys
from cipsec.pki.names import parse_subject
from cipsec.ra.revocation import REASONS
from cipsec.report import signing
from tests.support import ca, pkilint
from tests.support.listed import opened

NOW = times.now().replace(microsecond=0)


def _der(certificate: x509.Certificate) -> bytes:
    return certificate.public_bytes(Encoding.DER)


@pytest.mark.parametrize(("before", "after"), [("ec-p256", "rsa-2048"), ("rsa-2048", "ec-p384")])
def test_the_next_root_and_its_links(before: str, after: str) -> None:
    """Each by itself, and each link together with the root that signed it."""
    old_key, key = keys.generate(keys.KeyType(before)), keys.generate(keys.KeyType(after))
    name = parse_subject("CN=Line 4,O=Plant")
    old = self_signed(name, old_key, now=NOW - timedelta(days=365), validity=timedelta(days=900))
    end = NOW + timedelta(days=7300)
    made = successor(Authority(old, old_key), old_key, key, now=NOW, end=end)
    every = {
        "new": _der(made.certificate),
        "new with old": _der(made.new_with_old),
        "old with new": _der(made.old_with_new),
    }
    pairs = {
        "under the old": (_der(old), every["new with old"]),
        "under the new": (every["new"], every["old with new"]),
    }
    found = pkilint.findings(certificates=every, pairs=pairs)
    assert {place: list(map(str, said)) for place, said in found.items() if said} == {}


def test_revocation_lists(ca_folder: CaFolder) -> None:
    """An empty one, and one with an entry for every reason there is."""
    with opened(ca_folder) as plant:
        plant.publish()
        crls = {"empty": ca_folder.crl_file.read_bytes()}
        for reason in REASONS:
            plant.revoke(plant.issue(), reason=reason)
        plant.publish()
        crls["every reason"] = ca_folder.crl_file.read_bytes()
        assert len(plant.listed()) == len(REASONS)
    found = pkilint.findings(crls=crls)
    assert {place: list(map(str, said)) for place, said in found.items() if said} == {}


def test_distribution_points_and_reports(ca_folder: CaFolder) -> None:
    """An endpoint's certificate that says where the list is, and that which signed a report."""
    authority, root = ca_folder.authority(None), _der(ca_folder.certificate())
    form = profile.endpoint(
        timedelta(days=730), timedelta(hours=24), "http://est.line4.example:8080/ca.crl"
    )
    pointing = authority.issue(ca.request(sans=["dns:d.line4.example"]), form, now=NOW)
    report = signing.sign(
        bytes(32),
        authority,
        by="anna",
        now=NOW,
        chain=[ca_folder.certificate()],
    )
    certificates = {"pointing": pointing.der, "report": report.row.der}
    pairs = {f"{name}, with its CA": (root, der) for name, der in certificates.items()}
    found = pkilint.findings(certificates=certificates, pairs=pairs)
    assert {place: list(map(str, said)) for place, said in found.items() if said} == {}
