"""A plant to play the documents' commands on."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support import administrator

from .plant import Plant, plant


@pytest.fixture
def made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Plant]:
    """The plant of the documents; commands run in its folder, on its CA, as its administrator."""
    administrator.be(monkeypatch, "anna")
    monkeypatch.setenv("CIPSEC_CA_DIR", str(tmp_path / "ca"))
    monkeypatch.chdir(tmp_path)
    with plant(tmp_path) as found:
        yield found
