"""The OpenSSL under the standard library's `ssl`, found and bound; using it is `tls.foreign`'s."""

from __future__ import annotations

import _ssl
import functools
import ssl
import sys
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

# Not ctypes, whose callbacks return what happens to be in memory when Ctrl-C arrives at their
# first instruction: OpenSSL would take that for a signature's length, and send what lies there.
# cryptography requires it.
import cffi  # type: ignore[import-untyped]  # it has no types

from cipsec.errors import LocalState

_DECLARATIONS = """
const char *OpenSSL_version(int);
void ERR_clear_error(void);
unsigned long ERR_get_error(void);
const char *ERR_reason_error_string(unsigned long);

typedef struct x509_st X509;
X509 *d2i_X509(X509 **, const unsigned char **, long);
void X509_free(X509 *);

typedef struct rsa_st RSA;
typedef struct rsa_meth_st RSA_METHOD;
typedef int rsa_sign(int, const unsigned char *, unsigned char *, RSA *, int);
RSA *d2i_RSA_PUBKEY(RSA **, const unsigned char **, long);
void RSA_free(RSA *);
int RSA_size(const RSA *);
int RSA_set_method(RSA *, const RSA_METHOD *);
const RSA_METHOD *RSA_get_default_method(void);
RSA_METHOD *RSA_meth_dup(const RSA_METHOD *);
int RSA_meth_set_priv_enc(RSA_METHOD *, rsa_sign *);

typedef struct ec_key_st EC_KEY;
typedef struct ec_key_method_st EC_KEY_METHOD;
typedef int ec_sign(int, const unsigned char *, int, unsigned char *, unsigned int *,
                    const void *, const void *, EC_KEY *);
EC_KEY *d2i_EC_PUBKEY(EC_KEY **, const unsigned char **, long);
void EC_KEY_free(EC_KEY *);
int EC_KEY_set_method(EC_KEY *, const EC_KEY_METHOD *);
const EC_KEY_METHOD *EC_KEY_OpenSSL(void);
EC_KEY_METHOD *EC_KEY_METHOD_new(const EC_KEY_METHOD *);
void EC_KEY_METHOD_set_sign(EC_KEY_METHOD *, ec_sign *, void *, void *);

typedef struct evp_pkey_st EVP_PKEY;
EVP_PKEY *EVP_PKEY_new(void);
int EVP_PKEY_assign(EVP_PKEY *, int, void *);
void EVP_PKEY_free(EVP_PKEY *);

typedef struct ssl_ctx_st SSL_CTX;
uint64_t SSL_CTX_get_options(const SSL_CTX *);
int SSL_CTX_use_certificate_ASN1(SSL_CTX *, int, const unsigned char *);
int SSL_CTX_use_PrivateKey(SSL_CTX *, EVP_PKEY *);
int SSL_CTX_check_private_key(const SSL_CTX *);
long SSL_CTX_ctrl(SSL_CTX *, int, long, void *);
"""
_LOW = 0xFFFFFFFF  # OpenSSL 1.1's options have 32 bits, and what is above them is not defined
# What is cached is made twice when two threads ask first; and cffi lets no pointer of one binding
# be used with another.
_making = threading.Lock()


def load() -> LibSsl:
    """Return the binding, one for the process; raise LocalState where this Python has none."""
    with _making:
        return _loaded()


@functools.cache
def _loaded() -> LibSsl:
    if sys.implementation.name != "cpython":
        raise _unusable(f"{sys.implementation.name} does not show its TLS contexts")
    if not ssl.OPENSSL_VERSION.startswith("OpenSSL "):
        raise _unusable(f"the TLS of this Python is {ssl.OPENSSL_VERSION}, not OpenSSL's")
    ffi = cffi.FFI()
    ffi.cdef(_DECLARATIONS)
    library = LibSsl(ffi, _bound(_libraries(ffi)))
    if library.text(library.c.OpenSSL_version(0)) != ssl.OPENSSL_VERSION:
        raise _unusable("this Python hides its OpenSSL (another one is found)")
    return library


def _libraries(ffi: Any) -> Sequence[Any]:
    """Return where to look: in the very OpenSSL of this interpreter, never in another one."""
    if sys.platform == "win32":
        return _loaded_on_windows(ffi)
    # dlsym looks into what _ssl itself is linked with. Without a file it is part of the program.
    return [ffi.dlopen(getattr(_ssl, "__file__", None))]


def _loaded_on_windows(ffi: Any) -> Sequence[Any]:
    """Return libssl and libcrypto if they are loaded; GetProcAddress looks into one DLL alone."""
    windows = cffi.FFI()
    windows.cdef("void *GetModuleHandleW(const wchar_t *);")
    kernel = windows.dlopen("kernel32.dll")
    names = [
        f"lib{library}-{ssl.OPENSSL_VERSION_INFO[0]}{machine}.dll"
        for library in ("ssl", "crypto")
        for machine in ("", "-x64", "-arm64")  # python.org's names have no -x64, conda's have
    ]
    return [ffi.dlopen(name) for name in names if kernel.GetModuleHandleW(name)]


def _bound(libraries: Sequence[Any]) -> SimpleNamespace:
    """Return all declared functions, each from the first library that has it."""
    functions = SimpleNamespace()
    for name in dir(libraries[0]) if libraries else ["OpenSSL_version"]:
        found = next((library for library in libraries if hasattr(library, name)), None)
        if found is None:
            raise _unusable(f"this Python hides its OpenSSL (no {name})")
        setattr(functions, name, getattr(found, name))
    return functions


def _unusable(why: str) -> LocalState:
    # Those that uv downloads for Linux have OpenSSL built in, and show nothing of it.
    hints = {
        "win32": "install cipsec[smartcard] with the Python of python.org",
        "darwin": "pipx install --python $(brew --prefix)/bin/python3 'cipsec[smartcard]'",
    }
    otherwise = "uv tool install --python /usr/bin/python3 'cipsec[smartcard]'"
    return LocalState(
        f"{why}: TLS cannot use a key that is on a card",
        hint=hints.get(sys.platform, otherwise),
    )


@dataclass(frozen=True, slots=True)
class LibSsl:
    """OpenSSL's functions as attributes of `c`, called by way of `ffi`."""

    ffi: Any
    c: SimpleNamespace

    def text(self, words: Any) -> str:
        """Return a C string."""
        return str(self.ffi.string(words).decode("ascii", "replace"))

    def made(self, result: Any) -> Any:
        """Return what OpenSSL made, or raise LocalState with its reason: null and 0 are failures.

        The reason is taken away, else `ssl` would find it after its next call.
        """
        if result:
            return result
        reason = self.c.ERR_reason_error_string(self.c.ERR_get_error())
        self.c.ERR_clear_error()
        words = self.text(reason) if reason else "no reason given"
        raise LocalState(f"OpenSSL does not take the certificate and its key: {words}")

    def pointer(self, context: ssl.SSLContext) -> Any:
        """Return the SSL_CTX of a context, proved to be it; raise LocalState.

        It is the first field after the object's header. The proof: an option set through Python
        is seen through the pointer.
        """
        found = self.ffi.cast("SSL_CTX **", id(context) + object.__basicsize__)[0]
        before = context.options
        try:
            agreed = self._agrees(context, found)
            context.options = before ^ ssl.OP_CIPHER_SERVER_PREFERENCE  # nothing to a client
            agreed = agreed and self._agrees(context, found)
        finally:
            context.options = before
        if not agreed:
            raise _unusable("this Python keeps its TLS contexts in a way that is not known")
        return found

    def _agrees(self, context: ssl.SSLContext, pointer: Any) -> bool:
        if not pointer:
            return False
        return bool(self.c.SSL_CTX_get_options(pointer) & _LOW == int(context.options) & _LOW)
