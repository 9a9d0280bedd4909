"""Files on disk: whole or not at all, never overwritten unasked, private from birth."""

from __future__ import annotations

import contextlib
import os
import secrets
import shutil
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from cipsec import naming, ownership, private, shell
from cipsec.errors import AlreadyExists, LocalState, Locked

PRIVATE = 0o600
PUBLIC = 0o644
# Without it, opening a pipe would wait for somebody to write into it.
_READING = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)


def read(path: Path, *, limit: int = 16 * 1024 * 1024) -> bytes:
    """Return the file's bytes; raise LocalState when missing, unreadable or over `limit`.

    And for what is no file: a pipe would be waited for, and a device has no end.
    """
    try:
        with _opened(path) as file:
            data = file.read(limit + 1)
    except FileNotFoundError:
        raise LocalState(f"there is no file {path}") from None
    except OSError as error:
        hint = ownership.stray(path)
        raise LocalState(f"{path} cannot be read: {reason(error)}", hint=hint) from None
    if len(data) > limit:
        raise LocalState(f"{path} is larger than {limit} bytes", hint=_see(path))
    return data


def _opened(path: Path) -> BinaryIO:
    """Open a file for reading without ever waiting; raise LocalState for what is none, OSError."""
    _require_file(path, path.stat())  # to open a device can already do something
    file = os.fdopen(os.open(path, _READING), "rb")
    try:
        _require_file(path, os.fstat(file.fileno()))
    except LocalState:
        file.close()
        raise
    return file


def _require_file(path: Path, seen: os.stat_result) -> None:
    if not stat.S_ISREG(seen.st_mode):
        raise LocalState(f"{path} is not a file", hint=_see(path))


def _see(path: Path) -> str:
    return f"see what it is: {shell.command('file', path, windows='dir')}"


def exists(path: Path) -> bool:
    """Tell whether something has the name; raise LocalState when that cannot be told."""
    try:
        return path.exists()
    except OSError as error:
        raise LocalState(f"{path} cannot be looked at: {reason(error)}") from None


def create(path: Path, data: bytes, *, mode: int = PRIVATE, inherit: bool = False) -> None:
    """Write a new file whole; raise AlreadyExists when there is one, LocalState when it fails.

    With `inherit` what root makes is the folder's owner's.
    """
    with _complete(path, data, mode, inherit=inherit) as temporary:
        _take_free(temporary, path)


def _take_free(temporary: Path, path: Path) -> None:
    """Rename where nothing has the name yet; raise AlreadyExists."""
    try:
        naming.take_free(temporary, path)
    except FileExistsError:
        raise AlreadyExists(f"{path} exists", hint="add -f to overwrite it") from None


def replace(path: Path, data: bytes, *, mode: int = PRIVATE) -> None:
    """Write a file whole in place of one that has the name; raise LocalState when it fails.

    What root writes is the old file's owner's, or else the folder's.
    """
    with _complete(path, data, mode, inherit=True) as temporary:
        _take_over(temporary, path)


def _take_over(temporary: Path, path: Path) -> None:
    if path.exists() and not path.is_file():  # root could rename over /dev/null
        raise LocalState(f"{path} is not a file that can be replaced")
    naming.replace(temporary, path)


@contextlib.contextmanager
def new_file(path: Path, *, overwrite: bool = False, mode: int = PRIVATE) -> Iterator[Path]:
    """Yield an empty file beside `path` to fill, which gets the name when the block ends well.

    For what is too large to be held. Raises AlreadyExists when there is one and `overwrite` is not
    given, LocalState when it cannot be written.
    """
    if not overwrite and exists(path):
        raise AlreadyExists(f"{path} exists", hint="add -f to overwrite it")
    with _complete(path, b"", mode) as temporary:
        yield temporary
        with temporary.open("rb+") as file:
            os.fsync(file.fileno())
        if overwrite:
            _take_over(temporary, path)
        else:
            _take_free(temporary, path)


def append_line(path: Path, line: bytes) -> None:
    """Add a line to a private file, made when missing, durably; raise LocalState when it fails.

    One write, so that two programs do not mix their lines; a line that was cut off stays alone.
    """
    try:
        private.folder(path.parent)
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND, PRIVATE)
        with os.fdopen(descriptor, "r+b", buffering=0) as file:
            end = file.seek(0, os.SEEK_END)
            file.seek(max(0, end - 1))
            cut = end > 0 and file.read(1) != b"\n"
            file.write(b"\n" * cut + line + b"\n")
            os.fsync(descriptor)
        sync_directory(path.parent)
    except OSError as error:
        raise LocalState(f"{path} cannot be written: {reason(error)}") from None


@contextlib.contextmanager
def writing(path: Path, *, overwrite: bool, mode: int = PRIVATE) -> Iterator[BinaryIO]:
    """Yield a file to write to that becomes `path` when the block ends well, else nothing.

    Raises AlreadyExists unless it may `overwrite`, LocalState when it fails.
    """
    with _temporary(path, mode) as (file, temporary):
        yield file
        _finish(file)
        if overwrite:
            _take_over(temporary, path)
        else:
            _take_free(temporary, path)


@contextlib.contextmanager
def _complete(path: Path, data: bytes, mode: int, *, inherit: bool = False) -> Iterator[Path]:
    """Yield a finished, durable temporary file beside `path`; remove it if it is left over."""
    with _temporary(path, mode) as (file, temporary):
        if inherit:
            ownership.pass_on(file.fileno(), path if path.exists() else path.parent)
        file.write(data)
        _finish(file)
        yield temporary


def _finish(file: BinaryIO) -> None:
    file.flush()
    os.fsync(file.fileno())
    file.close()


@contextlib.contextmanager
def _temporary(path: Path, mode: int) -> Iterator[tuple[BinaryIO, Path]]:
    """Yield a new file beside `path` and its name; remove it if it is left over."""
    if not path.name:
        raise LocalState(f"{path} is not the name of a file")
    temporary = path.with_name(f".{path.name[:40]}.{secrets.token_hex(6)}")
    try:
        with os.fdopen(_new(temporary, mode), "wb") as file:
            yield file, temporary
        sync_directory(path.parent)
    except OSError as error:
        raise LocalState(f"{path} cannot be written: {reason(error)}") from None
    finally:
        with contextlib.suppress(OSError):  # the one on the way says more
            temporary.unlink(missing_ok=True)


def _new(path: Path, mode: int) -> int:
    if mode == PRIVATE:
        return private.new_file(path)
    return os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)


@contextlib.contextmanager
def held(path: Path, *, patience: float, busy: str, hint: str | None = None) -> Iterator[None]:
    """Hold a lock file inside the block; raise LocalState where it cannot be had.

    After `patience` seconds in which somebody else holds it, raise Locked, which says `busy`.
    """
    import filelock  # for few: it takes its time

    lock = filelock.FileLock(path, timeout=patience)
    try:
        ownership.make_lock(path)
        lock.acquire()
    except filelock.Timeout:
        raise Locked(busy, hint=hint) from None
    except (OSError, NotImplementedError) as error:  # the latter of a file system without locks
        why = reason(error) if isinstance(error, OSError) else str(error)
        hint = ownership.stray(path) or ownership.hint(path.parent)
        raise LocalState(f"{path} cannot be locked: {why}", hint=hint) from None
    try:
        yield
    finally:
        lock.release()


@contextlib.contextmanager
def new_directory(path: Path, *, inherit: bool = False) -> Iterator[Path]:
    """Yield a private folder to fill that becomes `path` when the block ends well, else nothing.

    With `inherit` what root makes is the owner's of the folder around. Raises AlreadyExists when
    `path` exists and is not an empty folder, LocalState when it cannot be made.
    """
    require_free(path)
    draft = path.with_name(f".{path.name}.{secrets.token_hex(6)}")
    try:
        if inherit:
            ownership.private_folder(draft)
        else:
            draft.parent.mkdir(parents=True, exist_ok=True)
            private.new_folder(draft)
        yield draft
        if path.is_dir():
            path.rmdir()
        naming.rename(draft, path)
        sync_directory(path.parent)
    except OSError as error:
        raise LocalState(f"{path} cannot be made: {reason(error)}") from None
    finally:
        shutil.rmtree(draft, ignore_errors=True)


def require_free(path: Path) -> None:
    """Raise AlreadyExists when `path` exists and is not an empty folder, LocalState when hidden."""
    try:
        filled = path.exists() and (not path.is_dir() or any(path.iterdir()))
    except OSError as error:
        raise LocalState(f"{path} cannot be looked into: {reason(error)}") from None
    if filled:
        raise AlreadyExists(f"{path} exists and is not empty")


def sync_directory(path: Path) -> None:
    """Make the names in a folder durable; a no-op where folders cannot be opened (Windows)."""
    if os.name == "nt":
        return
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def reason(error: OSError) -> str:
    """Return what the system says, without the number and the path."""
    return (error.strerror or str(error)).lower()


def default_ca() -> Path:
    """Return the CA folder used when none is named."""
    return _data() / "ca"


def default_identity() -> Path:
    """Return the endpoint's identity folder used when none is named."""
    return _data() / "identity"


def default_card_journal() -> Path:
    """Return the journal of what smartcards enrolled."""
    return _data() / "smartcard-journal.jsonl"


def _data() -> Path:
    from platformdirs import user_data_path

    return user_data_path("cipsec", appauthor=False)
