"""A store that is looked at: beside a writer, after a crash, at rest; and left as it was."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from cipsec.errors import StoreFailed
from cipsec.store import certificates
from cipsec.store.database import Database
from cipsec.store.readonly import ReadOnly
from cipsec.store.schema import VERSION

from . import rows

_CRASH = """
import os, signal, sys
from pathlib import Path
from cipsec.store import certificates
from cipsec.store.database import Database
from tests.store import rows
database = Database.open(Path(sys.argv[1]))
database.write(lambda db: certificates.insert(db, rows.certificate("02")))
os.kill(os.getpid(), signal.SIGKILL)
"""


def _names(store: Path) -> set[str]:
    return {path.name for path in store.parent.iterdir()}


def test_at_rest(store: Database) -> None:
    """No journal is made, and nothing of the file changes."""
    store.write(lambda db: certificates.insert(db, rows.certificate()))
    store.close()
    before = store.path.stat()
    looked = ReadOnly(store.path)
    looked.require_schema()
    assert looked.version() == VERSION
    assert looked.read(certificates.count) == 1
    assert looked.damage() is None
    assert _names(store.path) == {"store.sqlite3"}
    after = store.path.stat()
    assert (after.st_mtime_ns, after.st_size) == (before.st_mtime_ns, before.st_size)


def test_beside_a_writer(store: Database) -> None:
    """What was committed is seen, what was not is not, and nobody waits."""
    looked = ReadOnly(store.path)
    store.write(lambda db: certificates.insert(db, rows.certificate("01")))
    with store.transaction() as connection:
        certificates.insert(connection, rows.certificate("02"))
        assert looked.read(certificates.count) == 1
    assert looked.read(certificates.count) == 2
    assert _names(store.path) == {f"store.sqlite3{end}" for end in ("", "-wal", "-shm")}


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="needs SIGKILL")
def test_after_a_crash(store: Database) -> None:
    """What a process that was killed had committed is seen, and still waits for the next."""
    store.close()
    command = [sys.executable, "-c", _CRASH, str(store.path)]
    subprocess.run(command, check=False, cwd=Path(__file__).parents[2])
    journal = store.path.with_name("store.sqlite3-wal").read_bytes()
    assert journal
    assert ReadOnly(store.path).read(certificates.count) == 1
    assert store.path.with_name("store.sqlite3-wal").read_bytes() == journal


def test_a_writer_that_comes_meanwhile(store: Database) -> None:
    """What was read while somebody began to write is read again."""
    store.close()
    counts: list[int] = []

    def work(db: object) -> int:
        counts.append(certificates.count(db))  # type: ignore[arg-type]  # the store's connection
        if len(counts) == 1:
            with contextlib.closing(Database.open(store.path)) as other:
                other.write(lambda at: certificates.insert(at, rows.certificate()))
        return counts[-1]

    assert ReadOnly(store.path).read(work) == 1
    assert counts == [0, 1]


def test_nothing_is_written(store: Database) -> None:
    """Whoever tries to change something by it is refused."""
    for close in (False, True):
        if close:
            store.close()
        with pytest.raises(StoreFailed, match="readonly database"):
            ReadOnly(store.path).read(lambda db: db.execute("DELETE FROM certificates"))


def test_no_store(tmp_path: Path) -> None:
    """A folder, a pipe, nothing, or noise: said, not made, not waited for."""
    path = tmp_path / "store.sqlite3"
    with pytest.raises(StoreFailed, match="there is no store"):
        ReadOnly(path).version()
    path.mkdir()
    with pytest.raises(StoreFailed, match="there is no store"):
        ReadOnly(path).version()
    path.rmdir()
    if hasattr(os, "mkfifo"):
        os.mkfifo(path)
        with pytest.raises(StoreFailed, match="there is no store"):
            ReadOnly(path).version()
        path.unlink()
    path.write_bytes(b"not a database, and long enough" * 40)
    with pytest.raises(StoreFailed, match="file is not a database"):
        ReadOnly(path).version()


def test_another_schema(store: Database) -> None:
    """An earlier store is not brought to this version, a later one is not read."""
    for version in (1, VERSION + 1):
        store.connection().execute(f"PRAGMA user_version={version}")
        with pytest.raises(StoreFailed, match=f"has schema {version}, this cipsec reads {VERSION}"):
            ReadOnly(store.path).require_schema()
        assert ReadOnly(store.path).version() == version


def test_strange_paths(tmp_path: Path) -> None:
    """Marks that mean something in a URI mean nothing in a file's name."""
    path = tmp_path / "a?mode=rwc#%20b.sqlite3"
    Database.create(path).close()
    assert ReadOnly(path).version() == VERSION
