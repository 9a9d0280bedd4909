"""A store that is looked at and left as it was: no upgrade, no journal, no file of another owner.

Who only looks may be root beside a server that is not, or have a copy from yesterday before him;
what is asked is left to the callers, as in `database`.
"""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import TypeVar

from cipsec.current import Stamp, stamp
from cipsec.errors import StoreFailed
from cipsec.files import reason
from cipsec.store import schema
from cipsec.store.database import failed

T = TypeVar("T")

_BUSY_SECONDS = 2.0
_STEPS = 10_000  # of SQLite's machine between two looks at the clock: about a millisecond
_SECONDS = 5.0
_SIZE = 2  # where a stamp has it


class ReadOnly:
    """The store in a file, opened anew for each look and given up after `seconds`."""

    def __init__(self, path: Path, *, seconds: float = _SECONDS) -> None:
        self.path = path
        self._seconds = seconds

    def require_schema(self) -> None:
        """Raise StoreFailed unless this is a store of this version."""
        version = self.version()
        if version != schema.VERSION:
            raise StoreFailed(
                f"{self.path} has schema {version}, this cipsec reads {schema.VERSION}",
                hint="use the version of cipsec that made it",
            )

    def version(self) -> int:
        """Return the version of the schema, 0 where the file is none of ours; raise StoreFailed."""
        return self.read(lambda db: int(db.execute("PRAGMA user_version").fetchone()[0]))

    def damage(self) -> str | None:
        """Return what SQLite finds damaged, None for nothing; raise StoreFailed."""
        said = self.read(lambda db: str(db.execute("PRAGMA quick_check(1)").fetchone()[0]))
        return None if said == "ok" else said

    def read(self, work: Callable[[sqlite3.Connection], T]) -> T:
        """Return what `work` returns, all of it read by then; raise StoreFailed.

        Where nothing waits in a journal the file is read as one that nobody changes: else SQLite
        would make the journal's files and leave them. If somebody wrote meanwhile, what was read
        counts for nothing, and is read again beside him.
        """
        before = self._stamp()
        if before[1] is not None and before[1][_SIZE]:
            return self._read("mode=ro", work)
        try:
            found = self._read("mode=ro&immutable=1", work)
        except StoreFailed:
            if self._stamp() == before:
                raise
        else:
            if self._stamp() == before:
                return found
        return self._read("mode=ro", work)

    def _stamp(self) -> tuple[Stamp | None, Stamp | None]:
        return stamp(str(self.path)), stamp(f"{self.path}-wal")

    def _read(self, mode: str, work: Callable[[sqlite3.Connection], T]) -> T:
        self._require_file()
        end = time.monotonic() + self._seconds
        try:
            with closing(self._connect(mode)) as connection:
                connection.set_progress_handler(lambda: time.monotonic() > end, _STEPS)
                return work(connection)
        except sqlite3.Error as error:
            raise failed(error) from error

    def _connect(self, mode: str) -> sqlite3.Connection:
        connection = sqlite3.connect(
            f"{self.path.as_uri()}?{mode}", uri=True, isolation_level=None, timeout=_BUSY_SECONDS
        )
        connection.row_factory = sqlite3.Row
        return connection

    def _require_file(self) -> None:
        """Raise StoreFailed for what is no file: SQLite would wait for a pipe's other end."""
        try:
            is_file = self.path.is_file()
        except OSError as error:
            raise StoreFailed(f"{self.path} cannot be read: {reason(error)}") from None
        if not is_file:
            raise StoreFailed(f"there is no store {self.path}")
