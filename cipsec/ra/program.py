"""One run of an operator's program: fed, bounded in time and output, and ended whole.

What its exit status means is left to `external`, and so is the thread that this blocks.
"""

from __future__ import annotations

import contextlib
import logging
import os
import signal
import subprocess
import threading
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from cipsec.ra.pipes import LIMIT, Polled, Threaded

_LOG = logging.getLogger(__name__)

_TICK = 0.05  # seconds between looks at clock and program while nothing is written
_REAP_SECONDS = 2.0
_ROUNDS = 5
# Not the server's: what a program is told does not depend on who started the server, and where.
_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
_LANG = "C.UTF-8"

_Pipes = Polled | Threaded


@dataclass(frozen=True, slots=True)
class Ended:
    """How a run ended: its exit status, or why there is none; the outputs as far as read."""

    status: int | None
    trouble: str = ""
    output: bytes = b""
    errors: bytes = b""


def run(
    command: tuple[str, ...],
    document: bytes,
    folder: Path,
    *,
    seconds: float,
    stop: threading.Event,
) -> Ended:
    """Run a program in `folder` with `document` on its standard input, and end it when it is over.

    It leads a session of its own and has the environment of `environment`. Whatever it started and
    left in its process group ends with it; what is in its session too, where it had to be ended
    itself: after `seconds`, beyond 64 KiB on either output, or because of `stop`. Blocks until
    then. On Windows only the program itself is ended.
    """
    try:
        process = _start(command, folder)
    except OSError as error:
        return Ended(None, f"it cannot be started: {error.strerror}")
    pipes = Polled(process, document) if hasattr(os, "killpg") else Threaded(process, document)
    status, trouble = None, "it could not be watched"
    try:
        status, trouble = _watch(process, pipes, time.monotonic() + seconds, stop)
    finally:
        _end(process, whole=bool(trouble))
        pipes.close()
    trouble = trouble or _trouble_with(status, pipes)
    return Ended(None if trouble else status, trouble, bytes(pipes.output), bytes(pipes.errors))


def environment(folder: Path) -> Mapping[str, str]:
    """Return all of a program's environment: `PATH`, `LANG` and `CIPSEC_CA_DIR`."""
    if os.name == "nt":  # where hardly anything starts without SYSTEMROOT
        kept = {name: os.environ.get(name, "") for name in ("PATH", "SYSTEMROOT")}
    else:
        kept = {"PATH": _PATH, "LANG": _LANG}
    return {**kept, "CIPSEC_CA_DIR": str(folder)}


def _start(command: tuple[str, ...], folder: Path) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        command,
        bufsize=0,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        cwd=folder,
        env=environment(folder),
        start_new_session=True,
    )


def _watch(
    process: subprocess.Popen[bytes], pipes: _Pipes, deadline: float, stop: threading.Event
) -> tuple[int | None, str]:
    """Return the exit status once there is one, or why the program has to be ended."""
    try:
        while (status := _status(process)) is None:
            if pipes.flooded:
                return None, _FLOOD
            if stop.is_set():
                return None, "the server is ending"
            if time.monotonic() >= deadline:
                return None, "it did not end in time"
            pipes.step(_TICK)
    except ChildProcessError:
        return None, "its exit status was lost"
    while not pipes.flooded and pipes.step(0):
        pass  # what it wrote last
    return status, ""


_FLOOD = f"it wrote more than {LIMIT // 1024} KiB"


def _trouble_with(status: int | None, pipes: _Pipes) -> str:
    if pipes.flooded:
        return _FLOOD
    return f"it was ended by signal {-status}" if status is not None and status < 0 else ""


def _status(process: subprocess.Popen[bytes]) -> int | None:
    """Return the exit status, negative for a signal, or nothing yet; raise ChildProcessError.

    The process is left to be reaped, so that its number cannot be another's when its group is
    ended. Popen reports 0 where the status was lost (SIGCHLD ignored), and here 0 grants.
    """
    if not hasattr(os, "waitid"):  # Windows, and macOS before Python 3.13
        return process.poll()
    seen = os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT)
    if seen is None:
        return None
    return seen.si_status if seen.si_code == os.CLD_EXITED else -seen.si_status


def _end(process: subprocess.Popen[bytes], *, whole: bool) -> None:
    """End what is left of a program and reap it."""
    with contextlib.suppress(ProcessLookupError, PermissionError):  # gone, or all but gone
        if hasattr(os, "killpg"):
            os.killpg(process.pid, signal.SIGKILL)
        else:
            process.kill()
    if whole:
        with contextlib.suppress(OSError):  # no /proc, or no descriptor left to read it
            _end_session(process.pid)
    try:
        process.wait(_REAP_SECONDS)
    except subprocess.TimeoutExpired:  # sudo, where the server is not root; a later Popen reaps it
        _LOG.warning("process %d could not be ended", process.pid)


def _end_session(leader: int) -> None:
    """End the members of a session that left its first group, as timeout(1) does."""
    for _ in range(_ROUNDS):  # they may multiply meanwhile
        members = list(_session(leader))
        if not members:
            return
        for member in members:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.kill(member, signal.SIGKILL)


def _session(leader: int) -> Iterator[int]:
    """Yield the living processes of a session, where there is a /proc to tell: proc_pid_stat(5)."""
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            stat = path.read_bytes()
        except OSError:  # it has just ended
            continue
        # State, parent, group and session follow the name, which may hold anything.
        state, _, _, session = stat.rpartition(b")")[2].split()[:4]
        if int(session) == leader and state != b"Z":
            yield int(path.parent.name)
