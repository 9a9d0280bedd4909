"""A process that writes certificates to a store and prints each serial once it is durable.

python -m tests.store.writing STORE NAME COUNT [LIMIT]: COUNT rows, sixteen at a time, their serial
numbers `NAME-NUMBER`. With LIMIT no file may grow beyond so many bytes until "failed" was printed.
"""

from __future__ import annotations

import asyncio
import resource
import sys
from pathlib import Path

from cipsec.errors import StoreFailed
from cipsec.store import certificates
from cipsec.store.database import Database
from cipsec.store.writer import Writer
from tests.store import rows

_AT_ONCE = 16


async def write(writer: Writer, name: str, numbers: range) -> None:
    """Write some of the rows, one after the other."""
    for number in numbers:
        row = rows.certificate(f"{name}-{number:06}")
        await writer.write(lambda db, row=row: certificates.insert(db, row))  # type: ignore[misc]  # bound now; mypy infers no lambda with a default
        print(row.serial, flush=True)


async def write_all(writer: Writer, name: str, count: int) -> None:
    """Write all rows, several at a time."""
    await asyncio.gather(
        *(write(writer, name, range(start, count, _AT_ONCE)) for start in range(_AT_ONCE))
    )


def main(store: str, name: str, count: str, limit: str | None = None) -> None:
    """Write until done, or until the disk is full, and then again."""
    database = Database.open(Path(store))
    writer = Writer(database)
    if limit is None:
        asyncio.run(write_all(writer, name, int(count)))
    else:
        soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (int(limit), hard))
        try:
            asyncio.run(write_all(writer, name, 1_000_000))
        except StoreFailed as error:
            print("failed", error.message, flush=True)
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        asyncio.run(write_all(writer, "again", int(count)))
    writer.close()
    database.close()


if __name__ == "__main__":
    main(*sys.argv[1:])
