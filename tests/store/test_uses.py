"""What was spent: each enrollment once."""

from __future__ import annotations

import sqlite3

import pytest

from cipsec.store import uses
from cipsec.store.database import Database
from cipsec.store.uses import Spent


@pytest.fixture
def db(store: Database) -> sqlite3.Connection:
    """The connection of an empty store."""
    return store.connection()


def test_each_enrollment_counts_once(db: sqlite3.Connection) -> None:
    """A repeated grant is the same use, with the certificate that came of it last."""
    assert uses.spent(db, "k", "e1") == Spent(0, None)
    uses.spend(db, "k", "e1", serial="01", at=10)
    uses.spend(db, "k", "e2", serial="02", at=20)
    uses.spend(db, "k", "e1", serial="03", at=30)
    assert uses.spent(db, "k", "e1") == Spent(2, "03")
    assert uses.spent(db, "k", "e2") == Spent(2, "02")
    assert uses.spent(db, "k", "e3") == Spent(2, None)
    assert uses.count(db, "k") == 2


def test_what_is_counted_is_told_apart(db: sqlite3.Connection) -> None:
    """Neither prefixes nor patterns nor letter case make two keys one."""
    for key in ("user:anna:1", "user:anna:12", "user:ANNA:1", "user:%", "user:anna:"):
        uses.spend(db, key, "e1", serial="01", at=10)
        assert uses.count(db, key) == 1


def test_what_it_was_spent_on(db: sqlite3.Connection) -> None:
    """Oldest first."""
    for enrollment, serial, at in (("e2", "02", 20), ("e1", "01", 10), ("e3", "03", 30)):
        uses.spend(db, "k", enrollment, serial=serial, at=at)
    assert list(uses.certificates(db, "k")) == ["01", "02", "03"]
    assert list(uses.certificates(db, "l")) == []


def test_it_is_found_by_an_index(db: sqlite3.Connection) -> None:
    """Counting one card does not read the uses of all."""
    asked: list[str] = []
    db.set_trace_callback(asked.append)
    uses.spent(db, "k", "e1")
    db.set_trace_callback(None)
    assert len(asked) == 2
    for sql in asked:
        plan = [row[3] for row in db.execute(f"EXPLAIN QUERY PLAN {sql}")]
        assert plan[0].startswith("SEARCH"), (sql, plan)
