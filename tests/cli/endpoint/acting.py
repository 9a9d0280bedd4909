"""What the tests of the endpoint's commands share: the contract's keys, a wait, an enrollment."""

from __future__ import annotations

from collections.abc import Callable

from tests.support.canned import EstServer, text

Run = Callable[..., tuple[int, str, str]]

WAIT = text(202, "request 0123456789ab waits for approval", ("Retry-After", "1"))
_PATHS = ["directory", "key", "certificate", "chain", "trust"]
_FACTS = ["subject", "serial", "sha256", "not_before", "not_after", "issuer", "server"]
KEYS = [*_PATHS, *_FACTS]


def enroll(server: EstServer, *more: str) -> list[str]:
    """Return the words of an enrollment, the CA by fingerprint."""
    known = ["--server", server.address, "--fingerprint", server.plant.sha256]
    return ["enroll", *known, *more]
