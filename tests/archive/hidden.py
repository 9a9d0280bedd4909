"""PKCS#12 whose key is encrypted once more inside what is encrypted, as hardly anybody makes it."""

from __future__ import annotations

from cryptography.hazmat.primitives import hashes, padding
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.kdf.pbkdf2 import PBKDF2HMAC
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from tests.support import der

_PBES2, _PBKDF2 = "1.2.840.113549.1.5.13", "1.2.840.113549.1.5.12"
_AES256_CBC = "2.16.840.1.101.3.4.1.42"
_DATA, _ENCRYPTED = "1.2.840.113549.1.7.1", "1.2.840.113549.1.7.6"
_SHROUDED = "1.2.840.113549.1.12.10.1.2"
_SALT, _IV = b"saltsalt", bytes(16)


def archive(word: bytes, rounds: int) -> bytes:
    """Return it with the key's `rounds` behind a passphrase that is hashed 2,048 times.

    Where those are more than can be done, what they encrypt is anything.
    """
    plain = der.KEY.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())
    key = der.sequence(_pbes2(rounds), der.tlv(4, _encrypted(plain, word, min(rounds, 2048))))
    bags = der.sequence(der.sequence(der.oid(_SHROUDED), der.tlv(0xA0, key)))
    hidden = der.sequence(der.oid(_DATA), _pbes2(2048), der.tlv(0x80, _encrypted(bags, word, 2048)))
    content = der.tlv(0xA0, der.sequence(b"\x02\x01\x00", hidden))
    safe = der.sequence(der.sequence(der.oid(_ENCRYPTED), content))
    outer = der.sequence(der.oid(_DATA), der.tlv(0xA0, der.tlv(4, safe)))
    return der.sequence(b"\x02\x01\x03", outer)


def _pbes2(rounds: int) -> bytes:
    count = der.tlv(2, rounds.to_bytes(5).lstrip(b"\0"))
    derived = der.sequence(der.oid(_PBKDF2), der.sequence(der.tlv(4, _SALT), count))
    cipher = der.sequence(der.oid(_AES256_CBC), der.tlv(4, _IV))
    return der.sequence(der.oid(_PBES2), der.sequence(derived, cipher))


def _encrypted(plain: bytes, word: bytes, rounds: int) -> bytes:
    # SHA-1, which is what it is where no other hash is named (RFC 8018 appendix A.2).
    key = PBKDF2HMAC(hashes.SHA1(), 32, _SALT, rounds).derive(word)
    padder = padding.PKCS7(128).padder()
    encryptor = Cipher(algorithms.AES(key), modes.CBC(_IV)).encryptor()
    return encryptor.update(padder.update(plain) + padder.finalize()) + encryptor.finalize()
