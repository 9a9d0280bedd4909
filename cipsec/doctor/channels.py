"""The channels that tell people: whether what they need is there, and how they fare."""

from __future__ import annotations

import stat
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from cipsec import shell
from cipsec.doctor.finding import Remark, fail, many, ok, typed, warn
from cipsec.doctor.machine import is_installed
from cipsec.doctor.permissions import mode_of
from cipsec.doctor.policy import is_program
from cipsec.doctor.subject import Ca
from cipsec.ra.notify.channels import Apprise, Channel, Command, Email, Syslog, Webhook
from cipsec.ra.notify.directory import Directory, directory
from cipsec.store import channels as rows
from cipsec.store.channels import ChannelRow
from cipsec.store.readonly import ReadOnly
from cipsec.times import from_seconds, show_duration, show_time

if TYPE_CHECKING:
    import sqlite3

_DEAD_TRIES = 10
_DEAD_AFTER = timedelta(hours=1)
_LOOKED_AT = 1_000  # events that wait, among which the first that concerns a channel is sought


def channels(ca: Ca) -> Iterator[Remark]:
    """See that each channel can tell, and has told."""
    if ca.config is None:
        return
    whom = directory(ca.config)
    for channel in whom.channels:
        yield from (
            Remark(one.verdict, f"{channel.name}: {one.detail}", one.hint)
            for one in (*_needs(ca, channel), *_fares(ca, channel, whom))
        )
    if not whom.channels:
        yield ok("there is none: nobody is told of what waits")


def _needs(ca: Ca, channel: Channel) -> Iterator[Remark]:
    """Yield what is missing of what a channel is made of."""
    where = ca.folder.path
    for path in _secrets(channel):
        yield from _secret(where / path)
    match channel.target:
        case Apprise() if not is_installed("apprise"):
            yield fail("apprise is not installed", 'pip install "cipsec[notify]"')
        case Command(argv=(program, *_)) if "/" in program and not is_program(where / program):
            yield fail(
                f"{program} cannot be run",
                shell.command("ls -l", where / program, windows="icacls"),
            )
        case Email(ca_file=Path() as path) | Webhook(ca_file=Path() as path):
            yield from _readable(where / path)
        case Syslog(ca_file=Path() as path):
            yield from _readable(where / path)


def _secrets(channel: Channel) -> list[Path]:
    found: list[Path | None] = []
    match channel.target:
        case Email(password_file=password):
            found = [password]
        case Webhook(url_file=url, secret_file=secret):
            found = [url, secret]
        case Apprise(urls_file=urls):
            found = [urls]
    return [path for path in found if path is not None]


def _secret(path: Path) -> Iterator[Remark]:
    unreadable = list(_readable(path))
    yield from unreadable
    if not unreadable and (mode_of(path) or 0) & (stat.S_IROTH | stat.S_IWOTH):
        detail = f"{path}, which holds a secret, can be read or changed by everybody"
        yield warn(detail, f"chmod o-rwx {typed(path)}")


def _readable(path: Path) -> Iterator[Remark]:
    """Yield why a file cannot be read; it is opened, and what is in it is nobody's concern."""
    if not path.exists():
        yield fail(f"there is no file {path}", shell.command("ls -l", path.parent, windows="dir"))
    elif not path.is_file():
        yield fail(f"{path} is not a file", shell.command("ls -ld", path, windows="dir"))
    else:
        try:
            path.open("rb").close()
        except PermissionError:
            yield fail(
                f"{path} cannot be read: permission denied",
                shell.command("ls -l", path, windows="icacls"),
            )


def _fares(ca: Ca, channel: Channel, whom: Directory) -> Iterator[Remark]:
    """Yield how a channel stands in the record, where there is one."""
    if ca.record is None:
        return
    row, since = _standing(ca.record, channel, whom)
    test = f"cipsec notify test {channel.name}"
    if row is None:
        yield ok("nothing was to be told yet", test)
    elif row.failed:
        yield _failing(row, since, ca.now, test)
    elif row.error and not row.is_trying:
        yield warn(f"the last message was not told to all: {row.error}", test)
    elif row.sent_at is None and since is not None:
        yield ok("its first message waits to be told", test)
    elif row.sent_at is None:
        yield ok("nothing was to be told yet", test)
    else:
        yield ok(f"last told at {show_time(_time(row.sent_at))}")


def _standing(
    record: ReadOnly, channel: Channel, whom: Directory
) -> tuple[ChannelRow | None, int | None]:
    """Return the channel's row, and since when something waits to be told."""

    def work(db: sqlite3.Connection) -> tuple[ChannelRow | None, int | None]:
        row = rows.by_name(db, channel.name)
        return row, _waits_since(db, row, channel, whom) if row else None

    return record.read(work)


def _waits_since(
    db: sqlite3.Connection, row: ChannelRow, channel: Channel, whom: Directory
) -> int | None:
    last = rows.last_event(db)
    found = rows.events_between(db, row.cursor, last, channel.events, limit=_LOOKED_AT)
    return next((event.at for _, event in found if whom.concerns(channel, event)), None)


def _failing(row: ChannelRow, since: int | None, now: datetime, test: str) -> Remark:
    waits = now - _time(since) if since is not None else timedelta()
    detail = f"failed {many(row.failed, 'time')} in a row: {row.error or 'it is being tried'}"
    if waits > timedelta():
        detail += f"; what waits to be told waits for {show_duration(waits)}"
    is_dead = row.failed > _DEAD_TRIES or waits >= _DEAD_AFTER
    return (fail if is_dead else warn)(detail, test)


def _time(seconds: int) -> datetime:
    return from_seconds(seconds)


CHECKS = {"channels": channels}
