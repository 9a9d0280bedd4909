"""Who acts: the login name that the record keeps beside every decision."""

from __future__ import annotations

import getpass
import os

from cipsec import safe


def name() -> str:
    """Return the login name of whoever runs this, also behind sudo; `uid N` where there is none."""
    behind_sudo = os.environ.get("SUDO_USER") if _is_root() else None
    try:
        found = behind_sudo or getpass.getuser()
    except (KeyError, OSError, ImportError):  # no name in the environment, nor for the uid
        found = f"uid {os.getuid()}" if hasattr(os, "getuid") else "unknown"
    return safe.text(found, limit=64)


def _is_root() -> bool:
    return hasattr(os, "geteuid") and os.geteuid() == 0
