"""TLS client authentication with a key outside this process, on a card; PIV is the card's matter.

The standard library's `ssl` stays what does the TLS, and httpx what sends: a context gets the
certificate, and a callback in place of its key (`tls.foreign`).
"""

from __future__ import annotations

import ssl
import threading
from collections.abc import Sequence
from typing import Protocol

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.asymmetric.utils import Prehashed
from cryptography.hazmat.primitives.serialization import Encoding

from cipsec.errors import LocalState, Malformed
from cipsec.pki import keys
from cipsec.pki.faults import UNREADABLE, why
from cipsec.tls import foreign, libssl

_HOOKS = "_cipsec_hooks"  # of a context: its hooks
# By the length of what is signed, which is that of the curve's field.
_PREHASHED = {
    kind.digest_size: ec.ECDSA(Prehashed(kind())) for kind in (hashes.SHA256, hashes.SHA384)
}


class Signer(Protocol):
    """What a card's key is to TLS; called in the thread of the handshake, perhaps in several.

    Whatever it raises ends the handshake and is had from `Hook.cause`.
    """

    def public_key(self) -> keys.PublicKey:
        """Return the public key, without asking the card each time."""

    def sign_digest(self, digest: bytes) -> bytes:
        """Return the DER ECDSA-Sig-Value of a digest exactly as long as the curve's field."""

    def sign_block(self, block: bytes) -> bytes:
        """Return the raw RSA private operation on a padded block; both as long as the modulus."""


class Hook:
    """What ties a signer to a context: checks what it signs, and keeps what it raised.

    The context owns it, and OpenSSL holds no reference to anything of Python's: when the last
    reference to the context goes (its sockets hold it too), so do the hook and the signer.
    """

    def __init__(self, signer: Signer) -> None:
        self._signer = signer
        self._public = keys.served(signer.public_key())
        self._last = threading.local()

    @property
    def public_key(self) -> keys.PublicKey:
        """The key of the signer."""
        return self._public

    def cause(self) -> BaseException | None:
        """Return, once, what the signer raised when this thread last needed a signature.

        To be asked in the thread of the handshake, when that fails with an ssl.SSLError, which
        says no more than that there is no signature. None: the signer did its part.
        """
        error: BaseException | None = getattr(self._last, "error", None)
        self._last.error = None
        return error or foreign.keys_of_python().interrupt()

    def operate(self, data: bytes) -> bytes | None:
        """Sign for OpenSSL; None when the signer fails."""
        self._last.error = None
        try:
            return self._signed(data)
        except BaseException as error:  # noqa: BLE001  # C cannot take it; `cause` hands it on
            self._last.error = error
            return None

    def _signed(self, data: bytes) -> bytes:
        """Return a signature that verifies: nothing else may be copied to where OpenSSL waits.

        It also tells the wrong card from a server that refuses the right one.
        """
        match self._public:
            case ec.EllipticCurvePublicKey() as key:
                return _by_curve(key, self._signer, data)
            case key:
                return _by_modulus(key, self._signer, data)


def _by_curve(key: ec.EllipticCurvePublicKey, signer: Signer, digest: bytes) -> bytes:
    # A server may want SHA-512 from P-256. ECDSA signs the leftmost bits, and a shorter digest as
    # if zeros led it (FIPS 186-5 section 6.4.1); cards refuse one longer than the field.
    size = (key.key_size + 7) // 8
    digest = digest[:size].rjust(size, b"\0")
    signature = bytes(signer.sign_digest(digest))
    try:
        key.verify(signature, digest, _PREHASHED[size])  # of DER alone, so its length is bounded
    except InvalidSignature:
        raise _wrong() from None
    return signature


def _by_modulus(key: rsa.RSAPublicKey, signer: Signer, block: bytes) -> bytes:
    signature = bytes(signer.sign_block(block))
    numbers = key.public_numbers()
    opened = pow(int.from_bytes(signature, "big"), numbers.e, numbers.n)
    if len(signature) != len(block) or opened != int.from_bytes(block, "big"):
        raise _wrong()
    return signature


def _wrong() -> LocalState:
    return LocalState("what was signed is not signed with the key of the certificate")


def use(
    context: ssl.SSLContext,
    certificate: x509.Certificate,
    signer: Signer,
    chain: Sequence[x509.Certificate] = (),
) -> Hook:
    """Let `context` present `certificate`, issued by way of `chain`, with `signer` as its key.

    To be done before its first connection. The context keeps the hook. Raises LocalState for a
    certificate of another key, or where this Python does not allow it (`usable`), Malformed and
    WeakKey for the key.
    """
    hook = Hook(signer)
    if _public(certificate) != keys.spki(hook.public_key):
        raise LocalState("the certificate is not that of the key which is to sign")
    pointer = libssl.load().pointer(context)
    ders = [each.public_bytes(Encoding.DER) for each in (certificate, *chain)]
    foreign.keys_of_python().present(pointer, ders, hook.public_key, hook)
    vars(context).setdefault(_HOOKS, []).append(hook)
    return hook


def _public(certificate: x509.Certificate) -> bytes:
    try:
        return keys.spki(certificate.public_key())
    except UNREADABLE as error:
        raise Malformed(f"the certificate's key cannot be read: {why(error)}") from None


def usable() -> None:
    """Raise LocalState, with what to install, where this Python cannot use a key elsewhere."""
    libssl.load().pointer(ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT))
