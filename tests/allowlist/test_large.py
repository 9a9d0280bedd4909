"""Large lists: read by a process of their own while the server goes on answering."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path
from types import SimpleNamespace
from typing import Any, BinaryIO

import pytest

from cipsec.errors import Malformed, StoreFailed
from cipsec.ra.allowlist import apart, child, live
from cipsec.ra.allowlist.faults import Broken
from cipsec.ra.allowlist.live import Allowlists
from cipsec.ra.allowlist.place import Place
from cipsec.ra.notyet import NotYet

from .lists import DRIVE, OTHER, found, large

_LATER = 3600.0  # seconds
_DRIVE, _OTHER = "0001:6040C8F2,Drive 7", "0001:6040C8F3"


def test_found_after_waiting(folder: Path, lists: Allowlists) -> None:
    """The first call says that it is not there yet; afterwards calls answer at once."""
    (folder / "a.csv").write_text(large(_DRIVE))
    with pytest.raises(NotYet):
        lists.find("a", DRIVE)
    listed = found(lists, "a")
    assert listed is not None
    assert (listed.line, listed.entry.name) == (3002, "Drive 7")
    assert lists.find("a", DRIVE) == listed
    assert lists.find("a", OTHER) is None


def test_never_from_the_old_version(folder: Path, lists: Allowlists) -> None:
    """A right that was taken away is gone from the first call on, though the new list loads."""
    path = folder / "a.csv"
    path.write_text(large(_DRIVE))
    assert found(lists, "a") is not None
    for text, by in ((large(_OTHER), None), (large(_DRIVE), DRIVE), (large(_OTHER), None)):
        path.write_text(text)
        with pytest.raises(NotYet):
            lists.find("a", DRIVE)
        assert (found(lists, "a") is None) == (by is None)


def test_changed_while_it_loads(folder: Path, lists: Allowlists) -> None:
    """What was loaded is not taken: it loads again."""
    path = folder / "a.csv"
    path.write_text(large(_DRIVE))
    with pytest.raises(NotYet):
        lists.find("a", DRIVE)
    path.write_text(large(_OTHER))
    assert found(lists, "a") is None
    assert found(lists, "a", OTHER) is not None


def test_small_again(folder: Path, lists: Allowlists) -> None:
    """A list that has become small is read at once, though the large one is loading."""
    path = folder / "a.csv"
    path.write_text(large(_DRIVE))
    with pytest.raises(NotYet):
        lists.find("a", DRIVE)
    path.write_text("device\n0001:6040C8F3\n")
    assert lists.find("a", OTHER) is not None
    assert found(lists, "a") is None


def test_one_load_for_all_who_wait(
    folder: Path, lists: Allowlists, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Fifty requests, of which some give up waiting, and one process."""
    path = folder / "a.csv"
    path.write_text(large(_DRIVE))
    started: list[int] = []
    run: Any = subprocess.run

    def count(*arguments: Any, stdin: BinaryIO, **options: Any) -> Any:
        started.append(os.fstat(stdin.fileno()).st_ino)  # other tests' loads may still run
        return run(*arguments, stdin=stdin, **options)

    monkeypatch.setattr(subprocess, "run", count)

    async def ask(number: int) -> bool:
        while True:
            try:
                return lists.find("a", DRIVE) is not None
            except NotYet as wait:
                await asyncio.wait_for(wait.ready(), 0.01 if number % 5 == 0 else 60)

    async def storm() -> list[object]:
        return await asyncio.gather(*map(ask, range(50)), return_exceptions=True)

    answers = asyncio.run(storm())
    assert answers.count(True) == 40
    assert started.count(path.stat().st_ino) == 1


_WAITS = """
import time
from pathlib import Path
from cipsec.ra.allowlist import child
while not Path({!r}).exists():
    time.sleep(0.01)
raise SystemExit(child.main())
"""


def test_the_loop_goes_on(folder: Path, lists: Allowlists, monkeypatch: pytest.MonkeyPatch) -> None:
    """Turns of the event loop while a list of some size loads, which ends after hundred of them."""
    (folder / "a.csv").write_text(large(_DRIVE, rows=100_000))
    (folder / "waits.py").write_text(_WAITS.format(str(folder / "turned")))
    monkeypatch.syspath_prepend(folder)
    monkeypatch.setattr(child, "__name__", "waits")
    turns = 0

    async def tick() -> None:
        nonlocal turns
        while True:
            await asyncio.sleep(0.001)
            turns += 1
            if turns == 100:
                (folder / "turned").touch()

    async def ask() -> bool:
        ticking = asyncio.create_task(tick())
        try:
            while True:
                try:
                    return lists.find("a", DRIVE) is not None
                except NotYet as wait:
                    with suppress(StoreFailed):  # it takes long: ask again
                        await wait.ready()
        finally:
            ticking.cancel()

    assert asyncio.run(ask())
    assert turns >= 100


def test_broken_then_mended(folder: Path, lists: Allowlists) -> None:
    """The faults come with their lines, as those of small lists."""
    path = folder / "a.csv"
    path.write_text(large("0001:6040C8F2,,never", "x"))
    for _ in range(2):
        with pytest.raises(Broken, match=r"^allowlists/a.csv:3002: 'never' is not a time") as error:
            found(lists, "a")
        assert [fault.line for fault in error.value.faults] == [3002, 3003]
    path.write_text(large(_DRIVE))
    assert found(lists, "a") is not None


def test_removed_while_it_loads(folder: Path, lists: Allowlists) -> None:
    """There is no such list, and nobody hangs."""
    path = folder / "a.csv"
    path.write_text(large(_DRIVE))
    with pytest.raises(NotYet):
        lists.find("a", DRIVE)
    path.unlink()
    with pytest.raises(Malformed, match="no such list"):
        found(lists, "a")
    path.write_text(large(_DRIVE))
    assert found(lists, "a") is not None


@pytest.mark.parametrize(
    ("program", "why"),
    [
        ("import os; os.kill(os.getpid(), 9)", "ended with -9"),
        ("raise SystemExit('out of luck')", "ended with 1: out of luck"),
        ("import os; os._exit(0)", "no usable index"),
        ("print('x' * 4000)", "no usable index"),
        ("print('[]'); raise SystemExit(10)", "no usable index"),
        ("print('no json'); raise SystemExit(10)", "no usable index"),
        ("import time; time.sleep(60)", "took more than 1 seconds"),
    ],
)
def test_a_child_that_fails(
    folder: Path,
    lists: Allowlists,
    monkeypatch: pytest.MonkeyPatch,
    program: str,
    why: str,
) -> None:
    """Killed, crashed, silent, talking nonsense, hanging: nobody is found, and it is tried anew."""
    (folder / "a.csv").write_text(large(_DRIVE))
    (folder / "stand_in.py").write_text(program)
    monkeypatch.syspath_prepend(folder)
    with monkeypatch.context() as patch:
        patch.setattr(child, "__name__", "stand_in")
        if "sleep" in program:
            patch.setattr(child, "SECONDS", 1)
        patch.setattr(apart, "AGAIN_SECONDS", _LATER)
        with pytest.raises(Malformed, match="it could not be loaded: .*" + why):
            found(lists, "a")
        with pytest.raises(Malformed, match="it could not be loaded"):
            lists.find("a", DRIVE)  # not once more for each request
    later = SimpleNamespace(monotonic=lambda: time.monotonic() + _LATER)
    monkeypatch.setattr(live, "time", later)
    assert found(lists, "a") is not None


def test_no_process_can_be_started(
    folder: Path, lists: Allowlists, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Says so, and nobody hangs."""
    (folder / "a.csv").write_text(large(_DRIVE))
    monkeypatch.setattr(sys, "executable", "/nowhere/python")
    with pytest.raises(Malformed, match="no process could be started: No such file"):
        found(lists, "a")


def test_shut_while_it_would_load(
    folder: Path, lists: Allowlists, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What can be looked at and not opened ends in an error, not in waiting for ever."""
    (folder / "a.csv").write_text(large(_DRIVE))

    def forbidden(place: Place) -> BinaryIO:
        raise place.unusable(PermissionError(13, "Permission denied"))

    monkeypatch.setattr(Place, "open", forbidden)
    with pytest.raises(Malformed, match=r"a\.csv: it cannot be read: permission denied"):
        found(lists, "a")


def test_the_environment_leads_nowhere_else(
    folder: Path, lists: Allowlists, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither the folder the server runs in nor what lies there has a say in the child."""
    for name in ("json.py", "csv.py", "cipsec.py"):
        (tmp_path / name).write_text("raise SystemExit('caught')")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PYTHONPATH", "")
    (folder / "a.csv").write_text(large(_DRIVE))
    assert found(lists, "a") is not None


@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")  # threads are what it is about
def test_a_worker_process(folder: Path, lists: Allowlists) -> None:
    """Forked while a list loads, it loads by itself and waits for nobody's thread."""
    (folder / "a.csv").write_text(large(_DRIVE))
    with pytest.raises(NotYet):
        lists.find("a", DRIVE)
    pid = os.fork()
    if pid == 0:
        signal.alarm(60)
        try:
            os._exit(0 if found(lists, "a") is not None else 1)
        finally:
            os._exit(2)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
    assert found(lists, "a") is not None


def test_without_an_event_loop(folder: Path, lists: Allowlists) -> None:
    """What the command line does: load, wait, look."""
    path = folder / "a.csv"
    path.write_text(large(_DRIVE))
    lists.load_now("a")
    assert lists.find("a", DRIVE) is not None
    path.write_text(large("x"))
    lists.load_now("a")
    with pytest.raises(Broken, match="3002"):
        lists.find("a", DRIVE)
    with pytest.raises(Malformed, match="no such list"):
        lists.load_now("b")
