"""How long a command waits for its turn to write beside a server that writes without a pause.

    python -m tests.bench.turns [SECONDS]

Time on the clock of one durable write of a command, alone and beside two threads that do nothing
but write, the median and the longest, and the ratio of the two medians. The store is in a temporary
folder, on the disk that this has.
"""

from __future__ import annotations

import contextlib
import sqlite3
import statistics
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path

from cipsec.store import events
from cipsec.store.codes import Code
from cipsec.store.database import Database
from cipsec.store.events import Event

_PAUSE = 0.05  # seconds between two writes of the command


def _add(db: sqlite3.Connection) -> None:
    events.append(db, Event(at=0, event=Code.TEST, actor="operator"))


def _write_on(path: Path, stop: threading.Event) -> None:
    with contextlib.closing(Database.open(path)) as database:
        while not stop.is_set():
            database.write(_add)


@contextlib.contextmanager
def _busy(path: Path) -> Iterator[None]:
    stop = threading.Event()
    writers = [threading.Thread(target=_write_on, args=(path, stop)) for _ in range(2)]
    for writer in writers:
        writer.start()
    try:
        yield
    finally:
        stop.set()
        for writer in writers:
            writer.join()


def _waits(path: Path, seconds: float) -> list[float]:
    """Return how long each write took, in milliseconds."""
    waits = []
    end = time.monotonic() + seconds
    with contextlib.closing(Database.open(path)) as database:
        while time.monotonic() < end:
            begun = time.monotonic()
            database.write(_add)
            waits.append(1000 * (time.monotonic() - begun))
            time.sleep(_PAUSE)
    return waits


def main(seconds: float = 20) -> None:
    """Print both, and the ratio."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "store.sqlite3"
        Database.create(path).close()
        alone = _waits(path, seconds / 4)
        with _busy(path):
            beside = _waits(path, seconds)
    for name, waits in (("alone", alone), ("beside two writers", beside)):
        print(f"{name:20} {statistics.median(waits):8.2f} ms   longest {max(waits):8.2f} ms")
    print(f"{'ratio':20} {statistics.median(beside) / statistics.median(alone):8.1f}")


if __name__ == "__main__":
    main(*(float(argument) for argument in sys.argv[1:]))
