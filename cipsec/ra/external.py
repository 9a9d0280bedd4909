"""The condition `exec`: what an operator's program thinks of an enrollment.

The program gets one JSON object on standard input, runs in the CA's folder with little more than
`PATH` in its environment, and has five seconds: exit status 0 means that the condition holds, 1
that it does not, and everything else that the program has no opinion. The object is the caller's,
and so is what follows from an opinion.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import json
import logging
import threading
import time
from collections import Counter, OrderedDict
from collections.abc import Callable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from cipsec import safe
from cipsec.errors import Malformed, StoreFailed
from cipsec.ra import program
from cipsec.ra.notyet import NotYet
from cipsec.ra.program import Ended

_LOG = logging.getLogger(__name__)

_SECONDS = 5.0
_AT_ONCE = 4
_WAITING, _WAITING_PER_ADDRESS = 64, 8
# A request holds one of few connections while it waits: the program may go on, the device asks
# again and finds the opinion.
_PATIENCE_SECONDS = 10.0
_REMEMBER_SECONDS = 30.0
# More than a run takes: of two programs that both hang, the first is still remembered when the
# second is ended.
_REMEMBER_NONE_SECONDS = 10.0
_REMEMBERED = 10_000
_LARGEST_DOCUMENT = 64 * 1024
_LINE = 200
_MOST_ARGUMENTS = 64

_Asked = tuple[tuple[str, ...], str]


@dataclass(frozen=True, slots=True)
class Opinion:
    """Whether the program says that the condition holds, or nothing; and why, for people."""

    holds: bool | None
    why: str


def check_command(value: object) -> tuple[str, ...]:
    """Return a rule's `exec`: a program's absolute path and its arguments; raise Malformed."""
    if isinstance(value, str):
        raise Malformed("exec is a list", hint='write exec = ["/path/of/program", "argument"]')
    if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
        raise Malformed("exec is not a list of texts")
    if not value or not Path(value[0]).is_absolute():
        shown = repr(value[0]) if value else "nothing"
        raise Malformed(f"exec begins with the program's absolute path, not with {shown}")
    if len(value) > _MOST_ARGUMENTS or any("\0" in item for item in value):
        raise Malformed(f"exec holds at most {_MOST_ARGUMENTS} texts, without zero bytes")
    return tuple(value)


class Programs:
    """Asks programs for this process: in threads of its own, four at a time, and remembers.

    No event loop is kept: whoever waits does so in the loop that runs. A run goes on when the
    request that asked for it is gone.
    """

    def __init__(
        self,
        folder: Path,
        *,
        seconds: float = _SECONDS,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """`folder` is the CA's; a program that is not done after `seconds` has no opinion."""
        self._folder = folder.absolute()
        self._seconds = seconds
        self._clock = clock
        self._lock = threading.Lock()
        self._stop = threading.Event()
        self._pool = ThreadPoolExecutor(_AT_ONCE, thread_name_prefix="exec")
        self._asked: dict[_Asked, Future[None]] = {}
        self._by_address: Counter[str] = Counter()
        self._known: OrderedDict[_Asked, tuple[Opinion, float]] = OrderedDict()

    def opinion(
        self,
        command: tuple[str, ...],
        key: str,
        document: Callable[[], Mapping[str, object]],
        *,
        address: str = "",
    ) -> Opinion:
        """Return what is remembered; raise NotYet until the program was asked, StoreFailed at end.

        `key` stands for everything in the document: who has the same key gets the same opinion,
        for half a minute, or ten seconds where the program had none. `document` is called when
        the program is about to be started. While too many are asked about, of all or of one
        `address`, there is no opinion: nobody can keep the others from the rules behind.
        """
        asked = command, key
        with self._lock:
            self._go_on()  # first: what a program that was ended did not say decides nothing
            known = self._recall(asked)
            if known is None and self._is_full(asked, address):
                return Opinion(None, f"{command[0]} is asked about too many requests now")
        if known is None:
            raise NotYet(functools.partial(self._ask, asked, document, address))
        return known

    def _recall(self, asked: _Asked) -> Opinion | None:
        opinion, until = self._known.get(asked, (None, 0.0))
        if opinion is None:
            return None
        if until <= self._clock():
            del self._known[asked]
            return None
        self._known.move_to_end(asked)
        return opinion

    def _go_on(self) -> None:
        """Raise StoreFailed at the server's end."""
        if self._stop.is_set():
            raise StoreFailed("the server is ending")

    def _is_full(self, asked: _Asked, address: str) -> bool:
        """Tell whether nothing new can be asked."""
        if asked in self._asked:
            return False
        of_one = self._by_address[address]
        return len(self._asked) >= _AT_ONCE + _WAITING or of_one >= _WAITING_PER_ADDRESS

    async def _ask(
        self, asked: _Asked, document: Callable[[], Mapping[str, object]], address: str
    ) -> None:
        """Return when the program was asked, by this request or by another with the same key."""
        run = self._asked.get(asked) or self._begin(asked, _encode(document()), address)
        if run is not None:
            await _end_of(run)

    def _begin(self, asked: _Asked, document: bytes, address: str) -> Future[None] | None:
        """Let the program be asked; return the run, or nothing where that is not to be now."""
        with self._lock:
            self._go_on()
            if self._recall(asked) is not None or self._is_full(asked, address):
                return None
            self._by_address[address] += 1
            run = self._asked[asked] = self._pool.submit(self._run, asked, document, address)
            return run

    def _run(self, asked: _Asked, document: bytes, address: str) -> None:
        """Ask the program, in a thread, and remember its opinion."""
        opinion = None
        try:
            opinion = self._opinion(asked[0], document)
        finally:
            with self._lock:
                if opinion is not None:
                    self._remember(asked, opinion)
                del self._asked[asked]
                self._by_address[address] -= 1
                if not self._by_address[address]:
                    del self._by_address[address]

    def _opinion(self, command: tuple[str, ...], document: bytes) -> Opinion:
        if len(document) > _LARGEST_DOCUMENT:
            ended = Ended(None, "the request is too long to be told")
        else:
            ended = program.run(
                command, document, self._folder, seconds=self._seconds, stop=self._stop
            )
        if complaint := _first_line(ended.errors):
            _LOG.warning("%s: %s", safe.text(command[0]), complaint)
        return _understood(command[0], ended)

    def _remember(self, asked: _Asked, opinion: Opinion) -> None:
        seconds = _REMEMBER_NONE_SECONDS if opinion.holds is None else _REMEMBER_SECONDS
        self._known[asked] = opinion, self._clock() + seconds
        self._known.move_to_end(asked)
        while len(self._known) > _REMEMBERED:
            self._known.popitem(last=False)

    async def close(self) -> None:
        """End the programs that run, drop those that wait, and wait until nothing is left."""
        self._stop.set()
        end = functools.partial(self._pool.shutdown, cancel_futures=True)
        await asyncio.get_running_loop().run_in_executor(None, end)


async def _end_of(run: Future[None]) -> None:
    """Wait for a run without being able to cancel it; raise StoreFailed when it takes too long."""
    loop, ended = asyncio.get_running_loop(), asyncio.Event()

    def wake(_: Future[None]) -> None:
        with contextlib.suppress(RuntimeError):  # a loop that is closed waits no more
            loop.call_soon_threadsafe(ended.set)

    run.add_done_callback(wake)
    try:
        async with asyncio.timeout(_PATIENCE_SECONDS):
            await ended.wait()
    except TimeoutError:
        raise StoreFailed("the programs of rules take too long") from None
    if not run.cancelled():
        run.result()


def _encode(document: Mapping[str, object]) -> bytes:
    """One line of ASCII: what is special in a name arrives escaped."""
    return json.dumps(document).encode("ascii") + b"\n"


def _understood(path: str, ended: Ended) -> Opinion:
    name, said = safe.text(path), _first_line(ended.output)
    match ended.status:
        case 0:
            return Opinion(True, _sentence(f"{name} agrees", said))
        case 1:
            return Opinion(False, _sentence(f"{name} does not agree", said))
        case None:
            return Opinion(None, f"{name} has no opinion: {ended.trouble}")
        case status:
            why = f"{name} has no opinion: it ended with exit status {status}"
            return Opinion(None, _sentence(why, said))


def _sentence(what: str, said: str) -> str:
    return f"{what}: {said}" if said else what


def _first_line(output: bytes) -> str:
    """Return the first line that says anything, made harmless."""
    lines = output.decode("utf-8", "backslashreplace").strip().split("\n", 1)
    return safe.text(lines[0].strip(), limit=_LINE)
