"""A file with a line of JSON for each event, appended durably, for other programs to follow."""

from __future__ import annotations

import os
import stat
from pathlib import Path

from cipsec import files, ownership, safe
from cipsec.errors import LocalState
from cipsec.ra.notify.blocking import Aside
from cipsec.ra.notify.channels import Lines
from cipsec.ra.notify.message import Message, event_document

# No link is followed, and neither a pipe without reader nor a terminal is waited for. Windows has
# no such flags, and no such files.
_FLAGS = (
    os.O_RDWR
    | os.O_APPEND
    | os.O_CREAT
    | getattr(os, "O_NOFOLLOW", 0)
    | getattr(os, "O_NONBLOCK", 0)
    | getattr(os, "O_NOCTTY", 0)
    | getattr(os, "O_CLOEXEC", 0)
)


async def deliver(lines: Lines, message: Message, folder: Path, aside: Aside) -> None:
    """Append the events; raise LocalState when they cannot be made durable."""
    documents = [event_document(told) for told in message.told]
    data = b"".join(safe.json_text(one).encode() + b"\n" for one in documents)
    await aside.run(lambda: append(folder / lines.path, data))


def append(path: Path, data: bytes) -> None:
    """Append to a file that is made when missing; opened anew each time, so that it may be rotated.

    Raises LocalState for what is no file of such lines: a slip of the pen in ca.toml must not write
    into the store or a key.
    """
    is_new = not path.exists()
    try:
        descriptor = os.open(path, _FLAGS, files.PRIVATE)
        with os.fdopen(descriptor, "r+b", buffering=0) as file:
            if is_new:  # by `notify test`, as root: the server is to go on with it
                ownership.pass_on(descriptor, path.parent)
            begun = _begun(file.fileno(), path)
            _write(file.fileno(), b"\n" + data if begun else data)
            os.fsync(file.fileno())
        if is_new:
            files.sync_directory(path.parent)
    except OSError as error:
        raise LocalState(f"{path} cannot be written: {files.reason(error)}") from None


def _begun(descriptor: int, path: Path) -> bool:
    """Tell whether the last line has no end, as a crash leaves it; raise LocalState."""
    found = os.fstat(descriptor)
    if not stat.S_ISREG(found.st_mode):
        raise LocalState(f"{path} is not a file")
    if found.st_size == 0:
        return False
    if os.read(descriptor, 1) != b"{":
        raise LocalState(
            f"{path} is not a file of events, and stays as it is", hint="name another one in path"
        )
    os.lseek(descriptor, -1, os.SEEK_END)
    return os.read(descriptor, 1) != b"\n"


def _write(descriptor: int, data: bytes) -> None:
    left = memoryview(data)
    while left:
        left = left[os.write(descriptor, left) :]
