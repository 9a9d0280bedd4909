"""A private key made elsewhere, as people have it, with the certificates that lie beside it.

PEM (PKCS#8, PKCS#1, SEC 1), DER, or PKCS#12; under a passphrase or not. Whose they are is left to
the caller.
"""

from __future__ import annotations

from dataclasses import dataclass

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.types import PrivateKeyTypes

from cipsec.errors import Locked, Malformed, WeakKey
from cipsec.pki import armour, keys, legible, load, pkcs12, rounds
from cipsec.pki.faults import UNREADABLE, why
from cipsec.pki.mistaken import see, typed

_KEY = "PRIVATE KEY"


@dataclass(frozen=True, slots=True)
class Bundle:
    """A private key, and the certificates in the same file in their order."""

    key: keys.PrivateKey
    certificates: tuple[x509.Certificate, ...]


def read(data: bytes, source: str, passphrase: str | None = None) -> Bundle:
    """Return the one key in `data`, and the certificates; `source` names the bytes in messages.

    Raises Locked when it needs a passphrase, or another one, WeakKey for kinds that are not served,
    Malformed for everything else.
    """
    try:
        found = _read(data, source, passphrase)
    except WeakKey as error:
        raise WeakKey(f"the key in {source} cannot be used: {error.message}") from None
    legible.require(found.certificates, source)
    return found


def _read(data: bytes, source: str, passphrase: str | None) -> Bundle:
    if armour.is_der(data) and pkcs12.is_archive(data):
        return _from_pkcs12(data, source, passphrase)
    if armour.is_der(data):
        return Bundle(_key(data, source, passphrase, is_pem=False), ())
    return _from_pem(data, source, passphrase)


def _from_pkcs12(data: bytes, source: str, passphrase: str | None) -> Bundle:
    from cryptography.hazmat.primitives.serialization.pkcs12 import load_pkcs12

    pkcs12.check(data, source)
    # No passphrase and an empty one are not the same here, and programs write either.
    for password in (passphrase.encode(),) if passphrase else (None, b""):
        try:
            found = load_pkcs12(data, password)
        except ValueError:
            continue
        except UNREADABLE as error:
            hint = f"openssl pkcs12 -legacy -in {typed(source)} -nodes -out FILE"
            raise Malformed(f"{source} cannot be read: {why(error)}", hint=hint) from None
        if found.key is None:
            raise _no_key(source)
        beside = [one.certificate for one in (found.cert, *found.additional_certs) if one]
        return Bundle(keys.served_private(found.key), tuple(beside))
    raise _locked(source, passphrase)


def _from_pem(data: bytes, source: str, passphrase: str | None) -> Bundle:
    contents = load.contents(data, source)  # names what is no PEM at all, and what is damaged
    found = [block for block in armour.blocks(data) if block.label.endswith(_KEY)]
    if not found:
        raise _no_key(source)
    if len(found) > 1:
        raise Malformed(
            f"there are {len(found)} private keys in {source}", hint="put each into its own file"
        )
    [block] = found
    label = block.label.encode()
    pem = b"-----BEGIN %b-----%b-----END %b-----\n" % (label, block.text, label)
    return Bundle(_key(pem, source, passphrase, is_pem=True), contents.certificates)


def _key(data: bytes, source: str, passphrase: str | None, *, is_pem: bool) -> keys.PrivateKey:
    try:
        return keys.served_private(_loaded(data, None, is_pem=is_pem))
    except TypeError:  # it asks for a passphrase
        if passphrase is None:
            raise _locked(source, None) from None
    except UNREADABLE as error:
        raise Malformed(f"{source} holds no private key: {why(error)}") from None
    rounds.check_key(data, source)
    try:
        return keys.served_private(_loaded(data, passphrase.encode(), is_pem=is_pem))
    except UNREADABLE:
        raise _locked(source, passphrase) from None


def _loaded(data: bytes, password: bytes | None, *, is_pem: bool) -> PrivateKeyTypes:
    from cryptography.hazmat.primitives import serialization

    if is_pem:
        return serialization.load_pem_private_key(data, password)
    return serialization.load_der_private_key(data, password)


def _locked(source: str, passphrase: str | None) -> Locked:
    if passphrase is None:
        return Locked(f"{source} is encrypted", hint="add --import-passphrase-file FILE")
    return Locked(f"the passphrase does not open {source}")


def _no_key(source: str) -> Malformed:
    return Malformed(f"there is no private key in {source}", hint=see(source))
