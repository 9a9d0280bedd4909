"""Fixtures for notification: a receiver's certificate, known to the CA folder."""

from __future__ import annotations

from pathlib import Path

import pytest

from .receivers import PASSWORD, Identity, identity


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
