"""What the tests of allowlists share: identities, files, and large lists."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path

from cipsec.pki.device import DeviceId, Identity, Mac
from cipsec.ra.allowlist.entries import Listed
from cipsec.ra.allowlist.live import SMALL, Allowlists
from cipsec.ra.notyet import NotYet

HEADER = "device,name,until,uses,note\n"
DRIVE = Identity(DeviceId(1, 0x6040C8F2))
OTHER = Identity(DeviceId(1, 0x6040C8F3))
MAC = Identity(mac=Mac.parse("00:00:bc:12:34:56"))


def write(folder: Path, name: str, *lines: str) -> Path:
    """Write a list in place, with the usual header."""
    path = folder / f"{name}.csv"
    path.write_text(HEADER + "".join(f"{line}\n" for line in lines), encoding="utf-8")
    return path


def large(*lines: str, rows: int = 3000) -> str:
    """Return a list that is loaded in the background, with `lines` at its end."""
    text = HEADER + "".join(_rows(rows)) + "".join(f"{line}\n" for line in lines)
    assert len(text) > SMALL
    return text


def _rows(count: int) -> Iterator[str]:
    return (f"0002:{number:08X},Drive {number},,,\n" for number in range(1, count + 1))


def found(lists: Allowlists, name: str, identity: Identity = DRIVE) -> Listed | None:
    """Return what a server finds, which waits where it has to."""

    async def ask() -> Listed | None:
        while True:
            try:
                return lists.find(name, identity)
            except NotYet as wait:
                await wait.ready()

    return asyncio.run(ask())
