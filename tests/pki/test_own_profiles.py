"""What a CA of this package issues, by its own profiles and by `openssl verify -x509_strict`."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from cipsec.ca import profile, provisioning
from cipsec.ca.authority import Authority, self_signed
from cipsec.pki import cip, keys, rfc5280
from cipsec.pki.keys import KeyType
from cipsec.pki.lint import Finding
from cipsec.pki.names import parse_subject
from tests.support import ca, programs

NOW = datetime(2026, 11, 23, 5, 0, tzinfo=UTC)
YEAR, DAY = timedelta(days=365), timedelta(days=1)


def _authority(key_type: KeyType) -> Authority:
    key = keys.generate(key_type)
    name = parse_subject("CN=Line 4,O=Plant,C=DE")
    return Authority(self_signed(name, key, now=NOW, validity=30 * YEAR), key)


def _wrong(found: list[Finding]) -> list[Finding]:
    return [one for one in found if one.verdict != "ok"]


def _issued(issuer: Authority, kind: profile.Profile, key_type: KeyType) -> x509.Certificate:
    asked = ca.request(
        "CN=Drive 7,serialNumber=0001:6040C8F2",
        key=keys.generate(key_type),
        sans=["dns:drive7.local", "ip:192.0.2.7"],
    )
    return x509.load_der_x509_certificate(issuer.issue(asked, kind, now=NOW).der)


KINDS = [profile.endpoint(2 * YEAR, DAY), profile.est_server(DAY)]


@pytest.mark.parametrize("key_type", list(KeyType))
def test_by_rfc_5280(key_type: KeyType) -> None:
    """CAs, endpoints, servers, provisioning certificates and their CA: nothing is said of any."""
    issuer = _authority(key_type)
    made = [issuer.certificate, *(_issued(issuer, kind, key_type) for kind in KINDS)]
    cards = Authority(provisioning.issuer(issuer, key := keys.generate(key_type), now=NOW), key)
    made.append(cards.certificate)
    asked = ca.request("CN=card-1", key=keys.generate(key_type))
    card = provisioning.issue(cards, asked, "card-1", profile.provisioning(DAY, DAY), now=NOW)
    made.append(x509.load_der_x509_certificate(card.der))
    for one in made:
        assert _wrong(rfc5280.certificate(one)) == []


@pytest.mark.parametrize("key_type", [KeyType.EC_P256, KeyType.EC_P384])
def test_an_endpoint_by_cip(key_type: KeyType) -> None:
    """Nothing; with RSA only that EC is the better choice."""
    made = _issued(_authority(key_type), KINDS[0], key_type)
    assert _wrong(cip.certificate(made, (), NOW)) == []


def test_an_endpoint_with_rsa_by_cip() -> None:
    """It is for older firmware."""
    made = _issued(_authority(KeyType.RSA_2048), KINDS[0], KeyType.RSA_2048)
    assert [one.check for one in _wrong(cip.certificate(made, (), NOW))] == ["cip key"]


@pytest.mark.programs
@pytest.mark.parametrize("kind", KINDS)
def test_openssl_is_strict_as_well(kind: profile.Profile, tmp_path: Path) -> None:
    """A second opinion on what follows the RFC."""
    programs.need("openssl")
    issuer = _authority(KeyType.EC_P256)
    anchor, leaf = tmp_path / "ca.pem", tmp_path / "leaf.pem"
    anchor.write_bytes(issuer.certificate.public_bytes(Encoding.PEM))
    leaf.write_bytes(_issued(issuer, kind, KeyType.EC_P256).public_bytes(Encoding.PEM))
    at = str(int(NOW.timestamp()))
    strict = ("-x509_strict", "-check_ss_sig", "-attime", at, "-trusted", anchor)
    ran = programs.run("openssl", "verify", *strict, leaf)
    assert ran.returncode == 0, ran.stderr
