"""Who acts: the login name that the record keeps beside every decision."""

from __future__ import annotations

import getpass
import os

from cipsec import safe


def name() -> str:
    """Return the login name of whoever runs this, also behind sudo; `uid N` where there is none."""
    try:
        # Whoever is root by sudo, or is the account that the CA's folder belongs to.
        found = os.environ.get("SUDO_USER") or getpass.getuser()
    except (KeyError, OSError, ImportError):  # no name in the environment, nor for the uid
        found = f"uid {os.getuid()}" if hasattr(os, "getuid") else "unknown"
    return safe.text(found, limit=64)
