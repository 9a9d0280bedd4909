"""Fixtures for notification: a receiver's certificate, known to the CA folder."""

from __future__ import annotations

from pathlib import Path

import pytest

from cipsec.ra.notify import blocking, command, deliver, network

from .receivers import PASSWORD, Identity, identity


@pytest.fixture(autouse=True)
def _patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """A delivery has two minutes: this machine may be busy."""
    for module in (deliver, command):
        monkeypatch.setattr(module, "SECONDS", 120.0)
    monkeypatch.setattr(network, "CONNECT_SECONDS", 120.0)
    monkeypatch.setattr(blocking, "_END_SECONDS", 120.0)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A CA's folder, as far as channels need one: with the password of the mail server."""
    path = tmp_path / "ca"
    path.mkdir()
    (path / "mail.password").write_text(f"{PASSWORD}\n")
    return path


@pytest.fixture
def tls(folder: Path) -> Identity:
    """A receiver's certificate; its CA's is `receiver-ca.pem` in the folder."""
    return identity(folder)
