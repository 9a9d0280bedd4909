"""Where a key of the CA is, and how it is opened: a file in the folder, or a token that one names.

Which key is whose is left to `paths` and `generation`, making one to `founding` and `rollover`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from cryptography import x509

from cipsec import files
from cipsec.errors import Locked
from cipsec.pki import keys
from cipsec.token.keys import OnToken, on_token
from cipsec.token.uri import KeyUri

_OUTSIDE = "# The CA's key is on this PKCS#11 token, and in no copy of this folder.\n"
Certified = x509.Certificate | x509.CertificateSigningRequest


@dataclass(frozen=True, slots=True)
class Held:
    """What a folder holds of a key: its PEM, or the line that says on which token it is."""

    data: bytes
    uri: KeyUri | None = None

    @classmethod
    def of(cls, key: keys.PrivateKey, passphrase: str | None) -> Held:
        """Return it of a key; `passphrase` is that of its file, None for none."""
        return cls.at(key.uri) if isinstance(key, OnToken) else cls(keys.to_pem(key, passphrase))

    @classmethod
    def at(cls, uri: KeyUri) -> Held:
        """Return it of a key on a token."""
        return cls(f"{_OUTSIDE}{uri}\n".encode(), uri)


@dataclass(frozen=True, slots=True)
class KeyPlace:
    """The two files of which a key has one: its PEM, mode 0600, or where else it is."""

    key_file: Path
    token_file: Path

    def uri(self) -> KeyUri | None:
        """Return on which token the key is, None where it is in the file; raise Malformed."""
        return KeyUri.read(self.token_file) if files.exists(self.token_file) else None

    def held(self) -> Held:
        """Return what is there, for another place; raise LocalState, Malformed."""
        uri = self.uri()
        return Held.at(uri) if uri else Held(files.read(self.key_file))

    def put(self, held: Held) -> None:
        """Lay down a key in place of the one that is there; a link stays one; raise LocalState.

        What the place had is of the same kind: on the token, or in a file.
        """
        if held.uri is not None:
            files.replace(self.token_file, held.data, mode=files.PUBLIC)
        else:
            files.replace(self.key_file.resolve(), held.data)

    def is_encrypted(self) -> bool:
        """Tell whether the key needs a passphrase, or its token a PIN, that somebody gives."""
        if (uri := self.uri()) is not None:
            return uri.pin_source is None
        return keys.is_encrypted(files.read(self.key_file))

    def open(self, passphrase: str | None, certified: Callable[[], Certified]) -> keys.PrivateKey:
        """Return the key; on a token it is known by what is `certified`, and has a PIN.

        Raises Locked when that does not open it, TokenFailed while the token cannot be used.
        """
        if (uri := self.uri()) is None:
            return keys.from_either_pem(files.read(self.key_file), passphrase)
        return on_token(uri, pin(uri, passphrase), keys.served(certified().public_key()))


def pin(uri: KeyUri, given: str | None) -> str:
    """Return the PIN that was given, or that the URI says where to find; raise Locked for none."""
    found = given or uri.pin()
    if found is None:
        hint = "add --passphrase-file FILE with the PIN"
        raise Locked(f"the token {uri.token} has a PIN", hint=hint)
    return found
