"""Fixtures for all tests: a CA in a temporary folder, an empty store."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from cipsec import times
from cipsec.ca_folder import CaFolder
from cipsec.store.database import Database
from cipsec.store.writer import Writer
from tests.support import ca


@pytest.fixture
def ca_folder(tmp_path: Path) -> CaFolder:
    """The CA "Line 4": key without passphrase, policy "approval", three years old."""
    return ca.make(tmp_path / "ca", now=times.now() - timedelta(days=1100))


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Database]:
    """An empty store."""
    database = Database.create(tmp_path / "store.sqlite3")
    yield database
    database.close()


@pytest.fixture
def writer(store: Database) -> Iterator[Writer]:
    """The writer of `store`."""
    writer = Writer(store)
    yield writer
    writer.close()


# What is announced or found on the network, which all processes share, runs in one of them.
_SHARED = ("discovery", "interop", "serve", "cli/test_discover.py", "cli/endpoint/test_at_ca.py")


@pytest.hookimpl(tryfirst=True)  # before the marks are read
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Keep each module in one process, for its fixtures, and what shares a network together."""
    for item in items:
        inside = item.path.relative_to(Path(__file__).parent).as_posix()
        group = "network" if inside.startswith(_SHARED) else inside
        item.add_marker(pytest.mark.xdist_group(group))
