"""Private keys that sign on a PKCS#11 token and stay there, for certificates, requests and CRLs.

Each process has a session of its own; a token that went and came back is spoken to again.
"""

from __future__ import annotations

import hashlib
import threading
from typing import TYPE_CHECKING, Any

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa, utils
from cryptography.hazmat.primitives.asymmetric.padding import AsymmetricPadding, PKCS1v15
from cryptography.utils import Buffer

from cipsec.errors import Locked, TokenFailed
from cipsec.pki import keys
from cipsec.pki.elsewhere import EcElsewhere, RsaElsewhere
from cipsec.token import module
from cipsec.token.uri import KeyUri, tool

if TYPE_CHECKING:
    from pkcs11 import Session

_RsaAlgorithm = hashes.HashAlgorithm | utils.Prehashed | utils.NoDigestInfo


class Access:
    """The way to one private key on a token: a session that is opened again where it ended.

    A wrong PIN is never tried twice: devices that poll would else lock the token.
    """

    def __init__(self, uri: KeyUri, pin: str) -> None:
        """Log in and find the key; raise Locked for the PIN, TokenFailed, LocalState."""
        self.uri = uri
        self._pin = pin
        self._lock = threading.Lock()
        self._refused: Locked | None = None
        self._generation = -1
        self._key: Any = None  # what it can do is decided at run time, says its stub
        with self._lock:
            self._connected()

    def sign(self, data: bytes, mechanism: str) -> bytes:
        """Return the token's signature by the mechanism of that name; raise TokenFailed, Locked."""
        import pkcs11

        how = pkcs11.Mechanism[mechanism]
        with self._lock:
            try:
                with module.failing(self.uri):
                    return bytes(self._connected().sign(data, mechanism=how))
            except TokenFailed:  # pulled and put back, perhaps: once more, from the start
                self._key = None
                module.module(self.uri.module).restart()
            with module.failing(self.uri):
                return bytes(self._connected().sign(data, mechanism=how))

    def _connected(self) -> Any:
        if self._refused:
            raise self._refused
        library = module.module(self.uri.module)
        library.ensure_this_process()
        if self._key is None or self._generation != library.generation:
            self._generation = library.generation
            self._key = None
            try:
                session = library.session(self.uri, self._pin)
            except Locked as error:
                self._refused = error
                raise
            self._key = find(session, self.uri)
        return self._key


def find(session: Session, uri: KeyUri) -> Any:
    """Return the one private key that a URI names; raise TokenFailed without, or with more."""
    found = find_all(session, uri)
    if not found:
        raise TokenFailed(
            f"there is no private key {uri.key} on the token {uri.token}",
            hint=f"see what is there: {tool(uri.module, '--login -O')}",
        )
    if len(found) > 1:
        raise TokenFailed(
            f"{len(found)} private keys on the token {uri.token} are named {uri.key}",
            hint="add id= to the URI",
        )
    return found[0]


def find_all(session: Session, uri: KeyUri) -> list[Any]:
    """Return the private keys that a URI names."""
    from pkcs11 import Attribute, ObjectClass

    wanted: dict[Attribute, object] = {Attribute.CLASS: ObjectClass.PRIVATE_KEY}
    if uri.object is not None:
        wanted[Attribute.LABEL] = uri.object
    if uri.id is not None:
        wanted[Attribute.ID] = uri.id
    with module.failing(uri):
        return list(session.get_objects(wanted))


def on_token(uri: KeyUri, pin: str, public_key: keys.PublicKey) -> TokenEcKey | TokenRsaKey:
    """Return the private key at a URI, whose public half is known; raise Locked, TokenFailed."""
    access = Access(uri, pin)
    if isinstance(public_key, ec.EllipticCurvePublicKey):
        return TokenEcKey(public_key, access)
    return TokenRsaKey(public_key, access)


class OnToken:
    """What every key on a token has."""

    place = "a token"
    access: Access

    @property
    def uri(self) -> KeyUri:
        """Where the key is."""
        return self.access.uri


class TokenEcKey(OnToken, EcElsewhere):
    """An EC key on a token."""

    def __init__(self, public_key: ec.EllipticCurvePublicKey, access: Access) -> None:
        super().__init__(public_key)
        self.access = access

    def sign(self, data: Buffer, signature_algorithm: ec.EllipticCurveSignatureAlgorithm) -> bytes:
        """Sign data by ECDSA; return the ECDSA-Sig-Value in DER.

        The signature is checked: a token whose key is not that of the certificate says so here.
        """
        if not isinstance(signature_algorithm, ec.ECDSA):
            raise UnsupportedAlgorithm("a token signs by ECDSA only")
        algorithm, message = signature_algorithm.algorithm, bytes(data)
        if isinstance(algorithm, utils.Prehashed):
            digest = message
        else:
            digest = hashlib.new(algorithm.name, message).digest()
        raw = self.access.sign(digest[: (self.key_size + 7) // 8], "ECDSA")
        half = len(raw) // 2
        r, s = (int.from_bytes(part, "big") for part in (raw[:half], raw[half:]))
        signature = utils.encode_dss_signature(r, s)
        try:
            self._public_key.verify(signature, message, signature_algorithm)
        except InvalidSignature:
            raise _another_key(self.uri) from None
        return signature


class TokenRsaKey(OnToken, RsaElsewhere):
    """An RSA key on a token."""

    def __init__(self, public_key: rsa.RSAPublicKey, access: Access) -> None:
        super().__init__(public_key)
        self.access = access

    def sign(self, data: Buffer, padding: AsymmetricPadding, algorithm: _RsaAlgorithm) -> bytes:
        """Sign data by PKCS#1 v1.5, which X.509 uses; the token hashes and pads.

        The signature is checked, as that of an EC key is.
        """
        if not isinstance(padding, PKCS1v15) or not isinstance(algorithm, hashes.HashAlgorithm):
            raise UnsupportedAlgorithm("a token signs data by PKCS#1 v1.5 only")
        message = bytes(data)
        signature = self.access.sign(message, f"{algorithm.name.upper()}_RSA_PKCS")
        try:
            self._public_key.verify(signature, message, padding, algorithm)
        except InvalidSignature:
            raise _another_key(self.uri) from None
        return signature


def _another_key(uri: KeyUri) -> TokenFailed:
    return TokenFailed(
        f"the signature of the token {uri.token} does not fit the certificate: {uri.key} is"
        " another key",
        hint="put in the token that the CA was made with",
    )
