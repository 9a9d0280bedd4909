"""Who acts: the name that the record keeps beside every decision.

Administrators are told apart by it where several have to agree, so it is taken from where the
system keeps it. `LOGNAME` and `USER` are not asked: whoever types a command can set them.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

from cipsec import safe

# Set once by PAM when somebody logs in (proc(5), pam_loginuid), and kept through sudo and su.
_LOGIN_UID = Path("/proc/self/loginuid")
_NOBODY = 2**32 - 1  # a service, or a container that was not started from a login


def name() -> str:
    """Return the login name of whoever runs this, also behind sudo; `uid N` where there is none."""
    return safe.text(_logged_in() or _account(), limit=64)


def _logged_in() -> str | None:
    """Return who logged in to this session; None where nobody did, or the system does not say."""
    if sys.platform == "linux":
        # Not os.getlogin(): some C libraries answer it from LOGNAME.
        uid = _login_uid()
        return None if uid is None else _named(uid)
    try:
        return os.getlogin()  # Windows: whose token this is; macOS: what only root can set
    except OSError:
        return None


def _login_uid() -> int | None:
    try:
        uid = int(_LOGIN_UID.read_bytes())
    except (OSError, ValueError):  # a kernel without auditing, or no /proc
        return None
    return None if uid == _NOBODY else uid


def _account() -> str:
    """Return whose process this is; root says whom it acts for, as it can be whom it likes."""
    if not hasattr(os, "getuid"):
        return "unknown"
    uid = os.getuid()
    behind = os.environ.get("SUDO_USER") if uid == 0 else None
    return behind or _named(uid)


def _named(uid: int) -> str:
    import pwd

    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:  # as in many containers
        return f"uid {uid}"
