"""Taking in the certificate of an intermediate CA, beside others who do."""

from __future__ import annotations

from pathlib import Path

import pytest

from cipsec.ca_folder import keyed
from cipsec.errors import Locked
from tests.support import upper

from .killed import install, waiting


def test_one_after_the_other(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Who takes another certificate in meanwhile is waited for: chain and certificate are two."""
    monkeypatch.setattr(keyed, "_PATIENCE_SECONDS", 0)
    folder, root = waiting(tmp_path / "ca"), upper.root("CN=Root")
    own = root.answer(folder.request_file)
    with folder.keys_held(), pytest.raises(Locked):
        install(folder, root, own)
    assert folder.is_waiting()
    install(folder, root, own)
    assert folder.path_to_root() == [own, root.certificate]
