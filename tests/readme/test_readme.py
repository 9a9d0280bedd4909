"""Every command line that the README shows is run, and does what it says."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.readme.story import shown
from tests.support import programs

_ROOT = Path(__file__).parents[2]


def test_story_runs(tmp_path: Path) -> None:
    """The `cipsec` lines work one after the other, on a network of their own."""
    command = [sys.executable, "-m", "tests.readme.story", str(tmp_path)]
    if os.geteuid() == 0:
        programs.need("unshare", "ip")
        alone = 'ip link set lo up && exec "$@"'
        command = ["unshare", "-n", "sh", "-c", alone, "sh", *command]
    done = subprocess.run(command, cwd=_ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("line", [line for line in shown() if not line.startswith("cipsec ")])
def test_other_lines_name_what_is_there(line: str) -> None:
    """Lines that set up, test and measure name files and modules of this repository."""
    modules = re.findall(r"-m (tests[\w.]+)", line)
    scripts = [word for word in line.split() if word.startswith("./")]
    for path in [*(Path(m.replace(".", "/") + ".py") for m in modules), *map(Path, scripts)]:
        assert (_ROOT / path).is_file(), path
    assert modules or scripts or "pip install . && .venv/bin/cipsec demo" in line
