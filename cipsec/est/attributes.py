"""What a server asks to see in a CSR (csrattrs, RFC 7030 section 4.5); obeying is the caller's."""

from __future__ import annotations

from cipsec.errors import Malformed
from cipsec.pki import der

CHALLENGE_PASSWORD = "1.2.840.113549.1.9.7"  # noqa: S105  # an OID: the channel binding is wished

_OID, _SEQUENCE = 0x06, 0x30


def parse(data: bytes) -> frozenset[str]:
    """Return the attribute types asked for, as dotted OIDs; raise Malformed.

    CsrAttrs is a SEQUENCE OF either an OID or an Attribute that begins with one; values are left
    unread, since a client is free to ignore what it does not know.
    """
    try:
        return frozenset(_type(*one) for one in der.elements(der.only(data, _SEQUENCE)))
    except ValueError as error:
        raise Malformed(f"these are no CSR attributes: {error}") from None


def _type(tag: int, content: bytes) -> str:
    if tag == _SEQUENCE:
        tag, content = next(iter(der.elements(content)), (0, b""))
    if tag != _OID:
        raise ValueError("an attribute begins with its type")
    return der.dotted(content)
