"""A folder of vendors."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from cipsec.ra.vendors import Vendors

_PATIENCE_SECONDS = 120.0


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """An empty folder `vendors`."""
    path = tmp_path / "vendors"
    path.mkdir()
    return path


def settle(vendors: Vendors) -> None:
    """Wait until the files are so old that they cannot have changed unseen."""
    deadline = time.monotonic() + _PATIENCE_SECONDS
    while vendors._current() is not vendors._current():
        assert time.monotonic() < deadline
        time.sleep(0.01)
