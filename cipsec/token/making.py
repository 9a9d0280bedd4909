"""A key on a token for a new CA: found where it is, made where it is not; its public half read."""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING, Any

from cryptography.hazmat.primitives.asymmetric import ec, rsa

from cipsec.errors import TokenFailed, UsageError, WeakKey
from cipsec.pki import keys
from cipsec.pki.keys import KeyType
from cipsec.token import module
from cipsec.token.keys import TokenEcKey, TokenRsaKey, find, find_all, on_token
from cipsec.token.uri import KeyUri

if TYPE_CHECKING:
    from pkcs11 import Session

_CURVES: dict[KeyType, tuple[str, ec.EllipticCurve]] = {
    KeyType.EC_P256: ("secp256r1", ec.SECP256R1()),
    KeyType.EC_P384: ("secp384r1", ec.SECP384R1()),
}


def obtain(
    uri: KeyUri,
    pin: str,
    wanted: KeyType | None,
    *,
    make: bool = True,
    otherwise: KeyType = KeyType.EC_P256,
) -> tuple[TokenEcKey | TokenRsaKey, bool]:
    """Return the key at a URI, made on the token where there is none; tell whether it was.

    It is made as `wanted`, else of the type `otherwise`, and cannot be read out, not even by who
    has the PIN. Raises UsageError when one that is there is of another type than `wanted`, or has
    no label to be made with; Locked for the PIN; WeakKey for kinds that are not served;
    TokenFailed.
    """
    library = module.module(uri.module)
    session = library.session(uri, pin, writable=make)
    with module.failing(uri):
        found = find_all(session, uri)
        if not found and make:
            uri = _make(session, uri, wanted or otherwise)
            made = True
        else:
            made = False
    public, named = public_half(session, uri)
    kind = keys.type_name(public)
    if wanted is not None and kind != wanted:
        raise UsageError(
            f"the key {uri.key} on the token {uri.token} is an {kind} key",
            hint="leave out --key-type, or name another key",
        )
    with module.failing(uri):
        session.close()
    return on_token(named, pin, public), made


def _make(session: Session, uri: KeyUri, kind: KeyType) -> KeyUri:
    from pkcs11 import Attribute, MechanismFlag
    from pkcs11 import KeyType as Kind
    from pkcs11.util.ec import encode_named_curve_parameters

    if uri.object is None:
        raise UsageError("a key that is to be made has a label", hint="add object= to the URI")
    uri = uri.found_as(None, uri.id or secrets.token_bytes(8))
    options: dict[str, Any] = {
        "id": uri.id,
        "label": uri.object,
        "store": True,
        "capabilities": MechanismFlag.SIGN | MechanismFlag.VERIFY,
        "private_template": {Attribute.SENSITIVE: True, Attribute.EXTRACTABLE: False},
    }
    if kind in _CURVES:
        curve = {Attribute.EC_PARAMS: encode_named_curve_parameters(_CURVES[kind][0])}
        session.create_domain_parameters(Kind.EC, curve, local=True).generate_keypair(**options)
    else:
        session.generate_keypair(Kind.RSA, int(kind.removeprefix("rsa-")), **options)
    return uri


def public_half(session: Session, uri: KeyUri) -> tuple[keys.PublicKey, KeyUri]:
    """Return the public key of the private one at a URI, and the URI with label and id."""
    private = find(session, uri)
    with module.failing(uri):
        named = uri.found_as(private.label, bytes(private.id) or None)
        public = _public_object(session, private, uri)
        return keys.served(_read(public, uri)), named


def _public_object(session: Session, private: Any, uri: KeyUri) -> Any:
    from pkcs11 import Attribute, ObjectClass

    wanted = {Attribute.CLASS: ObjectClass.PUBLIC_KEY, Attribute.ID: private.id}
    found = [*session.get_objects(wanted)]
    if not found:
        raise TokenFailed(
            f"the token {uri.token} has the private key {uri.key} and not the public one",
            hint="write it to the token with the same id, or make a new key",
        )
    return found[0]


def _read(public: Any, uri: KeyUri) -> keys.PublicKey:
    from pkcs11 import Attribute
    from pkcs11 import KeyType as Kind
    from pkcs11.util.ec import encode_named_curve_parameters

    if public.key_type == Kind.RSA:
        modulus, exponent = (
            int.from_bytes(public[which], "big")
            for which in (Attribute.MODULUS, Attribute.PUBLIC_EXPONENT)
        )
        return rsa.RSAPublicNumbers(exponent, modulus).public_key()
    parameters = public[Attribute.EC_PARAMS] if public.key_type == Kind.EC else None
    for name, curve in _CURVES.values():
        if parameters == encode_named_curve_parameters(name):
            return ec.EllipticCurvePublicKey.from_encoded_point(curve, _point(public))
    raise WeakKey(f"the key {uri.key} on the token {uri.token} is neither P-256, P-384 nor RSA")


def _point(public: Any) -> bytes:
    """Return the point; most tokens have it in an OCTET STRING, as they are to, some bare."""
    from pkcs11 import Attribute

    value = bytes(public[Attribute.EC_POINT])
    # Tag and length are 04 41 or 04 61; an uncompressed point begins with 04 too.
    return value[2:] if len(value) == 2 + value[1] and value[2] == 4 else value
