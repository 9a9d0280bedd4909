"""A private key that the command line names: opened with its passphrase, or said what is there."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cipsec._cli import ask
from cipsec._cli.talk import Talk
from cipsec.errors import LocalState, Malformed

if TYPE_CHECKING:
    from cipsec.pki.keys import PrivateKey


def opened(talk: Talk, pem: bytes, source: str, passphrase_file: str | None) -> PrivateKey:
    """Return the key in PEM, whose `source` is named in messages; raise as `keys.from_pem`."""
    from cipsec.pki import keys, mistaken

    if b"-----BEGIN " not in pem:
        mistaken.refuse_text(pem, source)
    passphrase = None
    if keys.is_encrypted(pem):
        option = "--passphrase-file"
        passphrase = ask.secret(
            talk, f"Passphrase of {source}", file=passphrase_file, option=option
        )
    try:
        return keys.from_pem(pem, passphrase)
    except LocalState as error:
        hint = mistaken.see(source) if type(error) is Malformed else error.hint
        raise type(error)(f"{source}: {error.message}", hint=hint) from None
