"""The server's end of TLS on memory BIOs: takes every client certificate; judging is `pki.chain`'s.

pyOpenSSL, because the standard library's `ssl` ends the handshake on a client certificate that it
does not trust: a device with a self-signed default certificate would never reach an administrator.
"""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from enum import Enum, StrEnum, auto
from typing import Any

from cryptography import x509
from cryptography.hazmat.bindings.openssl.binding import Binding
from OpenSSL import SSL, crypto

from cipsec.errors import LocalState, Unreachable
from cipsec.pki.keys import PrivateKey

_HTTP = b"http/1.1"
_TLS12 = "TLSv1.2"
# More than one TLS record of 16 KiB: a read that returns less has returned all there was.
_TAKE = 32 * 1024
_READ = 16 * 1024

_HANDSHAKE = 22  # the type of the record
_RECORD_HEAD = 5
_RECORD_MAX = 16 * 1024

# Cheap ones first: SHA-384 and AES-256 cost either end time, and add nothing to P-256 and X25519.
_SUITES = "ECDHE+AES128+AESGCM:ECDHE+AESGCM:ECDHE+CHACHA20:!aPSK"
_TLS13_SUITES = b"TLS_AES_128_GCM_SHA256:TLS_AES_256_GCM_SHA384:TLS_CHACHA20_POLY1305_SHA256"
# What the first editions of CIP Security demanded: 0xC023 and 0xC024.
_LEGACY_SUITES = "ECDHE-ECDSA-AES128-SHA256:ECDHE-ECDSA-AES256-SHA384"
# The last for TLS 1.2, where a client certificate has to be on one of these (RFC 8422 5.1.1).
_GROUPS = b"X25519:P-256:P-384:P-521"

# RFC 9266 section 2
_EXPORTER_LABEL = b"EXPORTER-Channel-Binding"
_EXPORTER_LENGTH = 32

# How far OpenSSL climbs from a client's certificate; -1 would stand for its default of 100. The
# callback below takes what is wrong with a path, and so every step of it would be worked through:
# at 0 the issuer's signature and name constraints still are, and those of a chain of 100 KB made
# for it keep the event loop for seconds.
_NO_PATH = -2


class TlsProfile(StrEnum):
    """Which cipher suites TLS 1.2 may use: AEAD alone, or CBC too for old firmware."""

    DEFAULT = "default"
    LEGACY = "legacy"


def server_context(
    chain: Sequence[x509.Certificate],
    key: PrivateKey,
    *,
    profile: TlsProfile = TlsProfile.DEFAULT,
) -> SSL.Context:
    """Return a context that presents `chain`, leaf first, and asks for a client certificate.

    TLS 1.2 and 1.3, forward secrecy always, no resumption and no renegotiation: a resumed
    connection shows no chain, and its tls-unique cannot be told from a new one's. No anchors are
    loaded and no path is climbed, so that OpenSSL spends nothing on verifying. Raises LocalState
    when the key is not the certificate's.
    """
    context = SSL.Context(SSL.TLS_SERVER_METHOD)
    context.set_min_proto_version(SSL.TLS1_2_VERSION)
    context.set_options(SSL.OP_NO_TICKET | SSL.OP_NO_RENEGOTIATION | SSL.OP_NO_COMPRESSION)
    context.set_options(SSL.OP_CIPHER_SERVER_PREFERENCE)
    context.set_session_cache_mode(SSL.SESS_CACHE_OFF)
    context.set_mode(SSL.MODE_RELEASE_BUFFERS)  # an idle connection keeps no read buffer
    suites = f"{_SUITES}:{_LEGACY_SUITES}" if profile is TlsProfile.LEGACY else _SUITES
    context.set_cipher_list(suites.encode())
    context.set_tls13_ciphersuites(_TLS13_SUITES)
    _choose_groups(context)
    context.set_verify(SSL.VERIFY_PEER, _take_any)
    context.set_verify_depth(_NO_PATH)
    context.set_alpn_select_callback(_choose_protocol)
    _present(context, chain, key)
    return context


def _present(context: SSL.Context, chain: Sequence[x509.Certificate], key: PrivateKey) -> None:
    leaf, *issuers = chain
    try:
        context.use_certificate(leaf)
        context.use_privatekey(key)
        context.check_privatekey()
        for issuer in issuers:
            context.add_extra_chain_cert(issuer)
    except SSL.Error as error:
        raise LocalState(f"the server's certificate cannot be used: {_reason(error)}") from None


def _choose_groups(context: SSL.Context) -> None:
    """Restrict the key exchange to groups that cost the server little.

    pyOpenSSL has no setter for a list. Where its insides change, OpenSSL's own choice stands:
    slower groups a client may ask for, and nothing less safe.
    """
    setter = getattr(Binding.lib, "SSL_CTX_set1_curves_list", None)
    inner = getattr(context, "_context", None)
    if setter and inner:
        setter(inner, _GROUPS)


def _take_any(
    _connection: SSL.Connection, _certificate: crypto.X509, _error: int, _depth: int, _ok: int
) -> bool:
    return True


def _choose_protocol(_connection: SSL.Connection, offered: list[bytes]) -> Any:
    # A client that offers others only is served too: it may not mind, and EST has no other.
    return _HTTP if _HTTP in offered else SSL.NO_OVERLAPPING_PROTOCOLS


class Opening(Enum):
    """What a connection begins with."""

    PART = auto()  # of a TLS message
    WHOLE = auto()  # a first TLS message
    PLAIN = auto()  # letters, as HTTP without TLS has them
    NONSENSE = auto()


def opening(data: bytes) -> Opening:
    """Tell what the first bytes of a connection are, by their record's head (RFC 8446 5.1).

    A client says nothing further before it is answered: more than a record is nonsense, which
    thousands who wait for their turn would have the server remember.
    """
    if data[:1].isalpha():
        return Opening.PLAIN
    length = int.from_bytes(data[3:_RECORD_HEAD], "big")
    if data[0] != _HANDSHAKE or length > _RECORD_MAX or len(data) > _RECORD_HEAD + _RECORD_MAX:
        return Opening.NONSENSE
    whole = len(data) >= _RECORD_HEAD + length and len(data) > _RECORD_HEAD
    return Opening.WHOLE if whole else Opening.PART


class ServerTls:
    """One connection's TLS: ciphertext goes in by `feed` and comes out by `take`.

    The methods that work on it raise Unreachable when the client breaks the protocol; what `take`
    then returns is the alert to send.
    """

    __slots__ = ("_connection", "version")

    def __init__(self, context: SSL.Context) -> None:
        self._connection = SSL.Connection(context, None)
        self._connection.set_accept_state()
        self.version = ""

    def feed(self, ciphertext: bytes | memoryview) -> None:
        """Take what came from the network."""
        self._connection.bio_write(ciphertext)

    def shake(self) -> bool:
        """Go on with the handshake; tell whether it is complete."""
        try:
            self._connection.do_handshake()
        except SSL.WantReadError:
            return False
        except SSL.Error as error:
            raise Unreachable(_reason(error)) from None
        self.version = self._connection.get_protocol_version_name()
        return True

    @property
    def is_tls12(self) -> bool:
        """Tell whether the handshake ended in TLS 1.2, where the server has the last word."""
        return self.version == _TLS12

    def read(self) -> bytes | None:
        """Return what the client sent, empty at its end, None when there is no more yet."""
        try:
            return self._connection.recv(_READ)
        except SSL.WantReadError:
            return None
        except SSL.ZeroReturnError:
            return b""
        except SSL.Error as error:
            raise Unreachable(_reason(error)) from None

    def write(self, plaintext: bytes | memoryview) -> None:
        """Encrypt what goes to the client."""
        try:
            self._connection.sendall(plaintext)
        except SSL.Error as error:
            raise Unreachable(_reason(error)) from None

    def close(self) -> None:
        """Say goodbye (close_notify), so that what was sent before is known to be all."""
        with contextlib.suppress(SSL.Error):  # before the end of the handshake there is none
            self._connection.shutdown()

    def take(self) -> bytes:
        """Return what is to go to the network; empty when nothing is."""
        parts: list[bytes] = []
        try:
            while len(part := self._connection.bio_read(_TAKE)) == _TAKE:
                parts.append(part)
        except SSL.WantReadError:
            return b"".join(parts)
        return b"".join([*parts, part]) if parts else part

    def chain(self) -> tuple[bytes, ...]:
        """Return what the client presented, in DER, leaf first; nothing of it is verified."""
        leaf = self._connection.get_peer_certificate()
        if leaf is None:
            return ()
        # On a server OpenSSL leaves the leaf out of the chain.
        return tuple(map(_der, [leaf, *(self._connection.get_peer_cert_chain() or ())]))

    def bindings(self) -> tuple[bytes, ...]:
        """Return the channel bindings: tls-unique under TLS 1.2 (RFC 5929), and tls-exporter.

        RFC 9266 wants the extended master secret for tls-exporter under TLS 1.2, against an attack
        by way of resumption; there is none here.
        """
        exporter = self._connection.export_keying_material(_EXPORTER_LABEL, _EXPORTER_LENGTH, b"")
        # The first Finished of a full handshake is the client's.
        unique = self._connection.get_peer_finished() if self.is_tls12 else None
        return (unique, exporter) if unique else (exporter,)


def _der(certificate: crypto.X509) -> bytes:
    return crypto.dump_certificate(crypto.FILETYPE_ASN1, certificate)


def _reason(error: SSL.Error) -> str:
    match error.args:
        case ([(_, _, str(reason)), *_],):
            return reason
        case (_, str(reason)):
            return reason.lower()
        case _:
            return "no reason given"
