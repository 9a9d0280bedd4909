"""Whose files are: what root makes in another user's folder, and what to type where one may not."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

from cipsec import private, shell


def pass_on(descriptor: int, heir: Path) -> None:
    """Give what root has just made to the owner of `heir`; anybody else keeps what he makes.

    `sudo cipsec …` is a habit, and a server that runs as a user of its own could not open what
    root leaves in its folder.
    """
    if not _is_root():
        return
    with contextlib.suppress(OSError):  # a share that takes root for nobody
        owner = heir.stat()
        if owner.st_uid != 0:
            os.fchown(descriptor, owner.st_uid, owner.st_gid)


def make_lock(path: Path) -> None:
    """Make, as root, a lock file that is missing, so that the folder's owner can lock it too."""
    if not _is_root():
        return
    with contextlib.suppress(OSError):  # it is there, or who locks it says why it cannot be
        _pass_on_new(path, os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o644))


def private_folder(path: Path) -> None:
    """Make a private folder, and those around that are missing, for their owner; raise OSError."""
    _make_folders(path.parent)
    private.new_folder(path)
    _pass_on_folder(path)


def _make_folders(path: Path) -> None:
    if not path.exists():
        _make_folders(path.parent)
        path.mkdir(exist_ok=True)
        _pass_on_folder(path)


def _pass_on_folder(path: Path) -> None:
    if _is_root():
        _pass_on_new(path, os.open(path, os.O_RDONLY | os.O_NOFOLLOW))


def _pass_on_new(path: Path, descriptor: int) -> None:
    try:
        pass_on(descriptor, path.parent)
    finally:
        os.close(descriptor)


def _is_root() -> bool:
    return hasattr(os, "geteuid") and os.geteuid() == 0


def hint(path: Path) -> str:
    """Return the hint for what this user may not do with a file or folder."""
    if (given := stray(path)) is not None:
        return given
    name = _owner(path)
    if name is None:
        return f"run it as the user whose it is: {shell.command('ls -ld', path, windows='icacls')}"
    return f"run it as the user whose it is: sudo -u {shell.quote(name)} cipsec …"


def stray(path: Path) -> str | None:
    """Return the hint for another's file in a folder of this user's own; None for any other."""
    try:
        mine = os.geteuid() == path.parent.stat().st_uid != path.stat().st_uid
    except (OSError, AttributeError):  # hidden, or Windows
        return None
    if not mine:
        return None
    around, file = shell.quote(path.parent), shell.quote(path)
    return f"give it to the folder's owner: sudo chown --reference={around} {file}"


def _owner(path: Path) -> str | None:
    """Return the name of a file's owner; None where none can be told."""
    try:
        return path.owner()
    except (OSError, KeyError, NotImplementedError):  # hidden, nobody's, or Windows
        return None
