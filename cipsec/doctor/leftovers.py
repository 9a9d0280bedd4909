"""What commands that were killed have left in a CA's folder and beside it; keys may be in it."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from datetime import timedelta
from itertools import islice
from pathlib import Path

from cipsec import shell
from cipsec.doctor.finding import Remark, or_ok, warn
from cipsec.doctor.subject import Ca

_MOST_FILES = 10_000
_AT_WORK = timedelta(hours=1)  # what is younger may be of a command that is at work
_UNFINISHED = re.compile(r"\..+\.[0-9a-f]{12}")  # as `files` names what is not whole yet


def leftovers(ca: Ca) -> Iterable[Remark]:
    """See that nothing unfinished lies about: a draft of the CA's folder, a key, a copy."""
    return or_ok(
        (
            warn(
                f"{path} was left by a command that was killed",
                shell.command("rm -r", path, windows="Remove-Item -Recurse"),
            )
            for path in _unfinished(ca)
            if _is_old(path, ca)
        ),
        "no command that was killed has left anything",
    )


def _unfinished(ca: Ca) -> Iterator[Path]:
    own = ca.folder.path
    for where in (own, ca.folder.predecessors_folder, ca.folder.successor.path):
        yield from (path for path in _within(where) if _UNFINISHED.fullmatch(path.name))
    drafts = re.compile(rf"\.{re.escape(own.name)}\.[0-9a-f]{{12}}")  # of init and restore
    yield from (path for path in _within(own.parent) if drafts.fullmatch(path.name))


def _within(where: Path) -> list[Path]:
    try:
        return sorted(islice(where.iterdir(), _MOST_FILES))
    except OSError:  # it is not there, or another check says so
        return []


def _is_old(path: Path, ca: Ca) -> bool:
    try:
        return ca.now.timestamp() - path.lstat().st_mtime > _AT_WORK.total_seconds()
    except OSError:  # gone since
        return False


CHECKS = {"ca leftovers": leftovers}
