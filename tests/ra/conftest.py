"""Fixtures for the RA: servers on a new CA folder."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support import est
from tests.support.est import Server


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    """A server that asks about everybody but users and its own devices."""
    with est.serving(tmp_path) as server:
        yield server


@pytest.fixture
def lab(tmp_path: Path) -> Iterator[Server]:
    """A server that grants to everybody."""
    with est.serving(tmp_path, est.LAB) as server:
        yield server
