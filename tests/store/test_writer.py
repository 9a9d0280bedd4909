"""The writer: many units to a commit, each with its own fate, durable before it is answered."""

from __future__ import annotations

import asyncio
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Coroutine
from pathlib import Path
from typing import Any

import pytest

from cipsec.errors import StoreFailed
from cipsec.store import certificates
from cipsec.store.database import Database, Work
from cipsec.store.writer import Writer
from tests.store import rows

ROOT = Path(__file__).parents[2]


def insert(serial: str) -> Work[None]:
    """Return the unit that records a certificate."""
    return lambda db: certificates.insert(db, rows.certificate(serial))


def gather(*units: Coroutine[Any, Any, Any]) -> list[Any]:
    """Run all at once; return what each returned or raised."""

    async def all_of_them() -> list[Any]:
        return await asyncio.gather(*units, return_exceptions=True)

    return asyncio.run(all_of_them())


def serials(store: Database) -> list[str]:
    """Return what is on record, in order, as another process sees it."""
    other = Database.open(store.path)
    found = other.read(lambda db: [row.serial for row in certificates.listed(db)])
    other.close()
    return found


def test_all_are_durable_when_answered(store: Database, writer: Writer) -> None:
    """Whoever is answered finds its row in the file, through another connection."""
    other = Database.open(store.path)

    async def one(serial: str) -> bool:
        await writer.write(insert(serial))
        return other.read(lambda db: certificates.by_serial(db, serial)) is not None

    assert gather(*(one(f"{n:04}") for n in range(500))) == [True] * 500
    other.close()
    assert serials(store) == [f"{n:04}" for n in range(500)]


def test_commits_are_shared(store: Database, writer: Writer) -> None:
    """Units that arrive together share a commit; one that comes alone gets its own."""
    said: list[str] = []

    def listen(db: sqlite3.Connection) -> None:
        db.set_trace_callback(said.append)

    asyncio.run(writer.write(listen))
    said.clear()
    gather(*(writer.write(insert(f"{n:04}")) for n in range(128)))
    assert 1 < said.count("COMMIT") <= 8
    asyncio.run(writer.write(lambda db: db.set_trace_callback(None)))


def test_the_result_comes_back(writer: Writer) -> None:
    """A unit's result is returned to who submitted it."""
    results = gather(*(writer.write(lambda _, n=n: n) for n in range(50)))  # type: ignore[misc]  # bound now; mypy infers no lambda with a default
    assert results == list(range(50))


def test_a_unit_that_fails_disturbs_no_other(store: Database, writer: Writer) -> None:
    """Its error reaches its caller, nothing of it is kept, the others of the commit are."""

    def fails(db: sqlite3.Connection) -> None:
        certificates.insert(db, rows.certificate("bad"))
        raise KeyError("on purpose")

    results = gather(
        writer.write(insert("01")),
        writer.write(fails),
        writer.write(insert("02")),
        writer.write(insert("01")),
        writer.write(insert("03")),
        writer.write(lambda db: db.execute("SELECT ?", (object(),))),
        writer.write(insert("04")),
    )
    kinds = [type(result) for result in results]
    none = type(None)
    assert kinds[:5] == [none, KeyError, none, sqlite3.IntegrityError, none]
    assert issubclass(kinds[5], sqlite3.Error)
    assert kinds[6] is none
    assert serials(store) == ["01", "02", "03", "04"]


@pytest.mark.parametrize(
    ("break_it", "mend_it", "said"),
    [
        ("PRAGMA max_page_count=1", "PRAGMA max_page_count=1000000", "full"),
        ("PRAGMA query_only=ON", "PRAGMA query_only=OFF", "readonly"),
    ],
)
def test_a_store_that_fails_fails_for_all_and_the_writer_lives_on(
    break_it: str, mend_it: str, said: str, store: Database, writer: Writer
) -> None:
    """Disk full or read-only: StoreFailed for everybody, nothing kept; mended, it goes on."""
    gather(writer.write(insert("00")), writer.write(lambda db: db.execute(break_it)))
    for attempt in range(2):
        serial = f"{attempt}{'x' * 20_000}"  # longer than what a page has free
        results = gather(writer.write(insert("01")), writer.write(insert(serial)))
        assert [type(result) for result in results] == [StoreFailed, StoreFailed]
        assert said in str(results[0])
        assert results[0].hint == "check free space and permissions of the CA folder"
    assert serials(store) == ["00"]
    for connection in store._opened:  # not as a unit: there is no room even to begin
        connection.execute(mend_it)
    gather(writer.write(insert("02")))
    assert serials(store) == ["00", "02"]


def test_damage_is_the_stores(store: Database, writer: Writer) -> None:
    """A damaged file is StoreFailed to whoever comes upon it, as a full disk is."""

    def damaged(_: sqlite3.Connection) -> None:
        raise sqlite3.DatabaseError("database disk image is malformed")

    results = gather(writer.write(insert("01")), writer.write(damaged))
    assert [type(result) for result in results] == [StoreFailed, StoreFailed]
    assert results[1].hint == "restore the CA folder from a backup"
    gather(writer.write(insert("02")))
    assert serials(store) == ["02"]


def test_whoever_goes_away_disturbs_nobody(store: Database, writer: Writer) -> None:
    """A caller that is cancelled is not answered; its unit and the others are written."""

    async def scene() -> None:
        gone = asyncio.create_task(writer.write(insert("01")))
        await asyncio.sleep(0)
        gone.cancel()
        await writer.write(insert("02"))
        assert gone.cancelled()

    asyncio.run(scene())
    assert serials(store) == ["01", "02"]


def test_an_event_loop_that_ended_disturbs_nobody(store: Database, writer: Writer) -> None:
    """When the loop of a unit is closed before the commit, the writer goes on for the next."""
    held, go_on = threading.Event(), threading.Event()

    def holds(_: sqlite3.Connection) -> None:
        held.set()
        go_on.wait(120)

    async def leaves() -> None:
        asyncio.create_task(writer.write(holds))  # noqa: RUF006  # ends with its loop
        asyncio.create_task(writer.write(insert("01")))  # noqa: RUF006  # it ends with its loop
        await asyncio.to_thread(held.wait, 120)

    asyncio.run(leaves())
    go_on.set()
    gather(writer.write(insert("02")))
    assert serials(store) == ["01", "02"]


def test_closing_finishes_what_was_submitted(store: Database) -> None:
    """What was submitted before the end is written; what comes later is refused, not forgotten."""
    writer = Writer(store)

    async def scene() -> list[Any]:
        units = [asyncio.create_task(writer.write(insert(f"{n:03}"))) for n in range(100)]
        await asyncio.sleep(0)
        await asyncio.to_thread(writer.close)
        with pytest.raises(StoreFailed, match="closed"):
            await writer.write(insert("late"))
        return await asyncio.gather(*units)

    assert asyncio.run(scene()) == [None] * 100
    assert serials(store) == [f"{n:03}" for n in range(100)]
    writer.close()


def test_a_disk_that_stopped_answering_is_said_so(store: Database, writer: Writer) -> None:
    """While the writer hangs, thousands may wait; then the store is busy instead of memory full."""
    go_on = threading.Event()

    async def scene() -> None:
        waiting = [asyncio.create_task(writer.write(lambda _: go_on.wait(120)))]
        waiting += [asyncio.create_task(writer.write(lambda _: True)) for _ in range(4300)]
        await asyncio.sleep(0.1)
        with pytest.raises(StoreFailed, match="busy"):
            await writer.write(lambda _: True)
        go_on.set()
        results = await asyncio.gather(*waiting, return_exceptions=True)
        refused = [result for result in results if isinstance(result, StoreFailed)]
        assert results.count(True) >= 4096
        assert results.count(True) + len(refused) == len(waiting)

    asyncio.run(scene())


# Other processes.


def writing(store: Path, *arguments: str) -> subprocess.Popen[str]:
    """Start another process that writes; see tests/store/writing.py."""
    command = [sys.executable, "-m", "tests.store.writing", str(store), *arguments]
    return subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)


def test_two_processes_write_at_once(store: Database) -> None:
    """Workers share the file: no row is lost, none fails."""
    workers = [writing(store.path, name, "400") for name in ("a", "b")]
    printed = [line for worker in workers for line in worker.communicate(timeout=600)[0].split()]
    assert [worker.returncode for worker in workers] == [0, 0]
    expected = [f"{name}-{n:06}" for name in ("a", "b") for n in range(400)]
    assert sorted(printed) == expected
    assert serials(store) == expected


@pytest.mark.parametrize("answered", [1, 2, 17, 50, 123, 300])
def test_kill_9_loses_nothing_that_was_answered(answered: int, store: Database) -> None:
    """A process killed at any moment: the store opens, and every row it was told of is there."""
    worker = writing(store.path, "k", "1000000")
    with worker:
        assert worker.stdout
        acknowledged = [worker.stdout.readline() for _ in range(answered)]
        worker.kill()
        acknowledged += worker.stdout.readlines()
    whole = {line.strip() for line in acknowledged if line.endswith("\n")}
    assert len(whole) >= answered
    found = serials(store)
    assert whole <= set(found)
    check = store.connection().execute("PRAGMA integrity_check").fetchone()[0]
    assert check == "ok"
    store.write(lambda db: certificates.insert(db, rows.certificate("after")))


def test_a_full_disk_for_real(store: Database) -> None:
    """The system refuses to let the files grow: StoreFailed, nothing half; later it goes on."""
    worker = writing(store.path, "f", "100", str(200 * 1024))
    printed = worker.communicate(timeout=600)[0].splitlines()
    assert worker.returncode == 0
    said = [line for line in printed if line.startswith("failed")]
    assert len(said) == 1
    acknowledged = {line for line in printed if not line.startswith("failed")}
    assert {f"again-{n:06}" for n in range(100)} <= acknowledged
    assert acknowledged <= set(serials(store))
