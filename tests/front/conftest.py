"""A plant's CA for all tests of the front, and a server."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.front.serving import Front, serving
from tests.support.canned import Plant


@pytest.fixture(scope="session")
def plant() -> Plant:
    """A CA."""
    return Plant()


@pytest.fixture
def front(plant: Plant) -> Iterator[Front]:
    """A front server that answers what it got."""
    with serving(plant) as running:
        yield running
