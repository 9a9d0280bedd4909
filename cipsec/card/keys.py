"""Private keys that sign on a card and never leave it, for CSRs and for TLS.

`sign_on_card` is all they know of the card: PIN policy, and a card put back in, are the caller's.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa, utils
from cryptography.hazmat.primitives.asymmetric.padding import AsymmetricPadding, PKCS1v15
from cryptography.hazmat.primitives.asymmetric.types import PublicKeyTypes
from cryptography.utils import Buffer

from cipsec.card.piv import Piv, fit
from cipsec.card.public import type_of
from cipsec.card.slots import Slot
from cipsec.errors import WrongCard
from cipsec.pki.elsewhere import EcElsewhere, RsaElsewhere

SignOnCard = Callable[[bytes], bytes]  # digest or padded block -> signature

# What stands before a digest in a PKCS#1 v1.5 block (RFC 8017 section 9.2, note 1).
_DIGEST_INFO = {
    "sha256": bytes.fromhex("3031300d060960864801650304020105000420"),
    "sha384": bytes.fromhex("3041300d060960864801650304020205000430"),
    "sha512": bytes.fromhex("3051300d060960864801650304020305000440"),
}
_RsaAlgorithm = hashes.HashAlgorithm | utils.Prehashed | utils.NoDigestInfo


def on_card(piv: Piv, slot: Slot, public_key: PublicKeyTypes) -> CardEcKey | CardRsaKey:
    """Return the key in a slot, whose public half is known; raise WrongCard for its kind.

    The PIN must be verified before it signs, in slot 9c before each time.
    """
    key_type = type_of(public_key)

    def sign_on_card(block: bytes) -> bytes:
        return piv.sign(slot, key_type, block)

    return signing(public_key, sign_on_card)


def signing(public_key: PublicKeyTypes, sign_on_card: SignOnCard) -> CardEcKey | CardRsaKey:
    """Return the private key of `public_key`, which signs by a function; raise WrongCard."""
    type_of(public_key)
    if isinstance(public_key, ec.EllipticCurvePublicKey):
        return CardEcKey(public_key, sign_on_card)
    assert isinstance(public_key, rsa.RSAPublicKey)
    return CardRsaKey(public_key, sign_on_card)


class _OnCard:
    """What not every key on a card does.

    Each kind has both ways of signing, so that either is a `tls.signer.Signer`.
    """

    place = "a card"

    def sign_digest(self, digest: bytes) -> bytes:
        """Sign a digest: an EC key does."""
        raise UnsupportedAlgorithm("an RSA key on a card signs blocks")

    def sign_block(self, block: bytes) -> bytes:
        """Sign a padded block: an RSA key does."""
        raise UnsupportedAlgorithm("an EC key on a card signs digests")


class CardEcKey(_OnCard, EcElsewhere):
    """An EC key on a card."""

    def __init__(self, public_key: ec.EllipticCurvePublicKey, sign_on_card: SignOnCard) -> None:
        super().__init__(public_key)
        self._sign_on_card = sign_on_card

    def sign_digest(self, digest: bytes) -> bytes:
        """Sign a digest; return the ECDSA-Sig-Value in DER; raise CardError.

        The signature is checked: a card whose key is not that of the certificate says so here.
        """
        fitted = fit(type_of(self._public_key), digest)
        signature = self._sign_on_card(fitted)
        as_wide = hashes.SHA256() if len(fitted) == 32 else hashes.SHA384()
        try:
            self._public_key.verify(signature, fitted, ec.ECDSA(utils.Prehashed(as_wide)))
        except InvalidSignature:
            raise _another_key() from None
        return signature

    def sign(self, data: Buffer, signature_algorithm: ec.EllipticCurveSignatureAlgorithm) -> bytes:
        """Sign data by ECDSA."""
        if not isinstance(signature_algorithm, ec.ECDSA):
            raise UnsupportedAlgorithm("a card signs by ECDSA only")
        algorithm = signature_algorithm.algorithm
        if isinstance(algorithm, utils.Prehashed):
            return self.sign_digest(bytes(data))
        return self.sign_digest(hashlib.new(algorithm.name, bytes(data)).digest())


class CardRsaKey(_OnCard, RsaElsewhere):
    """An RSA key on a card."""

    def __init__(self, public_key: rsa.RSAPublicKey, sign_on_card: SignOnCard) -> None:
        super().__init__(public_key)
        self._sign_on_card = sign_on_card

    def sign_block(self, block: bytes) -> bytes:
        """Sign a block as wide as the modulus, padded by the caller; raise CardError.

        The signature is checked, as that of an EC key is.
        """
        signature = self._sign_on_card(block)
        numbers = self._public_key.public_numbers()
        opened = pow(int.from_bytes(signature, "big"), numbers.e, numbers.n)
        if len(signature) != len(block) or opened != int.from_bytes(block, "big"):
            raise _another_key()
        return signature

    def sign(self, data: Buffer, padding: AsymmetricPadding, algorithm: _RsaAlgorithm) -> bytes:
        """Sign data by PKCS#1 v1.5, which X.509 uses; TLS pads itself."""
        if not isinstance(padding, PKCS1v15) or not isinstance(algorithm, hashes.HashAlgorithm):
            raise UnsupportedAlgorithm("a card signs data by PKCS#1 v1.5 only")
        return self.sign_block(_pkcs1_v15(bytes(data), algorithm.name, self.key_size // 8))


def _pkcs1_v15(data: bytes, hash_name: str, size: int) -> bytes:
    """EMSA-PKCS1-v1_5 (RFC 8017 section 9.2)."""
    if hash_name not in _DIGEST_INFO:
        raise UnsupportedAlgorithm(f"keys on a card do not sign with {hash_name}")
    info = _DIGEST_INFO[hash_name] + hashlib.new(hash_name, data).digest()
    return b"\x00\x01" + b"\xff" * (size - len(info) - 3) + b"\x00" + info


def _another_key() -> WrongCard:
    return WrongCard(
        "the card's signature does not fit the certificate: its key is another one",
        hint="cipsec smartcard show",
    )
