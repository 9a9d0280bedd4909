"""Private keys whose passphrase would be hashed for hours, or with gigabytes: not begun."""

from __future__ import annotations

from pathlib import Path

import pytest
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    PrivateFormat,
)

from cipsec.errors import Locked, Malformed
from cipsec.pki import bundle, keys, load
from tests.support import der, programs

WORD = "secret"
_PBES2, _PBKDF2 = der.oid("1.2.840.113549.1.5.13"), der.oid("1.2.840.113549.1.5.12")
_PBE_SHA1_3DES, _SCRYPT = der.oid("1.2.840.113549.1.12.1.3"), der.oid("1.3.6.1.4.1.11591.4.11")
_AES = der.sequence(der.oid("2.16.840.1.101.3.4.1.42"), der.tlv(0x04, b"i" * 16))
_SALT = der.tlv(0x04, b"saltsalt")


def _integer(number: int) -> bytes:
    return der.tlv(0x02, number.to_bytes(number.bit_length() // 8 + 1, "big"))


def _under(algorithm: bytes) -> bytes:
    """Return what is to be a key under a passphrase (RFC 5958 section 3)."""
    return der.sequence(algorithm, der.tlv(0x04, b"c" * 80))


def _pbes2(derivation: bytes, *numbers: int) -> bytes:
    parameters = der.sequence(_SALT, *map(_integer, numbers))
    return _under(der.sequence(_PBES2, der.sequence(der.sequence(derivation, parameters), _AES)))


ENDLESS = {
    "PBKDF2": _pbes2(_PBKDF2, 2**31 - 1),
    "PBKDF2, more than cryptography counts": _pbes2(_PBKDF2, 2**44),
    "scrypt, its cost": _pbes2(_SCRYPT, 2**22, 8, 1),
    "scrypt, its block size": _pbes2(_SCRYPT, 16384, 4096, 1),
    "scrypt, its parallelization": _pbes2(_SCRYPT, 16384, 8, 4096),
    "PBES1": _under(der.sequence(_PBE_SHA1_3DES, der.sequence(_SALT, _integer(2**31 - 1)))),
}


@pytest.mark.parametrize("kind", ENDLESS)
def test_what_would_not_end(kind: str) -> None:
    """In PEM and in DER; as `--key` reads it, and as `ca init --import` does."""
    pem = der.pem("ENCRYPTED PRIVATE KEY", ENDLESS[kind])
    for read in (
        lambda: keys.from_pem(pem, WORD),
        lambda: bundle.read(pem, "x.key", WORD),
        lambda: bundle.read(ENDLESS[kind], "x.key", WORD),
    ):
        with pytest.raises(Malformed, match=r"wants its passphrase hashed \d+ times") as caught:
            read()
        assert not isinstance(caught.value, Locked)


@pytest.mark.parametrize(
    "numbers",
    [(_PBKDF2, 600_000), (_SCRYPT, 16384, 8, 1), (_SCRYPT, 131_072, 8, 2)],
    ids=["PBKDF2", "scrypt of openssl", "scrypt, dear"],
)
def test_what_takes_its_time(numbers: tuple[bytes, int]) -> None:
    """It is tried, and here the passphrase does not open it."""
    with pytest.raises(Locked, match="does not open"):
        bundle.read(_pbes2(*numbers), "x.key", WORD)


@pytest.mark.programs
@pytest.mark.parametrize("how", [("-scrypt",), ("-iter", "1000000"), ("-v1", "PBE-SHA1-3DES")])
def test_keys_of_openssl(how: tuple[str, ...], tmp_path: Path) -> None:
    """As openssl writes them."""
    programs.need("openssl")
    plain, sealed = tmp_path / "plain.key", tmp_path / "sealed.key"
    plain.write_bytes(keys.to_pem(der.KEY))
    made = ("openssl", "pkcs8", "-topk8", *how, "-passout", f"pass:{WORD}")
    assert programs.run(*made, "-in", plain, "-out", sealed).returncode == 0
    assert keys.spki(keys.from_pem(sealed.read_bytes(), WORD).public_key()) == keys.spki(
        der.KEY.public_key()
    )


def test_the_usual_encryption_with_headers() -> None:
    """As OpenSSL wrote keys once: without base64 alone between BEGIN and END."""
    pem = der.KEY.private_bytes(
        Encoding.PEM, PrivateFormat.TraditionalOpenSSL, BestAvailableEncryption(WORD.encode())
    )
    assert b"Proc-Type" in pem
    assert isinstance(keys.from_pem(pem, WORD), type(der.KEY))


def _diffie_hellman() -> bytes:
    """Return a private key in DER whose numbers OpenSSL does not take: the prime is even."""
    numbers = der.sequence(_integer(1 << 2047), _integer(2), _integer((1 << 223) + 1))
    kind = der.sequence(der.oid("1.2.840.10046.2.1"), numbers)
    return der.sequence(_integer(0), kind, der.tlv(0x04, _integer(7)))


def test_numbers_that_openssl_does_not_take() -> None:
    """It is no key, and no file that one can show; not an error of the program."""
    for read in (lambda data: load.contents(data, "x"), lambda data: bundle.read(data, "x")):
        with pytest.raises(Malformed):
            read(_diffie_hellman())
