"""Lists of each kind of CA, what CAs of others' making issue, planted faults: before pkilint."""

from __future__ import annotations

import itertools
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import ExtensionOID, ObjectIdentifier

from cipsec import rollover
from cipsec.ca import crl, profile
from cipsec.ca.authority import Authority, self_signed
from cipsec.ca_folder import CaFolder
from cipsec.pki import csr, keys
from cipsec.pki.names import parse_subject
from cipsec.ra.revocation import REASONS
from cipsec.rollover import Step
from tests.support import ca, pkilint, programs, upper
from tests.support.listed import NOW, opened

DAY = timedelta(days=1)
NAME = parse_subject("CN=Line 4,O=Plant")
ENDPOINT = profile.endpoint(730 * DAY, DAY)


def _of_a_root(kind: keys.KeyType) -> Authority:
    key = keys.generate(kind)
    return Authority(self_signed(NAME, key, now=NOW, validity=18_000 * DAY), key)


def _below_another(*, identifier: bool = True) -> Authority:
    """Return an intermediate CA, with a subjectKeyIdentifier or as some old root made it."""
    root, key = upper.root(), keys.generate(keys.KeyType.EC_P256)
    by = x509.AuthorityKeyIdentifier.from_issuer_public_key(root.key.public_key())
    signed = root.sign(NAME, key.public_key(), identifier=identifier, authority=by)
    return Authority(signed, key, [root.certificate])


def _list(authority: Authority, now: datetime, entries: Iterable[crl.Entry] = ()) -> bytes:
    terms = authority.terms(int(now.timestamp()), now=now, validity=7 * DAY)
    return authority.revocation_list(crl.encoded(entries), terms)


def _said(found: dict[str, list[pkilint.Finding]]) -> dict[str, list[str]]:
    return {place: list(map(str, said)) for place, said in found.items() if said}


def test_lists_of_every_kind_of_ca() -> None:
    """Each kind of key, roots and intermediates, now and when time is written another way."""
    cas = {str(kind): _of_a_root(kind) for kind in keys.KeyType}
    cas |= {"below": _below_another(), "no identifier": _below_another(identifier=False)}
    late = datetime(2051, 3, 1, tzinfo=UTC)
    entries = [
        crl.Entry(number, at, reason)
        for number, (at, reason) in enumerate(itertools.product((NOW, late), REASONS), 1)
    ]
    lists = {f"{name}, empty": _list(one, NOW) for name, one in cas.items()}
    lists |= {
        f"{name}, full": _list(one, NOW, entries[: len(REASONS)]) for name, one in cas.items()
    }
    lists |= {f"{kind}, 2051": _list(cas[kind], late, entries) for kind in keys.KeyType}
    assert _said(pkilint.findings(crls=lists)) == {}


def test_the_list_of_a_former_root(ca_folder: CaFolder) -> None:
    """Its key still signs one, beside that of the present root."""
    with opened(ca_folder) as plant:
        step = Step(ca_folder, plant.store, "operator", NOW)
        rollover.prepare(step, None, key_type=keys.KeyType.RSA_2048, validity=9000 * DAY)
        rollover.activate(step, None)
        plant.revoke(plant.issue())
        lists = {str(number): one.der for number, one in enumerate(plant.publish(backdate=DAY))}
    assert len(lists) == 2
    assert _said(pkilint.findings(crls=lists)) == {}


def test_what_a_ca_of_others_making_issues() -> None:
    """Its own certificate is others' to answer for; together with it there is nothing to say."""
    cas = {"below": _below_another(), "no identifier": _below_another(identifier=False)}
    asked = ca.request(sans=["dns:drive-7.plant.example"])
    made = {name: one.issue(asked, ENDPOINT, now=NOW).der for name, one in cas.items()}
    pairs = {
        f"{name}, pair": (one.certificate.public_bytes(Encoding.DER), made[name])
        for name, one in cas.items()
    }
    assert _said(pkilint.findings(certificates=made, pairs=pairs)) == {}


@pytest.mark.programs
@pytest.mark.parametrize(
    "key", ["ec -pkeyopt ec_paramgen_curve:P-256 -pkeyopt ec_param_enc:explicit", "rsa-pss"]
)
def test_what_odd_keys_get(key: str, tmp_path: Path) -> None:
    """A curve in numbers, and a key for RSASSA-PSS only."""
    programs.need("openssl")
    make = ("openssl", "req", "-new", "-nodes", "-subj", "/CN=a", "-keyout", tmp_path / "k")
    made = programs.run(*make, "-newkey", *key.split(), "-outform", "DER")
    issued = _of_a_root(keys.KeyType.EC_P256).issue(csr.parse(made.stdout), ENDPOINT, now=NOW)
    assert _said(pkilint.findings(certificates={key: issued.der})) == {}


def _again(
    certificate: x509.Certificate,
    key: keys.PrivateKey,
    without: ObjectIdentifier,
    put: x509.ExtensionType | None = None,
    *,
    critical: bool = False,
) -> bytes:
    """Return a certificate signed once more, one extension of it left out or changed."""
    begin, end = certificate.not_valid_before_utc, certificate.not_valid_after_utc
    public, number = keys.served(certificate.public_key()), certificate.serial_number
    builder = x509.CertificateBuilder(
        certificate.issuer, certificate.subject, public, number, begin, end
    )
    for one in certificate.extensions:
        if one.oid != without:
            builder = builder.add_extension(one.value, critical=one.critical)
    if put is not None:
        builder = builder.add_extension(put, critical=critical)
    return builder.sign(key, hashes.SHA256()).public_bytes(Encoding.DER)


def _bare_list(key: keys.PrivateKey) -> bytes:
    """Return a list without number and without the identifier of its signer's key."""
    builder = x509.CertificateRevocationListBuilder(NAME, NOW, NOW + DAY)
    return builder.sign(key, hashes.SHA256()).public_bytes(Encoding.DER)


def test_planted_faults_are_found() -> None:
    """One thing of what we issue made wrong at a time: else the silence above means nothing."""
    key = keys.generate(keys.KeyType.EC_P256)
    root = self_signed(NAME, key, now=NOW, validity=900 * DAY)
    issued = Authority(root, key).issue(ca.request(sans=["dns:a.example"]), ENDPOINT, now=NOW)
    leaf = x509.load_der_x509_certificate(issued.der)
    basic = x509.BasicConstraints(ca=True, path_length=0)
    faults = {
        "no AKI": _again(leaf, key, ExtensionOID.AUTHORITY_KEY_IDENTIFIER),
        "a leaf that signs": _again(
            leaf, key, ExtensionOID.KEY_USAGE, upper.usage(), critical=True
        ),
        "a CA's basicConstraints": _again(root, key, ExtensionOID.BASIC_CONSTRAINTS, basic),
        "a CA without key usage": _again(root, key, ExtensionOID.KEY_USAGE),
        "a CA without SKI": _again(root, key, ExtensionOID.SUBJECT_KEY_IDENTIFIER),
    }
    found = pkilint.findings(certificates=faults, crls={"bare list": _bare_list(key)})
    assert {place: {one.code for one in said} for place, said in found.items()} == {
        "no AKI": {"pkix.authority_key_identifier_extension_absent"},
        "a leaf that signs": {"pkix.ee_certificate_keycertsign_keyusage_set"},
        "a CA's basicConstraints": {"pkix.basic_constraints_extension_not_critical"},
        "a CA without key usage": {"pkix.ca_certificate_no_ku_extension"},
        "a CA without SKI": {"pkix.certificate_skid_ca_missing"},
        "bare list": {"pkix.crl_number_missing", "pkix.authority_key_identifier_missing"},
    }
