"""The store's file: made once, opened when whole, written durably or not at all."""

from __future__ import annotations

import contextlib
import dataclasses
import sqlite3
import stat
import time
from pathlib import Path

import pytest

from cipsec.errors import AlreadyExists, LocalState, StoreFailed
from cipsec.store import certificates, requests
from cipsec.store import database as module
from cipsec.store.database import Database
from cipsec.store.schema import VERSION
from tests.store import rows


def test_it_is_private_and_journals_ahead(store: Database) -> None:
    """The file has mode 0600, WAL mode, and every commit is synchronised."""
    assert stat.S_IMODE(store.path.stat().st_mode) == 0o600
    connection = store.connection()
    assert connection.execute("PRAGMA journal_mode").fetchone()[0] == "wal"
    assert connection.execute("PRAGMA synchronous").fetchone()[0] == 2  # FULL
    assert connection.execute("PRAGMA user_version").fetchone()[0] == VERSION
    store.write(lambda db: certificates.insert(db, rows.certificate()))
    beside = [path for path in store.path.parent.iterdir() if path != store.path]
    assert {stat.S_IMODE(path.stat().st_mode) for path in beside} == {0o600}


def test_it_is_made_once(store: Database, tmp_path: Path) -> None:
    """A store is never made over something, and not where nothing can be made."""
    with pytest.raises(AlreadyExists):
        Database.create(store.path)
    with pytest.raises(StoreFailed, match="cannot be made: no such file or directory"):
        Database.create(tmp_path / "nowhere" / "store.sqlite3")


def test_what_was_written_is_there_when_opened_again(store: Database) -> None:
    """A row survives the process."""
    store.write(lambda db: certificates.insert(db, rows.certificate("01")))
    store.close()
    again = Database.open(store.path)
    assert again.read(lambda db: certificates.by_serial(db, "01")) == rows.certificate("01")
    again.close()


def test_a_missing_store_is_not_made_by_opening(tmp_path: Path) -> None:
    """Opening never makes a store: an empty one would forget every certificate."""
    for path in (tmp_path / "store.sqlite3", tmp_path):
        with pytest.raises(StoreFailed, match="there is no store"):
            Database.open(path)
    assert list(tmp_path.iterdir()) == []


def test_another_file_is_refused(tmp_path: Path) -> None:
    """A file that is no SQLite file is named as damaged, and how to mend that."""
    path, content = tmp_path / "store.sqlite3", b"not a database, and long enough" * 40
    path.write_bytes(content)
    with pytest.raises(StoreFailed, match="file is not a database") as raised:
        Database.open(path)
    assert raised.value.hint == "restore the CA folder from a backup"
    assert path.read_bytes() == content


@pytest.mark.parametrize("version", [0, VERSION + 1])
def test_another_schema_is_refused(version: int, store: Database) -> None:
    """A store of a newer version, or an empty database, is not touched."""
    store.connection().execute(f"PRAGMA user_version={version}")
    store.close()
    with pytest.raises(StoreFailed, match=rf"has schema {version}, this cipsec reads 2") as raised:
        Database.open(store.path)
    assert raised.value.hint == "use the version of cipsec that made it"


def test_an_empty_file_is_refused(tmp_path: Path) -> None:
    """A file of length zero, as a full disk leaves them, is not taken for a store."""
    path = tmp_path / "store.sqlite3"
    path.touch()
    with pytest.raises(StoreFailed, match="has schema 0"):
        Database.open(path)


def test_damage_inside_is_reported(store: Database) -> None:
    """Pages overwritten with noise make StoreFailed, not an exception of SQLite's."""
    for number in range(200):
        row = dataclasses.replace(rows.certificate(f"{number:032x}"), der=b"\0" * 2_000)
        store.write(lambda db, row=row: certificates.insert(db, row))  # type: ignore[misc]  # bound now; mypy infers no lambda with a default
    store.connection().execute("PRAGMA wal_checkpoint(TRUNCATE)")
    store.close()
    content = bytearray(store.path.read_bytes())
    half = len(content) // 2  # rows; the tables' descriptions are in front of them
    content[half:] = b"\xa5" * len(content[half:])
    store.path.write_bytes(content)
    damaged = Database.open(store.path)
    with pytest.raises(StoreFailed, match="malformed") as raised:
        damaged.read(lambda db: list(certificates.listed(db)))
    assert raised.value.hint == "restore the CA folder from a backup"
    damaged.close()


def test_a_unit_that_fails_leaves_nothing(store: Database) -> None:
    """What a unit wrote before it raised is rolled back, and the error is its own."""

    def work(db: sqlite3.Connection) -> None:
        certificates.insert(db, rows.certificate())
        raise KeyError("on purpose")

    with pytest.raises(KeyError):
        store.write(work)
    assert store.read(certificates.count) == 0
    store.write(lambda db: certificates.insert(db, rows.certificate()))
    assert store.read(certificates.count) == 1


def test_sqlites_errors_are_translated(store: Database) -> None:
    """Nothing above the store sees an error of SQLite's."""
    store.write(lambda db: certificates.insert(db, rows.certificate()))
    with pytest.raises(StoreFailed, match="UNIQUE constraint failed"):
        store.write(lambda db: certificates.insert(db, rows.certificate()))
    with pytest.raises(StoreFailed, match="no such table"):
        store.read(lambda db: db.execute("SELECT * FROM elsewhere"))
    store.close()
    with pytest.raises(LocalState):
        store.read(certificates.count)


def test_readers_do_not_wait_for_a_writer(store: Database) -> None:
    """While another process is in the middle of a transaction, reading goes on at once."""
    store.write(lambda db: certificates.insert(db, rows.certificate("01")))
    other = Database.open(store.path)
    with contextlib.closing(other), other.transaction() as connection:
        certificates.insert(connection, rows.certificate("02"))
        store.connection().execute("PRAGMA busy_timeout=0")  # waiting would be an error
        assert store.read(certificates.count) == 1
    assert store.read(certificates.count) == 2


def test_two_writers_do_not_both_get_in(store: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    """A transaction has the store to itself from its beginning: what it read stays true."""
    monkeypatch.setattr(module, "_BUSY_TIMEOUT_MS", 50)
    other = Database.open(store.path)
    with contextlib.closing(other):
        with (
            store.transaction(),
            pytest.raises(StoreFailed, match="locked") as raised,
        ):
            other.write(lambda db: certificates.insert(db, rows.certificate()))
        other.write(lambda db: certificates.insert(db, rows.certificate()))
    assert raised.value.hint == "another process is writing to it and does not end; try again"


def test_who_waits_to_write_looks_again_soon(
    store: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Beside writers that do not pause, the store is free for an instant between two commits."""
    slept: list[float] = []
    other = Database.open(store.path)

    def sleep(seconds: float) -> None:
        slept.append(seconds)
        if len(slept) == 40:
            connection.execute("ROLLBACK")

    monkeypatch.setattr(time, "sleep", sleep)
    with contextlib.closing(other):
        connection = other.connection()
        connection.execute("BEGIN IMMEDIATE")
        store.write(lambda db: certificates.insert(db, rows.certificate()))
    assert len(slept) == 40
    assert max(slept) < 0.01
    assert len(set(slept)) > 1


def test_queries_of_every_request_use_an_index(store: Database) -> None:
    """What is asked while devices wait does not read whole tables, however many rows there are."""
    asked: list[str] = []
    connection = store.connection()
    connection.set_trace_callback(asked.append)
    certificates.by_serial(connection, "01")
    certificates.by_serial_prefix(connection, "01")
    certificates.latest_for_enrollment(connection, "e1", since=0, at=0)
    list(certificates.listed(connection, device="0001:6040C8F2"))
    requests.by_id(connection, "aa")
    requests.by_prefix(connection, "aa")
    requests.count_pending(connection)
    list(requests.listed(connection, [requests.State.PENDING]))
    connection.set_trace_callback(None)
    assert len(asked) == 8
    for sql in asked:
        plan = [row[3] for row in connection.execute(f"EXPLAIN QUERY PLAN {sql}")]
        assert plan[0].startswith("SEARCH"), (sql, plan)


def test_a_commit_reaches_the_disk_on_macos_too(store: Database) -> None:
    """Where fsync ends at the disk's cache unless more is asked for."""
    assert store.read(lambda db: db.execute("PRAGMA fullfsync").fetchone()[0]) == 1
