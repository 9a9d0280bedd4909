"""Private keys: made, encrypted, read back by us and by OpenSSL, and refused when weak."""

from __future__ import annotations

import contextlib
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import dsa, ec, ed25519, rsa, x25519
from cryptography.hazmat.primitives.asymmetric.types import PrivateKeyTypes, PublicKeyTypes
from hypothesis import given
from hypothesis import strategies as st

from cipsec.errors import Locked, Malformed, Untrusted, UsageError, WeakKey
from cipsec.pki import keys, path
from tests.support import der, programs

P256 = keys.generate(keys.KeyType.EC_P256)


def _pem(key: PrivateKeyTypes) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )


@pytest.mark.parametrize("key_type", keys.KeyType)
@pytest.mark.parametrize("passphrase", [None, "ключ"])
def test_keys_are_written_and_read(key_type: keys.KeyType, passphrase: str | None) -> None:
    """PKCS#8, encrypted where there is a passphrase, and of the type asked for."""
    key = keys.generate(key_type)
    pem = keys.to_pem(key, passphrase)
    label = b"ENCRYPTED PRIVATE KEY" if passphrase else b"PRIVATE KEY"
    assert pem.splitlines()[0] == b"-----BEGIN " + label + b"-----"
    assert keys.is_encrypted(pem) == bool(passphrase)
    back = keys.from_pem(pem, passphrase).public_key()
    assert keys.spki(back) == keys.spki(key.public_key())
    assert keys.type_name(back) == key_type


@pytest.mark.programs
def test_openssl_reads_an_encrypted_key(tmp_path: Path) -> None:
    """`openssl pkey` with the same passphrase gives the same public key."""
    programs.need("openssl")
    pem = keys.to_pem(P256, "secret")
    command = ("openssl", "pkey", "-passin", "pass:secret", "-pubout", "-outform", "DER")
    assert programs.run(*command, stdin=pem).stdout == keys.spki(P256.public_key())


@pytest.mark.programs
def test_openssls_own_forms_are_read(tmp_path: Path) -> None:
    """Encrypted the old way, with Proc-Type in the armour."""
    programs.need("openssl")
    old = ("openssl", "ec", "-aes128", "-passout", "pass:secret")
    pem = programs.run(*old, stdin=keys.to_pem(P256)).stdout
    assert b"Proc-Type" in pem
    assert keys.from_pem(pem, "secret")


def test_a_passphrase_is_asked_for_and_must_fit() -> None:
    """Locked both times, with a hint where it is missing."""
    pem = keys.to_pem(P256, "secret")
    with pytest.raises(Locked) as missing:
        keys.from_pem(pem)
    assert missing.value.hint
    with pytest.raises(Locked, match="does not open"):
        keys.from_pem(pem, "wrong")


def test_a_passphrase_for_a_plain_key_does_no_harm() -> None:
    """It is not needed."""
    assert keys.from_pem(keys.to_pem(P256), "secret")


def test_a_passphrase_longer_than_openssl_takes_is_refused() -> None:
    """Before a key is made that nobody opens."""
    with pytest.raises(UsageError, match="1023 bytes"):
        keys.to_pem(P256, "x" * 1024)
    assert keys.to_pem(P256, "x" * 1023)


@pytest.mark.parametrize(
    "key",
    [
        ec.generate_private_key(ec.SECP521R1()),
        ed25519.Ed25519PrivateKey.generate(),
        x25519.X25519PrivateKey.generate(),
        dsa.generate_private_key(1024),
    ],
    ids=["p521", "ed25519", "x25519", "dsa"],
)
def test_keys_of_other_kinds_are_not_served(key: PrivateKeyTypes) -> None:
    """Private or public."""
    with pytest.raises(WeakKey):
        keys.from_pem(_pem(key))
    with pytest.raises(WeakKey):
        keys.served(key.public_key())


@pytest.mark.parametrize(
    ("bits", "exponent", "use", "why"),
    [
        (1024, 65537, "1024 bits is not served; use 2048 or more", "1024 bits, which proves"),
        (
            8200,
            65537,
            "8200 bits is not served; use 8192 at most",
            "than 8192 are not checked",
        ),
        (2048, (1 << 33) + 1, "exponent is not served; use 65537", "an exponent that it proves"),
    ],
)
def test_rsa_keys_beyond_the_limits(bits: int, exponent: int, use: str, why: str) -> None:
    """Are neither served nor relied upon, and it is said on which side they are."""
    key = rsa.RSAPublicNumbers(exponent, (1 << bits - 1) + 1).public_key()
    with pytest.raises(WeakKey, match=use):
        keys.served(key)
    ca = der.extension(der.BASIC_CONSTRAINTS, b"\x30\x03\x01\x01\xff", critical=True)
    with pytest.raises(Untrusted, match=why):
        path.anchor(x509.load_der_x509_certificate(der.certificate(ca, spki=keys.spki(key))))


@pytest.mark.programs
@pytest.mark.parametrize(
    "options",
    [("genrsa", "1024"), ("ecparam", "-genkey", "-noout", "-name", "sect283k1")],
    ids=["rsa-1024", "binary curve"],
)
def test_weak_keys_of_openssl_are_not_served(options: tuple[str, ...]) -> None:
    """Also such that cryptography itself no longer knows."""
    programs.need("openssl")
    with pytest.raises(WeakKey):
        keys.from_pem(programs.run("openssl", *options).stdout)


@pytest.mark.parametrize("pem", [b"", b"x", der.pem("PRIVATE KEY", b"0\0"), der.certificate()])
def test_what_is_no_key_is_malformed(pem: bytes) -> None:
    """Nothing of it is repeated in the message."""
    with pytest.raises(Malformed, match="not a private key"):
        keys.from_pem(pem)


@given(st.integers(0, 240), st.binary(min_size=1, max_size=2))
def test_mutated_keys_never_break_the_reader(at: int, inserted: bytes) -> None:
    """A key or an error of the tree."""
    pem = keys.to_pem(P256)
    with contextlib.suppress(Malformed, Locked):
        keys.from_pem(pem[:at] + inserted + pem[at + len(inserted) :])


@pytest.mark.parametrize("text", ["", "ec", "EC-P256", "rsa-1024"])
def test_other_key_types_are_refused(text: str) -> None:
    """The hint lists those there are."""
    with pytest.raises(UsageError) as caught:
        keys.KeyType.parse(text)
    assert "ec-p256, ec-p384, rsa-2048, rsa-3072" in (caught.value.hint or "")
    assert keys.KeyType.parse("rsa-3072") is keys.KeyType.RSA_3072


@pytest.mark.parametrize(
    ("key", "name"),
    [
        (P256.public_key(), "ec-p256"),
        (ec.generate_private_key(ec.SECP521R1()).public_key(), "ec-secp521r1"),
        (ed25519.Ed25519PrivateKey.generate().public_key(), "ed25519"),
        (x25519.X25519PrivateKey.generate().public_key(), "x25519"),
    ],
)
def test_every_key_has_a_name(key: PublicKeyTypes, name: str) -> None:
    """cipsec's own, else the field's."""
    assert keys.type_name(key) == name


@pytest.mark.programs
@pytest.mark.parametrize("key_type", keys.KeyType)
def test_openssl_verifies_signatures(key_type: keys.KeyType, tmp_path: Path) -> None:
    """With SHA-384 for P-384, else SHA-256."""
    programs.need("openssl")
    key = keys.generate(key_type)
    (tmp_path / "signature").write_bytes(keys.sign(key, b"message"))
    (tmp_path / "key").write_bytes(keys.to_pem(key))
    digest = "-sha384" if key_type is keys.KeyType.EC_P384 else "-sha256"
    judge = ("openssl", "dgst", digest, "-prverify", tmp_path / "key")
    ran = programs.run(*judge, "-signature", tmp_path / "signature", stdin=b"message")
    assert ran.stdout == b"Verified OK\n"
