"""A TLS client whose private key is elsewhere: OpenSSL asks for a signature, and gets it or not."""

from __future__ import annotations

import contextlib
import gc
import socket
import ssl
import subprocess
import sys
import threading
import weakref
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import FrameType

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.hazmat.primitives.serialization import Encoding
from OpenSSL import SSL

from cipsec.errors import CredentialsRefused, LocalState, WeakKey
from cipsec.est.client import Session
from cipsec.pki import keys
from cipsec.pki.keys import KeyType
from cipsec.tls import foreign, libssl, signer
from cipsec.tls.client import ClientContext, SignerCredential, client_context
from tests.support import programs
from tests.support.canned import LOCALHOST, EstServer, Plant, named
from tests.support.signing import (
    TLS12,
    TLS13,
    SoftSigner,
    device,
    server_of,
    shake,
    trusting,
)

_SIZES = {KeyType.EC_P256: 32, KeyType.EC_P384: 48, KeyType.RSA_2048: 256, KeyType.RSA_3072: 384}
BOTH = pytest.mark.parametrize("version", [TLS12, TLS13])
KINDS = pytest.mark.parametrize("kind", KeyType)


@pytest.fixture(scope="module")
def plant() -> Plant:
    """The CA of these tests."""
    return Plant()


@pytest.fixture(scope="module")
def own(plant: Plant) -> SSL.Context:
    """The context of cipsec's own server."""
    return server_of(plant)


class CardPulled(LocalState):
    """What a card's signer may raise."""


def failing(error: BaseException) -> Callable[[], None]:
    """Return what raises `error`."""

    def fail() -> None:
        raise error

    return fail


def est_context(
    plant: Plant, certificate: x509.Certificate, soft: SoftSigner, *issuers: x509.Certificate
) -> ClientContext:
    """Return the context that an enrollment with a card has."""
    credential = SignerCredential(certificate, soft, issuers)
    return client_context([plant.certificate], by_name=True, credential=credential)


# Handshakes that succeed.


@contextlib.contextmanager
def openssl_server(plant: Plant, folder: Path, *options: str) -> Iterator[int]:
    """Run `openssl s_server`, which insists on a certificate of the plant; yield its port."""
    programs.need("openssl")
    certificate, key = plant.credential(folder, "openssl", sans=LOCALHOST)
    command = ["openssl", "s_server", "-accept", "127.0.0.1:0", "-www", *options]
    command += ["-cert", str(certificate), "-key", str(key), "-CAfile", str(plant.pem(folder))]
    command += ["-Verify", "3", "-verify_return_error"]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.DEVNULL, "stdin": subprocess.PIPE}
    with subprocess.Popen(command, text=True, **pipes) as process:  # type: ignore[call-overload]  # the pipes
        try:
            line = next(line for line in process.stdout if "ACCEPT" in line)
            yield int(line.rpartition(":")[2])
        finally:
            process.kill()


def get(context: ssl.SSLContext, port: int) -> bytes:
    """Return the first bytes of the status page."""
    with (
        socket.create_connection(("127.0.0.1", port), timeout=120) as link,
        context.wrap_socket(link, server_hostname="localhost") as secured,
    ):
        secured.sendall(b"GET / HTTP/1.0\r\n\r\n")
        return secured.recv(15)


@pytest.mark.programs
@KINDS
@pytest.mark.parametrize("version", ["-tls1_2", "-tls1_3"])
def test_openssl_accepts_it(plant: Plant, tmp_path: Path, kind: KeyType, version: str) -> None:
    """An independent server verifies chain and signature, with one signature a handshake."""
    certificate, soft = device(plant, kind)
    context = trusting([plant.certificate])
    hook = signer.use(context, certificate, soft)
    with openssl_server(plant, tmp_path, version) as port:
        assert get(context, port) == b"HTTP/1.0 200 ok"
    assert soft.lengths == [_SIZES[kind]]
    assert hook.cause() is None


@pytest.mark.programs
@pytest.mark.parametrize(
    ("kind", "algorithm"),
    [
        (KeyType.RSA_2048, "rsa_pkcs1_sha256"),
        (KeyType.RSA_2048, "rsa_pss_rsae_sha512"),
        (KeyType.RSA_3072, "rsa_pkcs1_sha384"),
        (KeyType.EC_P256, "ECDSA+SHA384"),
        (KeyType.EC_P256, "ECDSA+SHA512"),
        (KeyType.EC_P384, "ECDSA+SHA256"),
        (KeyType.EC_P384, "ECDSA+SHA512"),
    ],
)
def test_every_algorithm_of_tls_1_2(
    plant: Plant, tmp_path: Path, kind: KeyType, algorithm: str
) -> None:
    """TLS 1.2 joins any hash to any key: both paddings of RSA, digests longer and shorter."""
    certificate, soft = device(plant, kind)
    context = trusting([plant.certificate])
    signer.use(context, certificate, soft)
    with openssl_server(plant, tmp_path, "-tls1_2", "-client_sigalgs", algorithm) as port:
        assert get(context, port) == b"HTTP/1.0 200 ok"
    assert soft.lengths == [_SIZES[kind]]


@BOTH
@KINDS
def test_our_server_gets_the_chain(
    plant: Plant, own: SSL.Context, kind: KeyType, version: ssl.TLSVersion
) -> None:
    """The leaf first, then what leads to its CA, as from a file."""
    issuing = Plant("Cards", issuer=plant)
    certificate, soft = device(issuing, kind)
    context = trusting([plant.certificate], version)
    signer.use(context, certificate, soft, [issuing.certificate])
    end = shake(context, own)
    assert end.chain() == tuple(
        c.public_bytes(Encoding.DER) for c in (certificate, issuing.certificate)
    )
    assert end.version == version.name.replace("_", ".")


@BOTH
def test_an_enrollment(plant: Plant, tmp_path: Path, version: ssl.TLSVersion) -> None:
    """Through httpx and the EST client; under TLS 1.2 with the channel binding."""
    issuing = Plant("Cards", issuer=plant)
    certificate, soft = device(issuing)
    context = est_context(plant, certificate, soft, issuing.certificate)
    bindings: list[bytes | None] = []

    def request(binding: bytes | None) -> bytes:
        bindings.append(binding)
        key = ec.generate_private_key(ec.SECP256R1())
        made = x509.CertificateSigningRequestBuilder().subject_name(named("Drive"))
        return made.sign(key, hashes.SHA256()).public_bytes(Encoding.DER)

    server = EstServer(plant, tmp_path, tls=version, demand_client=True)
    with server.running(), Session(server.url, context, credential=True) as session:
        issued = session.simpleenroll(request, login=None)
    assert [c.subject for c in issued] == [named("Drive")]
    assert {s.client for s in server.seen} == {certificate.public_bytes(Encoding.DER)}
    assert len(soft.lengths) == server.connections == 1
    assert bool(bindings[0]) == (version is TLS12)


def test_two_contexts_have_two_keys(plant: Plant, own: SSL.Context) -> None:
    """Each handshake is signed by its own context's signer."""
    made = [(*device(plant), trusting([plant.certificate])) for _ in range(2)]
    for certificate, soft, context in made:
        signer.use(context, certificate, soft)
    for certificate, _, context in (*made, *made):
        assert shake(context, own).chain()[0] == certificate.public_bytes(Encoding.DER)
    assert [len(soft.lengths) for _, soft, _ in made] == [2, 2]


def test_a_second_certificate_takes_the_place_of_the_first(plant: Plant, own: SSL.Context) -> None:
    """Another card in the reader, on the same context."""
    context = trusting([plant.certificate])
    for _ in range(3):
        certificate, soft = device(plant)
        signer.use(context, certificate, soft)
        assert shake(context, own).chain()[0] == certificate.public_bytes(Encoding.DER)
        assert len(soft.lengths) == 1


def test_a_resumed_session_signs_nothing(plant: Plant, tmp_path: Path) -> None:
    """Resumption is `ssl`'s as ever: the server remembers who it was."""
    certificate, soft = device(plant)
    context = trusting([plant.certificate], TLS12)
    signer.use(context, certificate, soft)
    server = EstServer(plant, tmp_path, demand_client=True)
    with server.running():
        session = None
        for resumed in (False, True):
            with (
                socket.create_connection(("127.0.0.1", server.port), timeout=120) as link,
                context.wrap_socket(link, server_hostname="localhost", session=session) as secured,
            ):
                session = secured.session
                assert secured.session_reused is resumed
    assert len(soft.lengths) == 1


# Handshakes that fail.


@BOTH
@pytest.mark.parametrize("kind", [KeyType.EC_P256, KeyType.RSA_2048])
def test_what_the_signer_raised_is_what_the_caller_gets(
    plant: Plant, tmp_path: Path, kind: KeyType, version: ssl.TLSVersion
) -> None:
    """Not that TLS failed, but why: the card was pulled. Afterwards it works again."""
    certificate, soft = device(plant, kind)
    context = est_context(plant, certificate, soft)
    pulled = CardPulled("the card was pulled")
    server = EstServer(plant, tmp_path, tls=version, demand_client=True)
    with server.running():
        soft.before = failing(pulled)
        with Session(server.url, context, credential=True) as session:
            with pytest.raises(CardPulled) as caught:
                session.cacerts()
            assert caught.value is pulled
            assert server.connections == len(soft.lengths) == 1, "nobody tried again"
            soft.before = lambda: None
            assert session.cacerts() == [plant.certificate]


def test_an_interrupt_is_not_lost(plant: Plant, own: SSL.Context) -> None:
    """Ctrl-C while the card waits for a finger."""
    certificate, soft = device(plant)
    soft.before = failing(KeyboardInterrupt())
    context = trusting([plant.certificate])
    hook = signer.use(context, certificate, soft)
    with pytest.raises(ssl.SSLError):
        shake(context, own)
    assert isinstance(hook.cause(), KeyboardInterrupt)
    assert hook.cause() is None, "it is told once"


@pytest.mark.parametrize("kind", [KeyType.EC_P256, KeyType.RSA_2048])
def test_an_interrupt_before_the_first_instruction(
    plant: Plant, own: SSL.Context, kind: KeyType
) -> None:
    """Where no `except` of Python's is in force yet: OpenSSL is told of a failure all the same."""
    certificate, soft = device(plant, kind)
    context = trusting([plant.certificate])
    hook = signer.use(context, certificate, soft)

    def strike(frame: FrameType, event: str, _argument: object) -> None:
        if event == "call" and frame.f_code.co_name in {"_sign_ec", "_sign_rsa"}:
            raise KeyboardInterrupt

    sys.setprofile(strike)
    try:
        with pytest.raises(ssl.SSLError):
            shake(context, own)
    finally:
        sys.setprofile(None)
    assert soft.lengths == []
    assert isinstance(hook.cause(), KeyboardInterrupt)
    assert hook.cause() is None


def another_signature(soft: SoftSigner) -> bytes:
    """Return what another card would sign."""
    other = SoftSigner(keys.generate(KeyType(keys.type_name(soft.public_key()))))
    if isinstance(other.key, ec.EllipticCurvePrivateKey):
        return other.sign_digest(bytes(range(soft.lengths[-1])))
    return other.sign_block(bytes(soft.lengths[-1]))


@pytest.mark.parametrize("kind", [KeyType.EC_P256, KeyType.EC_P384, KeyType.RSA_2048])
@pytest.mark.parametrize(
    ("spoiled", "error"),
    [
        (lambda _soft, _good: b"", LocalState),
        (lambda _soft, _good: b"\x30\x00", LocalState),
        (lambda _soft, good: good + b"\x00", LocalState),
        (lambda _soft, good: good[:-1], LocalState),
        (lambda _soft, good: bytes(len(good)), LocalState),
        (lambda _soft, _good: b"\xff" * 100_000, LocalState),
        (lambda soft, _good: another_signature(soft), LocalState),
        (lambda _soft, _good: None, TypeError),
        (lambda _soft, _good: "signature", TypeError),
    ],
)
def test_what_is_no_signature_goes_nowhere(
    plant: Plant,
    own: SSL.Context,
    kind: KeyType,
    spoiled: Callable[[SoftSigner, bytes], bytes],
    error: type[Exception],
) -> None:
    """Neither into OpenSSL's memory nor to the server."""
    certificate, soft = device(plant, kind)
    soft.after = lambda good: spoiled(soft, good)
    for version in (TLS12, TLS13):
        context = trusting([plant.certificate], version)
        hook = signer.use(context, certificate, soft)
        with pytest.raises(ssl.SSLError):
            shake(context, own)
        assert type(hook.cause()) is error


def test_a_server_that_refuses_is_told_from_a_card_that_fails(plant: Plant, tmp_path: Path) -> None:
    """The signer did its part; the certificate is of another plant."""
    certificate, soft = device(Plant("Other"))
    context = est_context(plant, certificate, soft)
    with (
        EstServer(plant, tmp_path, demand_client=True).running() as server,
        Session(server.url, context, credential=True) as session,
        pytest.raises(CredentialsRefused),
    ):
        session.cacerts()


def test_an_untrusted_server_gets_no_signature(plant: Plant) -> None:
    """OpenSSL verifies the server first, so that no PIN is spent on it."""
    certificate, soft = device(plant)
    context = trusting([plant.certificate])
    hook = signer.use(context, certificate, soft)
    with pytest.raises(ssl.SSLCertVerificationError):
        shake(context, server_of(Plant("Other")))
    assert hook.cause() is None
    assert soft.lengths == []


# Threads and lives.


def test_a_slow_card_holds_up_nobody(plant: Plant, own: SSL.Context) -> None:
    """While one waits for a finger, others shake hands, on another thread and context."""
    finger = threading.Event()
    certificate, slow = device(plant)
    slow.before = lambda: finger.wait(180)
    waiting, other = trusting([plant.certificate]), trusting([plant.certificate])
    signer.use(waiting, certificate, slow)
    signer.use(other, *device(plant))
    with ThreadPoolExecutor(1) as pool:
        touched = pool.submit(shake, waiting, own)
        try:
            shake(other, own)
            assert not touched.done()
        finally:
            finger.set()
        assert touched.result().version


def test_many_threads_share_a_context(plant: Plant, own: SSL.Context) -> None:
    """Every third signature fails, and each thread learns of its own failure alone."""
    certificate, soft = device(plant)
    context = trusting([plant.certificate])
    hook = signer.use(context, certificate, soft)
    numbers = threading.local()

    def fail() -> None:
        if numbers.now % 3 == 0:
            raise CardPulled(str(numbers.now))

    soft.before = fail

    def once(number: int) -> str | None:
        numbers.now = number
        with contextlib.suppress(ssl.SSLError):
            shake(context, own)
        cause = hook.cause()
        return str(cause) if cause else None

    with ThreadPoolExecutor(8) as pool:
        causes = list(pool.map(once, range(120)))
    assert causes == [str(n) if n % 3 == 0 else None for n in range(120)]


def test_everything_goes_with_the_context(plant: Plant, own: SSL.Context) -> None:
    """Hook, signer and key: OpenSSL keeps nothing of Python's, nor does the package."""
    certificate, soft = device(plant)
    context = trusting([plant.certificate])
    traces: list[weakref.ref[object]] = [
        weakref.ref(signer.use(context, certificate, soft)),
        weakref.ref(soft),
        weakref.ref(context),
    ]
    shake(context, own)
    gc.collect()
    assert all(trace() for trace in traces)
    del soft
    del context
    gc.collect()
    assert not any(trace() for trace in traces)


def test_a_connection_keeps_what_it_needs(plant: Plant, tmp_path: Path) -> None:
    """The context's last reference may be gone before the handshake begins."""
    certificate, soft = device(plant)
    context = trusting([plant.certificate])
    trace = weakref.ref(signer.use(context, certificate, soft))
    with (
        EstServer(plant, tmp_path, demand_client=True).running() as server,
        socket.create_connection(("127.0.0.1", server.port), timeout=120) as link,
    ):
        secured = context.wrap_socket(
            link, server_hostname="localhost", do_handshake_on_connect=False
        )
        del context
        gc.collect()
        with secured:
            secured.do_handshake()
        assert len(soft.lengths) == 1
    del secured
    gc.collect()
    assert trace() is None


def test_an_operation_that_is_gone_signs_nothing(plant: Plant, own: SSL.Context) -> None:
    """Should someone empty the context of its hook, the handshake fails, and nothing worse."""
    certificate, soft = device(plant)
    context = trusting([plant.certificate])
    signer.use(context, certificate, soft)
    vars(context).clear()
    gc.collect()
    with pytest.raises(ssl.SSLError):
        shake(context, own)
    assert soft.lengths == []


# What is refused before any handshake.


def test_a_certificate_of_another_key(plant: Plant, own: SSL.Context) -> None:
    """It is refused in words, and the context is as it was."""
    (certificate, right), (_, wrong) = device(plant), device(plant)
    context = trusting([plant.certificate])
    with pytest.raises(LocalState, match="not that of the key"):
        signer.use(context, certificate, wrong)
    assert shake(context, own).chain() == ()
    signer.use(context, certificate, right)
    assert shake(context, own).chain()


@pytest.mark.parametrize(
    "key", [ec.generate_private_key(ec.SECP521R1()), ed25519.Ed25519PrivateKey.generate()]
)
def test_keys_that_are_not_served(plant: Plant, key: keys.PrivateKey) -> None:
    """PIV cards have neither."""
    certificate = plant.issue(key.public_key(), named("Engineer"))
    with pytest.raises(WeakKey):
        signer.use(trusting([plant.certificate]), certificate, SoftSigner(key))


def test_openssls_own_refusal_is_told(plant: Plant, own: SSL.Context) -> None:
    """Its reason is in the message, and does not turn up in what `ssl` does next."""
    context = trusting([plant.certificate])
    context.set_ciphers("DEFAULT:@SECLEVEL=4")
    certificate, soft = device(plant)
    with pytest.raises(LocalState, match="ee key too small"):
        signer.use(context, certificate, soft)
    context.set_ciphers("DEFAULT:@SECLEVEL=1")
    shake(context, own)


def test_using_it_leaves_the_options_alone(plant: Plant) -> None:
    """The self-check sets one, and sets it back."""
    context = trusting([plant.certificate])
    before = context.options
    signer.use(context, *device(plant))
    assert context.options == before


class _Other(ssl.SSLContext):
    """A context that is not what its address says."""

    lie = 0

    @property  # type: ignore[override]  # as a stranger's
    def options(self) -> int:
        return ssl.OP_ALL ^ self.lie

    @options.setter
    def options(self, value: int) -> None:
        self.lie ^= int(ssl.OP_CIPHER_SERVER_PREFERENCE)


def test_a_context_that_is_another_is_found_out(plant: Plant) -> None:
    """Options that do not change where they should: nothing is written there."""
    context = _Other(ssl.PROTOCOL_TLS_CLIENT)
    with pytest.raises(LocalState, match="not known"):
        signer.use(context, *device(plant))


# Pythons that cannot: told apart in processes of their own.

_TRY = """
import sys, ssl, _ssl
{change}
from cipsec.errors import LocalState
from cipsec.tls import signer
try:
    signer.usable()
except LocalState as error:
    print(error.message, error.hint, sep="\\n")
"""


def in_python_with(change: str) -> list[str]:
    """Return what `usable` says in a Python that was changed first."""
    done = programs.run(sys.executable, "-W", "error", "-c", _TRY.format(change=change))
    assert (done.returncode, done.stderr) == (0, b"")
    return done.stdout.decode().splitlines()


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ("del _ssl.__file__", "hides its OpenSSL (no "),
        (
            # cryptography's own OpenSSL is built in just so, and hidden.
            "from cryptography.hazmat.bindings import _rust; _ssl.__file__ = _rust.__file__",
            "hides its OpenSSL (no ",
        ),
        ("ssl.OPENSSL_VERSION = 'OpenSSL 3.9.9 1 Jan 2030'", "another one is found"),
        ("ssl.OPENSSL_VERSION = 'AWS-LC 1.60.0'", "is AWS-LC 1.60.0, not OpenSSL's"),
        ("sys.implementation.name = 'pypy'", "pypy does not show its TLS contexts"),
    ],
)
def test_a_python_that_hides_its_openssl(change: str, says: str) -> None:
    """It is said which Python to use instead, as something to type."""
    message, hint = in_python_with(change)
    assert says in message
    assert "cipsec[smartcard]" in hint


def test_this_python_will_do() -> None:
    """Which the other tests prove."""
    assert in_python_with("") == []
    signer.usable()


_TOGETHER = """
import ssl, threading
from concurrent.futures import ThreadPoolExecutor
from cipsec.tls import foreign, libssl
start = threading.Barrier(8)

def ask(_):
    start.wait()
    return libssl.load(), foreign.keys_of_python()

with ThreadPoolExecutor(8) as pool:
    found = list(pool.map(ask, range(8)))
print(*(len(set(map(id, made))) for made in zip(*found)))
"""


def test_the_binding_is_made_once() -> None:
    """For its callbacks are never freed, and two bindings do not take each other's pointers."""
    assert libssl.load() is libssl.load()
    assert foreign.keys_of_python() is foreign.keys_of_python()
    done = programs.run(sys.executable, "-W", "error", "-c", _TOGETHER)
    assert (done.stdout, done.stderr) == (b"1 1\n", b"")


def test_clients_without_a_card_do_not_pay() -> None:
    """The binding comes with the first signer, and not with every client."""
    code = "import sys, cipsec.tls.client; print('cipsec.tls.libssl' in sys.modules)"
    assert programs.run(sys.executable, "-c", code).stdout == b"False\n"
