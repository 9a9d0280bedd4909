"""Reads a large list in a process of its own: list on stdin, image or faults on stdout.

A process and not a thread, because the parsing would hold the interpreter that answers devices.
What becomes of the result is left to `load`.
"""

from __future__ import annotations

import json
import os
import signal
import sys
from dataclasses import astuple

from cipsec.ra.allowlist.table import build

SECONDS = 120  # how long a list may take: a hundred times what a million lines need
FAULTY = 10  # exit code: stdout holds JSON, [[line, why], …]
_NICENESS = 5  # answering devices comes first


def main() -> int:
    """Read stdin, a file, and write stdout, a file; return the exit code."""
    if hasattr(signal, "alarm"):  # should whoever started this be gone
        signal.alarm(SECONDS + 10)
        os.nice(_NICENESS)
    sink = sys.stdout.buffer
    faults = build(sys.stdin.buffer, sink)
    if not faults:
        sink.flush()
        return 0
    sink.seek(0)
    sink.truncate()
    sink.write(json.dumps([astuple(fault) for fault in faults]).encode())
    sink.flush()
    return FAULTY


if __name__ == "__main__":
    sys.exit(main())
