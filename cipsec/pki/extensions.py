"""One extension among others, by its kind; what it means is left to who asks."""

from __future__ import annotations

from typing import TypeVar

from cryptography import x509

_E = TypeVar("_E", bound=x509.ExtensionType)


def value(extensions: x509.Extensions, kind: type[_E]) -> _E | None:
    """Return the extension of that kind, None where there is none."""
    return next((e.value for e in extensions if isinstance(e.value, kind)), None)
