"""OpenSSL keys whose private operation is Python's; what it does is `tls.signer`'s matter.

`ssl` takes private keys from files alone. This gives a context a certificate whose private key
OpenSSL does not have: it goes on to verify the server, to choose the algorithm, to hash and to
pad, and calls back for the rest (RSA_METHOD and EC_KEY_METHOD).
"""

from __future__ import annotations

import functools
import threading
import weakref
from collections.abc import Sequence
from types import TracebackType
from typing import Any, Protocol

from cryptography.hazmat.primitives.asymmetric import rsa

from cipsec.pki import keys
from cipsec.tls import libssl

# What OpenSSL's headers write as macros.
_EVP_PKEY_RSA = 6
_EVP_PKEY_EC = 408
_RSA_PKCS1_PADDING = 1
_RSA_NO_PADDING = 3
_SSL_CTRL_CHAIN_CERT = 89

_NO_SIGNATURE = -1  # and not 0, of which RSA-PSS makes a signature of no bytes
_making = threading.Lock()  # or two threads that ask first make two


class Operation(Protocol):
    """The private operation of a key; `operate` does not raise, for it is called from C."""

    def operate(self, data: bytes) -> bytes | None:
        """Return the signature of an EC digest or of a padded RSA block; None for failure.

        Of RSA as long as the modulus, of EC at most as long as the curve's longest.
        """


def keys_of_python() -> ForeignKeys:
    """Return the one binding of the process; raise LocalState where this Python has none."""
    with _making:
        return _made()


@functools.cache
def _made() -> ForeignKeys:
    return ForeignKeys(libssl.load())


class ForeignKeys:
    """The two key methods whose private operation is Python's.

    There is one of each for the process, never freed: a key of OpenSSL's points to its method
    until it is freed itself, which is after everything of Python's has gone. A callback finds its
    operation by the address of the key. The operation is held by its context alone; where it is
    gone there is no signature.
    """

    def __init__(self, library: libssl.LibSsl) -> None:
        self._library = library
        self._operations: weakref.WeakValueDictionary[int, Operation] = (
            weakref.WeakValueDictionary()
        )
        self._thread = threading.local()
        c, made = library.c, library.made
        self._callbacks = (
            self._callback("ec_sign", self._sign_ec),
            self._callback("rsa_sign", self._sign_rsa),
        )
        for_ec, for_rsa = self._callbacks
        self._ec_method = made(c.EC_KEY_METHOD_new(c.EC_KEY_OpenSSL()))
        c.EC_KEY_METHOD_set_sign(self._ec_method, for_ec, library.ffi.NULL, library.ffi.NULL)
        self._rsa_method = made(c.RSA_meth_dup(c.RSA_get_default_method()))
        made(c.RSA_meth_set_priv_enc(self._rsa_method, for_rsa))

    def _callback(self, kind: str, function: Any) -> Any:
        return self._library.ffi.callback(
            kind, function, error=_NO_SIGNATURE, onerror=self._interrupted
        )

    def _interrupted(
        self, _kind: type[BaseException], error: BaseException, _trace: TracebackType
    ) -> None:
        self._thread.interrupt = error

    def interrupt(self) -> BaseException | None:
        """Return, once, what struck a callback in this thread outside `operate`: Ctrl-C."""
        error: BaseException | None = getattr(self._thread, "interrupt", None)
        self._thread.interrupt = None
        return error

    def present(
        self, pointer: Any, chain: Sequence[bytes], key: keys.PublicKey, operation: Operation
    ) -> None:
        """Let an SSL_CTX present `chain`, in DER and leaf first, with `operation` as its key.

        The caller keeps `operation` as long as the context. Raises LocalState with OpenSSL's
        reason; the context is then of no use.
        """
        c, made = self._library.c, self._library.made
        leaf, *issuers = chain
        made(c.SSL_CTX_use_certificate_ASN1(pointer, len(leaf), leaf))
        for issuer in issuers:
            self._add(pointer, issuer)
        private = self._private_key(key, operation)
        try:
            made(c.SSL_CTX_use_PrivateKey(pointer, private))  # and holds it from now on
        finally:
            c.EVP_PKEY_free(private)
        made(c.SSL_CTX_check_private_key(pointer))

    def _add(self, pointer: Any, issuer: bytes) -> None:
        c = self._library.c
        certificate = self._read(c.d2i_X509, issuer)
        try:
            self._library.made(c.SSL_CTX_ctrl(pointer, _SSL_CTRL_CHAIN_CERT, 1, certificate))
        finally:
            c.X509_free(certificate)

    def _private_key(self, public: keys.PublicKey, operation: Operation) -> Any:
        """Return an EVP_PKEY; the method comes first, for by it OpenSSL 3 knows a foreign key."""
        c, made = self._library.c, self._library.made
        if isinstance(public, rsa.RSAPublicKey):
            kind, parse, free = _EVP_PKEY_RSA, c.d2i_RSA_PUBKEY, c.RSA_free
            assign, method = c.RSA_set_method, self._rsa_method
        else:
            kind, parse, free = _EVP_PKEY_EC, c.d2i_EC_PUBKEY, c.EC_KEY_free
            assign, method = c.EC_KEY_set_method, self._ec_method
        key, private = self._read(parse, keys.spki(public)), c.EVP_PKEY_new()
        try:
            made(assign(key, method))
            made(c.EVP_PKEY_assign(private, kind, key))  # and owns it from now on
        except BaseException:
            c.EVP_PKEY_free(private)
            free(key)
            raise
        self._operations[self._address(key)] = operation
        return private

    def _address(self, key: Any) -> int:
        return int(self._library.ffi.cast("uintptr_t", key))

    def _read(self, parse: Any, der: bytes) -> Any:
        ffi = self._library.ffi
        buffer = ffi.from_buffer("unsigned char[]", der)
        at = ffi.new("const unsigned char **", buffer)
        return self._library.made(parse(ffi.NULL, at, len(der)))

    def _sign_ec(
        self,
        _kind: int,
        digest: Any,
        length: int,
        out: Any,
        out_length: Any,
        _inverse: Any,
        _r: Any,
        key: Any,
    ) -> int:
        """Sign a digest (EC_KEY_METHOD_set_sign); the last two but one are never given by TLS."""
        signature = self._operate(key, self._library.ffi.buffer(digest, length)[:])
        if signature is None:
            return _NO_SIGNATURE
        self._library.ffi.memmove(out, signature, len(signature))
        out_length[0] = len(signature)
        return 1

    def _sign_rsa(self, length: int, data: Any, out: Any, key: Any, padding: int) -> int:
        """Return the signature's length. PSS comes padded; PKCS#1 v1.5 leaves it to the method."""
        size = self._library.c.RSA_size(key)
        block = self._library.ffi.buffer(data, length)[:]
        if padding == _RSA_PKCS1_PADDING:
            block = _type_1(block, size)
        elif padding != _RSA_NO_PADDING:
            return _NO_SIGNATURE
        signature = self._operate(key, block)
        if signature is None:
            return _NO_SIGNATURE
        self._library.ffi.memmove(out, signature, size)
        return int(size)

    def _operate(self, key: Any, data: bytes) -> bytes | None:
        operation = self._operations.get(self._address(key))
        return operation.operate(data) if operation else None


def _type_1(data: bytes, size: int) -> bytes:
    """Pad a DigestInfo to a block of `size` bytes (RFC 8017 section 9.2)."""
    return b"\x00\x01" + b"\xff" * (size - len(data) - 3) + b"\x00" + data
