"""The public key in a card's answer (SP 800-73-5 part 2, table 17)."""

from __future__ import annotations

from collections.abc import Mapping

from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.asymmetric.types import PublicKeyTypes

from cipsec.card import tlv
from cipsec.errors import WeakKey, WrongCard
from cipsec.pki import keys
from cipsec.pki.keys import KeyType, PublicKey

_POINT, _MODULUS, _EXPONENT = 0x86, 0x81, 0x82
_CURVES: dict[KeyType, ec.EllipticCurve] = {
    KeyType.EC_P256: ec.SECP256R1(),
    KeyType.EC_P384: ec.SECP384R1(),
}


def read_public_key(parts: Mapping[int, bytes], key_type: KeyType) -> PublicKey:
    """Return the key of the type asked for; raise WrongCard when the card gave another."""
    try:
        key = keys.served(_read(dict(parts), key_type))
    except (ValueError, WeakKey) as error:
        raise WrongCard(f"the card answered with a damaged {key_type} key") from error
    if type_of(key) != key_type:
        raise WrongCard(f"the card made a key of type {keys.type_name(key)}, not {key_type}")
    return key


def _read(parts: dict[int, bytes], key_type: KeyType) -> PublicKey:
    if curve := _CURVES.get(key_type):
        return ec.EllipticCurvePublicKey.from_encoded_point(curve, tlv.value(parts, _POINT))
    modulus = int.from_bytes(tlv.value(parts, _MODULUS), "big")
    exponent = int.from_bytes(tlv.value(parts, _EXPONENT), "big")
    return rsa.RSAPublicNumbers(exponent, modulus).public_key()


def type_of(key: PublicKeyTypes) -> KeyType:
    """Return the type of a key that a card can hold; raise WrongCard."""
    name = keys.type_name(key)
    if name not in set(KeyType):
        raise WrongCard(f"keys of the type {name} are not used on cards; use {KeyType.EC_P256}")
    return KeyType(name)
