"""The pipes of a program that runs: fed and drained without waiting on them, and bounded.

When the program has said enough, and how it ends, is left to `program`.
"""

from __future__ import annotations

import contextlib
import os
import selectors
import subprocess
import threading
import time
from typing import IO

LIMIT = 64 * 1024  # bytes, of standard output and of standard error each
_CHUNK = 16 * 1024
_MOMENT = 0.002  # seconds; a program that closed its output ends just about now
_JOIN_SECONDS = 0.5


class Polled:
    """For pipes that can be polled: everywhere but on Windows."""

    def __init__(self, process: subprocess.Popen[bytes], document: bytes) -> None:
        self.output, self.errors = bytearray(), bytearray()
        self._unsent = memoryview(document)
        self._selector = selectors.PollSelector()  # which needs no descriptor
        self._reading = 0
        for pipe, kept in ((process.stdout, self.output), (process.stderr, self.errors)):
            self._register(pipe, selectors.EVENT_READ, kept)
            self._reading += 1
        self._register(process.stdin, selectors.EVENT_WRITE, None)

    def _register(self, pipe: IO[bytes] | None, event: int, kept: bytearray | None) -> None:
        assert pipe is not None, "the program was started with three pipes"
        os.set_blocking(pipe.fileno(), False)
        self._selector.register(pipe, event, kept)

    @property
    def flooded(self) -> bool:
        """Tell whether more than `LIMIT` bytes were written to either output."""
        return max(len(self.output), len(self.errors)) > LIMIT

    def step(self, seconds: float) -> bool:
        """Move what can be moved, waiting for it at most so long; tell whether anything was."""
        ready = self._selector.select(seconds if self._reading else min(seconds, _MOMENT))
        for key, _ in ready:
            if key.data is None:
                self._feed(key.fd, key.fileobj)
            else:
                self._drain(key.fd, key.fileobj, key.data)
        return bool(ready)

    def _feed(self, descriptor: int, pipe: object) -> None:
        try:
            self._unsent = self._unsent[os.write(descriptor, self._unsent[:_CHUNK]) :]
        except BlockingIOError:
            return
        except OSError:  # whoever does not read it need not
            self._unsent = self._unsent[:0]
        if not self._unsent:
            self._done(pipe)

    def _drain(self, descriptor: int, pipe: object, kept: bytearray) -> None:
        try:
            chunk = os.read(descriptor, _CHUNK)
        except BlockingIOError:
            return
        kept += chunk
        if not chunk:
            self._reading -= 1
            self._done(pipe)

    def _done(self, pipe: object) -> None:
        self._selector.unregister(pipe)  # type: ignore[arg-type]  # it was registered as it is
        pipe.close()  # type: ignore[attr-defined]  # a pipe, which selectors' types do not say

    def close(self) -> None:
        """Close what is open still; another process may hold the other ends."""
        for key in list(self._selector.get_map().values()):
            self._done(key.fileobj)
        self._selector.close()


class Threaded:
    """For Windows, whose pipes cannot be polled: a thread waits on each of them.

    A process that the program left behind and that holds a pipe holds its thread as well.
    """

    def __init__(self, process: subprocess.Popen[bytes], document: bytes) -> None:
        self.output, self.errors = bytearray(), bytearray()
        self._threads = [
            threading.Thread(target=_feed, args=(process.stdin, document), daemon=True),
            threading.Thread(target=_drain, args=(process.stdout, self.output), daemon=True),
            threading.Thread(target=_drain, args=(process.stderr, self.errors), daemon=True),
        ]
        for thread in self._threads:
            thread.start()

    @property
    def flooded(self) -> bool:
        """Tell whether more than `LIMIT` bytes were written to either output."""
        return max(len(self.output), len(self.errors)) > LIMIT

    def step(self, seconds: float) -> bool:
        """Wait a little, at most so long; tell that nothing is left to be moved."""
        time.sleep(min(seconds, 5 * _MOMENT))
        return False

    def close(self) -> None:
        """Wait for the threads, which close their pipes when the program's ends are closed."""
        until = time.monotonic() + _JOIN_SECONDS
        for thread in self._threads:
            thread.join(max(0.0, until - time.monotonic()))


def _feed(pipe: IO[bytes], document: bytes) -> None:
    # OSError also when it is closed: whoever does not read it need not.
    with contextlib.suppress(OSError), pipe:
        while document:
            document = document[pipe.write(document) :]


def _drain(pipe: IO[bytes], kept: bytearray) -> None:
    with pipe:  # closed at the limit: the program may not write more even if it is not ended
        while len(kept) <= LIMIT and (chunk := pipe.read(_CHUNK)):
            kept += chunk
