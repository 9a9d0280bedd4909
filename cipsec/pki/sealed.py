"""A stream under a passphrase, that a disaster does not need this program to open.

    openssl cms -decrypt -binary -inform DER -in FILE -pwri_password PASSPHRASE -out FILE.tar

CMS AuthEnvelopedData (RFC 5083) in AES-256-GCM (RFC 5084) for one password recipient (RFC 5652
section 6.2.4): PBKDF2 with HMAC-SHA-256, the content's key wrapped as RFC 3211 says. Content comes
in BER's pieces, so that neither end has to hold it. What is in it is left to the caller.
"""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Callable, Iterator

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

from cipsec.errors import Locked, Malformed
from cipsec.pki.der import element

ITERATIONS = 1_000_000  # half a second, each time somebody guesses
_FEWEST, _MOST = 100_000, 10_000_000
_PIECE = 64 * 1024
_BLOCK, _KEY, _TAG = 16, 32, 16
_WRAPPED = 48  # a length, three check bytes and the key, filled up to whole blocks
_ENDS = b"\0\0"  # end-of-contents, X.690 section 8.1.5

_AUTH_ENVELOPED = bytes.fromhex("060b2a864886f70d0109100117")
_DATA = bytes.fromhex("06092a864886f70d010701")
_PBKDF2 = bytes.fromhex("06092a864886f70d01050c")
_HMAC_SHA256 = bytes.fromhex("300c06082a864886f70d02090500")
_PWRI_KEK = bytes.fromhex("060b2a864886f70d0109100309")
_AES256_CBC = bytes.fromhex("060960864801650304012a")
_AES256_GCM = bytes.fromhex("060960864801650304012e")


def _head(salt: bytes, iterations: int, iv: bytes, wrapped: bytes, nonce: bytes) -> bytes:
    """Return everything before the content; of the same length whatever the values are."""
    count = element(0x02, iterations.to_bytes(4, "big").lstrip(b"\0"))
    derived = element(0x30, element(0x04, salt), count, element(0x02, bytes([_KEY])), _HMAC_SHA256)
    recipient = element(
        0xA3,
        b"\x02\x01\x00",
        element(0xA0, _PBKDF2, derived),
        element(0x30, _PWRI_KEK, element(0x30, _AES256_CBC, element(0x04, iv))),
        element(0x04, wrapped),
    )
    cipher = element(
        0x30,
        _AES256_GCM,
        element(0x30, element(0x04, nonce), element(0x02, bytes([_TAG]))),
    )
    content = b"\x30\x80" + _AUTH_ENVELOPED + b"\xa0\x80"
    enveloped = b"\x30\x80\x02\x01\x00" + element(0x31, recipient)
    return content + enveloped + b"\x30\x80" + _DATA + cipher + b"\xa0\x80"


# Where the values stand, found once with values that stand nowhere else.
_MARKS = (b"S" * 16, b"I" * _BLOCK, b"W" * _WRAPPED, b"N" * 12)
_TEMPLATE = _head(_MARKS[0], ITERATIONS, *_MARKS[1:])
_PLACES = tuple(slice(_TEMPLATE.index(m), _TEMPLATE.index(m) + len(m)) for m in _MARKS)
_COUNT = slice(_PLACES[0].stop + 2, _PLACES[0].stop + 5)


class Sealing:
    """Plaintext goes in; what comes out is `head`, what `update` returns, and `finish`."""

    def __init__(self, passphrase: str) -> None:
        salt, iv, nonce = (secrets.token_bytes(size) for size in (16, _BLOCK, 12))
        key = secrets.token_bytes(_KEY)
        wrapped = _wrap(key, _derived(passphrase, salt, ITERATIONS), iv)
        self.head = _head(salt, ITERATIONS, iv, wrapped, nonce)
        self._cipher = Cipher(algorithms.AES(key), modes.GCM(nonce)).encryptor()
        self._waiting = bytearray()

    def update(self, data: bytes) -> bytes:
        """Return what can be written by now."""
        self._waiting += data
        out = bytearray()
        while len(self._waiting) >= _PIECE:
            out += self._piece(bytes(self._waiting[:_PIECE]))
            del self._waiting[:_PIECE]
        return bytes(out)

    def finish(self) -> bytes:
        """Return the end, with the tag by which any change of the whole is seen."""
        rest = self._piece(bytes(self._waiting)) if self._waiting else b""
        self._cipher.finalize()
        return rest + _ENDS * 2 + element(0x04, self._cipher.tag) + _ENDS * 3

    def _piece(self, data: bytes) -> bytes:
        return element(0x04, self._cipher.update(data))


def opened(read: Callable[[int], bytes], passphrase: str) -> Iterator[bytes]:
    """Yield the plaintext of what `read(size)` returns; good only once it has come to its end.

    Raises Locked for the passphrase, Malformed for what is no such stream, cut off or changed.
    """
    head = _exactly(read, len(_TEMPLATE), "this is not a backup of cipsec")
    salt, iv, wrapped, nonce = (head[place] for place in _PLACES)
    iterations = int.from_bytes(head[_COUNT], "big")
    # Compared whole: no byte that is not secret is left for anybody to change.
    if head[:2] != _TEMPLATE[:2] or head != _head(salt, iterations, iv, wrapped, nonce):
        raise Malformed("this is not a backup of cipsec")
    if not _FEWEST <= iterations <= _MOST:
        raise Malformed(f"the passphrase would have to be hashed {iterations} times")
    key = _unwrap(wrapped, _derived(passphrase, salt, iterations), iv)
    cipher = Cipher(algorithms.AES(key), modes.GCM(nonce)).decryptor()
    while (size := _next(read)) is not None:
        yield cipher.update(_exactly(read, size))
    tag = _end(read)
    try:
        cipher.finalize_with_tag(tag)
    except InvalidTag:
        raise Malformed("it was changed, or is damaged") from None


def _next(read: Callable[[int], bytes]) -> int | None:
    """Return the size of the next piece, None behind the last."""
    tag, size = _exactly(read, 2)
    if (tag, size) == (0, 0):
        return None
    if tag == 0x04 and size > 0x80 and size <= 0x83:
        size = int.from_bytes(_exactly(read, size - 0x80), "big")
    elif tag != 0x04 or size >= 0x80:
        raise Malformed("it is damaged: a piece of it has no head")
    if not 0 < size <= _PIECE:
        raise Malformed("it is damaged: a piece of it is too large")
    return size


def _end(read: Callable[[int], bytes]) -> bytes:
    """Return the tag; raise Malformed for anything else in the place of the end, or behind it."""
    end = _exactly(read, 2 + 2 + _TAG + 6)
    tag = end[4:-6]
    if end != _ENDS + element(0x04, tag) + _ENDS * 3 or read(1):
        raise Malformed("it is damaged: its end is not where it has to be")
    return tag


def _exactly(read: Callable[[int], bytes], size: int, otherwise: str = "it is cut off") -> bytes:
    data = bytearray()
    while len(data) < size:
        part = read(size - len(data))
        if not part:
            raise Malformed(otherwise)
        data += part
    return bytes(data)


def _derived(passphrase: str, salt: bytes, iterations: int) -> bytes:
    return hashlib.pbkdf2_hmac("sha256", passphrase.encode(), salt, iterations, _KEY)


def _wrap(key: bytes, kek: bytes, iv: bytes) -> bytes:
    """RFC 3211 section 2.3.1: encrypted twice in CBC, so that each bit depends on all."""
    block = bytes([len(key)]) + bytes(b ^ 0xFF for b in key[:3]) + key
    block += secrets.token_bytes(_WRAPPED - len(block))
    once = _cbc(kek, iv, block)
    return _cbc(kek, once[-_BLOCK:], once)


def _unwrap(wrapped: bytes, kek: bytes, iv: bytes) -> bytes:
    """RFC 3211 section 2.3.2; raise Locked where the check bytes tell that the key is another."""
    last = _cbc(kek, wrapped[-2 * _BLOCK : -_BLOCK], wrapped[-_BLOCK:], decrypt=True)
    once = _cbc(kek, last, wrapped[:-_BLOCK], decrypt=True) + last
    block = _cbc(kek, iv, once, decrypt=True)
    key = block[4 : 4 + _KEY]
    if block[0] != _KEY or bytes(b ^ 0xFF for b in block[1:4]) != key[:3]:
        raise Locked("the passphrase does not open the backup, or its head is damaged")
    return key


def _cbc(key: bytes, iv: bytes, data: bytes, *, decrypt: bool = False) -> bytes:
    cipher = Cipher(algorithms.AES(key), modes.CBC(iv))
    worker = cipher.decryptor() if decrypt else cipher.encryptor()
    return worker.update(data) + worker.finalize()
