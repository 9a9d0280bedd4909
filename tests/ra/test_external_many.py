"""The condition `exec` asked by many: shared runs, places, memory, and the end of it."""

from __future__ import annotations

import asyncio
import os
import sys
import threading
from pathlib import Path

import pytest

from cipsec.errors import StoreFailed
from cipsec.ra import external
from cipsec.ra.external import Opinion, Programs
from cipsec.ra.notyet import NotYet
from tests.support.asking import Script, ask, asked, descriptors, made
from tests.support.waiting import LONG, until

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="the programs are shell scripts")


def test_one_run_for_the_same_question(programs: Programs, script: Script, tmp_path: Path) -> None:
    """Fifty requests at once, then a hundred polls."""
    command = script("echo run >>runs; sleep 0.2; exit 1")

    async def many() -> list[Opinion]:
        return await asyncio.gather(*(ask(programs, command) for _ in range(50)))

    opinions = asyncio.run(many()) + [asked(programs, command) for _ in range(100)]
    assert {opinion.holds for opinion in opinions} == {False}
    assert (tmp_path / "ca" / "runs").read_text() == "run\n"


def test_four_at_once(programs: Programs, script: Script, tmp_path: Path) -> None:
    """The first wait for three others, which must come; a fifth must not."""
    command = script(
        "mkdir -p on off; >on/$$; ls on | wc -l >>seen\n"
        "while [ $(ls on off | grep -c '[0-9]') -lt 4 ]; do sleep 0.02; done\n"
        "sleep 0.1; >off/$$; rm on/$$"
    )

    async def many() -> list[Opinion]:
        asks = (ask(programs, command, str(n), address=f"192.0.2.{n}") for n in range(20))
        return await asyncio.gather(*asks)

    assert all(opinion.holds for opinion in asyncio.run(many()))
    seen = [int(line) for line in (tmp_path / "ca" / "seen").read_text().split()]
    assert (len(seen), max(seen)) == (20, 4)


def test_too_many_waiting(programs: Programs, script: Script, tmp_path: Path) -> None:
    """Beyond four that run and 64 that wait there is no opinion, for new questions only."""
    command = script("while [ ! -e go ]; do sleep 0.05; done")

    async def many() -> None:
        async with asyncio.TaskGroup() as group:
            for n in range(68):
                group.create_task(ask(programs, command, str(n), address=f"192.0.2.{n // 8}"))
            await asyncio.sleep(0)
            full = programs.opinion(command, "one more", dict, address="198.51.100.7")
            assert full == busy(command)
            with pytest.raises(NotYet):
                programs.opinion(command, "67", dict, address="198.51.100.7")
            (tmp_path / "ca" / "go").touch()
        assert programs.opinion(command, "67", dict).holds
        assert (await ask(programs, command, "one more")).holds  # and nothing of it is remembered

    asyncio.run(many())


def busy(command: tuple[str, ...]) -> Opinion:
    """Return what is said while too many are asked about."""
    return Opinion(None, f"{command[0]} is asked about too many requests now")


def test_too_many_of_one_address(programs: Programs, script: Script, tmp_path: Path) -> None:
    """One address has eight places, and keeps nobody else from the program."""
    command = script("while [ ! -e go ]; do sleep 0.05; done")

    async def many() -> list[Opinion]:
        async with asyncio.TaskGroup() as group:
            asks = [
                group.create_task(ask(programs, command, str(n), address="192.0.2.66"))
                for n in range(68)
            ]
            await asyncio.sleep(0)
            with pytest.raises(NotYet):
                programs.opinion(command, "good", dict, address="192.0.2.7")
            good = group.create_task(ask(programs, command, "good", address="192.0.2.7"))
            await asyncio.sleep(0)
            (tmp_path / "ca" / "go").touch()
        return [good.result(), *(task.result() for task in asks)]

    good, *flood = asyncio.run(many())
    assert good.holds
    assert [opinion.holds for opinion in flood[:8]] == [True] * 8
    assert set(flood[8:]) == {busy(command)}
    until(lambda: not programs._by_address)  # the places are free again
    assert asked(programs, command, "67").holds


def test_who_waits_too_long_asks_again(
    programs: Programs, script: Script, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A request holds a connection; the run goes on, and the next one finds the opinion."""
    monkeypatch.setattr(external, "_PATIENCE_SECONDS", 0.1)
    command = script("echo run >>runs; while [ ! -e go ]; do sleep 0.05; done; exit 1")
    with pytest.raises(StoreFailed, match="too long"):
        asked(programs, command)
    (tmp_path / "ca" / "go").touch()
    until(lambda: not programs._asked)
    assert programs.opinion(command, "4711", dict).holds is False
    assert (tmp_path / "ca" / "runs").read_text() == "run\n"


def test_one_who_leaves_does_not_end_it_for_the_others(
    programs: Programs, script: Script, tmp_path: Path
) -> None:
    """A cancelled request leaves the run to those who wait with it, in whichever loop."""
    command = script("echo run >>runs; while [ ! -e go ]; do sleep 0.05; done; exit 1")

    async def leave() -> None:
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(ask(programs, command), 0.1)

    async def stay() -> Opinion:
        async with asyncio.TaskGroup() as group:
            leaving = group.create_task(ask(programs, command))
            staying = group.create_task(ask(programs, command))
            await asyncio.sleep(0.1)
            leaving.cancel()
            (tmp_path / "ca" / "go").touch()
        return staying.result()

    asyncio.run(leave())
    assert asyncio.run(stay()).holds is False
    assert (tmp_path / "ca" / "runs").read_text() == "run\n"


def test_the_loop_goes_on(programs: Programs, script: Script, tmp_path: Path) -> None:
    """Other requests are answered meanwhile."""
    command = script("until test -e go; do sleep 0.05; done")

    async def turns() -> None:
        task = asyncio.create_task(ask(programs, command))
        for _ in range(20):
            await asyncio.sleep(0.01)
        assert not task.done()
        (tmp_path / "ca" / "go").touch()
        assert (await task).holds

    asyncio.run(turns())


# Memory.


def test_how_long_an_opinion_lasts(script: Script, tmp_path: Path) -> None:
    """Half a minute for yes and no, ten seconds for neither."""
    now = [1000.0]
    programs = Programs(tmp_path, seconds=LONG, clock=lambda: now[0])
    for status, holds, seconds in ((0, True, 30.0), (1, False, 30.0), (2, None, 10.0)):
        command = script(f"exit {status}")
        assert asked(programs, command).holds is holds
        now[0] += seconds - 0.1
        assert programs.opinion(command, "4711", dict).holds is holds
        now[0] += 0.1
        with pytest.raises(NotYet):
            programs.opinion(command, "4711", dict)
    asyncio.run(programs.close())


def test_an_opinion_is_about_one_question(programs: Programs, script: Script) -> None:
    """Another key, or other arguments, is another question."""
    command = script("exit 0")
    assert asked(programs, command).holds
    for other, key in ((command, "4712"), ((*command, "x"), "4711")):
        with pytest.raises(NotYet):
            programs.opinion(other, key, dict)


def test_memory_is_bounded(
    programs: Programs, script: Script, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever was not asked about for longest is forgotten first."""
    monkeypatch.setattr(external, "_REMEMBERED", 3)
    command = script("exit 0")
    for key in ("a", "b", "c", "a", "d"):
        assert asked(programs, command, key).holds
    assert [key for _, key in programs._known] == ["c", "a", "d"]


# The end.


def test_closing_ends_what_runs(script: Script, tmp_path: Path) -> None:
    """Programs that run are ended, requests that wait are told, and nothing is left behind."""
    programs = made(tmp_path)
    command = script("echo $$ >$0.pid-$$; exec sleep 300")
    before = descriptors()

    async def end() -> list[object]:
        tasks = [asyncio.create_task(ask(programs, command, str(n))) for n in range(6)]
        # Those that are ended have no opinion; that must not let the rules behind decide.
        await asyncio.to_thread(until, lambda: len(list(tmp_path.glob("*.pid-*"))) == 4)
        await programs.close()
        return list(await asyncio.gather(*tasks, return_exceptions=True))

    results = asyncio.run(end())
    assert {type(result) for result in results} == {StoreFailed}
    for path in tmp_path.glob("*.pid-*"):
        assert not Path(f"/proc/{path.suffix.removeprefix('.pid-')}").exists()  # reaped as well
    assert descriptors() <= before
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("exec")]
    with pytest.raises(StoreFailed):
        programs.opinion(command, "4711", dict)


def test_no_descriptor_is_left(script: Script, tmp_path: Path) -> None:
    """Whatever the programs did."""
    programs = made(tmp_path, seconds=0.3)
    texts = ("exit 0", "kill -9 $$", "yes", "exec sleep 300", "exec >&- 2>&-; exit 1")
    commands = [*map(script, texts), ("/nowhere",), ("/",)]
    before = descriptors()
    for turn in range(3):
        for command in commands:
            asked(programs, command, str(turn))
    assert descriptors() <= before
    asyncio.run(programs.close())


def test_in_a_forked_worker(script: Script, tmp_path: Path) -> None:
    """As the server's workers are made."""
    command = script("exit 1")
    child = os.fork()
    if not child:
        code = 1
        try:
            programs = made(tmp_path)
            code = 0 if asked(programs, command).holds is False else 2
            asyncio.run(programs.close())
        finally:
            os._exit(code)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
