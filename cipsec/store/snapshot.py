"""A copy of the store as it is at one moment, while others write; where to is the caller's."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

from cipsec.errors import StoreFailed
from cipsec.files import reason
from cipsec.store.database import failed


def copy(source: Path, target: Path) -> None:
    """Copy the store to a new private file, by SQLite's online backup; raise StoreFailed.

    In one step: readers never stop who writes, and the copy is that of one moment.
    """
    try:
        target.touch(mode=0o600, exist_ok=False)
        with closing(sqlite3.connect(source)) as live, closing(sqlite3.connect(target)) as made:
            live.execute("PRAGMA query_only=ON")
            live.backup(made, pages=-1)
    except sqlite3.Error as error:
        raise failed(error) from error
    except OSError as error:
        raise StoreFailed(f"{target} cannot be written: {reason(error)}") from None
