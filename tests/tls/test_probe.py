"""What a server presents, whoever it is: chains, versions, and those that do not answer."""

from __future__ import annotations

import contextlib
import datetime
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID
from hypothesis import given, settings
from hypothesis import strategies as st

from cipsec.errors import BadAnswer, Unreachable
from cipsec.pki import keys
from cipsec.tls.probe import presented
from cipsec.tls.unanswered import refused
from tests.support import der

NOW = datetime.datetime.now(datetime.UTC)
DAY = datetime.timedelta(days=1)


def name(text: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])


@pytest.fixture(scope="module")
def chain(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A PEM file with a key, its long expired certificate and the issuer's."""
    issuer, key = (ec.generate_private_key(ec.SECP256R1()) for _ in range(2))

    def certificate(subject: str, public: ec.EllipticCurvePublicKey) -> bytes:
        return (
            x509.CertificateBuilder(name("issuer"), name(subject), public, 1)
            .not_valid_before(NOW - 3 * DAY)
            .not_valid_after(NOW - 2 * DAY)
            .sign(issuer, hashes.SHA256())
            .public_bytes(Encoding.PEM)
        )

    path = tmp_path_factory.mktemp("probe") / "server.pem"
    path.write_bytes(
        key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        + certificate("leaf", key.public_key())
        + certificate("issuer", issuer.public_key())
    )
    return path


@contextlib.contextmanager
def serving(answer: Callable[[socket.socket], None]) -> Iterator[int]:
    """Let `answer` deal with one connection; yield the port."""

    def accept() -> None:
        with contextlib.suppress(OSError):
            connection, _ = listening.accept()
            with connection, contextlib.suppress(OSError):
                answer(connection)

    with socket.create_server(("127.0.0.1", 0)) as listening:
        thread = threading.Thread(target=accept)
        thread.start()
        try:
            yield listening.getsockname()[1]
        finally:
            with contextlib.suppress(OSError):
                listening.shutdown(socket.SHUT_RDWR)
            thread.join()


def shaking(context: ssl.SSLContext) -> Callable[[socket.socket], None]:
    def answer(connection: socket.socket) -> None:
        with context.wrap_socket(connection, server_side=True) as secured:
            assert secured.recv(1) == b""  # a farewell, and not a byte before it

    return answer


@pytest.mark.parametrize(
    ("version", "shown"),
    [(ssl.TLSVersion.TLSv1_2, "TLSv1.2"), (ssl.TLSVersion.TLSv1_3, "TLSv1.3")],
)
@pytest.mark.parametrize("demands", [ssl.CERT_NONE, ssl.CERT_REQUIRED])
def test_presented(
    chain: Path, version: ssl.TLSVersion, shown: str, demands: ssl.VerifyMode
) -> None:
    """The chain leaf first, expired or not, also from a server that wants a certificate of us."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(chain)
    context.load_verify_locations(chain)
    context.minimum_version = context.maximum_version = version
    context.verify_mode = demands
    with serving(shaking(context)) as port:
        seen = presented("127.0.0.1", port, timeout=60)
    assert [c.subject for c in seen.chain] == [name("leaf"), name("issuer")]
    assert (seen.version, seen.asks) == (shown, demands != ssl.CERT_NONE)
    assert seen.cipher
    # Under TLS 1.3 the refusal comes when the handshake is over for us.
    refuses = demands == ssl.CERT_REQUIRED and version == ssl.TLSVersion.TLSv1_2
    assert (seen.ended is not None) is refuses


@pytest.mark.parametrize(("host", "sent"), [("localhost", "localhost"), ("127.0.0.1", None)])
def test_server_name(chain: Path, host: str, sent: str | None) -> None:
    """A name is sent as SNI, an address is not (RFC 6066 section 3)."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(chain)
    names: list[str | None] = []
    context.sni_callback = lambda _socket, asked, _context: names.append(asked)
    with serving(shaking(context)) as port:
        presented(host, port, timeout=60)
    assert names == [sent]


def silence(connection: socket.socket) -> None:
    connection.settimeout(60)
    while connection.recv(4096):
        pass


def drip(connection: socket.socket) -> None:
    connection.sendall(b"\x16\x03\x03\x3f\xff\x02")
    while True:
        connection.sendall(b"\0")
        time.sleep(0.05)


@pytest.mark.parametrize("answer", [silence, drip])
def test_deadline(answer: Callable[[socket.socket], None]) -> None:
    """The time is for all of it: neither silence nor a byte now and then extends it."""
    with (
        serving(answer) as port,
        pytest.raises(Unreachable, match=r"127\.0\.0\.1:\d+ does not answer in time"),
    ):
        presented("127.0.0.1", port, timeout=0.5)


@settings(max_examples=25)
@given(st.binary(min_size=1, max_size=200))
def test_what_is_not_tls(said: bytes) -> None:
    """Whatever a port says, the answer is an error of ours."""
    with (
        serving(lambda connection: connection.sendall(said)) as port,
        pytest.raises(Unreachable),
    ):
        presented("127.0.0.1", port, timeout=60)


ALERT = b"\x15\x03\x03\x00\x02\x02"  # fatal


@pytest.mark.parametrize(
    ("said", "message"),
    [
        (b"HTTP/1.0 400 Bad Request\r\n\r\n", "answers in plain HTTP, not in TLS"),
        (b"SSH-2.0-OpenSSH_9.2\r\n", "answers, and not in TLS"),
        (b"\x16\x03\x01", "closes the connection and shows no certificate"),
        (b"", "closes the connection and shows no certificate"),
        (ALERT + b"\x28", "ends the TLS handshake: it found nothing in common"),
        (ALERT + b"\x46", "speaks only versions of TLS that are no longer spoken"),
        (ALERT + b"\x50", "ends the TLS handshake: internal error"),
    ],
)
def test_what_answers_otherwise_is_told_in_words(said: bytes, message: str) -> None:
    """A port that speaks something else has answered, and the message says what."""

    def answer(connection: socket.socket) -> None:
        connection.sendall(said)
        connection.shutdown(socket.SHUT_WR)
        silence(connection)

    with serving(answer) as port, pytest.raises(BadAnswer, match=message):
        presented("127.0.0.1", port, timeout=60)


def test_a_certificate_that_cannot_be_read(tmp_path: Path) -> None:
    """OpenSSL takes a version that there is not, and serves it."""
    made = der.pem("CERTIFICATE", der.certificate(version=6)) + keys.to_pem(der.KEY)
    (tmp_path / "x.pem").write_bytes(made)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tmp_path / "x.pem")
    with serving(shaking(context)) as port, pytest.raises(BadAnswer) as caught:
        presented("127.0.0.1", port, timeout=60)
    assert "presents a certificate that cannot be read: 6 is not a valid" in caught.value.message
    assert caught.value.hint == f"openssl s_client -showcerts -connect 127.0.0.1:{port}"


def test_ports_without_tls_have_a_neighbour() -> None:
    """EtherNet/IP is unprotected on 44818; the hint can be typed."""
    for port, wanted in ((44818, "cipsec cert show 10.0.0.1:2221"), (8443, None)):
        hint = refused(f"10.0.0.1:{port}", port, ConnectionResetError(), b"").hint
        assert (hint or "").endswith(wanted or "")
        assert (hint is None) is (wanted is None)


@pytest.mark.parametrize(
    ("host", "port"),
    [
        ("127.0.0.1", 0),
        ("127.0.0.1", -1),
        ("127.0.0.1", 65537),
        ("a..b", 1),
        ("x" * 64, 1),
        ("nobody.invalid", 1),
        ("fe80::1%nix", 1),
        ("127.0.0.1", 1),
    ],
)
def test_nobody_there(host: str, port: int) -> None:
    """Ports that cannot be, names that are none, and nobody listening: unreachable."""
    with pytest.raises(Unreachable, match="cannot be reached"):
        presented(host, port, timeout=60)
