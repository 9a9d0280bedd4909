"""`cipsec ca pending`: who waits, or waited; what is decided about them is `ca_requests`'s."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from datetime import timedelta
from typing import TYPE_CHECKING, Annotated

import typer

from cipsec import times
from cipsec._cli.options import CaDir, one_of
from cipsec._cli.rows import Again
from cipsec._cli.talk import Talk
from cipsec.errors import UsageError

if TYPE_CHECKING:
    from cipsec.store.database import Database
    from cipsec.store.requests import RequestRow, State

_COLUMNS = ["id", "waits", "subject", "device", "proved", "claimed", "address", "replaces"]

StateName = Annotated[
    str,
    typer.Option(
        "--state",
        metavar="STATE",
        autocompletion=one_of("pending", "approved", "rejected", "granted", "all"),
        help="pending, approved, rejected, granted, all.",
    ),
]
Older = Annotated[
    str | None, typer.Option("--older", metavar="DURATION", help="Only who waits longer.")
]


def pending(
    talk: Talk, *, state: StateName = "pending", older: Older = None, ca_dir: CaDir = None
) -> None:
    """List the requests that wait, the longest waiting first."""
    from cipsec._cli import ca_shown
    from cipsec.ca_folder import open_folder

    states, now = _states(state), times.now()
    latest = now - (timedelta() if older is None else times.parse_duration(older))
    with closing(open_folder(ca_dir).store()) as database:
        rows = Again(
            lambda: (
                ca_shown.request(row) if talk.json else ca_shown.request_line(row, now)
                for row in _listed(database, states)
                if older is None or row.first_seen <= latest.timestamp()
            )
        )
        columns = _COLUMNS if state == "pending" else [*_COLUMNS[:1], "state", *_COLUMNS[1:]]
        talk.table("requests", columns, rows)
    if rows.is_empty:
        talk.say(f"cipsec: no request {'waits' if state == 'pending' else 'is there'}")


def _listed(database: Database, states: list[State]) -> Iterator[RequestRow]:
    """Yield the requests a page at a time: in years there may be a million."""
    from cipsec.store import paged, requests

    places = database.read(lambda db: requests.places(db, states))
    for first in range(0, len(places), paged.ROWS):
        some = places[first : first + paged.ROWS]
        yield from database.read(lambda db: list(requests.at(db, some, states)))  # noqa: B023  # read at once


def _states(name: str) -> list[State]:
    from cipsec.store.requests import State

    if name == "all":
        return list(State)
    try:
        return [State(name)]
    except ValueError:
        hint = f"choose one of {', '.join(State)}, all"
        raise UsageError(f"{name!r} is not a state", hint=hint) from None
