"""The identity folder under SIGKILL at every step: the pair on disk matches, nothing is lost."""

from __future__ import annotations

import getpass
import os
import subprocess
import sys
import tempfile
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
folder = Folder(Path(sys.argv[1]))
for act in (folder.locked().__enter__, folder.identity):
    try:
        print(act())
    except LocalState as error:
        print(f"{error}; {error.hint}")
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
def test_a_folder_of_another_user() -> None:
    """Is not changed, and what of it cannot be read is not called damaged: -f would not help."""
    with tempfile.TemporaryDirectory() as place:
        folder = Folder(Path(place) / "identity")
        made = killed.draft()
        killed.change(folder, made, killed.issued(made))
        modes = (Path(place), 0o755), (folder.path, 0o755), (folder.path / "1", 0)
        for path, mode in modes:
            path.chmod(mode)
        command = [sys.executable, "-c", _AS_NOBODY, str(folder.path)]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        (folder.path / "1").chmod(0o700)
        assert folder.identity()
    locking, reading = done.stdout.splitlines()
    me = getpass.getuser()
    whose = f"permission denied; run it as the user whose it is: sudo -u {me} cipsec …"
    if os.geteuid() == 0:  # else both are ours, and the first may be written
        assert locking == f"{folder.path / '.lock'} cannot be locked: {whose}"
    assert reading == f"{folder.path / '1'} cannot be read: {whose}"


def test_an_empty_folder_is_no_identity(tmp_path: Path) -> None:
    """Neither is one that is not there, or that cannot be listed."""
    assert Folder(tmp_path).identity() is None
    assert not Folder(tmp_path).exists()
    assert not Folder(tmp_path / "none").exists()
    (tmp_path / "file").write_text("")
    with pytest.raises(LocalState):
        Folder(tmp_path / "file").exists()
