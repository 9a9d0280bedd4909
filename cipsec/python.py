"""How a module of this package is run by a Python process of its own; why, its callers know."""

from __future__ import annotations

import os
import sys


def command(module: str) -> list[str]:
    """Return what starts the module: this interpreter, which takes nothing from the folder."""
    return [sys.executable, "-P", "-m", module]


def environment() -> dict[str, str]:
    """Return an environment in which it imports from where this process does."""
    return {**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
