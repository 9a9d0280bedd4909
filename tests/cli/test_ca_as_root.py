"""What root does in the folder of a CA that another user serves: all of it stays that user's."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.serialization import Encoding

from cipsec.ca_folder import CaFolder
from tests.support import vendor

from .conftest import Cipsec

pytestmark = pytest.mark.skipif(
    not hasattr(os, "geteuid") or os.geteuid() != 0, reason="only root can give files away"
)
_SERVICE = 12345
_AS_SERVICE = f"""
import filelock, os, pwd, sys
from pathlib import Path
from cipsec import files
from cipsec.errors import LocalState
os.setgid({_SERVICE})
os.setuid({_SERVICE})
try:
    with files.held(Path(sys.argv[1]), patience=0, busy="busy"):
        print("held")
except LocalState as error:
    print(error.hint)
"""


@pytest.fixture
def served(ca_folder: CaFolder, on_ca: Cipsec) -> CaFolder:
    """A CA's folder that belongs to the user of a service."""
    for path in (ca_folder.path, *ca_folder.path.rglob("*")):
        os.chown(path, _SERVICE, _SERVICE)
    return ca_folder


def _strange(folder: CaFolder) -> list[str]:
    """What lies in the folder and is not the service's."""
    found = (path for path in folder.path.rglob("*") if path.stat().st_uid != _SERVICE)
    return sorted(str(path.relative_to(folder.path)) for path in found)


def test_all_that_is_written(on_ca: Cipsec, served: CaFolder, tmp_path: Path) -> None:
    """Locks, keys, lists and roots: the server could neither start nor renew its list else."""
    root = tmp_path / "acme.pem"
    root.write_bytes(vendor.make().root.certificate.public_bytes(Encoding.PEM))
    done = [
        on_ca("ca", "crl", "-o", tmp_path / "list.crl"),
        on_ca("ca", "provision", "card-1", "-o", tmp_path / "card-1"),
        on_ca("allowlist", "add", "0001:6040C8F2", "--list", "line-3"),
        on_ca("vendor", "add", root, "--name", "acme", "-y"),
        on_ca("user", "add", "alice", "--generate", "-o", tmp_path / "password"),
        on_ca("ca", "rollover"),
        on_ca("ca", "rollover", "--activate", "-y"),
    ]
    assert [ran.code for ran in done] == [0] * len(done), done
    assert {path.name for path in served.path.iterdir()} >= {
        "allowlists.lock",
        "ca.crl",
        "crl.lock",
        "keys.lock",
        "previous",
        "provisioning.key",
        "vendors.lock",
    }
    assert _strange(served) == []
    assert (tmp_path / "card-1" / "key.pem").stat().st_uid == 0  # what is asked for is root's


def test_a_file_of_events(on_ca: Cipsec, served: CaFolder) -> None:
    """The server goes on with the file that a test of the channel has made."""
    with served.config_file.open("a") as config:
        config.write('[[channel]]\nname = "record"\ntype = "file"\npath = "events.jsonl"\n')
    assert on_ca("notify", "test", "record").code == 0
    assert (served.path / "events.jsonl").stat().st_uid == _SERVICE
    assert _strange(served) == []


def test_a_lock_that_root_left() -> None:
    """The folder's owner is told to take it over: he is already the user whose the folder is."""
    with tempfile.TemporaryDirectory() as place:
        lock = Path(place) / "crl.lock"
        lock.touch(mode=0o644)
        os.chown(place, _SERVICE, _SERVICE)
        done = subprocess.run(
            [sys.executable, "-c", _AS_SERVICE, str(lock)],
            capture_output=True,
            text=True,
            check=True,
        )
        hint = f"sudo chown --reference={place} {lock}"
        assert done.stdout == f"give it to the folder's owner: {hint}\n"
