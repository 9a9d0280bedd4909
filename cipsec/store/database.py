"""The SQLite file: opened, created, read, and written in durable transactions.

WAL with `synchronous=FULL`: a commit that returned survives a power cut. What is written is left
to the callers, who pass a function over the connection.
"""

from __future__ import annotations

import contextlib
import random
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypeVar

from cipsec.errors import AlreadyExists, StoreFailed
from cipsec.files import reason
from cipsec.store import schema

T = TypeVar("T")
Work = Callable[[sqlite3.Connection], T]

_BUSY_TIMEOUT_MS = 10_000  # another process commits in milliseconds; ten seconds means it hangs
_LOOK_SECONDS = (0.001, 0.005)  # between two looks whether the store is free to write


class Database:
    """One SQLite file, with a connection for each thread that uses it."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._local = threading.local()
        self._opened: list[sqlite3.Connection] = []
        self._lock = threading.Lock()

    @classmethod
    def create(cls, path: Path) -> Database:
        """Make a new, empty store; raise AlreadyExists or StoreFailed."""
        try:
            path.touch(mode=0o600, exist_ok=False)
        except FileExistsError:
            raise AlreadyExists(f"{path} exists") from None
        except OSError as error:
            raise StoreFailed(f"{path} cannot be made: {reason(error)}") from None
        database = cls(path)
        with _translated():
            connection = database.connection()
            connection.execute("PRAGMA journal_mode=WAL")
            schema.create(connection)
        return database

    @classmethod
    def open(cls, path: Path) -> Database:
        """Open a store, made by an earlier cipsec too; raise StoreFailed when that cannot be."""
        if not path.is_file():
            raise StoreFailed(f"there is no store {path}")
        database = cls(path)
        try:
            database._require_schema()
        except StoreFailed:
            database.close()
            raise
        return database

    def _require_schema(self) -> None:
        version = self.read(lambda db: db.execute("PRAGMA user_version").fetchone()[0])
        if version in schema.EARLIER:
            version = self.write(schema.upgrade)
        if version != schema.VERSION:
            raise StoreFailed(
                f"{self.path} has schema {version}, this cipsec reads {schema.VERSION}",
                hint="use the version of cipsec that made it",
            )

    def connection(self) -> sqlite3.Connection:
        """Return this thread's connection, in autocommit."""
        existing: sqlite3.Connection | None = getattr(self._local, "connection", None)
        if existing is None:
            existing = self._connect()
            self._local.connection = existing
        return existing

    def _connect(self) -> sqlite3.Connection:
        # check_same_thread is off only so that close() may close every thread's connection.
        connection = sqlite3.connect(
            self.path,
            isolation_level=None,
            timeout=_BUSY_TIMEOUT_MS / 1000,
            check_same_thread=False,
        )
        with self._lock:
            self._opened.append(connection)
        connection.row_factory = sqlite3.Row
        connection.execute("PRAGMA synchronous=FULL")
        connection.execute("PRAGMA fullfsync=1")  # macOS's fsync leaves it in the disk's cache
        connection.execute("PRAGMA cache_size=-16384")  # KiB; keeps the upper index pages at hand
        return connection

    def read(self, work: Work[T]) -> T:
        """Run `work` outside a transaction; raise StoreFailed."""
        try:  # not _translated, which costs as much as a look-up
            return work(self.connection())
        except sqlite3.Error as error:
            raise failed(error) from error

    def write(self, work: Work[T]) -> T:
        """Run `work` in one durable transaction; raise StoreFailed, or what `work` raises."""
        with _translated(), self.transaction() as connection:
            return work(connection)

    @contextlib.contextmanager
    def transaction(self) -> Iterator[sqlite3.Connection]:
        """Yield the connection inside BEGIN IMMEDIATE; commit at the end, roll back on an error."""
        connection = self.connection()
        _begin_immediate(connection)
        try:
            yield connection
            connection.execute("COMMIT")
        except BaseException:
            if connection.in_transaction:
                connection.execute("ROLLBACK")
            raise

    @contextlib.contextmanager
    def snapshot(self) -> Iterator[sqlite3.Connection]:
        """Yield the connection with the store as it is now, whatever is written meanwhile.

        Not for long: the journal grows for as long as somebody looks at what was. Raises
        StoreFailed.
        """
        connection = self.connection()
        with _translated():
            connection.execute("BEGIN")
            try:
                yield connection
            finally:
                connection.execute("ROLLBACK")

    def close(self) -> None:
        """Close every thread's connection; the object is of no use afterwards."""
        with self._lock:
            for connection in self._opened:
                connection.close()
            self._opened.clear()


def _begin_immediate(connection: sqlite3.Connection) -> None:
    """Begin to write as soon as no other connection does.

    SQLite waits by itself too, but soon looks every 100 ms only: beside a server that writes
    without a pause a command would find the store taken for seconds, and often for ever.
    """
    end = time.monotonic() + _BUSY_TIMEOUT_MS / 1000
    connection.execute("PRAGMA busy_timeout=0")
    try:
        while not _begun(connection, last=time.monotonic() > end):
            time.sleep(random.uniform(*_LOOK_SECONDS))  # noqa: S311 - no secret
    finally:
        connection.execute(f"PRAGMA busy_timeout={_BUSY_TIMEOUT_MS}")


def _begun(connection: sqlite3.Connection, *, last: bool) -> bool:
    try:
        connection.execute("BEGIN IMMEDIATE")
    except sqlite3.OperationalError as error:
        if last or error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY:
            raise
        return False
    return True


@contextlib.contextmanager
def _translated() -> Iterator[None]:
    try:
        yield
    except sqlite3.Error as error:
        raise failed(error) from error


def failed(error: sqlite3.Error) -> StoreFailed:
    """Return the package's error for one of SQLite's."""
    text = str(error)
    hint = "check free space and permissions of the CA folder"
    if "malformed" in text or "not a database" in text:
        hint = "restore the CA folder from a backup"
    elif "locked" in text:
        hint = "another process is writing to it and does not end; try again"
    return StoreFailed(f"the store cannot be used: {text}", hint=hint)
