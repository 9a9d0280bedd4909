"""Private keys that sign somewhere else, on a card or a token, and never leave it: what all share.

How they sign is left to `card.keys` and `token.keys`.
"""

from __future__ import annotations

from typing import NoReturn, Self

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import _serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.asymmetric.padding import AsymmetricPadding
from cryptography.utils import Buffer


class Elsewhere:
    """What no such key does; and copies of one: the same. `place` is where it is, in words."""

    place: str

    def private_numbers(self) -> NoReturn:
        """The key does not leave its place."""
        raise self.stays()

    def private_bytes(
        self,
        encoding: _serialization.Encoding,
        format: _serialization.PrivateFormat,  # noqa: A002  # the base's name
        encryption_algorithm: _serialization.KeySerializationEncryption,
    ) -> NoReturn:
        """The key does not leave its place."""
        raise self.stays()

    def stays(self) -> UnsupportedAlgorithm:
        """Return the error of what the key does not do."""
        return UnsupportedAlgorithm(f"the key is on {self.place}, where it only signs")

    def __copy__(self) -> Self:
        return self

    def __deepcopy__(self, memo: dict[int, object]) -> Self:
        return self


class EcElsewhere(Elsewhere, ec.EllipticCurvePrivateKey):
    """An EC key; subclasses sign."""

    def __init__(self, public_key: ec.EllipticCurvePublicKey) -> None:
        self._public_key = public_key

    def public_key(self) -> ec.EllipticCurvePublicKey:
        """Return the public half."""
        return self._public_key

    @property
    def curve(self) -> ec.EllipticCurve:
        """The curve."""
        return self._public_key.curve

    @property
    def key_size(self) -> int:
        """Bits of the curve."""
        return self._public_key.key_size

    def exchange(self, algorithm: ec.ECDH, peer_public_key: ec.EllipticCurvePublicKey) -> NoReturn:
        """Not done with keys of this use."""
        raise self.stays()


class RsaElsewhere(Elsewhere, rsa.RSAPrivateKey):
    """An RSA key; subclasses sign."""

    def __init__(self, public_key: rsa.RSAPublicKey) -> None:
        self._public_key = public_key

    def public_key(self) -> rsa.RSAPublicKey:
        """Return the public half."""
        return self._public_key

    @property
    def key_size(self) -> int:
        """Bits of the modulus."""
        return self._public_key.key_size

    def decrypt(self, ciphertext: Buffer, padding: AsymmetricPadding) -> NoReturn:
        """Not done with keys of this use."""
        raise self.stays()
