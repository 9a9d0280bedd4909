"""What `cryptography` raises on bytes it cannot read: several classes, not all ValueErrors."""

from __future__ import annotations

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm

# InvalidVersion, DuplicateExtension and UnsupportedGeneralNameType derive from Exception alone;
# TypeError comes from attribute values of a string type that their kind does not allow.
UNREADABLE = (
    ValueError,
    TypeError,
    UnsupportedAlgorithm,
    x509.InvalidVersion,
    x509.DuplicateExtension,
    x509.UnsupportedGeneralNameType,
)


def why(error: Exception) -> str:
    """Return what is wrong in words for people, without the parser's own notation."""
    text = str(error)
    return "its DER does not decode" if "ParseError" in text else text or type(error).__name__
