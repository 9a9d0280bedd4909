"""Who may read and change what lies in a CA's folder; Windows has no modes to look at."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path

from cipsec import shell
from cipsec.doctor.finding import Remark, fail, ok, or_ok, typed, warn
from cipsec.doctor.subject import Ca

_MOST_FILES = 10_000
_OTHERS_READ, _OTHERS_WRITE, _GROUP_WRITES = stat.S_IROTH, stat.S_IWOTH, stat.S_IWGRP
_ANY_OTHER = stat.S_IRWXG | stat.S_IRWXO


def folder(ca: Ca) -> Iterator[Remark]:
    """See who may replace what is in the folder: who can, can grant."""
    path = ca.folder.path
    with os.scandir(path):  # raises where it cannot be looked into
        mode = mode_of(path) or 0
    if shell.WINDOWS:
        yield unseen(path)
    elif mode & _OTHERS_WRITE:
        yield fail(f"{path}: everybody may change what is in it", f"chmod go-w {typed(path)}")
    elif mode & _GROUP_WRITES:
        detail = f"{path}: its group may replace all that is in it, the key too"
        yield warn(detail, f"chmod g-w {typed(path)}")
    else:
        yield ok(f"{path}: only its owner may change what is in it")


def secrets(ca: Ca) -> Iterable[Remark]:
    """See that nobody else reads keys and the store, which holds the hashes of passwords."""
    if shell.WINDOWS:
        return ()
    return or_ok((*_keys(ca), *_stores(ca)), "keys and store are their owner's alone")


def _keys(ca: Ca) -> Iterator[Remark]:
    of = ca.folder
    for path in (*of.key_files(), of.server_key_file):
        if (mode_of(path) or 0) & _ANY_OTHER:
            yield fail(f"{path} can be read or changed by others", f"chmod 600 {typed(path)}")


def _stores(ca: Ca) -> Iterator[Remark]:
    store = ca.folder.store_file
    for path in (store, store.with_name(f"{store.name}-wal")):
        mode = mode_of(path) or 0
        if mode & _OTHERS_WRITE:
            yield fail(f"{path} can be changed by everybody", f"chmod 600 {typed(path)}")
        elif mode & _ANY_OTHER:
            yield warn(f"{path} can be read or changed by others", f"chmod 600 {typed(path)}")


def public(ca: Ca) -> Iterable[Remark]:
    """See that not everybody may change the rules, the lists and the anchors."""
    if shell.WINDOWS:
        return ()
    return or_ok(_changeable(ca), "not everybody may change rules, lists and anchors")


def _changeable(ca: Ca) -> Iterator[Remark]:
    of = ca.folder
    fixed = (of.config_file, of.certificate_file, of.chain_file, of.server_certificate_file)
    for path in (*fixed, *_within(ca.lists), *_within(ca.vendors)):
        if (mode_of(path) or 0) & _OTHERS_WRITE:
            yield fail(f"{path} can be changed by everybody", f"chmod o-w {typed(path)}")


def _within(where: Path) -> Iterator[Path]:
    """Yield a folder, if it is there, and what is in it."""
    try:
        with os.scandir(where) as entries:
            found = [Path(entry.path) for entry in islice(entries, _MOST_FILES)]
    except OSError:  # whoever reads lists and vendors says so
        return
    yield where
    yield from sorted(found)


def owners(ca: Ca) -> Iterable[Remark]:
    """See that the folder's owner can use what is in it: `sudo` left files that he cannot."""
    if (seen := _stat(ca.folder.path)) is None or shell.WINDOWS:
        return ()
    strange = [path for path in _owned(ca) if not _is_readable_by(path, seen)]
    hint = f"sudo chown -R {seen.st_uid}:{seen.st_gid} {typed(ca.folder.path)}"
    return or_ok(
        (
            warn(f"{path} is not the folder's owner's, and he cannot use it", hint)
            for path in strange
        ),
        "the folder's owner can use what is in it",
    )


def _owned(ca: Ca) -> Iterator[Path]:
    yield from sorted(islice(ca.folder.path.iterdir(), _MOST_FILES))
    for where in (ca.lists, ca.vendors):
        yield from list(_within(where))[1:]


def _is_readable_by(path: Path, owner: os.stat_result) -> bool:
    """Tell whether the folder's owner reads a file; a name that leads nowhere is not his trouble.

    The store and locks are to be written as well, and by him alone.
    """
    seen = _stat(path)
    if seen is None or seen.st_uid == owner.st_uid:
        return True
    if path.name.startswith("store.") or path.suffix == ".lock":
        return False
    in_group = seen.st_gid == owner.st_gid and bool(seen.st_mode & stat.S_IRGRP)
    return in_group or bool(seen.st_mode & _OTHERS_READ)


def unseen(path: Path) -> Remark:
    """Say that nothing was seen: on Windows access lists decide, which others know to read."""
    return ok(f"{path}: its access list is not looked at", f"icacls {typed(path)}")


def mode_of(path: Path) -> int | None:
    """Return the mode of what a name leads to; None for nothing, and where there are no modes."""
    seen = _stat(path)
    return None if seen is None or shell.WINDOWS else stat.S_IMODE(seen.st_mode)


def _stat(path: Path) -> os.stat_result | None:
    try:
        return path.stat()
    except OSError:
        return None


CHECKS = {
    "ca folder": folder,
    "ca secrets": secrets,
    "ca public files": public,
    "ca owners": owners,
}
