"""Large lists, read by a child process that hands over an index; who waits is left to others."""

from __future__ import annotations

import json
import logging
import mmap
import subprocess
import tempfile
import time
from typing import BinaryIO

from cipsec import python
from cipsec.errors import Malformed
from cipsec.ra.allowlist import child
from cipsec.ra.allowlist.faults import Fault
from cipsec.ra.allowlist.load import ATTEMPTS, SETTLED_NS, Loaded, changes
from cipsec.ra.allowlist.place import Place
from cipsec.ra.allowlist.table import Table

_log = logging.getLogger(__name__)

AGAIN_SECONDS = 10.0  # until a load that failed for reasons of this machine is tried anew


def read(place: Place) -> Loaded:
    """Read a list by a child process, blocking; raise Malformed when it cannot be opened.

    A child that crashes, hangs or is killed makes a broken list, tried anew after ten seconds.
    """
    for _ in range(ATTEMPTS):
        with place.open() as file, tempfile.TemporaryFile() as sink:
            stamp = place.stamp_of(file)
            # After this pause every later change has another stamp. A clock that was set back
            # makes the change look recent for hours, so the pause has an end of its own.
            if time.time_ns() - stamp[0] < 2 * SETTLED_NS:
                time.sleep(2 * SETTLED_NS / 1e9)
                if place.stamp_of(file) != stamp:
                    continue
            outcome, again_at = _ask_child(file, sink), None
            if isinstance(outcome, str):
                outcome, again_at = _failed(outcome)
            if place.stamp_of(file) == stamp:
                return Loaded(stamp, outcome, again_at=again_at)
    raise changes(place)


def _failed(why: str) -> tuple[tuple[Fault, ...], float]:
    _log.warning("a list could not be loaded: %s", why)
    return (Fault(0, f"it could not be loaded: {why}"),), time.monotonic() + AGAIN_SECONDS


def _ask_child(source: BinaryIO, sink: BinaryIO) -> Table | tuple[Fault, ...] | str:
    """Return what the child made of it, or why there is nothing."""
    try:
        done = subprocess.run(
            python.command(child.__name__),
            stdin=source,
            stdout=sink,
            stderr=subprocess.PIPE,
            timeout=child.SECONDS,
            env=python.environment(),
            check=False,
        )
    except subprocess.TimeoutExpired:
        return f"it took more than {child.SECONDS} seconds"
    except OSError as error:
        return f"no process could be started: {error.strerror}"
    if done.returncode not in {0, child.FAULTY}:
        said = done.stderr.decode("utf-8", "replace").strip().rpartition("\n")[2]
        return f"its process ended with {done.returncode}: {said or 'no word'}"
    try:
        return _faults(sink) if done.returncode == child.FAULTY else _mapped(sink)
    except (ValueError, TypeError, OSError, Malformed) as error:
        return f"its process gave no usable index: {error}"


def _mapped(sink: BinaryIO) -> Table:
    # Nobody else knows the file, so nobody can shorten it under the map.
    return Table(memoryview(mmap.mmap(sink.fileno(), 0, access=mmap.ACCESS_READ)))


def _faults(sink: BinaryIO) -> tuple[Fault, ...]:
    sink.seek(0)
    found = tuple(Fault(int(line), str(why)) for line, why in json.load(sink))
    if not found:
        raise ValueError("no faults")
    return found
