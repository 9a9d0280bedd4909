"""The endpoint's server and folder, for the tests of identities."""

from __future__ import annotations

from tests.endpoint.conftest import folder, plant, server

__all__ = ["folder", "plant", "server"]
