"""Reading a backup: opened, looked at, unpacked into an empty folder; nothing in it is believed.

What comes before the end of the stream may have been changed by anybody; so it goes to a place that
gets its name only afterwards, which is left to `restore`.
"""

from __future__ import annotations

import os
import shutil
import tarfile
from collections.abc import Callable
from pathlib import Path, PurePosixPath

from cipsec import files
from cipsec.backup import contents
from cipsec.backup.facts import Facts
from cipsec.errors import LocalState, Malformed
from cipsec.pki.sealed import opened

_PIECE = 64 * 1024
Put = Callable[[PurePosixPath, tarfile.TarInfo, tarfile.TarFile], None]


def verify(source: Path, passphrase: str) -> Facts:
    """Read a backup to its end and return what it says of itself; nothing is written.

    Raises Locked for the passphrase, Malformed for damage, LocalState when it cannot be read.
    """
    return _read(source, passphrase, lambda place, member, archive: None)


def unpack(source: Path, passphrase: str, into: Path) -> Facts:
    """Unpack a backup into an empty folder; raise as `verify` does.

    After an error what is in the folder is to be thrown away.
    """

    def put(place: PurePosixPath, member: tarfile.TarInfo, archive: tarfile.TarFile) -> None:
        target = into / place
        target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        mode = (member.mode & 0o755) | 0o600
        descriptor = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
        content = archive.extractfile(member)
        assert content is not None  # of a file, as was checked
        with os.fdopen(descriptor, "wb") as file:
            shutil.copyfileobj(content, file, _PIECE)
            file.flush()
            os.fsync(file.fileno())

    return _read(source, passphrase, put)


def _read(source: Path, passphrase: str, put: Put) -> Facts:
    try:
        if not source.is_file():  # a pipe would be waited for
            missing = "is not a file" if source.exists() else "is not there"
            raise LocalState(f"{source} {missing}", hint="name the file that ca backup made")
        with source.open("rb", buffering=_PIECE) as file:
            stream = _Stream(file.read, passphrase)
            facts = _members(stream, put)
            stream.drain()  # the tag stands at the very end
    except OSError as error:
        raise LocalState(f"{source} cannot be restored: {files.reason(error)}") from None
    except (Malformed, tarfile.TarError, EOFError, ValueError, OverflowError) as error:
        said = error.message if isinstance(error, Malformed) else "what is in it makes no sense"
        hint = error.hint if isinstance(error, Malformed) else None
        raise Malformed(
            f"{source} cannot be restored: {said}", hint=hint or "take another copy of the backup"
        ) from None
    return facts


def _members(stream: _Stream, put: Put) -> Facts:
    found: Facts | None = None
    seen: set[str] = set()
    with tarfile.open(fileobj=stream, mode="r|") as archive:  # type: ignore[call-overload]  # reads alone
        for member in archive:
            place = contents.place_of(member)
            if member.name.casefold() in seen:
                raise Malformed(f"the backup holds {member.name!r} twice")
            seen.add(member.name.casefold())
            if place is None:
                found = _facts(archive, member)
            elif found is None:
                raise Malformed("the backup does not say what it is")
            else:
                put(place, member, archive)
    if found is None:
        raise Malformed("the backup does not say what it is")
    return found


def _facts(archive: tarfile.TarFile, member: tarfile.TarInfo) -> Facts:
    content = archive.extractfile(member)
    assert content is not None  # of a file, as was checked
    return Facts.from_json(content.read())


class _Stream:
    """The plaintext of a backup as a file that can only be read on."""

    def __init__(self, read: Callable[[int], bytes], passphrase: str) -> None:
        self._pieces = opened(read, passphrase)
        self._waiting = bytearray()

    def read(self, size: int) -> bytes:
        """Return that many bytes, fewer at the end."""
        while len(self._waiting) < size:
            piece = next(self._pieces, None)
            if piece is None:
                break
            self._waiting += piece
        data = bytes(self._waiting[:size])
        del self._waiting[:size]
        return data

    def drain(self) -> None:
        """Read to the end; raise Malformed when that is not as it was written."""
        for _ in self._pieces:
            pass
