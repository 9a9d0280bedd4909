"""Keys on a token of SoftHSM: made, found, and signing as a key in a file does."""

from __future__ import annotations

import os
import shlex
import shutil
import sys
import threading
from datetime import timedelta
from pathlib import Path

import pkcs11
import pytest
from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, padding

from cipsec import times
from cipsec.ca.authority import Authority, self_signed
from cipsec.ca.profile import endpoint
from cipsec.errors import LocalState, Locked, TokenFailed, UsageError
from cipsec.pki import keys, names
from cipsec.pki.keys import KeyType
from cipsec.token import keys as token_keys
from cipsec.token import making, module
from cipsec.token.keys import TokenEcKey, TokenRsaKey
from cipsec.token.uri import KeyUri
from tests.support import ca, programs, softhsm, upper
from tests.support.softhsm import PIN, SoftHsm


def made(hsm: SoftHsm, kind: KeyType = KeyType.EC_P256) -> TokenEcKey | TokenRsaKey:
    """Return a new key on the token."""
    key, new = making.obtain(KeyUri.parse(hsm.uri()), PIN, kind)
    assert new
    return key


@pytest.mark.parametrize("kind", KeyType)
def test_a_ca_signs(hsm: SoftHsm, tmp_path: Path, kind: KeyType) -> None:
    """Root and certificate, by the builder and by our own encoder: openssl verifies both."""
    key, now = made(hsm, kind), times.now()
    assert keys.type_name(key.public_key()) == kind
    root = self_signed(names.parse_subject("CN=L"), key, now=now, validity=timedelta(days=9))
    day = timedelta(days=1)
    issued = Authority(root, key).issue(ca.request(), endpoint(day, day), now=now)
    leaf = x509.load_der_x509_certificate(issued.der)
    anchor = upper.write(tmp_path / "root.pem", root)
    done = programs.run("openssl", "verify", "-x509_strict", "-CAfile", anchor,
                        upper.write(tmp_path / "leaf.pem", leaf))  # fmt: skip
    assert done.returncode == 0, done


@pytest.mark.parametrize("kind", [KeyType.EC_P256, KeyType.RSA_2048])
def test_found_again(hsm: SoftHsm, kind: KeyType) -> None:
    """The second time the key is found, by label or by id, and is the same."""
    first = made(hsm, kind)
    again, new = making.obtain(KeyUri.parse(hsm.uri()), PIN, None)
    assert not new
    assert keys.spki(again.public_key()) == keys.spki(first.public_key())
    assert again.uri == first.uri
    by_id = KeyUri(token="plant", module=softhsm.MODULE, id=first.uri.id)
    found, new = making.obtain(by_id, PIN, None)
    assert (found.uri, new) == (first.uri, False)
    with pytest.raises(UsageError, match=f"is an {kind} key"):
        making.obtain(by_id, PIN, KeyType.EC_P384)


def test_it_does_not_leave(hsm: SoftHsm) -> None:
    """pkcs11-tool says so too; nothing of ours reads it, and it does nothing but sign."""
    key = made(hsm)
    assert isinstance(key, TokenEcKey)
    shown = hsm.tool("--list-objects", "--type", "privkey")
    assert "Usage:      sign\n" in shown
    assert "sensitive" in shown
    assert "never extractable" in shown
    plain = serialization.NoEncryption()
    pem, pkcs8 = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8
    for act in (
        key.private_numbers,
        lambda: key.private_bytes(pem, pkcs8, plain),
        lambda: key.exchange(ec.ECDH(), ec.generate_private_key(ec.SECP256R1()).public_key()),
    ):
        with pytest.raises(UnsupportedAlgorithm, match="only signs"):
            act()
    assert PIN not in repr(key) + repr(key.access) + repr(key.uri)


def test_rsa_does_what_x509_needs(hsm: SoftHsm) -> None:
    """PKCS#1 v1.5 over SHA-256, 384, 512; no PSS, no decryption."""
    key = made(hsm, KeyType.RSA_2048)
    assert isinstance(key, TokenRsaKey)
    for algorithm in (hashes.SHA256(), hashes.SHA384(), hashes.SHA512()):
        signature = key.sign(b"message", padding.PKCS1v15(), algorithm)
        key.public_key().verify(signature, b"message", padding.PKCS1v15(), algorithm)
    pss = padding.PSS(padding.MGF1(hashes.SHA256()), 32)
    with pytest.raises(UnsupportedAlgorithm):
        key.sign(b"message", pss, hashes.SHA256())
    with pytest.raises(UnsupportedAlgorithm):
        key.decrypt(b"", padding.PKCS1v15())


@pytest.mark.parametrize("kind", [KeyType.EC_P256, KeyType.RSA_2048])
def test_another_key_is_noticed(hsm: SoftHsm, kind: KeyType) -> None:
    """A token with another key of the name never signs what does not fit the certificate."""
    key = made(hsm, kind)
    other = keys.generate(kind).public_key()
    wrong = token_keys.on_token(key.uri, PIN, other)
    with pytest.raises(TokenFailed, match="is another key"):
        keys.sign(wrong, b"message")


def test_pulled_and_put_back(hsm: SoftHsm) -> None:
    """While it is out signing fails, and says why; then it goes on by itself."""
    key = made(hsm)
    keys.sign(key, b"message")
    hsm.pull()
    for _ in range(2):
        with pytest.raises(TokenFailed):
            keys.sign(key, b"message")
    hsm.put_back()
    keys.sign(key, b"message")


def test_two_keys_of_one_module(hsm: SoftHsm) -> None:
    """Starting the library again for one key does not end the other."""
    first = made(hsm)
    second, _ = making.obtain(KeyUri.parse(hsm.uri("other")), PIN, None)
    module.module(softhsm.MODULE).restart()
    for _ in range(2):
        keys.sign(first, b"message")
        keys.sign(second, b"message")
    assert module.module(softhsm.MODULE).generation >= 1


def test_a_wrong_pin_is_tried_once(hsm: SoftHsm, monkeypatch: pytest.MonkeyPatch) -> None:
    """What was refused is refused again without asking the token: each try costs one."""
    key = made(hsm)
    module.module(softhsm.MODULE).restart()  # who is logged in is not asked again
    with pytest.raises(Locked, match="not the PIN of the token plant"):
        token_keys.on_token(key.uri, "1234", key.public_key())
    access = token_keys.Access(key.uri, PIN)
    access._pin, access._key = "1234", None
    module.module(softhsm.MODULE).restart()
    tried = []
    original = module.Module.session

    def counted(self: module.Module, uri: KeyUri, pin: str, *, writable: bool = False) -> object:
        tried.append(pin)
        return original(self, uri, pin, writable=writable)

    monkeypatch.setattr(module.Module, "session", counted)
    for _ in range(3):
        with pytest.raises(Locked):
            access.sign(b"\0" * 32, "ECDSA")
    assert tried == ["1234"]


@pytest.mark.parametrize(
    ("raised", "kind", "said"),
    [
        (pkcs11.PinIncorrect, Locked, "not the PIN"),
        (pkcs11.PinLocked, Locked, "is locked"),
        (pkcs11.PinExpired, Locked, "has no PIN that is good"),
        (pkcs11.DeviceRemoved, TokenFailed, "fails: DeviceRemoved"),
        (pkcs11.GeneralError, TokenFailed, "fails: GeneralError"),
    ],
)
def test_errors_of_a_token(raised: type[Exception], kind: type[LocalState], said: str) -> None:
    """Each becomes one of ours, with something to type."""
    uri = KeyUri(token="plant", module=Path("/a token/m.so"), object="x")
    with pytest.raises(kind, match=said) as error, module.failing(uri):
        raise raised
    assert error.value.hint
    if "pkcs11-tool" in error.value.hint:
        assert "/a token/m.so" in shlex.split(error.value.hint)


def test_what_is_not_there(hsm: SoftHsm, tmp_path: Path) -> None:
    """No such token, key or module: said, with what shows what there is."""
    spaced = tmp_path / "a token" / "m.so"
    spaced.parent.mkdir()
    shutil.copy(softhsm.MODULE, spaced)
    cases = (
        (hsm.uri().replace("plant", "none"), "the token none is not there"),
        (hsm.uri(), "there is no private key line-4 on the token plant"),
        (hsm.uri(module=tmp_path / "none.so"), "cannot be loaded"),
        (hsm.uri(module=Path("/etc/hostname")), "cannot be loaded"),
        (hsm.uri(module=spaced).replace("plant", "none"), "the token none is not there"),
        (hsm.uri(module=spaced), "there is no private key"),
    )
    for text, said in cases:
        with pytest.raises(TokenFailed, match=said) as error:
            making.obtain(uri := KeyUri.parse(text), PIN, None, make=False)
        typed = str(error.value.hint).rpartition(": ")[2]
        assert str(uri.module) in shlex.split(typed)


def test_without_the_extra(hsm: SoftHsm, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is named."""
    monkeypatch.setitem(sys.modules, "pkcs11", None)
    with pytest.raises(LocalState, match="need an extra") as error:
        module.Module(softhsm.MODULE)
    assert error.value.hint == "pip install 'cipsec[pkcs11]'"


def test_several_of_a_name(hsm: SoftHsm) -> None:
    """Two keys of one label are told apart by id only."""
    key = made(hsm)
    hsm.tool("--keypairgen", "--key-type", "EC:prime256v1", "--label", "line-4", "--id", "07")
    with pytest.raises(TokenFailed, match="2 private keys"):
        making.obtain(KeyUri.parse(hsm.uri()), PIN, None)
    assert making.obtain(key.uri, PIN, None)[0].uri == key.uri


def test_threads_and_forks(hsm: SoftHsm) -> None:
    """Many threads sign with one key; a child has a session of its own."""
    key = made(hsm)
    failed: list[Exception] = []

    def work() -> None:
        try:
            for _ in range(20):
                keys.sign(key, b"message")
        except Exception as error:  # noqa: BLE001  # whatever it is, it is the finding
            failed.append(error)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failed == []
    child = os.fork()
    if child == 0:
        code = 1
        try:
            before = module.module(softhsm.MODULE).generation
            keys.sign(key, b"message")
            code = int(module.module(softhsm.MODULE).generation != before + 1)
        finally:
            os._exit(code)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    keys.sign(key, b"message")


def test_points_as_tokens_have_them() -> None:
    """In an OCTET STRING as the standard says, or bare as some have them."""
    for curve in (ec.SECP256R1(), ec.SECP384R1()):
        public = ec.generate_private_key(curve).public_key()
        point = public.public_bytes(
            serialization.Encoding.X962, serialization.PublicFormat.UncompressedPoint
        )
        wrapped = bytes((4, len(point))) + point
        for value in (point, wrapped):
            assert making._point({pkcs11.Attribute.EC_POINT: value}) == point
