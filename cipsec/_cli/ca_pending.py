"""`cipsec ca pending`: who waits, or waited; what is decided about them is `ca_requests`'s."""

from __future__ import annotations

from contextlib import closing
from datetime import timedelta
from typing import TYPE_CHECKING, Annotated

import typer

from cipsec import times
from cipsec._cli.options import CaDir, one_of
from cipsec._cli.talk import Talk
from cipsec.errors import UsageError

if TYPE_CHECKING:
    from cipsec.store.requests import State

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
    from cipsec.store import requests

    states, now = _states(state), times.now()
    latest = now - (timedelta() if older is None else times.parse_duration(older))
    with closing(open_folder(ca_dir).store()) as database:
        rows = [
            row
            for row in database.read(lambda db: list(requests.listed(db, states)))
            if older is None or row.first_seen <= latest.timestamp()
        ]
    if not rows:
        talk.say(f"cipsec: no request {'waits' if state == 'pending' else 'is there'}")
    if talk.json:
        talk.document({"requests": [ca_shown.request(row) for row in rows]})
    else:
        columns = _COLUMNS if state == "pending" else [*_COLUMNS[:1], "state", *_COLUMNS[1:]]
        talk.table("requests", columns, (ca_shown.request_line(row, now) for row in rows))


def _states(name: str) -> list[State]:
    from cipsec.store.requests import State

    if name == "all":
        return list(State)
    try:
        return [State(name)]
    except ValueError:
        hint = f"choose one of {', '.join(State)}, all"
        raise UsageError(f"{name!r} is not a state", hint=hint) from None
