"""What the view shows, read from folder and store; every reading is bounded, whatever is in them.

How it looks is left to `panes` and `screen`, when it is read to `app`.
"""

from __future__ import annotations

import math
import sqlite3
import time
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from itertools import islice
from typing import Generic, TypeVar

from cipsec._cli.ca_show import request_record
from cipsec.ca_folder import CaFolder
from cipsec.current import CurrentFile
from cipsec.errors import CipsecError
from cipsec.pki.faults import UNREADABLE
from cipsec.ra.config import Config, ServerConfig
from cipsec.serve.running import is_running
from cipsec.store import channels, due, events, requests
from cipsec.store.certificates import CertificateRow
from cipsec.store.channels import ChannelRow
from cipsec.store.codes import Code
from cipsec.store.database import Database
from cipsec.store.due import Place
from cipsec.store.events import Event
from cipsec.store.requests import Approval, RequestRow, Waiting
from cipsec.times import show_time

T = TypeVar("T")

MOST = 1_000  # rows of a pane; a person reads fewer, the filter finds the others
_LOOK_BACK = 20_000  # events that are looked at when the view begins: 60 ms
_PAGE = 500  # certificates that end soon, looked at together
_PAGES = 10
_ENDING_SECONDS = 60.0  # how long it is believed which certificates end soon
_SERVING_SECONDS = 3.0  # and whether a server runs
_HOUR = timedelta(hours=1)
_DECISIONS = frozenset(
    {Code.GRANTED, Code.APPROVED, Code.AGREED, Code.REJECTED, Code.REFUSED, Code.REVOKED}
    | {Code.REPLACEMENT, Code.POLICY_ERROR, Code.CREDENTIAL_LOCKED}
)


@dataclass(frozen=True, slots=True)
class Happened:
    """An event and its number."""

    seq: int
    event: Event


@dataclass(frozen=True, slots=True)
class Channel:
    """A channel of ca.toml and how it fares; no `row` while it has told nothing yet."""

    name: str
    type: str
    target: str
    row: ChannelRow | None
    behind: int


Item = Waiting | Happened | CertificateRow | Channel  # what the panes list


@dataclass(frozen=True, slots=True)
class Asked:
    """The request that is looked at, with all that `ca show` would say of it, or why it cannot."""

    row: RequestRow
    record: dict[str, object]
    agreed: tuple[Approval, ...] = ()
    trouble: str | None = None


@dataclass(frozen=True, slots=True)
class View:
    """What there is to be seen at one moment; `pending` counts what waits, also without `match`."""

    now: datetime
    name: str = ""
    match: str = ""
    pending: int = 0
    waiting: tuple[Waiting, ...] = ()
    decisions: tuple[Happened, ...] = ()
    expiring: tuple[CertificateRow, ...] = ()
    channels: tuple[Channel, ...] = ()
    asked: Asked | None = None
    warnings: tuple[str, ...] = ()


class Recent:
    """The newest events, read on from where the last reading ended."""

    def __init__(self) -> None:
        self._seq = 0
        self.decisions: deque[Happened] = deque(maxlen=MOST)
        self.errors: deque[Event] = deque(maxlen=MOST)

    def read_on(self, db: sqlite3.Connection) -> None:
        """Add what has happened since; of a great many only the newest."""
        last = channels.last_event(db)
        for seq, event in events.after(db, max(self._seq, last - _LOOK_BACK)):
            self._seq = seq
            if event.event in _DECISIONS:
                self.decisions.appendleft(Happened(seq, event))
            if event.event == Code.POLICY_ERROR:
                self.errors.appendleft(event)


class _Lasting(Generic[T]):
    """What costs something to find out, and is believed for some seconds."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._until = -math.inf
        self._found: list[T] = []

    def __call__(self, find: Callable[[], T]) -> T:
        if time.monotonic() >= self._until:
            self._found = [find()]
            self._until = time.monotonic() + self._seconds
        return self._found[0]


class Reader:
    """Reads, in one thread, what the view shows."""

    def __init__(self, folder: CaFolder, database: Database) -> None:
        self._folder = folder
        self._database = database
        self._config = CurrentFile(folder.config_file, folder.configuration)
        self._recent = Recent()
        self._expiring = _Lasting[tuple[CertificateRow, ...]](_ENDING_SECONDS)
        self._serves = _Lasting[bool | None](_SERVING_SECONDS)

    def read(self, chosen: str | None, match: str, now: datetime) -> View:
        """Return the view: of what waits only what has the text `match`, and all of `chosen`.

        Raises StoreFailed when the store cannot be read now.
        """
        config, broken = self._configuration()
        return self._database.read(
            lambda db: replace(
                self._view(db, config, now),
                match=match,
                waiting=tuple(_waiting(db, match)),
                asked=_asked(db, chosen) if chosen else None,
                warnings=tuple(self._warnings(config, broken, now)),
            )
        )

    def asked(self, request: str) -> Asked | None:
        """Return one request as it is now; raise StoreFailed."""
        return self._database.read(lambda db: _asked(db, request))

    def _configuration(self) -> tuple[Config | None, str | None]:
        try:
            config = self._config()
        except CipsecError as error:
            return None, f"{error.message}: no rule is in force, all requests wait"
        return config, None if config else "ca.toml is not there: no rule is in force"

    def _view(self, db: sqlite3.Connection, config: Config | None, now: datetime) -> View:
        self._recent.read_on(db)
        soon = (config.server if config else ServerConfig()).expiring
        return View(
            now=now,
            name=config.name if config else "",
            pending=requests.count_pending(db),
            decisions=tuple(self._recent.decisions),
            expiring=self._expiring(lambda: tuple(islice(_expiring(db, now, soon), MOST))),
            channels=_channels(db, config),
        )

    def _warnings(self, config: Config | None, broken: str | None, now: datetime) -> Iterator[str]:
        if broken:
            yield broken
        for rule in config.policy.global_grants(now) if config else ():
            until = f" until {show_time(rule.until)}" if rule.until else ""
            yield f"global grant: the rule {rule.name!r} grants to anyone{until}"
        since = (now - _HOUR).timestamp()
        late = [error for error in self._recent.errors if error.at >= since]
        if late:
            count = "a policy error" if len(late) == 1 else f"{len(late)} policy errors"
            yield f"{count} in the last hour, the newest: {late[0].reason}"
        if self._serves(lambda: is_running(self._folder)) is False:
            yield "no server runs on this folder: nobody is answered"


def _waiting(db: sqlite3.Connection, match: str) -> Iterator[Waiting]:
    if not match:
        return requests.waiting(db, limit=MOST)
    wanted = match.casefold()
    return islice((row for row in requests.waiting(db) if has_text(row, wanted)), MOST)


def has_text(row: Waiting, wanted: str) -> bool:
    """Tell whether a request has a text, given in lower case, where `ca approve --match` looks."""
    fields = row.id, row.subject, row.sans, row.device, row.mac, row.proved, row.address, row.label
    return any(wanted in (field or "").casefold() for field in fields)


def _asked(db: sqlite3.Connection, request: str) -> Asked | None:
    row = requests.by_id(db, request)
    if row is None:
        return None
    agreed = tuple(requests.approvals(db, row.id))
    try:
        return Asked(row, request_record(db, row), agreed)
    except (CipsecError, *UNREADABLE) as error:  # not SQLite's: this row, or what it replaces
        return Asked(row, {}, agreed, str(error) or "it cannot be read")


def _expiring(db: sqlite3.Connection, now: datetime, soon: timedelta) -> Iterator[CertificateRow]:
    """Yield what ends soon and has no successor; of very many that have one, some are looked at."""
    place: Place | None = Place(int(now.timestamp()))
    before = int((now + soon).timestamp())
    for _ in range(_PAGES):
        if place is None:
            return
        rows, place = due.ending(db, place, before=before, limit=_PAGE)
        for row in rows:
            in_use = row.kind == "endpoint" and row.revoked_at is None
            if in_use and not due.is_renewed(db, row):
                yield row


def _channels(db: sqlite3.Connection, config: Config | None) -> tuple[Channel, ...]:
    known = {row.name: row for row in channels.listed(db)}
    last = channels.last_event(db)
    return tuple(
        Channel(
            name=channel.name,
            type=channel.type,
            target=str(channel.target),
            row=known.get(channel.name),
            behind=last - known[channel.name].cursor if channel.name in known else 0,
        )
        for channel in (config.channels if config else ())
    )
