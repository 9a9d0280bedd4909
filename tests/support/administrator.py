"""Who the commands act for, whoever runs the tests."""

from __future__ import annotations

import pytest


def be(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    """Let commands in this process be those of the administrator `name`."""
    monkeypatch.setattr("cipsec._cli.actor.name", lambda: name)
