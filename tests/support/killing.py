"""A child process that is killed just before a system call that changes a folder."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path

_STEPS = {"open", "os.link", "os.mkdir", "os.remove", "os.rename", "os.rmdir", "os.symlink"}


def killed_at(step: int, where: Path, work: Callable[[], object]) -> bool:
    """Do `work` in a child that is killed before its numbered step in `where`; tell whether it was.

    Every system call that changes a name or opens a file there is a step. It hooks into the child
    for good: to be used in programs of their own.
    """
    child = os.fork()
    if child == 0:
        _kill_before(step, where)
        work()
        os._exit(0)
    _, status = os.waitpid(child, 0)
    if os.WIFSIGNALED(status):
        return True
    if os.waitstatus_to_exitcode(status):
        raise SystemExit(f"the child failed at step {step}")
    return False


def _kill_before(step: int, where: Path) -> None:
    left = step

    def count(event: str, arguments: tuple[object, ...]) -> None:
        nonlocal left
        if event in _STEPS and str(where) in str(arguments):
            left -= 1
            if left == 0:
                os.kill(os.getpid(), signal.SIGKILL)

    sys.addaudithook(count)
