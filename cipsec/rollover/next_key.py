"""The next key of the CA: in a file, or on the token that has the present one."""

from __future__ import annotations

import secrets
from dataclasses import replace

from cipsec import files
from cipsec.ca_folder import CaFolder
from cipsec.ca_folder.key_place import Held, pin
from cipsec.errors import LocalState, UsageError, WeakKey
from cipsec.pki import keys
from cipsec.pki.keys import KeyType
from cipsec.token import making
from cipsec.token.uri import KeyUri

_ID_BYTES = 8


def kind(folder: CaFolder, wanted: KeyType | None) -> KeyType:
    """Return the type of the next key: as wanted, else as the present one, as far as it is made."""
    like = keys.type_name(folder.certificate().public_key())
    return wanted or (KeyType(like) if like in list(KeyType) else KeyType.RSA_3072)


def require_place(folder: CaFolder, named: KeyUri | None) -> None:
    """Raise UsageError where `named` is not on the token of the present key.

    One passphrase, or one PIN, opens all keys of a CA: the server that runs has no other.
    """
    own = folder.key_uri()
    if named is None:
        return
    if own is None:
        raise UsageError(
            "the CA's key is in a file, and so is its next one",
            hint="leave out --key; or make another CA on the token: cipsec ca init --key URI",
        )
    if (named.token, named.module) != (own.token, own.module):
        raise UsageError(
            f"the CA's key is on the token {own.token}, and its next key has to be there too",
            hint=f"name a key on it: pkcs11:token={own.token};object=…?module-path={own.module}",
        )


def obtain(
    folder: CaFolder, passphrase: str | None, wanted: KeyType | None, named: KeyUri | None
) -> tuple[keys.PrivateKey, Held]:
    """Make the next key, or find the one that is `named` on the token, and what is kept of it.

    In a file it has the passphrase of the present one, so that the running server can take it up.
    On a token, where it is to be is written down first: what is cut off there is gone on with by
    the next call. Raises UsageError, WeakKey, TokenFailed, LocalState.
    """
    require_place(folder, named)
    own = folder.key_uri()
    if own is None:
        made = keys.generate(kind(folder, wanted))
        return made, Held.of(made, passphrase if folder.is_encrypted() else None)
    uri = _place(folder, own, named)
    _begin(folder, uri)
    try:
        key, _ = making.obtain(uri, pin(uri, passphrase), wanted, otherwise=kind(folder, wanted))
        _require_another(folder, key)
    except (UsageError, WeakKey):  # of a key that was there before; nothing was made
        folder.successor.remove()
        raise
    return key, Held.at(key.uri)


def _place(folder: CaFolder, own: KeyUri, named: KeyUri | None) -> KeyUri:
    """Return where the next key is to be; the way to the token, and to its PIN, stays."""
    if named is not None:
        return replace(own, object=named.object, id=named.id)
    begun = folder.successor.key_place.uri() if folder.successor.is_begun() else None
    label = f"{own.object or 'ca'}-{secrets.token_hex(3)}"
    return begun or replace(own, object=label, id=secrets.token_bytes(_ID_BYTES))


def _begin(folder: CaFolder, uri: KeyUri) -> None:
    upcoming = folder.successor
    try:
        upcoming.path.mkdir(mode=0o700, exist_ok=True)
    except OSError as error:
        raise LocalState(f"{upcoming.path} cannot be made: {files.reason(error)}") from None
    upcoming.key_place.put(Held.at(uri))


def _require_another(folder: CaFolder, key: keys.PrivateKey) -> None:
    """Raise UsageError for a key that the CA has or had: nothing would be new."""
    mine = keys.spki(key.public_key())
    if any(keys.spki(one.public_key()) == mine for one in folder.roots()):
        raise UsageError("this is a key that the CA has already", hint="name another with --key")
