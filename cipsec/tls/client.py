"""TLS contexts of a client: whom it trusts, by which name, how long it waits; sending is httpx's.

The system's roots play no part: trust is what the caller gives.
"""

from __future__ import annotations

import ipaddress
import math
import ssl
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import ObjectIdentifier

from cipsec import files, shell, times
from cipsec.errors import (
    BadAnswer,
    CipsecError,
    CredentialsRefused,
    LocalState,
    Locked,
    Malformed,
    Untrusted,
)
from cipsec.pki import keys
from cipsec.pki.faults import UNREADABLE, why
from cipsec.pki.names import folded, is_under_wildcard, sans_of, show_san
from cipsec.times import show_time

if TYPE_CHECKING:
    from cipsec.tls.signer import Hook, Signer

CMC_RA = ObjectIdentifier("1.3.6.1.5.5.7.3.28")  # id-kp-cmcRA, RFC 6402 section 2.10

# Alerts with which a server refuses the client's certificate, or its absence (RFC 8446 6.2).
_CERTIFICATE_ALERTS = ("CERTIFICATE", "UNKNOWN_CA", "ACCESS_DENIED", "DECRYPT_ERROR")
_CLOCK_ERRORS = frozenset({9, 10})  # X509_V_ERR_CERT_NOT_YET_VALID, X509_V_ERR_CERT_HAS_EXPIRED


@dataclass(frozen=True, slots=True)
class Credential:
    """A client certificate, its chain included or not, and its key: files in PEM."""

    certificate: Path
    key: Path


@dataclass(frozen=True, slots=True)
class SignerCredential:
    """A client certificate whose key is elsewhere, on a card; `chain` leads from it to its CA."""

    certificate: x509.Certificate
    signer: Signer
    chain: tuple[x509.Certificate, ...] = ()


class _Socket(ssl.SSLSocket):
    """A TLS socket that authorizes the server before a byte is sent, and keeps a deadline.

    Both must sit below httpx: it sends as soon as the handshake returns, and its timeouts start
    anew with every byte, so that a server which drips would never be left.
    """

    def do_handshake(self, block: bool = False) -> None:
        super().do_handshake(block)
        context = self.context
        if isinstance(context, ClientContext) and context.verify_mode == ssl.CERT_REQUIRED:
            try:
                _authorize(self, context)
            except Untrusted:
                self.close()
                raise

    def settimeout(self, value: float | None, /) -> None:
        left = getattr(self.context, "deadline", math.inf) - time.monotonic()
        if left <= 0:
            raise TimeoutError("timed out")
        super().settimeout(left if value is None and left < math.inf else _least(value, left))


def _least(value: float | None, left: float) -> float | None:
    return None if value is None else min(value, left)


class ClientContext(ssl.SSLContext):
    """An SSLContext whose sockets authorize the server by RFC 7030 section 3.6.1.

    `deadline` is a time of `time.monotonic()` after which reading and writing fail; it may be set
    anew for every exchange. `by_name` tells whether the name in the URL came from a person: then
    a certificate with that name will do; otherwise only id-kp-cmcRA makes it an EST server.
    `hook` is there when the key is elsewhere, and knows why a handshake got no signature.
    """

    sslsocket_class = _Socket
    deadline: float = math.inf
    by_name: bool = True
    hook: Hook | None = None


def client_context(
    anchors: Sequence[x509.Certificate],
    *,
    by_name: bool,
    credential: Credential | SignerCredential | None = None,
    tls12: bool = False,
) -> ClientContext:
    """Return a context that trusts `anchors` alone, TLS 1.2 or later; `tls12` stops at 1.2.

    Raises Untrusted without anchors that OpenSSL can read, LocalState for the credential's files,
    Locked for an encrypted key, and for a signer what `signer.use` raises.
    """
    if not anchors:
        raise Untrusted("there is no CA certificate to trust")
    context = _context(tls12=tls12)
    context.by_name = by_name
    _trust(context, anchors)
    # Not VERIFY_X509_STRICT, Python 3.13's default elsewhere: plant CAs are often made without the
    # key identifiers that it insists on. PARTIAL_CHAIN: the CA named may be an issuing CA.
    context.verify_flags = ssl.VERIFY_X509_TRUSTED_FIRST | ssl.VERIFY_X509_PARTIAL_CHAIN
    context.verify_mode = ssl.CERT_REQUIRED
    match credential:
        case Credential():
            _present(context, credential)
        case SignerCredential(certificate, signer, chain):
            from cipsec.tls import signer as elsewhere  # for few: it brings cffi's parser

            context.hook = elsewhere.use(context, certificate, signer, chain)
    return context


def require_usable(credential: Credential) -> None:
    """Raise LocalState, Malformed or Locked where the files could not be authenticated with."""
    _present(_context(tls12=False), credential)


def unverified_context() -> ClientContext:
    """Return a context that trusts whoever answers: for /cacerts alone (RFC 7030 section 4.1.1)."""
    return _context(tls12=False)


def _context(*, tls12: bool) -> ClientContext:
    context = ClientContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False  # `_authorize` does it, and knows id-kp-cmcRA
    context.verify_mode = ssl.CERT_NONE
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    if tls12:
        context.maximum_version = ssl.TLSVersion.TLSv1_2
    return context


def _trust(context: ssl.SSLContext, anchors: Sequence[x509.Certificate]) -> None:
    """Have the context trust the anchors; raise Untrusted where OpenSSL cannot read one.

    It is stricter than cryptography in some of what nobody asks for.
    """
    pem = "".join(one.public_bytes(Encoding.PEM).decode("ascii") for one in anchors)
    try:
        context.load_verify_locations(cadata=pem)
    except ssl.SSLError:
        raise Untrusted(
            "a CA certificate that was to be trusted cannot be read by OpenSSL"
        ) from None


def _present(context: ssl.SSLContext, credential: Credential) -> None:
    # OpenSSL would ask for the passphrase of an encrypted key at the terminal, in its own words.
    if keys.is_encrypted(files.read(credential.key)):
        raise Locked(
            f"{credential.key} is encrypted",
            hint=f"openssl pkey -in {shell.quote(credential.key)} -out plain.pem",
        )
    files.read(credential.certificate)
    try:
        context.load_cert_chain(credential.certificate, credential.key)
    except ssl.SSLError as error:
        if error.reason == "KEY_VALUES_MISMATCH":
            raise LocalState(
                f"{credential.key} is not the key of the first certificate in"
                f" {credential.certificate}",
                hint="put the certificate of the key first, and the CAs above it after it",
            ) from None
        raise Malformed(
            f"{credential.certificate} and {credential.key} are not a certificate and a key in PEM",
            hint="of PKCS#12: openssl pkcs12 -in FILE -nodes -out both.pem, for --cert and --key",
        ) from None


def _authorize(socket: ssl.SSLSocket, context: ClientContext) -> None:
    """Raise Untrusted unless the verified certificate is one of this server's, or of an RA."""
    host = str(socket.server_hostname or "")
    try:
        certificate = x509.load_der_x509_certificate(socket.getpeercert(binary_form=True) or b"")
        if is_registration_authority(certificate):
            return
        if context.by_name and is_named(certificate, host):
            return
        names = ", ".join(map(show_san, sans_of(certificate))) or "none"
    except UNREADABLE as error:
        raise Untrusted(f"the certificate of {host} cannot be read: {why(error)}") from None
    if context.by_name:
        raise Untrusted(f"the certificate of {host} is for other names ({names})")
    raise Untrusted(
        f"{host} was found by discovery and its certificate is not that of an EST server"
        " (no id-kp-cmcRA)",
        hint="name the server yourself: --server HOST:PORT",
    )


def is_registration_authority(certificate: x509.Certificate) -> bool:
    """Tell whether the certificate carries id-kp-cmcRA; raise ValueError when unreadable."""
    try:
        usages = certificate.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    except x509.ExtensionNotFound:
        return False
    return CMC_RA in usages


def is_named(certificate: x509.Certificate, host: str) -> bool:
    """Tell whether an alternative name is `host`, name or address (RFC 6125; the CN is not read).

    A wildcard stands for exactly the leftmost label.
    """
    sans = sans_of(certificate)
    try:
        address = ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        return any(isinstance(san, x509.DNSName) and _matches(san.value, host) for san in sans)
    return any(isinstance(san, x509.IPAddress) and san.value == address for san in sans)


def _matches(pattern: str, host: str) -> bool:
    same = folded(pattern).rstrip(".") == folded(host).rstrip(".")
    return same if not pattern.startswith("*.") else is_under_wildcard(host, pattern)


def failure(where: str, error: ssl.SSLError, *, presented: bool) -> CipsecError:
    """Return what a TLS error means; `presented`: a client certificate was at hand.

    Under TLS 1.3 the refusal of a client certificate shows only at the first read.
    """
    if isinstance(error, ssl.SSLCertVerificationError):
        return _untrusted(where, error)
    reason = str(error.reason or "")
    if "ALERT" in reason and any(word in reason for word in _CERTIFICATE_ALERTS):
        if presented:
            return CredentialsRefused(f"{where} refuses the client certificate ({_plain(reason)})")
        return CredentialsRefused(
            f"{where} wants a client certificate", hint="add --cert FILE --key FILE"
        )
    if reason in {"WRONG_VERSION_NUMBER", "HTTP_REQUEST", "RECORD_LAYER_FAILURE"}:
        return BadAnswer(f"{where} answers, and does not speak TLS")
    # Under TLS 1.2 some servers say no more than this when a client certificate is missing.
    asks = "HANDSHAKE_FAILURE" in reason and not presented
    return BadAnswer(
        f"{where} ends the TLS connection: {_plain(reason) or 'no reason given'}",
        hint="if it wants a client certificate: --cert FILE --key FILE" if asks else None,
    )


def _untrusted(where: str, error: ssl.SSLCertVerificationError) -> Untrusted:
    said = f"the certificate of {where} is not trusted: {error.verify_message}"
    if error.verify_code not in _CLOCK_ERRORS:
        anew = "if the CA was replaced: cipsec enroll -f --identity DIR --fingerprint SHA256"
        return Untrusted(said, hint=f"see who issued it: cipsec cert show {where}; {anew}")
    clock = f"this machine's clock says {show_time(times.now())}"
    return Untrusted(f"{said}; {clock}", hint="check this machine's clock with: date -u")


def _plain(reason: str) -> str:
    return reason.lower().replace("_", " ")
