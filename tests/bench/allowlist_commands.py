"""What `cipsec allowlist` takes for a list of a million lines: CPU beside Python's csv, and memory.

Python's csv reads the same file and writes it, in a process of its own. `allowlists` calls this.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.support.serving import cipsec

_CSV = "import csv, sys; csv.writer(sys.stdout).writerows(csv.reader(sys.stdin))"
_COLUMNS = (
    *("--vendor-column", "vendor", "--vendor-base", "hex"),
    *("--serial-column", "serial", "--serial-base", "hex", "--name-column", "name"),
)


@dataclass(frozen=True, slots=True)
class _Used:
    """CPU time in seconds, and the most memory a process held, in bytes."""

    cpu: float
    memory: int


def _used(argv: Sequence[str], source: Path) -> _Used:
    with source.open("rb") as given, Path(os.devnull).open("wb") as nowhere:
        process = subprocess.Popen(
            [sys.executable, *argv], stdin=given, stdout=nowhere, stderr=nowhere
        )
        _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    assert process.returncode == 0, argv
    return _Used(usage.ru_utime + usage.ru_stime, usage.ru_maxrss * 1024)


def _foreign(listed: Path, target: Path) -> None:
    """Write the list as an ERP would."""
    with listed.open() as source, target.open("w") as file:
        file.write("vendor;serial;name\n")
        for line in source:
            device, colon, rest = line.partition(":")
            if colon:
                file.write(f"{device};{';'.join(rest.split(',')[:2])}\n")


def compare(listed: Path) -> None:
    """Print a line for each command."""
    ca, foreign = listed.parent / "ca", listed.parent / "foreign.csv"
    made = cipsec("ca", "init", "--name", "bench", "--no-passphrase", "--ca-dir", ca)
    assert made.returncode == 0, made
    _foreign(listed, foreign)
    yardstick = _used(["-c", _CSV], listed)
    print(f"csv reads and writes the list: {yardstick.cpu:.1f} s CPU")
    into = ca / "allowlists" / "million.csv"
    for source, *argv in (
        (foreign, "import", "-", *_COLUMNS, "--list", "million"),
        (foreign, "import", "-", *_COLUMNS, "--list", "million", "-f"),
        (listed, "import", "-", "--list", "again"),
        (listed, "list", "--list", "million"),
        (listed, "list", "--list", "million", "--json"),
        (listed, "export", "--list", "million"),
    ):
        used = _used(["-m", "cipsec", "allowlist", *argv, "--ca-dir", str(ca)], source)
        options = " ".join(one for one in argv if one in {"--json", "-f"})
        print(
            f"allowlist {argv[0]} {options} of {source.name}: {used.cpu:.1f} s CPU,"
            f" {used.cpu / yardstick.cpu:.1f} times csv's;"
            f" memory {used.memory / 2**20:.0f} MiB (aim 400)",
            flush=True,
        )
        if argv[0] == "import":
            shutil.copy(listed, into)  # what is imported next, and listed, meets other values
