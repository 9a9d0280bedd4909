"""A service type of one's own, and a stranger who announces it."""

from __future__ import annotations

import secrets
from collections.abc import Iterator

import pytest

from .peers import Stranger


@pytest.fixture
def service() -> str:
    """A service type nobody else on this machine announces, so that tests can run side by side."""
    return f"_t{secrets.token_hex(5)}._tcp.local."


@pytest.fixture
def stranger(service: str) -> Iterator[Stranger]:
    """One who announces raw records of this test's service type."""
    speaking = Stranger(service)
    yield speaking
    speaking.close()
