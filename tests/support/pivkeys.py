"""The keys of the card in `pivcard`: made, brought, described, used; and its own reading of TLV."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

from cryptography.hazmat.decrepit.ciphers.algorithms import TripleDES
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives._serialization import Encoding, PublicFormat
from cryptography.hazmat.primitives.asymmetric import ec, rsa, utils
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

Key = ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey

_CURVES: dict[int, ec.EllipticCurve] = {0x11: ec.SECP256R1(), 0x14: ec.SECP384R1()}
_BITS = {0x07: 2048, 0x05: 3072}


class Refused(Exception):
    """The card answers with this status word."""

    def __init__(self, sw: int) -> None:
        super().__init__(f"{sw:04X}")
        self.sw = sw


def tlv(tag: int, value: bytes) -> bytes:
    """Write one TLV."""
    size = len(value)
    length = bytes([size]) if size < 128 else bytes([0x82, size >> 8, size & 0xFF])
    return tag.to_bytes((tag.bit_length() + 7) // 8, "big") + length + value


def parts(data: bytes) -> dict[int, bytes]:
    """Read the TLVs of a command; what does not fit is wrong data, 6A80."""
    found = {}
    while data:
        long_tag = data[0] & 0x1F == 0x1F and len(data) > 1
        size = (3 if data[1] & 0x80 else 2) if long_tag else 1
        tag, data = int.from_bytes(data[:size], "big"), data[size:]
        extra = data[0] - 0x80 if data and data[0] > 0x80 else 0
        if len(data) < 1 + extra:
            raise Refused(0x6A80)
        length = int.from_bytes(data[1 : 1 + extra], "big") if extra else data[0]
        data = data[1 + extra :]
        if len(data) < length:
            raise Refused(0x6A80)
        found[tag], data = data[:length], data[length:]
    return found


@dataclass(frozen=True, slots=True)
class Management:
    """The management key: 03 is 3DES, 08, 0A and 0C are AES."""

    number: int
    key: bytes

    @property
    def block(self) -> int:
        """Bytes of a block."""
        return 8 if self.number == 0x03 else 16

    def encrypted(self, block: bytes) -> bytes:
        """Encrypt one block."""
        if len(block) != self.block:
            raise Refused(0x6A80)
        algorithm = TripleDES(self.key) if self.number == 0x03 else algorithms.AES(self.key)
        encryptor = Cipher(algorithm, modes.ECB()).encryptor()
        return encryptor.update(block) + encryptor.finalize()


def generate(number: int) -> Key:
    """Make a key; 6A80 for an algorithm the card does not have."""
    if number in _CURVES:
        return ec.generate_private_key(_CURVES[number])
    if number in _BITS:
        return _rsa_key(_BITS[number])
    raise Refused(0x6A80)


@cache
def _rsa_key(bits: int) -> rsa.RSAPrivateKey:
    """One for all tests: making it takes as long as on a card."""
    return rsa.generate_private_key(65537, bits)


def imported(number: int, found: dict[int, bytes]) -> Key:
    """Read a key in the parts of Yubico's IMPORT KEY."""
    numbers = {tag: int.from_bytes(value, "big") for tag, value in found.items()}
    if number in _CURVES:
        return ec.derive_private_key(numbers[0x06], _CURVES[number])
    p, q, dp, dq, qinv = (numbers[tag] for tag in (1, 2, 3, 4, 5))
    e, n = 65537, p * q
    d = pow(e, -1, (p - 1) * (q - 1))
    public = rsa.RSAPublicNumbers(e, n)
    return rsa.RSAPrivateNumbers(p, q, d, dp, dq, qinv, public).private_key()


def number_of(key: Key) -> int:
    """Return the algorithm's number (SP 800-78-5)."""
    if isinstance(key, ec.EllipticCurvePrivateKey):
        return {256: 0x11, 384: 0x14}[key.key_size]
    return {2048: 0x07, 3072: 0x05}[key.key_size]


def public_parts(key: Key) -> bytes:
    """Return the public key as GENERATE ASYMMETRIC KEY PAIR answers it."""
    public = key.public_key()
    if isinstance(public, ec.EllipticCurvePublicKey):
        point = public.public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)
        return tlv(0x86, point)
    numbers = public.public_numbers()
    modulus = numbers.n.to_bytes(public.key_size // 8, "big")
    return tlv(0x81, modulus) + tlv(0x82, numbers.e.to_bytes(3, "big"))


def ec_signature(key: ec.EllipticCurvePrivateKey, digest: bytes) -> bytes:
    """Sign a digest as wide as the curve."""
    as_wide = hashes.SHA256() if key.key_size == 256 else hashes.SHA384()
    return key.sign(digest, ec.ECDSA(utils.Prehashed(as_wide)))


def rsa_signature(key: rsa.RSAPrivateKey, block: bytes) -> bytes:
    """Raise a padded block to the private exponent; 6700 when it is not as wide as the modulus."""
    numbers = key.private_numbers()
    n, size = numbers.public_numbers.n, key.key_size // 8
    number = int.from_bytes(block, "big")
    if len(block) != size or number >= n:
        raise Refused(0x6700)
    return pow(number, numbers.d, n).to_bytes(size, "big")
