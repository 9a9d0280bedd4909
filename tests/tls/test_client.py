"""Whom the TLS client trusts: given anchors, by name or id-kp-cmcRA, before a byte is sent."""

from __future__ import annotations

import ipaddress
import ssl
import subprocess
from collections.abc import Iterator, Sequence
from datetime import timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import ExtendedKeyUsageOID

from cipsec.errors import LocalState, Locked, Malformed, Unreachable, Untrusted
from cipsec.est.client import Session
from cipsec.pki import keys
from cipsec.tls.client import CMC_RA, Credential, client_context, is_named
from tests.support.canned import LOCALHOST, EstServer, Plant, named, write_pem

_DAY = timedelta(days=1)
_SERVER = (ExtendedKeyUsageOID.SERVER_AUTH,)
_OTHER: tuple[x509.GeneralName, ...] = (x509.DNSName("elsewhere.example"),)


@pytest.fixture(scope="module")
def plant() -> Plant:
    """The CA of these tests."""
    return Plant()


def ask(
    server: EstServer, anchors: Sequence[x509.Certificate], *, by_name: bool = True
) -> list[x509.Certificate]:
    """Connect and ask for /cacerts."""
    with Session(server.url, client_context(anchors, by_name=by_name), timeout=60) as session:
        return session.cacerts()


@pytest.fixture
def server(plant: Plant, tmp_path: Path) -> Iterator[EstServer]:
    """A server with the right names and without id-kp-cmcRA."""
    with EstServer(plant, tmp_path).running() as running:
        yield running


def test_a_name_a_person_gave_will_do(server: EstServer, plant: Plant) -> None:
    """Address and DNS name alike (RFC 6125)."""
    ask(server, [plant.certificate])
    server.host = "localhost"
    ask(server, [plant.certificate])


def test_a_name_that_was_discovered_will_not(server: EstServer, plant: Plant) -> None:
    """Any device of the plant has a certificate with its own name, and may announce itself."""
    with pytest.raises(Untrusted, match="found by discovery") as caught:
        ask(server, [plant.certificate], by_name=False)
    assert caught.value.hint
    assert server.seen == []


@pytest.mark.parametrize("by_name", [True, False])
def test_another_name_will_do_with_cmc_ra(plant: Plant, tmp_path: Path, by_name: bool) -> None:
    """RFC 7030 section 3.6.1: id-kp-cmcRA authorizes a server of an explicit anchor."""
    options = {"sans": _OTHER, "usages": (*_SERVER, CMC_RA)}
    with EstServer(plant, tmp_path, **options).running() as server:  # type: ignore[arg-type]  # each test gives what fits
        ask(server, [plant.certificate], by_name=by_name)


def test_another_name_will_not_do(plant: Plant, tmp_path: Path) -> None:
    """It is said which names the certificate is for, and nothing was sent."""
    with EstServer(plant, tmp_path, sans=_OTHER).running() as server:
        with pytest.raises(Untrusted, match=r"for other names \(dns:elsewhere.example\)"):
            ask(server, [plant.certificate])
        assert server.connections == 1
        assert server.seen == []


def test_a_clients_certificate_is_no_servers(plant: Plant, tmp_path: Path) -> None:
    """Without serverAuth the chain does not verify."""
    usages = (ExtendedKeyUsageOID.CLIENT_AUTH, CMC_RA)
    with (
        EstServer(plant, tmp_path, usages=usages).running() as server,
        pytest.raises(Untrusted, match="is not trusted"),
    ):
        ask(server, [plant.certificate])


@pytest.mark.parametrize(
    ("life", "says"),
    [((-2 * _DAY, -_DAY), "has expired"), ((_DAY, 2 * _DAY), "not yet valid")],
)
def test_out_of_time(
    plant: Plant, tmp_path: Path, life: tuple[timedelta, timedelta], says: str
) -> None:
    """Expired or not yet valid: the hint is the clock."""
    with (
        EstServer(plant, tmp_path, life=life).running() as server,
        pytest.raises(Untrusted, match=says) as caught,
    ):
        ask(server, [plant.certificate])
    assert "clock" in (caught.value.hint or "")


def test_an_issuing_ca_may_be_the_anchor(tmp_path: Path) -> None:
    """A person may name the CA that issues, and not the root above it."""
    issuing = Plant("Issuing", issuer=Plant("Root"))
    with EstServer(issuing, tmp_path).running() as server:
        ask(server, [issuing.certificate])


def test_without_anchors_nothing_is_trusted() -> None:
    """Never the system's roots instead."""
    with pytest.raises(Untrusted):
        client_context([], by_name=True)


def test_tls_1_1_is_refused(plant: Plant) -> None:
    """The floor is TLS 1.2 (RFC 8996), whatever the system allows."""
    context = client_context([plant.certificate], by_name=True)
    assert context.minimum_version is ssl.TLSVersion.TLSv1_2
    older = client_context([plant.certificate], by_name=True, tls12=True)
    assert older.maximum_version is ssl.TLSVersion.TLSv1_2


def test_credential_files(plant: Plant, tmp_path: Path) -> None:
    """Missing, swapped, foreign and encrypted files are each said for what they are."""
    certificate, key = plant.credential(tmp_path, "one")
    _, other = plant.credential(tmp_path, "two")
    anchors = [plant.certificate]

    def load(certificate: Path, key: Path) -> None:
        client_context(anchors, by_name=True, credential=Credential(certificate, key))

    load(certificate, key)
    with pytest.raises(LocalState, match="is not the key of"):
        load(certificate, other)
    with pytest.raises(Malformed, match="are not a certificate and a key"):
        load(key, certificate)
    with pytest.raises(LocalState, match="there is no file"):
        load(tmp_path / "none", key)
    secret = keys.to_pem(keys.generate(keys.KeyType.EC_P256), "passphrase")
    (tmp_path / "secret.key").write_bytes(secret)
    with pytest.raises(Locked):
        load(certificate, tmp_path / "secret.key")


@pytest.mark.parametrize(
    ("pattern", "host", "matches"),
    [
        ("est.plant.example", "est.plant.example", True),
        ("EST.Plant.Example", "est.plant.example.", True),
        ("*.plant.example", "est.plant.example", True),
        ("*.plant.example", "a.b.plant.example", False),
        ("*.plant.example", "plant.example", False),
        ("*.example", "plant.example", False),
        ("e*.plant.example", "est.plant.example", False),
        ("*", "localhost", False),
        ("10.0.0.1", "10.0.0.1", False),
    ],
)
def test_dns_names(plant: Plant, pattern: str, host: str, matches: bool) -> None:
    """RFC 6125 section 6.4.3: a wildcard is exactly the leftmost label; addresses are no names."""
    key = ec.generate_private_key(ec.SECP256R1()).public_key()
    certificate = plant.issue(key, named("x"), sans=[x509.DNSName(pattern)])
    assert is_named(certificate, host) is matches


def test_addresses_and_common_names(plant: Plant) -> None:
    """Addresses compare as addresses, also with a zone; the CN is not a name of a server."""
    key = ec.generate_private_key(ec.SECP256R1()).public_key()
    sans = [x509.IPAddress(ipaddress.ip_address("fe80::1"))]
    certificate = plant.issue(key, named("est.example"), sans=sans)
    assert is_named(certificate, "fe80:0:0::1%eth0")
    assert not is_named(certificate, "fe80::2")
    assert not is_named(certificate, "est.example")
    assert not is_named(plant.issue(key, named("est.example")), "est.example")


@pytest.mark.programs
def test_openssl_agrees(plant: Plant, tmp_path: Path) -> None:
    """An independent server, `openssl s_server`, is judged by the same rules."""
    certificate, key = plant.credential(tmp_path, "openssl", sans=LOCALHOST, usages=_SERVER)
    write_pem(tmp_path / "ca.pem", plant.certificate)
    command = ["openssl", "s_server", "-accept", "127.0.0.1:0", "-www"]
    command += ["-cert", str(certificate), "-key", str(key)]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.DEVNULL, "stdin": subprocess.PIPE}
    with subprocess.Popen(command, text=True, **pipes) as process:  # type: ignore[call-overload]  # streams only
        try:
            line = next(line for line in process.stdout if "ACCEPT" in line)
            url = f"https://127.0.0.1:{line.rpartition(':')[2].strip()}/.well-known/est"
            for anchors, error in [(plant, Unreachable), (Plant("Other"), Untrusted)]:
                context = client_context([anchors.certificate], by_name=True)
                with Session(url, context, timeout=60) as session, pytest.raises(error):
                    session.cacerts()  # its status page is no PKCS#7
        finally:
            process.kill()


def test_certificates_in_der_are_no_pem(plant: Plant, tmp_path: Path) -> None:
    """OpenSSL reads PEM; DER files are refused in words."""
    certificate, key = plant.credential(tmp_path, "one")
    der = x509.load_pem_x509_certificate(certificate.read_bytes()).public_bytes(Encoding.DER)
    certificate.write_bytes(der)
    with pytest.raises(Malformed):
        client_context([plant.certificate], by_name=True, credential=Credential(certificate, key))
