"""Making a backup: the store as it is at one moment, then the files; read back before it counts.

A server may run meanwhile. What is written is a tar archive, sealed by `pki.sealed`.
"""

from __future__ import annotations

import contextlib
import hashlib
import io
import os
import secrets
import tarfile
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import BinaryIO

from cipsec import files
from cipsec.backup import contents, facts
from cipsec.backup.contents import Found
from cipsec.backup.facts import Facts
from cipsec.ca_folder import CaFolder
from cipsec.errors import LocalState, UsageError
from cipsec.pki.sealed import Sealing, opened
from cipsec.store import events, snapshot
from cipsec.store.codes import Code
from cipsec.store.database import Database
from cipsec.store.events import Event
from cipsec.store.readonly import ReadOnly

SHORTEST = 12  # characters of the passphrase: the file may lie anywhere, for years
_TRIES = 3
_PIECE = 64 * 1024
_LONG = 3600.0  # seconds in which a copy of a million certificates is looked through


@dataclass(frozen=True, slots=True)
class Made:
    """A backup that was made and read back: its SHA-256 and size, and what it says of itself."""

    path: Path
    sha256: str
    size: int
    facts: Facts
    files: int
    left_out: tuple[str, ...]


def make(
    folder: CaFolder,
    target: Path,
    passphrase: str,
    *,
    overwrite: bool,
    by: str,
    now: datetime,
) -> Made:
    """Make a backup of the CA, mode 0600, whole or not at all, and record it.

    Raises UsageError for a short passphrase and for a place inside the folder, AlreadyExists,
    Locked while another backup is made, LocalState when it cannot be.
    """
    check_place(folder, target)
    if len(passphrase) < SHORTEST:
        raise UsageError(f"the passphrase of a backup has at least {SHORTEST} characters")
    with _alone(folder), _copied(folder) as store:
        for _ in range(_TRIES):
            made = _write(folder, store, target, passphrase, now, overwrite=overwrite)
            if made is not None:
                _record(folder, made, by, now)
                return made
    raise LocalState(f"{folder.path} changes all the time", hint="run it again")


def check_place(folder: CaFolder, target: Path) -> None:
    """Raise UsageError for a file in the very folder that is to be saved."""
    if folder.path.resolve() in target.resolve().parents:
        raise UsageError(
            f"{target} is in the CA's folder: it would be lost with it",
            hint="name a file on another disk",
        )


@contextlib.contextmanager
def _alone(folder: CaFolder) -> Iterator[None]:
    """Let one backup be made at a time, and remove what a killed one left."""
    lock, busy = folder.backup_lock_file, f"another backup of {folder.path} is being made"
    with files.held(lock, patience=0, busy=busy):
        for left in folder.path.glob(".backup.*"):
            left.unlink()
        yield


@contextlib.contextmanager
def _copied(folder: CaFolder) -> Iterator[Path]:
    """Yield a copy of the store, checked; it lies where the store does, which is as secret."""
    copy = folder.path / f".backup.{secrets.token_hex(6)}"
    try:
        snapshot.copy(folder.store_file, copy)
        damage = ReadOnly(copy, seconds=_LONG).damage()
        if damage:
            hint = "see what can be saved: sqlite3 store.sqlite3 .recover"
            raise LocalState(f"the store is damaged and was not backed up: {damage}", hint=hint)
        yield copy
    finally:
        copy.unlink(missing_ok=True)


def _write(
    folder: CaFolder,
    store: Path,
    target: Path,
    passphrase: str,
    now: datetime,
    *,
    overwrite: bool,
) -> Made | None:
    """Write and read back; None, and nothing written, when a file changed meanwhile.

    Else one root's certificate might be saved with another's key.
    """
    found, root = contents.find(folder), folder.certificate()
    before = found.stamps()
    said = ReadOnly(store).read(lambda db: facts.of(db, root, now))
    with contextlib.suppress(_Changed), files.new_file(target, overwrite=overwrite) as draft:
        with draft.open("wb") as stream:
            sink = _Sink(stream, Sealing(passphrase))
            _archive(sink, said, store, found)
            sink.finish()
        if contents.find(folder).stamps() != before:
            raise _Changed
        _read_back(draft, passphrase, sink)
        size = draft.stat().st_size
        count = len(found.files) + 1
        return Made(target, sink.sealed.hexdigest(), size, said, count, found.left_out)
    return None


class _Changed(Exception):
    """A file changed while it was read."""


class _Sink(io.RawIOBase):
    """Where the archive is written to: sealed, counted, and hashed on both sides."""

    def __init__(self, stream: BinaryIO, sealing: Sealing) -> None:
        super().__init__()
        self._stream, self._sealing = stream, sealing
        self.plain, self.sealed = hashlib.sha256(), hashlib.sha256()
        self._out(sealing.head)

    def write(self, data: bytes) -> int:  # type: ignore[override]  # tarfile writes bytes
        self.plain.update(data)
        self._out(self._sealing.update(data))
        return len(data)

    def finish(self) -> None:
        """Write the end; the stream is durable when it is given its name."""
        self._out(self._sealing.finish())

    def _out(self, data: bytes) -> None:
        self.sealed.update(data)
        self._stream.write(data)


def _archive(sink: _Sink, said: Facts, store: Path, found: Found) -> None:
    with tarfile.open(fileobj=sink, mode="w|", format=tarfile.PAX_FORMAT) as archive:
        data = said.to_json()
        archive.addfile(_member(contents.FACTS, len(data), 0o600, said), io.BytesIO(data))
        for name, path in {**found.files, "store.sqlite3": store}.items():
            _add(archive, f"{contents.ROOT}/{name}", path, said)


def _add(archive: tarfile.TarFile, name: str, path: Path, said: Facts) -> None:
    """Add a file as it is when it is opened: what a log gains meanwhile is not missed."""
    try:
        file = path.open("rb")
    except OSError as error:
        hint = "run it as the user whose server it is"
        raise LocalState(f"{path} cannot be read: {files.reason(error)}", hint=hint) from None
    with file:
        seen = os.fstat(file.fileno())
        try:
            archive.addfile(_member(name, seen.st_size, seen.st_mode, said), file)
        except OSError as error:
            if "unexpected end of data" in str(error):  # it was cut meanwhile
                raise _Changed from None
            raise


def _member(name: str, size: int, mode: int, said: Facts) -> tarfile.TarInfo:
    member = tarfile.TarInfo(name)
    member.size, member.mode = size, mode & 0o777
    member.mtime = int(said.made_at.timestamp())
    return member


def _read_back(draft: Path, passphrase: str, sink: _Sink) -> None:
    """See that the file as it is on disk opens and is what was meant; raise Malformed."""
    plain = hashlib.sha256()
    with draft.open("rb", buffering=_PIECE) as file:
        for piece in opened(file.read, passphrase):
            plain.update(piece)
    if plain.digest() != sink.plain.digest():
        raise LocalState("what was written cannot be read back", hint="try another disk")


def _record(folder: CaFolder, made: Made, by: str, now: datetime) -> None:
    reason = (
        f"up to event {made.facts.event}, {made.facts.certificates} certificates;"
        f" SHA-256 {made.sha256}"
    )
    database = Database.open(folder.store_file)
    try:
        event = Event(at=int(now.timestamp()), event=Code.BACKED_UP, actor=by, reason=reason)
        database.write(lambda db: events.append(db, event))
    finally:
        database.close()
