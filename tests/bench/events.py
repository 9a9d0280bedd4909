"""What the chain of events costs: appending with and without it, and walking it.

    python -m tests.bench.events [EVENTS]

CPU time of one process; the store is in a temporary folder, and one commit is made at the end, so
that what is measured is the chain and not the disk.
"""

from __future__ import annotations

import sqlite3
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from cipsec.store import chain, events
from cipsec.store.codes import Code
from cipsec.store.database import Database
from cipsec.store.events import Event
from cipsec.store.verification import verify

_ROUNDS = 9
_EVENT = Event(
    1_700_000_000,
    Code.GRANTED,
    "endpoint",
    "192.0.2.7",
    "ab" * 32,
    "01" * 16,
    "CN=Drive 7,serialNumber=0001:6040C8F2",
    "0001:6040C8F2",
    "line 3 inventory",
    "known devices: 0001:6040C8F2 is listed at line-3.csv:12",
)
_PLAIN = (
    f"INSERT INTO events ({', '.join(chain.FIELDS)})"  # names of columns
    f" VALUES ({', '.join('?' * len(chain.FIELDS))})"
)


def _unchained(db: sqlite3.Connection) -> None:
    db.execute(_PLAIN, events._values(_EVENT))


def _chained(db: sqlite3.Connection) -> None:
    events.append(db, _EVENT)


def _each(folder: Path, name: str, add: Callable[[sqlite3.Connection], None], count: int) -> float:
    """Return the CPU time of one event in microseconds, the median of some rounds."""
    database, rounds = Database.create(folder / name), []

    def work(db: sqlite3.Connection) -> None:
        for _ in range(_ROUNDS):
            begun = time.process_time()
            for _ in range(count // _ROUNDS):
                add(db)
            rounds.append((time.process_time() - begun) / (count // _ROUNDS))

    database.write(work)
    database.close()
    return statistics.median(rounds) * 1e6


def main(count: int = 90_000) -> None:
    """Print what an event costs, without and with the chain, and how fast the chain is walked."""
    with tempfile.TemporaryDirectory() as made:
        folder = Path(made)
        plain = _each(folder, "plain", _unchained, count)
        chained = _each(folder, "chained", _chained, count)
        database = Database.open(folder / "chained")
        begun = time.process_time()
        done = verify(database)
        walked = (time.process_time() - begun) / done.events * 1e6
        database.close()
    print(f"append: {plain:.1f} us without a chain, {chained:.1f} us with it")
    print(f"the chain adds {chained - plain:.1f} us, {chained / plain:.1f} times the insert alone")
    print(f"verify: {walked:.1f} us an event, a million in {walked:.0f} s")


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
