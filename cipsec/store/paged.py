"""Long tables read a page at a time: memory is bounded, and nothing is held between two pages.

A reading that lasts as long as somebody looks at it would keep the journal growing. What is written
meanwhile may be read, or not; which rows make a page is left to the caller.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterable, Iterator
from typing import TypeVar

from cipsec.store.database import Database

T = TypeVar("T")

ROWS = 1_000  # of a page


def rows(
    database: Database, page: Callable[[sqlite3.Connection, T | None], Iterable[T]]
) -> Iterator[T]:
    """Yield the rows of every page; raise StoreFailed.

    `page` returns those behind the one it is given, from the first for None, and none at the end.
    """
    last: T | None = None
    while found := database.read(lambda db: list(page(db, last))):  # noqa: B023  # read at once
        yield from found
        last = found[-1]
