"""Modes and owners of what lies in a CA's folder, with real files."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from cipsec import shell
from cipsec.ca_folder import CaFolder

from .looking import FAIL, OK, WARN, at_ca, brief

pytestmark = pytest.mark.skipif(os.name == "nt", reason="Windows has no modes")
as_root = pytest.mark.skipif(
    not hasattr(os, "geteuid") or os.geteuid() != 0, reason="only root can give files away"
)
_SOMEBODY = 12345


@pytest.mark.parametrize(
    ("mode", "verdict", "hint"),
    [
        (0o700, OK, None),
        (0o755, OK, None),
        (0o770, WARN, "chmod g-w"),
        (0o777, FAIL, "chmod go-w"),
        (0o1777, FAIL, "chmod go-w"),
    ],
)
def test_folder(ca_folder: CaFolder, mode: int, verdict: object, hint: str | None) -> None:
    """Who may write into the folder may replace the key."""
    ca_folder.path.chmod(mode)
    [found] = at_ca(ca_folder, "ca folder")
    assert found.verdict is verdict
    assert found.hint == (hint and f"{hint} {ca_folder.path}")


@pytest.mark.parametrize("name", ["ca.key", "server.key", "provisioning.key"])
@pytest.mark.parametrize("mode", [0o644, 0o640, 0o602])
def test_keys(ca_folder: CaFolder, name: str, mode: int) -> None:
    """A key that anybody else can read is nobody's secret."""
    assert brief(at_ca(ca_folder, "ca secrets")) == [(OK, "keys and store are their owner's alone")]
    path = ca_folder.path / name
    path.touch(mode=0o600)
    path.chmod(mode)
    [found] = at_ca(ca_folder, "ca secrets")
    assert (found.verdict, found.detail) == (FAIL, f"{path} can be read or changed by others")
    assert found.hint == f"chmod 600 {path}"


def test_store(ca_folder: CaFolder) -> None:
    """The store holds the hashes of passwords: to be seen to; who may change it, may grant."""
    path = ca_folder.store_file
    path.chmod(0o644)
    [found] = at_ca(ca_folder, "ca secrets")
    assert (found.verdict, found.hint) == (WARN, f"chmod 600 {path}")
    path.chmod(0o606)
    [found] = at_ca(ca_folder, "ca secrets")
    assert found.verdict is FAIL


@pytest.mark.parametrize(
    "name", ["ca.toml", "ca.pem", "allowlists", "allowlists/default.csv", "vendors"]
)
def test_what_everybody_may_change(ca_folder: CaFolder, name: str) -> None:
    """Rules, lists and anchors that everybody may change let everybody in; a group is meant."""
    path = ca_folder.path / name
    path.chmod(0o775)
    assert [one.verdict for one in at_ca(ca_folder, "ca public files")] == [OK]
    path.chmod(0o777)
    [found] = at_ca(ca_folder, "ca public files")
    assert (found.verdict, found.detail) == (FAIL, f"{path} can be changed by everybody")
    assert found.hint == f"chmod o-w {path}"


@as_root
def test_owners(ca_folder: CaFolder) -> None:
    """What root left behind in the server's folder, the server cannot use."""
    for path in (ca_folder.path, *ca_folder.path.rglob("*")):
        os.chown(path, _SOMEBODY, _SOMEBODY)
    assert [one.verdict for one in at_ca(ca_folder, "ca owners")] == [OK]
    _root_writes(ca_folder.path / "allowlists" / "readable.csv", 0o644)
    assert [one.verdict for one in at_ca(ca_folder, "ca owners")] == [OK]
    hidden = _root_writes(ca_folder.path / "allowlists" / "hidden.csv", 0o600)
    os.chown(ca_folder.store_file, 0, 0)
    lock = _root_writes(ca_folder.path / "crl.lock", 0o644)
    found = at_ca(ca_folder, "ca owners")
    assert [(one.verdict, one.detail.split()[0]) for one in found] == [
        (WARN, str(lock)),
        (WARN, str(ca_folder.store_file)),
        (WARN, str(hidden)),
    ]
    assert found[0].hint == f"sudo chown -R {_SOMEBODY}:{_SOMEBODY} {ca_folder.path}"


def _root_writes(path: Path, mode: int) -> Path:
    path.touch()
    path.chmod(mode)
    return path


def test_on_windows_nothing_is_said_to_be_well(
    ca_folder: CaFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Modes mean nothing there; who may read a key is in a list that is not looked at."""
    monkeypatch.setattr(shell, "WINDOWS", True)
    [(verdict, detail)] = brief(at_ca(ca_folder, "ca folder"))
    assert (verdict, detail.endswith("its access list is not looked at")) == (OK, True)
    for check in "ca secrets", "ca public files", "ca owners":
        assert brief(at_ca(ca_folder, check)) == []
