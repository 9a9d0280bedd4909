"""A folder for lists."""

from __future__ import annotations

from pathlib import Path

import pytest

from cipsec.ra.allowlist import background
from cipsec.ra.allowlist.live import Allowlists


@pytest.fixture(autouse=True)
def _patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Who waits for a list has two minutes: this machine may be busy."""
    monkeypatch.setattr(background, "_PATIENCE_SECONDS", 120.0)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """An empty folder `allowlists`."""
    path = tmp_path / "allowlists"
    path.mkdir()
    return path


@pytest.fixture
def lists(folder: Path) -> Allowlists:
    """The lists of `folder`."""
    return Allowlists(folder)
