"""What `cryptography` raises on bytes it cannot read: several classes, not all ValueErrors."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from cryptography import x509
from cryptography.exceptions import InternalError, UnsupportedAlgorithm

_T = TypeVar("_T")

# InvalidVersion, DuplicateExtension and UnsupportedGeneralNameType derive from Exception alone;
# TypeError comes from attribute values of a string type that their kind does not allow, and
# InternalError from numbers that OpenSSL does not take, as in a private key for Diffie-Hellman.
UNREADABLE = (
    ValueError,
    TypeError,
    InternalError,
    UnsupportedAlgorithm,
    x509.InvalidVersion,
    x509.DuplicateExtension,
    x509.UnsupportedGeneralNameType,
)


def why(error: Exception) -> str:
    """Return what is wrong in words for people, without the parser's own notation."""
    text = "OpenSSL does not take it" if isinstance(error, InternalError) else str(error)
    return "its DER does not decode" if "ParseError" in text else text or type(error).__name__


def attempt(problems: list[str], what: str, read: Callable[[], _T]) -> _T | None:
    """Return what `read` returns; None, with a line among `problems`, where it cannot be read."""
    try:
        return read()
    except UNREADABLE as error:
        problems.append(f"{what}: {why(error)}")
        return None
