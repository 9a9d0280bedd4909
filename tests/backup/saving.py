"""Saving and restoring a CA in tests, and what must be the same afterwards."""

from __future__ import annotations

import hashlib
import io
import sqlite3
import tarfile
from collections.abc import Sequence
from contextlib import closing
from datetime import datetime
from pathlib import Path

from cipsec import times
from cipsec.backup import restore as restoring
from cipsec.backup import write
from cipsec.backup.facts import Facts
from cipsec.backup.restore import Restored
from cipsec.backup.write import Made
from cipsec.ca_folder import CaFolder
from cipsec.pki.sealed import Sealing

PASSPHRASE = "correct horse battery"


def save(folder: CaFolder, target: Path, *, overwrite: bool = False) -> Made:
    """Make a backup."""
    now = times.now()
    return write.make(folder, target, PASSPHRASE, overwrite=overwrite, by="operator", now=now)


def bring_back(
    source: Path, place: Path, *, force: bool = False, now: datetime | None = None
) -> Restored:
    """Restore one."""
    now = now or times.now()
    return restoring.restore(source, place, PASSPHRASE, force=force, by="operator", now=now)


def contents(folder: CaFolder) -> dict[str, tuple[int, str]]:
    """Return mode and SHA-256 of every file but the store, which is compared by its rows."""
    found = {}
    for path in sorted(folder.path.rglob("*")):
        name = path.relative_to(folder.path).as_posix()
        if name.startswith("."):  # half-written
            continue
        if path.is_file() and not name.startswith("store.") and not name.endswith(".lock"):
            digest = hashlib.sha256(path.read_bytes()).hexdigest()
            found[name] = path.stat().st_mode & 0o777, digest
    return found


def rows(folder: CaFolder) -> dict[str, list[tuple[object, ...]]]:
    """Return every row of every table, without the events of saving and restoring."""
    with closing(sqlite3.connect(folder.store_file)) as db:
        names = [row[0] for row in db.execute("SELECT name FROM sqlite_master WHERE type='table'")]
        every = {name: db.execute(f"SELECT * FROM {name}").fetchall() for name in names}
    ours = {"backed-up", "restored"}
    every["events"] = [row for row in every["events"] if not ours & set(map(str, row))]
    every.pop("sqlite_sequence", None)
    return every


def forge(target: Path, members: Sequence[tuple[tarfile.TarInfo, bytes]], facts: Facts) -> Path:
    """Write a backup with these members behind what it says of itself: by one who may."""
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w") as archive:
        first, data = tarfile.TarInfo("backup.json"), facts.to_json()
        first.size = len(data)
        archive.addfile(first, io.BytesIO(data))
        for member, content in members:
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    return seal(target, stream.getvalue())


def seal(target: Path, data: bytes) -> Path:
    """Write any bytes as the content of a backup."""
    sealing = Sealing(PASSPHRASE)
    target.write_bytes(sealing.head + sealing.update(data) + sealing.finish())
    return target
