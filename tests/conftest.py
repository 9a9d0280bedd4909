"""Fixtures for all tests: a CA in a temporary folder."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest

from cipsec import times
from cipsec.ca_folder import CaFolder
from tests.support import ca


@pytest.fixture
def ca_folder(tmp_path: Path) -> CaFolder:
    """The CA "Line 4": key without passphrase, policy "approval", three years old."""
    return ca.make(tmp_path / "ca", now=times.now() - timedelta(days=1100))
