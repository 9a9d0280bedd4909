"""A CA, a server that grants everything until told otherwise, and a folder not yet there."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from cipsec.endpoint.folder import Folder
from tests.support.canned import EstServer, Plant


@pytest.fixture(scope="module")
def plant() -> Plant:
    """The CA of these tests."""
    return Plant()


@pytest.fixture
def server(plant: Plant, tmp_path: Path) -> Iterator[EstServer]:
    """A server that grants everything until told otherwise."""
    with EstServer(plant, tmp_path).running() as running:
        yield running


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    """An identity folder that is not there yet."""
    return Folder(tmp_path / "identity")
