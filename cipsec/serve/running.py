"""Whether a server runs on a CA folder, as others see it; holding the lock is left to `run`."""

from __future__ import annotations

import filelock

from cipsec.ca_folder import CaFolder


def is_running(folder: CaFolder) -> bool | None:
    """Tell whether a server on this machine runs on the folder; None where that cannot be told.

    The lock is taken for an instant where it is free, which is why `run` tries more than once.
    """
    if not folder.lock_file.exists():
        return False
    lock = filelock.FileLock(folder.lock_file, blocking=False)
    try:
        lock.acquire()
    except filelock.Timeout:
        return True
    except OSError:  # not ours to write, or gone since
        return None
    lock.release()
    return False
