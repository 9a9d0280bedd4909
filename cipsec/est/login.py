"""What a person logs in with over HTTP; when to send it, and how, is `est.client`'s."""

from __future__ import annotations

import base64
from dataclasses import dataclass, field

from cipsec.errors import UsageError


@dataclass(frozen=True, slots=True)
class Login:
    """A user name and its password, to be used once the server is trusted."""

    user: str
    password: str = field(repr=False)

    def __post_init__(self) -> None:
        if ":" in self.user or not self.user.isprintable():
            raise UsageError("a user name holds no colon and no control characters (RFC 7617)")

    def basic(self) -> str:
        """Return the Authorization header of RFC 7617."""
        pair = f"{self.user}:{self.password}".encode()
        return f"Basic {base64.b64encode(pair).decode('ascii')}"
