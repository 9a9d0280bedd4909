"""How long the command line takes to start, as ratios: python -m tests.bench.start"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from tests.bench import load

_RUNS = 15
_PYTHON = sys.executable
_CIPSEC = str(Path(sys.executable).with_name("cipsec"))
# As where it is installed: without bytecode every start compiles cipsec, and the yardstick nothing.
_NO_BYTECODE = "PYTHONDONTWRITEBYTECODE"
_ENVIRONMENT = {name: value for name, value in os.environ.items() if name != _NO_BYTECODE}


def _seconds(command: list[str]) -> float:
    began = time.perf_counter()
    subprocess.run(command, check=True, capture_output=True, env=_ENVIRONMENT)
    return time.perf_counter() - began


def _ratio(ours: list[str], yardstick: list[str]) -> tuple[float, float, float]:
    """Return the medians of both in seconds, run in turn, and of their ratios."""
    pairs = [(_seconds(ours), _seconds(yardstick)) for _ in range(_RUNS + 1)][1:]
    mine, theirs = zip(*pairs, strict=True)
    ratio = statistics.median(a / b for a, b in pairs)
    return statistics.median(mine), statistics.median(theirs), ratio


def main() -> int:
    """Print one line for each command."""
    with tempfile.TemporaryDirectory() as name:
        certificate, _ = load.vendor(Path(name), 0)
        for ours, yardstick, aim in (
            ([_CIPSEC, "--version"], "pass", 2.5),
            ([_CIPSEC, "--help"], "import typer", 1.6),
            ([_CIPSEC, "cert", "show", str(certificate)], "import cryptography.x509", 2.0),
        ):
            mine, theirs, ratio = _ratio(ours, [_PYTHON, "-c", yardstick])
            print(
                f"cipsec {' '.join(ours[1:3])}: {mine * 1e3:.0f} ms,"
                f" python -c '{yardstick}': {theirs * 1e3:.0f} ms, ratio {ratio:.2f} (aim {aim})"
            )
    return 0


if __name__ == "__main__":
    sys.exit(main())
