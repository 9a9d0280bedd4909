"""The store: whether it is whole and has room, and what of its contents wants looking after."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterable, Iterator
from datetime import datetime, timedelta
from itertools import islice
from typing import TYPE_CHECKING

from cipsec import shell
from cipsec.doctor.finding import Remark, fail, many, ok, or_ok, warn
from cipsec.doctor.machine import CLOCK_HINT
from cipsec.doctor.subject import Ca
from cipsec.errors import StoreFailed
from cipsec.store import certificates, due, events, requests, schema
from cipsec.store import channels as log
from cipsec.store.certificates import CertificateRow
from cipsec.store.codes import Code
from cipsec.store.events import Event
from cipsec.store.readonly import ReadOnly
from cipsec.store.requests import Waiting
from cipsec.times import from_seconds, show_duration, show_time

if TYPE_CHECKING:
    import sqlite3

_SLACK = timedelta(minutes=5)  # by which the clocks of two servers on one store may differ
_DAY = timedelta(days=1)
_LITTLE, _TOO_LITTLE = 1 << 30, 100 << 20  # bytes
_LATEST = 100_000  # events that are looked at: an index by time is nothing else's need
_QUEUE = 100_000  # requests that are counted
_ENDING = 1_000  # certificates that are looked at one by one
_TROUBLES = frozenset({Code.POLICY_ERROR, Code.CREDENTIAL_LOCKED})
_NOT_LOOKED_AT = "not looked at: the store cannot be used"


def store(ca: Ca) -> Iterator[Remark]:
    """See that the store opens, is of this version, and is not damaged."""
    record = ReadOnly(ca.folder.store_file)
    if record.version() in schema.EARLIER:
        detail = "it is of an earlier cipsec, and is brought to this one when it is used"
        yield warn(detail, "cipsec ca list")
        return
    record.require_schema()
    yield _whole(record)


def _whole(record: ReadOnly) -> Remark:
    size = f"{os.path.getsize(record.path) / 1e6:.1f} MB"  # noqa: PTH202  # of a path that is one
    try:
        damage = record.damage()
    except StoreFailed as error:
        if "interrupted" in error.message:
            return ok(f"{size}; too large to be looked through")
        raise
    if damage:
        return fail(f"it is damaged: {damage}", "restore the CA folder from a backup")
    return ok(f"{size}, nothing is damaged")


def space(ca: Ca) -> Iterator[Remark]:
    """See that there is room on the disk: a full one grants nothing."""
    yield _room(
        shutil.disk_usage(ca.folder.path).free,
        shell.command("df -h", ca.folder.path, windows="dir"),
    )


def _room(free: int, hint: str) -> Remark:
    shown = f"{free / 1e9:.1f} GB are free"
    if free < _TOO_LITTLE:
        return fail(f"only {free / 1e6:.0f} MB are free", hint)
    return warn(f"only {shown}", hint) if free < _LITTLE else ok(shown)


def clock(ca: Ca) -> Iterator[Remark]:
    """See that this machine's time is not before what is on record."""
    if ca.record is None:
        yield warn(_NOT_LOOKED_AT)
        return
    event, certificate = ca.record.read(_newest)
    if event is not None and _time(event.at) > ca.now + _SLACK:
        yield fail(f"it is before the newest event, of {show_time(_time(event.at))}", CLOCK_HINT)
    elif certificate is not None and _time(certificate) > ca.now + _SLACK:
        at = show_time(_time(certificate))
        yield warn(f"a certificate was issued at {at}: this clock or that is wrong", CLOCK_HINT)
    else:
        yield ok("it is not before what is on record")


def _newest(db: sqlite3.Connection) -> tuple[Event | None, int | None]:
    found = [event for _, event in events.after(db, log.last_event(db) - 1)]
    issued = db.execute("SELECT issued_at FROM certificates ORDER BY serial DESC LIMIT 1")
    row = issued.fetchone()
    return (found[-1] if found else None), (int(row[0]) if row else None)


def waiting(ca: Ca) -> Iterable[Remark]:
    """See whether requests wait longer than people want to be reminded after."""
    if ca.record is None:
        return [warn(_NOT_LOOKED_AT)]
    limit = min(ca.server.max_pending, _QUEUE)
    found = ca.record.read(lambda db: list(requests.waiting(db, limit=limit)))
    return or_ok(_long_waiting(ca, found), f"{many(len(found), 'request')} waiting")


def _long_waiting(ca: Ca, found: list[Waiting]) -> Iterator[Remark]:
    remind = ca.server.remind
    late = [row for row in found if remind and _time(row.first_seen) <= ca.now - remind]
    if late:
        period = show_duration(remind).replace(" ", "")
        longest = show_duration(ca.now - _time(late[0].first_seen))
        detail = f"{many(len(late), 'request')} waiting longer than {period}, up to {longest}"
        yield warn(detail, f"cipsec ca pending --older {period}")
    if len(found) >= ca.server.max_pending:
        yield fail("the queue is full: new requests are turned away", "cipsec ca pending")


def expiring(ca: Ca) -> Iterable[Remark]:
    """See whether certificates end soon that nobody renewed."""
    if ca.record is None:
        return [warn(_NOT_LOOKED_AT)]
    period = ca.server.expiring
    if not period:
        return [ok("nobody is to hear of it: expiring in ca.toml is zero")]
    at = int(ca.now.timestamp())
    count = ca.record.read(lambda db: _ending(db, at, at + int(period.total_seconds())))
    if not count:
        return [ok(f"none within {show_duration(period)} that was not renewed")]
    shown = "many certificates" if count >= _ENDING else many(count, "certificate")
    days = f"{max(1, period.days)}d"
    detail = f"{shown} within {show_duration(period)}, not renewed"
    return [warn(detail, f"cipsec ca list --expiring {days}")]


def _ending(db: sqlite3.Connection, at: int, before: int) -> int:
    """Count what ends: what has a third of its time before it is not late."""
    rows = islice(certificates.expiring(db, after=at, before=before), _ENDING)
    late = [row for row in rows if row.kind == "endpoint" and _is_late(row, at)]
    return sum(not due.is_renewed(db, row) for row in late)


def _is_late(row: CertificateRow, at: int) -> bool:
    return 3 * (row.not_after - at) <= row.not_after - row.issued_at


def troubles(ca: Ca) -> Iterable[Remark]:
    """See whether requests could not be judged, or credentials were locked, since yesterday."""
    if ca.record is None:
        return [warn(_NOT_LOOKED_AT)]
    found = ca.record.read(lambda db: _since(db, int((ca.now - _DAY).timestamp())))
    named = {name: [event for event in found if event.event == name] for name in sorted(_TROUBLES)}
    remarks = (
        warn(f"{many(len(of), name)} within a day, the last: {of[-1].reason}", _LOG)
        for name, of in named.items()
        if of
    )
    return or_ok(remarks, "none within a day")


_LOG = "cipsec ca log --since 1d"


def _since(db: sqlite3.Connection, at: int) -> list[Event]:
    last = log.last_event(db)
    found = log.events_between(db, last - _LATEST, last, _TROUBLES)
    return [event for _, event in found if event.at >= at]


def _time(seconds: int) -> datetime:
    return from_seconds(seconds)


CHECKS = {
    "store": store,
    "disk": space,
    "ca clock": clock,
    "requests": waiting,
    "expiring": expiring,
    "events": troubles,
}
