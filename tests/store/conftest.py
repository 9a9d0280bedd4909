"""Fixtures for the record: an empty store and its writer."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from cipsec.store.database import Database
from cipsec.store.writer import Writer


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
