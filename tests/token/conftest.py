"""A token for each test."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support import softhsm
from tests.support.softhsm import SoftHsm


@pytest.fixture
def hsm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[SoftHsm]:
    """An empty token."""
    with softhsm.token(tmp_path / "hsm", monkeypatch) as made:
        yield made
