"""Private and public keys: make, read, write, name, and judge by strength."""

from __future__ import annotations

import contextlib
import hashlib
from enum import StrEnum

from cryptography.exceptions import InternalError, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes

# From where `serialization` has it: the whole brings ciphers and SSH, 6 ms of every start.
from cryptography.hazmat.primitives._serialization import Encoding, PrivateFormat, PublicFormat
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa
from cryptography.hazmat.primitives.asymmetric.types import PrivateKeyTypes, PublicKeyTypes
from cryptography.hazmat.primitives.asymmetric.utils import Prehashed

from cipsec.errors import Locked, Malformed, UsageError, WeakKey

PrivateKey = ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey
PublicKey = ec.EllipticCurvePublicKey | rsa.RSAPublicKey

_MAX_PASSPHRASE = 1023
_PEM_BEGIN = b"-----BEGIN "
MIN_RSA_BITS = 2048
MAX_RSA_BITS = 8192  # beyond that one signature check costs the server tens of milliseconds
MAX_RSA_EXPONENT = 1 << 32  # one as long as the modulus takes fifty times as long to check
_LONG = 64 * 1024  # bytes
# Kept, for cryptography takes 5 us to make one.
ECDSA = {kind.name: ec.ECDSA(kind()) for kind in (hashes.SHA256, hashes.SHA384, hashes.SHA512)}
_CURVES: dict[str, type[ec.EllipticCurve]] = {"ec-p256": ec.SECP256R1, "ec-p384": ec.SECP384R1}


class KeyType(StrEnum):
    """The key types an endpoint or a CA may ask for; P-256 is what CIP Security starts with."""

    EC_P256 = "ec-p256"
    EC_P384 = "ec-p384"
    RSA_2048 = "rsa-2048"
    RSA_3072 = "rsa-3072"

    @classmethod
    def parse(cls, text: str) -> KeyType:
        """Read a key type's name; raise UsageError."""
        try:
            return cls(text)
        except ValueError:
            raise UsageError(
                f"{text!r} is not a key type", hint=f"choose one of {', '.join(cls)}"
            ) from None


def generate(key_type: KeyType) -> PrivateKey:
    """Make a private key."""
    if key_type in _CURVES:
        return ec.generate_private_key(_CURVES[key_type]())
    return rsa.generate_private_key(65537, int(key_type.removeprefix("rsa-")))


def to_pem(key: PrivateKey, passphrase: str | None = None) -> bytes:
    """Return the key as PKCS#8 PEM, encrypted when there is a passphrase; raise UsageError.

    OpenSSL takes passphrases of at most 1,023 bytes.
    """
    from cryptography.hazmat.primitives import serialization

    encryption: serialization.KeySerializationEncryption = serialization.NoEncryption()
    if passphrase:
        if len(passphrase.encode()) > _MAX_PASSPHRASE:
            raise UsageError(f"the passphrase has more than {_MAX_PASSPHRASE} bytes")
        encryption = serialization.BestAvailableEncryption(passphrase.encode())
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, encryption)


def is_encrypted(pem: bytes) -> bool:
    """Tell whether a PEM key needs a passphrase."""
    return b"ENCRYPTED" in pem


def from_pem(pem: bytes, passphrase: str | None = None) -> PrivateKey:
    """Read a private key in PEM; raise Locked for the passphrase, Malformed, WeakKey.

    Malformed also where the passphrase is to be hashed for minutes, or forever.
    """
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    from cipsec.pki import rounds

    if is_encrypted(pem) and not passphrase:
        raise Locked("the key is encrypted", hint="add --passphrase-file FILE")
    password = passphrase.encode() if passphrase and is_encrypted(pem) else None
    if password:
        rounds.check_key(pem, "the key")
    try:
        key = load_pem_private_key(pem, password)
    except (ValueError, TypeError, InternalError):
        if password:
            raise Locked("the passphrase does not open the key") from None
        raise Malformed("this is not a private key in PEM") from None
    except UnsupportedAlgorithm as error:
        raise WeakKey(f"this kind of key is not served: {error}") from None
    return served_private(key)


def from_either_pem(pem: bytes, passphrase: str | None = None) -> PrivateKey:
    """Read a key that is there twice, under an old passphrase and under a new one, or once.

    Raises as `from_pem`: Locked when the passphrase opens neither.
    """
    first, *others = (_PEM_BEGIN + part for part in pem.split(_PEM_BEGIN)[1:] or [b""])
    for form in others:
        try:
            return from_pem(form, passphrase)
        except Locked:
            continue
    return from_pem(first, passphrase)


def is_twice(pem: bytes) -> bool:
    """Tell whether a key is there under two passphrases: a change of it was cut off."""
    return pem.count(_PEM_BEGIN) > 1


def served_private(key: PrivateKeyTypes) -> PrivateKey:
    """Return a private key of a kind and strength that is served; raise WeakKey."""
    if isinstance(key, (ec.EllipticCurvePrivateKey, rsa.RSAPrivateKey)):
        served(key.public_key())
        return key
    raise WeakKey("only EC (P-256, P-384) and RSA keys are served")


def served(key: PublicKeyTypes) -> PublicKey:
    """Return a public key of a kind and strength that certificates are made for; raise WeakKey."""
    match key:
        case ec.EllipticCurvePublicKey():
            if type(key.curve) not in _CURVES.values():
                raise WeakKey(f"keys on the curve {key.curve.name} are not served; use P-256")
            return key
        case rsa.RSAPublicKey():
            if not MIN_RSA_BITS <= key.key_size <= MAX_RSA_BITS:
                use = "2048 or more" if key.key_size < MIN_RSA_BITS else "8192 at most"
                raise WeakKey(f"an RSA key of {key.key_size} bits is not served; use {use}")
            if key.public_numbers().e > MAX_RSA_EXPONENT:
                raise WeakKey("an RSA key with so large an exponent is not served; use 65537")
            return key
        case _:
            raise WeakKey(f"keys of the kind {type_name(key)} are not served; use EC P-256")


def type_name(key: PublicKeyTypes) -> str:
    """Return `ec-p256`, `rsa-2048`, `ed25519` …: cipsec's name where it has one."""
    match key:
        case ec.EllipticCurvePublicKey():
            known = {curve: name for name, curve in _CURVES.items()}
            return known.get(type(key.curve), f"ec-{key.curve.name}")
        case rsa.RSAPublicKey():
            return f"rsa-{key.key_size}"
        case ed25519.Ed25519PublicKey():
            return "ed25519"
        case _:
            return type(key).__name__.lower().removesuffix("publickey")


def spki(key: PublicKeyTypes) -> bytes:
    """Return the SubjectPublicKeyInfo in DER (RFC 5280 section 4.1)."""
    return key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)


def spki_sha256(key: PublicKeyTypes) -> str:
    """Return the SHA-256 of the SubjectPublicKeyInfo in lower-case hex: the key's short name."""
    return hashlib.sha256(spki(key)).hexdigest()


def signing_hash(key: PrivateKey | PublicKey) -> hashes.SHA256 | hashes.SHA384:
    """Return the hash to sign with: SHA-384 for P-384, else SHA-256."""
    if isinstance(key, (ec.EllipticCurvePrivateKey, ec.EllipticCurvePublicKey)):
        return hashes.SHA384() if key.curve.key_size == 384 else hashes.SHA256()
    return hashes.SHA256()


def sign(key: PrivateKey, message: bytes) -> bytes:
    """Sign as X.509 does: ECDSA, or RSA with PKCS#1 v1.5, over `signing_hash`.

    A long message is hashed by `hashlib`, which lets other threads run meanwhile, unless the key
    (one on a card) takes no digest.
    """
    algorithm = signing_hash(key)
    if len(message) > _LONG:
        with contextlib.suppress(UnsupportedAlgorithm):
            return _sign_digest(key, hashlib.new(algorithm.name, message).digest(), algorithm)
    if isinstance(key, rsa.RSAPrivateKey):
        return key.sign(message, padding.PKCS1v15(), algorithm)
    return key.sign(message, ECDSA[algorithm.name])


def _sign_digest(key: PrivateKey, digest: bytes, algorithm: hashes.SHA256 | hashes.SHA384) -> bytes:
    hashed = Prehashed(algorithm)
    if isinstance(key, rsa.RSAPrivateKey):
        return key.sign(digest, padding.PKCS1v15(), hashed)
    return key.sign(digest, ec.ECDSA(hashed))
