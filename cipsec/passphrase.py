"""The passphrase of a CA's keys, changed so that at any moment there is one that opens them all.

Asking for passphrases is `_cli`'s.
"""

from __future__ import annotations

import contextlib
import os
import sqlite3
from contextlib import closing
from datetime import datetime
from pathlib import Path

from cipsec import files, shell
from cipsec.ca_folder import CaFolder
from cipsec.errors import CipsecError, LocalState, StoreFailed
from cipsec.pki import keys
from cipsec.store import events
from cipsec.store.codes import Code
from cipsec.store.events import Event


def change(folder: CaFolder, old: str | None, new: str | None, *, by: str, now: datetime) -> None:
    """Put all keys under the passphrase `new`, None for none; a server that runs is not disturbed.

    Whichever passphrase opens the CA's own key opens the others, whenever this ends: they are there
    under both until that one has changed. Raises Locked for `old`, LocalState when the files belong
    to somebody else or cannot be written, and StoreFailed when it cannot be recorded; then `old`
    opens all that it opened.
    """
    with folder.keys_held():
        found = [file.resolve() for file in folder.key_files()]  # a link stays one
        opened = {file: keys.from_either_pem(files.read(file), old) for file in found}
        for file in opened:
            _require_mine(file, folder)
            _sweep(file)
        own = opened.pop(folder.key_file.resolve())
        for file, key in opened.items():
            files.replace(file, keys.to_pem(key, new) + keys.to_pem(key, old))
        _exchange(folder, keys.to_pem(own, new), _event(new, by, now))
        for file, key in opened.items():
            files.replace(file, keys.to_pem(key, new))


def _event(new: str | None, by: str, now: datetime) -> Event:
    what = "the keys are encrypted" if new else "the keys are not encrypted any more"
    return Event(int(now.timestamp()), Code.CA_PASSPHRASE, by, reason=f"passphrase changed: {what}")


def _exchange(folder: CaFolder, pem: bytes, event: Event) -> None:
    """Replace the CA's own key and record it, or neither; this is what counts."""
    file = folder.key_file.resolve()
    before = files.read(file)

    def exchange(db: sqlite3.Connection) -> None:
        events.append(db, event)
        files.replace(file, pem)

    with closing(folder.store()) as database:
        try:
            database.write(exchange)
        except StoreFailed:  # a full disk, when all that was recorded is to be durable
            if files.read(file) != before:
                files.replace(file, before)
            raise


def settle(folder: CaFolder, passphrase: str | None) -> None:
    """Finish a change that was cut off: what opens the CA's own key alone opens the others.

    To be called with the passphrase that has just opened that key. What cannot be done now is left
    for the next time.
    """
    if not any(keys.is_twice(files.read(file)) for file in folder.key_files()):
        return
    with contextlib.suppress(CipsecError), folder.keys_held():
        own = files.read(folder.key_file)
        keys.from_pem(own, passphrase)
        kept = passphrase if keys.is_encrypted(own) else None
        for file in [one.resolve() for one in folder.key_files()]:
            pem = files.read(file)
            if keys.is_twice(pem):
                files.replace(file, keys.to_pem(keys.from_either_pem(pem, passphrase), kept))
            _sweep(file)


def _require_mine(file: Path, folder: CaFolder) -> None:
    """Raise LocalState where the new file would be another user's than the old: root's, mostly."""
    if os.name == "nt":
        return
    owner = file.stat().st_uid
    if owner != os.geteuid():
        place = shell.quote(folder.path)
        raise LocalState(
            f"{file} belongs to another user, who could not read it any more",
            hint=f"sudo -u '#{owner}' cipsec ca passphrase --ca-dir {place}",
        )


def _sweep(file: Path) -> None:
    """Remove what a change that was killed has left: a key under the new passphrase, unnamed."""
    for left in file.parent.glob(f".{file.name}.*"):
        with contextlib.suppress(OSError):
            left.unlink()
