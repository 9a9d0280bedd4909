"""A server that grants, a folder not yet there, and the command line on it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cli.conftest import Cipsec
from tests.cli.endpoint.acting import Run
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
def home(tmp_path: Path) -> Path:
    """The identity folder."""
    return tmp_path / "identity"


@pytest.fixture
def run(cipsec: Cipsec, home: Path) -> Run:
    """Run a command line on that folder; return exit code, stdout, stderr."""

    def call(*words: str) -> tuple[int, str, str]:
        done = cipsec(*words, "--identity", home)
        return done.code, done.out, done.err

    return call
