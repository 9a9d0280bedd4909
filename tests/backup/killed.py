"""A program that is killed at every step of saving and restoring a CA, and looks what is left.

Run as `python -m tests.backup.killed DIR`: prints how many kills each survived. Every call that
changes a name or opens a file there is a step; SIGKILL comes just before it.
"""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

from cipsec.ca_folder import CaFolder
from cipsec.pki import sealed
from tests.backup.saving import bring_back, contents, rows, save
from tests.support import ca
from tests.support.killing import killed_at


def saving(place: Path, number: int) -> bool:
    """Kill a backup that overwrites another: one of both is there, whole, and nothing is left."""
    folder, target = CaFolder(place / "ca"), place / "backup"
    killed = killed_at(number, place, lambda: save(folder, target, overwrite=True))
    shutil.rmtree(place / "new", ignore_errors=True)
    restored = bring_back(target, place / "new").folder
    if (contents(restored), rows(restored)) != (contents(folder), rows(folder)):
        raise SystemExit("neither the old backup nor the new one is there")
    if killed:  # the next one removes what is left
        save(folder, target, overwrite=True)
    if list(folder.path.glob(".*")):
        raise SystemExit("a copy of the store is left")
    return killed


def restoring(place: Path, number: int) -> bool:
    """Kill a restoration over another CA: one of both has the place, or both are beside it."""
    old, target = CaFolder(place / "old"), place / "backup"
    folder = CaFolder(place / "there" / "ca")
    shutil.rmtree(folder.path.parent, ignore_errors=True)
    shutil.copytree(old.path, folder.path)
    killed = killed_at(number, place, lambda: bring_back(target, folder.path, force=True))
    whole = [CaFolder(p) for p in folder.path.parent.iterdir() if not p.name.startswith(".")]
    roots = {one.certificate() for one in whole}
    if not killed and roots != {old.certificate(), CaFolder(place / "ca").certificate()}:
        raise SystemExit("one of the two is not there")
    if old.certificate() not in roots:
        raise SystemExit("the old CA is lost")
    for one in whole:
        one.authority(None)
        one.store().close()
    if not folder.path.exists() and len(whole) != 2:  # between two renames
        raise SystemExit("nothing has the place, and not both are beside it")
    return killed


def main(place: Path) -> None:
    """Kill at the first step, the second, … until nothing is left to kill."""
    sealed.ITERATIONS = 100_000
    for name in ("ca", "old"):
        ca.ask(ca.make(place / name))
    save(CaFolder(place / "ca"), place / "backup")
    for what in (saving, restoring):
        number = 0
        while what(place, number := number + 1):
            pass
        sys.stdout.write(f"{number - 1}\n")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
