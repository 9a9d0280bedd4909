"""`cipsec ca log`: what happened, for people and for other programs, and whether it is whole."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import datetime
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated

import typer

from cipsec import times
from cipsec._cli.ca_log_verify import verify
from cipsec._cli.options import CaDir, command, default, group, one_of
from cipsec._cli.rows import Again
from cipsec._cli.talk import Talk
from cipsec.errors import UsageError
from cipsec.store.codes import Code

if TYPE_CHECKING:
    import sqlite3

    from cipsec.store.database import Database
    from cipsec.store.events import Recorded, Wanted

app = group("log", "Show what happened, oldest first, and verify the log.")

_COLUMNS = ["at", "event", "who", "subject", "id", "why"]
_NAMES = sorted(str(code) for code in Code if code is not Code.TEST)  # which is never recorded
_LOOK_SECONDS = 0.5
_AUTHPRIV = 10  # RFC 5424 section 6.2.1: security messages that not everybody is to read


class Format(StrEnum):
    """How events are written."""

    TEXT = "text"
    RFC5424 = "rfc5424"


Follow = Annotated[bool, typer.Option("--follow", help="Go on and tell what happens.")]
Since = Annotated[
    str | None, typer.Option("--since", metavar="TIME|DURATION", help="Not what was before.")
]
Codes = Annotated[
    list[str] | None,
    typer.Option(
        "--event",
        metavar="NAME",
        autocompletion=one_of(*_NAMES),
        help="Only these, as in granted; repeatable.",
    ),
]
OfDevice = Annotated[
    str | None, typer.Option("--device", metavar="VENDOR:SERIAL|MAC", help="Of this device.")
]
OfRequest = Annotated[
    str | None,
    typer.Option("--request", metavar="ID", help="Of this request, or its first digits."),
]
OfSerial = Annotated[
    str | None,
    typer.Option("--serial", metavar="SERIAL", help="Of this certificate, or its first digits."),
]
As = Annotated[
    Format, typer.Option("--format", help="As a table, or as syslog messages of RFC 5424.")
]


@default(app)
def log(
    talk: Talk,
    *,
    follow: Follow = False,
    since: Since = None,
    event: Codes = None,
    device: OfDevice = None,
    request: OfRequest = None,
    serial: OfSerial = None,
    form: As = Format.TEXT,
    ca_dir: CaDir = None,
) -> None:
    """Show what happened, oldest first.

    --follow goes on until Ctrl-C.
    """
    from cipsec.ca_folder import open_folder
    from cipsec.store.events import Wanted

    if talk.json and form is Format.RFC5424:
        raise UsageError("--json and --format rfc5424 exclude each other")
    wanted = Wanted(
        since=int(moment(since).timestamp()) if since is not None else None,
        codes=_codes(event or []),
        device=_device(device) if device is not None else None,
        request=_digits(request, "a request's id") if request is not None else None,
        serial=_digits(serial, "a serial number") if serial is not None else None,
    )
    with closing(open_folder(ca_dir).store()) as database:
        printed = _printer(talk, database, form)
        if follow:
            _follow(database, wanted, printed)
        elif form is Format.RFC5424:
            for one in _recorded(database, 0, wanted):
                printed(one)
        else:
            _print(talk, database, wanted)


command(app, "verify")(verify)


def moment(text: str) -> datetime:
    """Read a time, or a duration before now; raise UsageError."""
    try:
        return times.now() - times.parse_duration(text)
    except UsageError:
        pass
    try:
        return times.parse_time(text)
    except UsageError:
        raise UsageError(
            f"{text!r} is neither a time nor a duration",
            hint="write 2027-01-31T06:00:00Z, or 8h for the last eight hours",
        ) from None


def _codes(names: list[str]) -> frozenset[str]:
    for name in names:
        if name not in _NAMES:
            raise UsageError(
                f"{name!r} is not the name of an event", hint=f"choose among {', '.join(_NAMES)}"
            )
    return frozenset(names)


def _device(text: str) -> str:
    from cipsec.ra.allowlist.entries import parse_device

    return str(parse_device(text))


def _digits(text: str, what: str) -> str:
    digits = text.strip().lower().replace(":", "")
    if not digits or not set(digits) <= set("0123456789abcdef"):
        raise UsageError(f"{text!r} is not {what}", hint="see them with: cipsec ca log --json")
    return digits


def _recorded(database: Database, seq: int, wanted: Wanted) -> Iterator[Recorded]:
    from cipsec.store import events, paged

    def page(db: sqlite3.Connection, last: Recorded | None) -> Iterator[Recorded]:
        after = last.head.number if last else seq
        return events.recorded(db, after, wanted, limit=paged.ROWS)

    return paged.rows(database, page)


def _print(talk: Talk, database: Database, wanted: Wanted) -> None:
    from cipsec.store.events import shown_recorded

    shown = shown_recorded if talk.json else _line
    found = Again(lambda: map(shown, _recorded(database, 0, wanted)))
    talk.table("events", _COLUMNS, found)
    if found.is_empty and not talk.json:
        talk.say("cipsec: nothing happened")


def _follow(database: Database, wanted: Wanted, printed: Callable[[Recorded], None]) -> None:
    """Print events as they are recorded; ends with an interrupt or an error."""
    from cipsec.store import chain

    seq = 0
    while True:
        last = database.read(chain.head).number  # up to here none is looked at again
        for one in _recorded(database, seq, wanted):
            last = max(last, one.head.number)
            printed(one)
        seq = last
        time.sleep(_LOOK_SECONDS)


def _printer(talk: Talk, database: Database, form: Format) -> Callable[[Recorded], None]:
    """Return what prints an event at once, on a line of its own."""
    from cipsec.store.events import shown_recorded

    if form is Format.RFC5424:
        return _syslog(talk, database)
    if talk.json:
        return lambda one: talk.event(shown_recorded(one))
    return lambda one: talk.row(_cells(one))


def _syslog(talk: Talk, database: Database) -> Callable[[Recorded], None]:
    import socket

    from cipsec.ra.notify import message, syslog

    host = socket.gethostname()

    def printed(one: Recorded) -> None:
        [told] = database.read(lambda db: message.with_requests(db, [(one.head.number, one.event)]))
        talk.raw(syslog.entry(told, _AUTHPRIV, host) + b"\n")

    return printed


def _cells(one: Recorded) -> Iterator[object]:
    line = _line(one)
    return (line[column] for column in _COLUMNS)


def _line(one: Recorded) -> dict[str, object]:
    """Return what a line has room for."""
    from cipsec._cli import ca_shown
    from cipsec.store.events import shown

    event = one.event
    short = (event.request or "")[: ca_shown.SHORT_ID] or None
    return {
        **shown(event),
        "subject": ca_shown.brief(event.subject) or event.device,
        "who": " ".join(filter(None, [event.actor, event.address])),
        "why": ca_shown.why(": ".join(filter(None, [event.rule, event.reason]))),
        "id": short or (event.serial or "")[: ca_shown.SHORT_SERIAL] or None,
    }
