"""An allowlist of a million lines beside one of ten: python -m tests.bench.allowlists

Load time and memory, the longest pause of an event loop while it loads, what a lookup costs; the
pause beside that of the same loop with nothing to do, the lookup beside one in the list of ten. And
what importing, listing and exporting it takes.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
import resource
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Coroutine, Sequence
from pathlib import Path

from cipsec.errors import StoreFailed
from cipsec.pki.device import DeviceId, Identity
from cipsec.ra.allowlist.live import Allowlists
from cipsec.ra.notyet import NotYet
from tests.bench import allowlist_commands
from tests.bench.machine import interpreter

_ROWS = 1_000_000
_FEW = 10
_LOOKUPS = 20_000
_ROUNDS = 7
_TICK_SECONDS = 0.001


def _device(number: int) -> DeviceId:
    """Return one of a million devices, in an order that no index likes."""
    return DeviceId(1 + number % 40, number * 2654435761 % 0xFFFFFFFF + 1)


def _write(path: Path, rows: int) -> int:
    with path.open("w") as file:
        file.write("# the plant\ndevice,name,until,uses,note\n")
        file.writelines(f"{_device(n)},Drive {n},2099-01-31,1,line {n % 50}\n" for n in range(rows))
    return path.stat().st_size


async def _find(lists: Allowlists, name: str, identity: Identity) -> None:
    while True:
        try:
            assert lists.find(name, identity) is not None
        except NotYet as wait:
            with contextlib.suppress(StoreFailed):  # it takes longer than a device waits at once
                await wait.ready()
        else:
            return


async def longest_pause(work: Coroutine[object, object, None]) -> float:
    """Return the longest time in seconds that a task which sleeps a tick was kept from running."""
    longest = 0.0

    async def tick() -> None:
        nonlocal longest
        before = time.perf_counter()
        while True:
            await asyncio.sleep(_TICK_SECONDS)
            now = time.perf_counter()
            longest = max(longest, now - before - _TICK_SECONDS)
            before = now

    ticking = asyncio.create_task(tick())
    await asyncio.sleep(0.05)
    await work
    await asyncio.sleep(0.05)
    ticking.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await ticking
    return longest


def _cost(lists: Allowlists, name: str, identities: Sequence[Identity]) -> float:
    find: Callable[[str, Identity], object] = lists.find
    before = time.process_time()
    for identity in identities:
        find(name, identity)
    return (time.process_time() - before) / len(identities)


def _compare(lists: Allowlists) -> None:
    chosen = random.Random(7).sample(range(_ROWS), _LOOKUPS)  # no secret
    many = [Identity(_device(number)) for number in chosen]
    few = [Identity(_device(number % _FEW)) for number in chosen]
    absent = [Identity(DeviceId(999, number + 1)) for number in chosen]
    pairs = [
        (_cost(lists, "ten", few), _cost(lists, "million", many), _cost(lists, "million", absent))
        for _ in range(_ROUNDS)
    ]
    ten, million, none = (statistics.median(column) * 1e6 for column in zip(*pairs, strict=True))
    ratio = statistics.median(pair[1] / pair[0] for pair in pairs)
    print(
        f"lookup in ten {ten:.1f} us CPU, in a million {million:.1f} us, ratio {ratio:.2f},"
        f" of a device that is not listed {none:.1f} us;"
        f" a million cost a decision {million - ten:.1f} us more"
    )


def main() -> int:
    """Print one line for the load and one for the lookups."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name) / "allowlists"
        folder.mkdir()
        size = _write(folder / "million.csv", _ROWS)
        _write(folder / "ten.csv", _FEW)
        time.sleep(0.5)  # that the lists are settled, as they are in a plant
        lists = Allowlists(folder)
        print(f"server: {interpreter()}")
        asyncio.run(_find(lists, "ten", Identity(_device(0))))
        idle = asyncio.run(longest_pause(asyncio.sleep(5)))
        began = time.perf_counter()
        pause = asyncio.run(longest_pause(_find(lists, "million", Identity(_device(7)))))
        seconds = time.perf_counter() - began
        _compare(lists)
        child = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024
        own = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        print(
            f"load of {_ROWS} lines ({size / 2**20:.0f} MiB) {seconds:.1f} s;"
            f" longest pause of the loop meanwhile {pause * 1e3:.1f} ms (idle {idle * 1e3:.1f} ms);"
            f" memory {own:.0f} MiB, of the process that loads {child:.0f} MiB,"
            f" together {own + child:.0f} MiB (aim 400)"
        )
        allowlist_commands.compare(folder / "million.csv")
    return 0


if __name__ == "__main__":
    sys.exit(main())
