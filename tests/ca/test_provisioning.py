"""Provisioning certificates: what they hold, who issues them, and that nobody else trusts them."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import ExtendedKeyUsageOID

from cipsec import times
from cipsec.ca import profile, provisioning
from cipsec.ca.authority import Authority, self_signed
from cipsec.ca_folder import CaFolder
from cipsec.errors import LocalState, Locked, Malformed
from cipsec.pki import csr, keys
from cipsec.pki.device import Mac
from cipsec.pki.keys import KeyType
from cipsec.pki.names import parse_subject, show_name
from tests.support import ca, programs

NOW = datetime(2026, 11, 23, 5, 0, tzinfo=UTC)
KIND = profile.provisioning(timedelta(days=7), timedelta(hours=24))


def _ca(subject: str | x509.Name = "CN=Line 4", *, days: int = 365) -> Authority:
    key = keys.generate(KeyType.EC_P256)
    name = parse_subject(subject) if isinstance(subject, str) else subject
    return Authority(self_signed(name, key, now=NOW, validity=timedelta(days=days)), key)


def _issuer(of: Authority) -> Authority:
    key = keys.generate(KeyType.EC_P256)
    return Authority(provisioning.issuer(of, key, now=NOW), key)


@pytest.mark.parametrize("key_type", list(KeyType))
def test_it_is_a_client_and_nothing_else(key_type: KeyType) -> None:
    """Client authentication, signatures only whatever the key, no CA, no names, begun a day ago."""
    issuer = _issuer(_ca())
    asked = ca.request("CN=card-1", key=keys.generate(key_type))
    issued = provisioning.issue(issuer, asked, "card-1", KIND, now=NOW)
    made = x509.load_der_x509_certificate(issued.der)
    made.verify_directly_issued_by(issuer.certificate)
    assert show_name(made.subject) == "CN=card-1"
    assert (made.not_valid_before_utc, made.not_valid_after_utc) == (
        NOW - timedelta(days=1),
        NOW + timedelta(days=7),
    )
    found = {extension.oid: extension for extension in made.extensions}
    assert found[x509.ExtendedKeyUsage.oid].value == x509.ExtendedKeyUsage(
        [ExtendedKeyUsageOID.CLIENT_AUTH]
    )
    constraints = found[x509.BasicConstraints.oid]
    assert constraints.critical
    assert constraints.value == x509.BasicConstraints(ca=False, path_length=None)
    usage = found[x509.KeyUsage.oid]
    assert usage.critical
    assert usage.value.public_bytes() == bytes.fromhex("03020780")  # digitalSignature alone
    assert x509.SubjectAlternativeName.oid not in found


def test_endpoints_with_rsa_keys_still_encipher() -> None:
    """Servers' RSA keys keep the key transport of old cipher suites."""
    asked = ca.request(key=keys.generate(KeyType.RSA_2048))
    issued = _ca().issue(asked, profile.endpoint(timedelta(days=7), timedelta()), now=NOW)
    made = x509.load_der_x509_certificate(issued.der)
    assert made.extensions.get_extension_for_class(x509.KeyUsage).value.key_encipherment


@pytest.mark.parametrize(
    ("subject", "named"),
    [
        ("CN=Line 4", "CN=Line 4 provisioning"),
        ("CN=Line 4,O=Plant", "CN=Line 4 provisioning,O=Plant"),
        ("O=Plant", "CN=provisioning,O=Plant"),
        (f"CN={'x' * 64}", f"CN={'x' * 51} provisioning"),
        ("CN=Größe \u202e", "CN=Größe \u202e provisioning"),
    ],
)
def test_the_issuer_has_its_own_name_and_key(subject: str, named: str) -> None:
    """Self-signed, named after the CA, ending with it; the CA did not sign it."""
    own = _ca(subject, days=1000)
    made = _issuer(own).certificate
    assert show_name(made.subject) == show_name(made.issuer) == named
    made.verify_directly_issued_by(made)
    assert not own.signed(made)
    assert made.not_valid_after_utc == own.certificate.not_valid_after_utc
    assert keys.spki(made.public_key()) != keys.spki(own.certificate.public_key())
    constraints = made.extensions.get_extension_for_class(x509.BasicConstraints).value
    assert constraints == x509.BasicConstraints(ca=True, path_length=0)


def test_never_beyond_the_end_of_the_ca() -> None:
    """A certificate for a week from a CA that ends in three days is good for three days."""
    issuer = _issuer(_ca(days=3))
    issued = provisioning.issue(issuer, ca.request("CN=card-1"), "card-1", KIND, now=NOW)
    assert issued.not_after == NOW + timedelta(days=3)


@pytest.mark.parametrize("moment", [NOW + timedelta(days=365), NOW - timedelta(days=2)])
def test_no_issuer_without_a_ca(moment: datetime) -> None:
    """A CA that has expired, or a clock far behind, makes none."""
    with pytest.raises(LocalState, match="the CA's own certificate"):
        provisioning.issuer(_ca(), keys.generate(KeyType.EC_P256), now=moment)


def _with_mac() -> csr.CertificateRequest:
    key = keys.generate(KeyType.EC_P256)
    mac = Mac.parse("00:1D:9C:01:02:03")
    built = csr.build(key, provisioning.subject("card-1"), mac=mac)
    return csr.parse(built.public_bytes(Encoding.DER))


@pytest.mark.parametrize(
    "asked",
    [
        ca.request("CN=card-2"),
        ca.request("CN=card-1,serialNumber=0001:6040C8F2"),
        ca.request("CN=card-1,CN=card-1"),
        ca.request("CN=card-1", sans=["dns:drive7.local"]),
        _with_mac(),
    ],
)
def test_it_says_nothing_of_a_device(asked: csr.CertificateRequest) -> None:
    """A card's request for more than the name is refused."""
    with pytest.raises(Malformed, match="not a request for CN=card-1 and nothing else"):
        provisioning.issue(_issuer(_ca()), asked, "card-1", KIND, now=NOW)


def _written(path: Path, der: bytes) -> Path:
    path.write_bytes(x509.load_der_x509_certificate(der).public_bytes(Encoding.PEM))
    return path


def _verifies(anchor: Path, certificate: Path, *more: str) -> bool:
    argv = ["openssl", "verify", "-no-CApath", "-no-CAstore", "-CAfile", str(anchor), *more]
    done = subprocess.run([*argv, str(certificate)], capture_output=True, check=False)
    return done.returncode == 0


@pytest.mark.programs
@pytest.mark.parametrize("key_type", [KeyType.EC_P256, KeyType.RSA_2048])
def test_openssl_trusts_it_only_by_its_own_issuer(
    ca_folder: CaFolder, tmp_path: Path, key_type: KeyType
) -> None:
    """Not whoever trusts the CA, and the other way round; as a client, never as a server."""
    programs.need("openssl")
    now = times.now()
    issuer = ca_folder.provisioning_authority(None, now)
    asked = ca.request("CN=card-1", key=keys.generate(key_type))
    card = _written(
        tmp_path / "card.pem", provisioning.issue(issuer, asked, "card-1", KIND, now=now).der
    )
    plant, own = ca_folder.certificate_file, ca_folder.provisioning_certificate_file
    assert _verifies(own, card, "-x509_strict", "-purpose", "sslclient")
    assert not _verifies(own, card, "-purpose", "sslserver")
    assert not _verifies(plant, card)
    assert not _verifies(plant, card, "-untrusted", str(own))
    assert not _verifies(plant, card, "-untrusted", str(own), "-partial_chain")
    kind = profile.endpoint(timedelta(days=7), timedelta())
    drive = ca_folder.authority(None).issue(ca.request(), kind, now=now)
    device = _written(tmp_path / "drive.pem", drive.der)
    assert _verifies(plant, device)
    assert not _verifies(own, device)


# The issuer's files in the CA's folder.


def test_made_when_needed_and_kept(ca_folder: CaFolder) -> None:
    """Nothing before the first use; private key 0600; then the same one for good."""
    assert ca_folder.provisioning_certificate() is None
    first = ca_folder.provisioning_authority(None, times.now())
    assert ca_folder.provisioning_certificate() == first.certificate
    assert ca_folder.provisioning_key_file.stat().st_mode & 0o777 == 0o600
    assert ca_folder.provisioning_authority(None, times.now()).certificate == first.certificate


def test_its_key_has_the_passphrase_of_the_ca(tmp_path: Path) -> None:
    """A wrong passphrase makes nothing and opens nothing."""
    folder = ca.make(tmp_path / "ca", passphrase="correct horse")
    with pytest.raises(Locked):
        folder.provisioning_authority("wrong", times.now())
    assert folder.provisioning_certificate() is None
    assert not folder.provisioning_key_file.exists()
    folder.provisioning_authority("correct horse", times.now())
    assert keys.is_encrypted(folder.provisioning_key_file.read_bytes())
    for wrong in ("wrong", None):
        with pytest.raises(Locked):
            folder.provisioning_authority(wrong, times.now())


def test_a_crash_between_key_and_certificate(ca_folder: CaFolder) -> None:
    """The key that lies there is used; what is left is a pair."""
    first = ca_folder.provisioning_authority(None, times.now())
    ca_folder.provisioning_certificate_file.unlink()
    again = ca_folder.provisioning_authority(None, times.now())
    spki = {keys.spki(one.certificate.public_key()) for one in (first, again)}
    assert len(spki) == 1


def test_damaged_files(ca_folder: CaFolder, tmp_path: Path) -> None:
    """Said with their names; no other issuer is made in their place."""
    ca_folder.provisioning_authority(None, times.now())
    key = ca_folder.provisioning_key_file
    kept = key.read_bytes()
    key.write_bytes(keys.to_pem(keys.generate(KeyType.EC_P256)))
    with pytest.raises(Malformed, match=r"provisioning\.key is not the key of provisioning\.pem"):
        ca_folder.provisioning_authority(None, times.now())
    key.unlink()
    with pytest.raises(LocalState, match=r"there is no file .*provisioning\.key"):
        ca_folder.provisioning_authority(None, times.now())
    key.write_bytes(kept)
    ca_folder.provisioning_certificate_file.write_text("nothing")
    with pytest.raises(Malformed, match=r"provisioning\.pem holds no certificate"):
        ca_folder.provisioning_certificate()
    with pytest.raises(Malformed, match=r"provisioning\.pem holds no certificate"):
        ca_folder.provisioning_authority(None, times.now())


_MAKE = """
import sys
from pathlib import Path
from cipsec import times
from cipsec.ca_folder import CaFolder
sys.stdin.read(1)
CaFolder(Path(sys.argv[1])).provisioning_authority(None, times.now())
"""


def _at_once(folder: CaFolder, count: int) -> Sequence[int]:
    argv = [sys.executable, "-c", _MAKE, str(folder.path)]
    running = [subprocess.Popen(argv, stdin=subprocess.PIPE) for _ in range(count)]
    for one in running:
        assert one.stdin is not None
        one.stdin.close()
    return [one.wait() for one in running]


def test_many_at_once_make_one(ca_folder: CaFolder) -> None:
    """Six processes that need it first: one key, one certificate, nothing left over."""
    assert set(_at_once(ca_folder, 6)) == {0}
    ca_folder.provisioning_authority(None, times.now())  # they belong together
    assert [path.name for path in ca_folder.path.iterdir() if path.name.startswith(".")] == []
