"""The identity folder under SIGKILL at every step: the pair on disk matches, nothing is lost."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from cipsec.endpoint.folder import Folder
from cipsec.errors import LocalState
from tests.endpoint import killed

ROOT = Path(__file__).parents[2]
_AS_NOBODY = """
import filelock, os, sys
from pathlib import Path
from cipsec.endpoint.folder import Folder
from cipsec.errors import LocalState
if os.geteuid() == 0:
    os.setuid(65534)
try:
    with Folder(Path(sys.argv[1])).locked():
        pass
except LocalState as error:
    print(error)
"""


@pytest.mark.skipif(os.name == "nt", reason="forks")
@pytest.mark.parametrize("links", [[], ["no-links"]])
def test_killed_at_every_step(tmp_path: Path, links: list[str]) -> None:
    """A process of its own, because it forks: see `killed`."""
    done = subprocess.run(
        [sys.executable, "-m", "tests.endpoint.killed", str(tmp_path / "identity"), *links],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stderr == ""
    assert done.returncode == 0
    assert all(int(count) > 25 for count in done.stdout.split())


def test_a_certificate_that_came_before_the_kill_is_not_asked_for_again(tmp_path: Path) -> None:
    """A draft that holds its certificate is complete, and the next run takes it into use."""
    folder = Folder(tmp_path / "identity")
    made = killed.draft()
    got = killed.issued(made)
    killed.change(folder, made, got)
    (folder.path / "current").unlink()
    (folder.path / "1").rename(folder.path / "next")
    with folder.locked():
        pass
    identity = folder.identity()
    assert identity
    assert identity.issued == got
    assert folder.draft() is None


@pytest.mark.skipif(os.name == "nt", reason="POSIX permissions")
def test_a_folder_that_may_not_be_written(tmp_path: Path) -> None:
    """Another user's folder can be looked at where its mode allows, and not changed."""
    folder = Folder(tmp_path / "identity")
    made = killed.draft()
    killed.change(folder, made, killed.issued(made))
    for path in (tmp_path, *tmp_path.parents[:2], folder.path):
        path.chmod(0o755)
    folder.path.chmod(0o500)
    command = [sys.executable, "-c", _AS_NOBODY, str(folder.path)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert "cannot be" in done.stdout
    folder.path.chmod(0o700)
    assert folder.identity()


def test_an_empty_folder_is_no_identity(tmp_path: Path) -> None:
    """Neither is one that is not there, or that cannot be listed."""
    assert Folder(tmp_path).identity() is None
    assert not Folder(tmp_path).exists()
    assert not Folder(tmp_path / "none").exists()
    (tmp_path / "file").write_text("")
    with pytest.raises(LocalState):
        Folder(tmp_path / "file").exists()
