"""Backups that are quickly made: a tenth of the work for who guesses will do for tests."""

from __future__ import annotations

import pytest

from cipsec.pki import sealed


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sealed, "ITERATIONS", 100_000)
