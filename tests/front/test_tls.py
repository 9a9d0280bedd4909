"""TLS on real sockets: which clients get in, what is known of them, what is refused."""

from __future__ import annotations

import socket
import ssl
import subprocess
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding
from OpenSSL import SSL

from cipsec.errors import LocalState
from cipsec.pki import keys
from cipsec.tls import server
from cipsec.tls.server import TlsProfile, server_context
from tests.front.serving import (
    GET,
    PATIENCE,
    Client,
    Front,
    connect,
    context,
    openssl_client,
    serving,
)
from tests.support import programs
from tests.support.canned import Plant, named

TLS12, TLS13 = ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3
VERSIONS = pytest.mark.parametrize("version", [TLS12, TLS13])


def write(folder: Path, key: keys.PrivateKey, *chain: x509.Certificate) -> tuple[Path, Path]:
    """Write a chain and its key to files."""
    (folder / "c.pem").write_bytes(b"".join(c.public_bytes(Encoding.PEM) for c in chain))
    (folder / "c.key").write_bytes(keys.to_pem(key))
    return folder / "c.pem", folder / "c.key"


def der(*chain: x509.Certificate) -> tuple[bytes, ...]:
    """Return certificates in DER."""
    return tuple(certificate.public_bytes(Encoding.DER) for certificate in chain)


@VERSIONS
def test_without_a_certificate(front: Front, plant: Plant, version: ssl.TLSVersion) -> None:
    """A client that has none is served, and seen to have none."""
    with Client(front.port, plant, version=version) as client:
        assert client.ask(GET).body == b"GET /x "
        assert client.socket.selected_alpn_protocol() == "http/1.1"
    peer = front.seen[0].peer
    assert peer.chain == ()
    assert peer.address == "127.0.0.1"
    assert peer.tls_version == ("TLSv1.2" if version is TLS12 else "TLSv1.3")


@VERSIONS
def test_with_a_certificate_of_an_unknown_issuer(
    front: Front, plant: Plant, tmp_path: Path, version: ssl.TLSVersion
) -> None:
    """A vendor's certificate is taken as it is; trust is decided elsewhere."""
    credential = Plant("Vendor").credential(tmp_path, "Drive 7")
    with Client(front.port, plant, version=version, credential=credential) as client:
        assert client.ask(GET).status == 200
    leaf = x509.load_pem_x509_certificate(credential[0].read_bytes())
    assert front.seen[0].peer.chain == der(leaf)


@VERSIONS
def test_with_a_self_signed_certificate(
    front: Front, plant: Plant, tmp_path: Path, version: ssl.TLSVersion
) -> None:
    """A device's self-signed default certificate reaches the administrator."""
    device = Plant("Drive 7")
    credential = write(tmp_path, device.key, device.certificate)
    with Client(front.port, plant, version=version, credential=credential) as client:
        assert client.ask(GET).status == 200
    assert front.seen[0].peer.chain == der(device.certificate)


@VERSIONS
@pytest.mark.parametrize("curve", [ec.SECP384R1, ec.SECP521R1])
def test_with_a_key_on_another_curve(
    front: Front,
    plant: Plant,
    tmp_path: Path,
    version: ssl.TLSVersion,
    curve: type[ec.EllipticCurve],
) -> None:
    """Whatever curve paths are verified on; under TLS 1.2 the server's groups decide on it."""
    key = ec.generate_private_key(curve())
    device = Plant("Vendor").issue(key.public_key(), named("Drive 7"))
    credential = write(tmp_path, key, device)
    with Client(front.port, plant, version=version, credential=credential) as client:
        assert client.ask(GET).status == 200
    assert front.seen[0].peer.chain == der(device)


@VERSIONS
def test_with_a_chain(front: Front, plant: Plant, tmp_path: Path, version: ssl.TLSVersion) -> None:
    """All that the client sent is seen, leaf first."""
    root = Plant("Vendor Root")
    issuing = Plant("Vendor Issuing", issuer=root)
    key = ec.generate_private_key(ec.SECP256R1())
    chain = (issuing.issue(key.public_key(), named("Drive 7")), issuing.certificate,
             root.certificate)  # fmt: skip
    with Client(
        front.port, plant, version=version, credential=write(tmp_path, key, *chain)
    ) as client:
        assert client.ask(GET).status == 200
    assert front.seen[0].peer.chain == der(*chain)


@VERSIONS
def test_a_path_is_not_worked_through(
    plant: Plant, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, version: ssl.TLSVersion
) -> None:
    """Name constraints made for it would keep OpenSSL, and all other clients, for seconds."""
    looked_at = []

    def take(_connection: object, _certificate: object, _error: int, depth: int, _ok: int) -> bool:
        looked_at.append(depth)
        return True

    monkeypatch.setattr(server, "_take_any", take)
    root = Plant("Vendor Root")
    issuing = Plant("Vendor Issuing", issuer=root)
    key = ec.generate_private_key(ec.SECP256R1())
    chain = (issuing.issue(key.public_key(), named("Drive 7")), issuing.certificate,
             root.certificate)  # fmt: skip
    credential = write(tmp_path, key, *chain)
    with serving(plant) as front:
        with Client(front.port, plant, version=version, credential=credential) as client:
            assert client.ask(GET).status == 200
        assert front.seen[0].peer.chain == der(*chain)
    assert set(looked_at) == {0}


def test_with_an_expired_certificate(front: Front, plant: Plant, tmp_path: Path) -> None:
    """What is wrong with a certificate is for the policy to say, not for a broken handshake."""
    key = rsa.generate_private_key(65537, 2048)
    vendor = Plant("Vendor")
    template = vendor.certificate
    made = (
        x509.CertificateBuilder()
        .subject_name(named("Old drive"))
        .issuer_name(named("Nobody"))
        .public_key(key.public_key())
        .serial_number(7)
        .not_valid_before(template.not_valid_before_utc.replace(year=2001))
        .not_valid_after(template.not_valid_before_utc.replace(year=2002))
        .sign(vendor.key, hashes.SHA256())
    )
    with Client(front.port, plant, credential=write(tmp_path, key, made)) as client:
        assert client.ask(GET).status == 200
    assert front.seen[0].peer.chain == der(made)


def test_tls_unique_is_the_same_at_both_ends(front: Front, plant: Plant) -> None:
    """RFC 5929 under TLS 1.2, with what Python's own TLS says at the client."""
    with Client(front.port, plant, version=TLS12) as client:
        client.ask(GET)
        ours = client.socket.get_channel_binding("tls-unique")
        assert ours
        assert ours in front.call(front.seen[0].peer.bindings)


@pytest.mark.parametrize("version", [SSL.TLS1_2_VERSION, SSL.TLS1_3_VERSION])
def test_tls_exporter_is_the_same_at_both_ends(front: Front, version: int) -> None:
    """RFC 9266: 32 bytes of EXPORTER-Channel-Binding with an empty context."""
    with openssl_client(front.port, version) as client:
        client.sendall(GET)
        assert client.recv(100).startswith(b"HTTP/1.1 200 ")
        ours = client.export_keying_material(b"EXPORTER-Channel-Binding", 32, b"")
        bindings = front.call(front.seen[0].peer.bindings)
    assert bindings[-1] == ours
    assert len(bindings) == (2 if version == SSL.TLS1_2_VERSION else 1)


def test_bindings_of_two_connections_differ(front: Front, plant: Plant) -> None:
    """A value from another connection proves nothing."""
    for _ in range(2):
        with Client(front.port, plant, version=TLS12) as client:
            client.ask(GET)
    one, other = (front.call(request.peer.bindings) for request in front.seen)
    assert not set(one) & set(other)


def test_tls_1_1_is_refused(front: Front) -> None:
    """RFC 8996; the client is told so by an alert."""
    old = SSL.Context(SSL.TLS_CLIENT_METHOD)
    old.set_max_proto_version(SSL.TLS1_1_VERSION)
    old.set_cipher_list(b"ALL:@SECLEVEL=0")
    with connect(front.port) as plain:
        plain.settimeout(None)
        client = SSL.Connection(old, plain)
        client.set_connect_state()
        with pytest.raises(SSL.Error, match="protocol version"):
            client.do_handshake()
    front.wait(lambda counters: counters.failed_handshakes == 1)


@pytest.mark.parametrize(
    "suite", ["ECDHE-ECDSA-AES128-GCM-SHA256", "ECDHE-ECDSA-AES256-GCM-SHA384",
              "ECDHE-ECDSA-CHACHA20-POLY1305"])  # fmt: skip
def test_aead_suites(front: Front, plant: Plant, suite: str) -> None:
    """What TLS 1.2 may use."""
    with Client(front.port, plant, version=TLS12, suites=suite) as client:
        assert client.ask(GET).status == 200


CBC = pytest.mark.parametrize("suite", ["ECDHE-ECDSA-AES128-SHA256", "ECDHE-ECDSA-AES256-SHA384"])


@CBC
def test_cbc_is_refused(front: Front, plant: Plant, suite: str) -> None:
    """Unless it is asked for."""
    with pytest.raises(ssl.SSLError):
        Client(front.port, plant, version=TLS12, suites=suite)


@CBC
def test_cbc_in_the_legacy_profile(plant: Plant, suite: str) -> None:
    """The suites of the first editions of CIP Security, for old firmware."""
    with (
        serving(plant, profile=TlsProfile.LEGACY) as front,
        Client(front.port, plant, version=TLS12, suites=suite) as client,
    ):
        assert client.ask(GET).status == 200


@pytest.mark.parametrize(
    "suite", ["NULL", "aNULL", "AES128-SHA", "AES256-GCM-SHA384", "RC4", "3DES"]
)
def test_weak_suites_are_refused_even_there(plant: Plant, suite: str) -> None:
    """No encryption, no authentication, no forward secrecy: never."""
    with (
        serving(plant, profile=TlsProfile.LEGACY) as front,
        pytest.raises(ssl.SSLError),
    ):
        Client(front.port, plant, version=TLS12, suites=f"{suite}:@SECLEVEL=0")


@VERSIONS
def test_sessions_are_not_resumed(front: Front, plant: Plant, version: ssl.TLSVersion) -> None:
    """A resumed connection would show no certificates, and another tls-unique."""
    tls = ssl.create_default_context(
        cadata=plant.certificate.public_bytes(Encoding.PEM).decode("ascii")
    )
    tls.minimum_version = tls.maximum_version = version
    session = None
    for _ in range(2):
        with tls.wrap_socket(
            connect(front.port), server_hostname="localhost", session=session
        ) as client:
            client.sendall(GET)
            assert client.recv(100).startswith(b"HTTP/1.1 200 ")
            assert not client.session_reused
            session = client.session


def test_renegotiation_is_refused(front: Front) -> None:
    """A new handshake within the connection would change what its bindings mean."""
    programs.need("openssl")
    command = ["openssl", "s_client", "-connect", f"127.0.0.1:{front.port}", "-tls1_2"]
    done = subprocess.run(command, input=b"R\n", capture_output=True, check=False, timeout=PATIENCE)
    assert b"RENEGOTIATING" in done.stdout + done.stderr
    assert b"no renegotiation" in done.stderr


def test_a_key_that_is_not_the_certificates(plant: Plant) -> None:
    """It is said at the start, not in every handshake."""
    key = ec.generate_private_key(ec.SECP256R1())
    with pytest.raises(LocalState, match="mismatch"):
        server_context([plant.certificate], key)


def test_the_context_is_exchanged_while_running(front: Front, plant: Plant) -> None:
    """After a renewal new connections see the new certificate; the old ones go on."""
    with Client(front.port, plant) as old:
        first = old.socket.getpeercert(binary_form=True)
        front.call(lambda: front.server.exchange_context(context(plant)))
        with Client(front.port, plant) as new:
            assert new.socket.getpeercert(binary_form=True) != first
            assert new.ask(GET).status == 200
        assert old.ask(GET).status == 200


def test_broken_records_end_the_connection(front: Front, plant: Plant) -> None:
    """Bytes that do not decrypt are answered by an alert, and nothing else."""
    with Client(front.port, plant, version=TLS12) as client:
        client.ask(GET)
        with socket.socket(fileno=socket.dup(client.socket.fileno())) as beneath:
            beneath.sendall(b"\x17\x03\x03\x00\x20" + b"x" * 32)
        with pytest.raises(ssl.SSLError, match="BAD_RECORD_MAC"):
            client.socket.recv(1)
    front.wait(lambda counters: counters.open == 0)
