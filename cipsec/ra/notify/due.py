"""Events of time: certificates that end soon, requests that have waited long; each once.

Once even with several servers on one store and over restarts: what was told is in the store.
"""

from __future__ import annotations

import asyncio
import logging
import sqlite3
import time
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Protocol

from cipsec import times
from cipsec.errors import LocalState
from cipsec.store import due, events
from cipsec.store.certificates import CertificateRow
from cipsec.store.codes import Code
from cipsec.store.database import Database
from cipsec.store.due import Place
from cipsec.store.events import Event
from cipsec.store.writer import Writer

_LOG = logging.getLogger(__name__)

_LOOK_SECONDS = 5.0
_SHORTEST, _LONGEST = timedelta(seconds=5), timedelta(hours=1)  # between two walks
_CHUNK = 200  # rows looked at in one go: some milliseconds of the loop that serves requests
_PAUSE_SECONDS = 0.05
_ACTOR = "server"


class Periods(Protocol):
    """How early and how late: the keys `expiring` and `remind` of `[server]`; zero is never."""

    @property
    def expiring(self) -> timedelta:
        """How long before its end a certificate is told of."""

    @property
    def remind(self) -> timedelta:
        """How long after it came a waiting request is told of again."""


async def watch(
    database: Database,
    writer: Writer,
    periods: Callable[[], Periods],
    *,
    clock: Callable[[], datetime] = times.now,
    look_seconds: float = _LOOK_SECONDS,
) -> None:
    """Record the events `expiring` and `reminder` as they fall due, until cancelled.

    `periods` raises LocalState while ca.toml is broken: then nothing is recorded.
    """
    walks: dict[str, tuple[timedelta, float]] = {}  # the period and time of each last walk
    said = ""
    while True:
        try:
            now = periods()
            for name, period, walk in (
                ("expiring", now.expiring, announce_expiring),
                ("remind", now.remind, remind_of_waiting),
            ):
                if period and _is_time(walks.get(name), period):
                    await walk(database, writer, period, clock())
                    walks[name] = (period, time.monotonic())
            said = ""
        except LocalState as error:
            if error.message != said:
                _LOG.error("nobody is reminded: %s", error.message)
            said = error.message
        await asyncio.sleep(look_seconds)


def _is_time(last: tuple[timedelta, float] | None, period: timedelta) -> bool:
    """Tell whether to walk: often enough for the period, and at once when that was changed."""
    if last is None or last[0] != period:
        return True
    pause = min(_LONGEST, max(_SHORTEST, period / 20))
    return time.monotonic() - last[1] >= pause.total_seconds()


async def announce_expiring(
    database: Database, writer: Writer, period: timedelta, now: datetime
) -> int:
    """Record each certificate that ends within `period` and was not renewed; return how many.

    The work is bounded: rows are read by their end, a few at a time.
    """
    at, told = int(now.timestamp()), 0
    before = at + int(period.total_seconds())
    place: Place | None = Place(at)
    while place is not None:
        rows, place = _ending(database, place, before)
        found = [row for row in rows if _is_soon(row, at)]
        news = database.read(lambda db, found=found: [r for r in found if due.is_news(db, r)])  # type: ignore[misc]  # mypy infers no lambda with a default
        if news:
            told += await writer.write(lambda db, news=news: _announce(db, news, at))  # type: ignore[misc]  # likewise
        await asyncio.sleep(_PAUSE_SECONDS)
    return told


def _ending(
    database: Database, place: Place, before: int
) -> tuple[list[CertificateRow], Place | None]:
    return database.read(lambda db: due.ending(db, place, before=before, limit=_CHUNK))


def _is_soon(row: CertificateRow, at: int) -> bool:
    """Tell whether a third of its time or less is left.

    Else a certificate made for a week would be told of at birth. Endpoints renew at two thirds.
    """
    return 3 * (row.not_after - at) <= row.not_after - row.issued_at


def _announce(db: sqlite3.Connection, rows: list[CertificateRow], at: int) -> int:
    """Record what is still news inside the transaction: another server may have been faster."""
    news = [row for row in rows if due.is_news(db, row)]
    for row in news:
        events.append(db, _expiring(row, at))
    return len(news)


def _expiring(row: CertificateRow, at: int) -> Event:
    end = times.show_time(times.from_seconds(row.not_after))
    left = times.show_duration(timedelta(seconds=row.not_after - at))
    return Event(
        at=at,
        event=Code.EXPIRING,
        actor=_ACTOR,
        serial=row.serial,
        subject=row.subject,
        device=row.device or row.mac,
        rule=row.rule,
        reason=f"ends {end}, in {left}, and was not renewed",
    )


async def remind_of_waiting(
    database: Database, writer: Writer, period: timedelta, now: datetime
) -> int:
    """Record each request that has waited for `period` without a decision; return how many."""
    at, told = int(now.timestamp()), 0
    since = at - int(period.total_seconds())
    while True:
        waiting = database.read(lambda db: due.waiting(db, since=since, limit=_CHUNK))
        if not waiting:
            return told
        told += await writer.write(lambda db, ids=waiting: _remind(db, ids, at))  # type: ignore[misc]  # mypy infers no lambda with a default
        await asyncio.sleep(_PAUSE_SECONDS)


def _remind(db: sqlite3.Connection, ids: list[str], at: int) -> int:
    told = 0
    for request in ids:
        row = due.remind(db, request, at=at)
        if row is not None:
            waited = times.show_duration(timedelta(seconds=at - row.first_seen))
            events.append(
                db,
                Event(
                    at=at,
                    event=Code.REMINDER,
                    actor=_ACTOR,
                    address=row.address or None,
                    request=row.id,
                    subject=row.subject,
                    device=row.device or row.mac,
                    rule=row.rule,
                    reason=f"waits for {waited}: {row.reason}",
                ),
            )
            told += 1
    return told
