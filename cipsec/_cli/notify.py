"""`cipsec notify`: how the channels fare, and whether they work; telling is left to the server."""

from __future__ import annotations

from contextlib import closing
from dataclasses import replace
from typing import TYPE_CHECKING, Annotated

import typer

from cipsec import times
from cipsec._cli import exits
from cipsec._cli.options import CaDir, command, group
from cipsec._cli.talk import Talk, error_object
from cipsec.errors import NotFound, Unreachable

if TYPE_CHECKING:
    import sqlite3

    from cipsec.ca_folder import CaFolder
    from cipsec.ra.notify.channels import Channel
    from cipsec.ra.notify.directory import Directory
    from cipsec.ra.notify.trying import Tried

app = group("notify", "Show the channels that tell people, and try them.")

_COLUMNS = ["name", "type", "target", "events", "waiting", "failures", "sent_at", "error"]
_TEST_COLUMNS = ["name", "type", "target", "delivered", "error"]

Name = Annotated[str | None, typer.Argument(metavar="CHANNEL", help="Only this one.")]


@command(app, "list")
def listing(talk: Talk, *, ca_dir: CaDir = None) -> None:
    """List the channels of ca.toml, and how they fare.

    Whom they tell, and of what.
    """
    from cipsec.ca_folder import open_folder
    from cipsec.ra.notify.directory import directory

    folder = open_folder(ca_dir)
    whom = directory(folder.configuration())
    with closing(folder.store()) as database:
        shown = database.read(lambda db: [_listed(db, one, whom) for one in whom.channels])
    if not shown:
        talk.say(_NONE)
    talk.table("channels", _COLUMNS, shown)


@command(app, "test")
def trial(talk: Talk, name: Name = None, *, ca_dir: CaDir = None) -> int:
    """Send a test message now: to one channel, or to all. Exit code 4 when one is not reached."""
    import asyncio

    from cipsec._cli import actor
    from cipsec.ca_folder import open_folder
    from cipsec.ra.notify.directory import directory
    from cipsec.ra.notify.trying import try_all

    folder = open_folder(ca_dir)
    whom = directory(folder.configuration())
    chosen = _chosen(whom, name)
    if not chosen:
        talk.say(_NONE)
    now = times.now()
    tried = asyncio.run(try_all(chosen, whom.name, folder.path, actor=actor.name(), now=now))
    _note(folder, tried)
    return _tell(talk, tried)


_NONE = "cipsec: there is no channel; add a [[channel]] to ca.toml"


def _chosen(directory: Directory, name: str | None) -> list[Channel]:
    chosen = [one for one in directory.channels if name in (None, one.name)]
    if name is not None and not chosen:
        raise NotFound(f"there is no channel {name}", hint="list them with: cipsec notify list")
    return chosen


def _listed(db: sqlite3.Connection, channel: Channel, directory: Directory) -> dict[str, object]:
    from cipsec._cli.ca_shown import moment
    from cipsec.store import channels

    row = channels.by_name(db, channel.name)
    last = channels.last_event(db)
    behind = channels.events_between(db, row.cursor if row else last, last, channel.events)
    return {
        "name": channel.name,
        "type": channel.type,
        "events": ["all"] if channel.events is None else sorted(channel.events),
        "target": str(channel.target),
        "failures": row.failed if row else 0,
        "error": row.error if row else None,
        "tried_at": moment(row.tried_at) if row else None,
        "sent_at": moment(row.sent_at) if row else None,
        "waiting": sum(directory.concerns(channel, event) for _, event in behind),
    }


def _note(folder: CaFolder, tried: list[Tried]) -> None:
    """Let the server know what works again: it need not wait for its next try."""
    from cipsec.store import channels

    at = int(times.now().timestamp())
    working = [one.channel.name for one in tried if one.error is None]

    def work(db: sqlite3.Connection) -> None:
        for name in working:
            channels.works(db, name, at=at)

    with closing(folder.store()) as database:
        database.write(work)


def _tell(talk: Talk, tried: list[Tried]) -> int:
    rows = [_tried(one) for one in tried]
    errors = [
        Unreachable(f"channel {one.channel.name}: {one.error.message}", hint=_hint(one))
        for one in tried
        if one.error is not None
    ]
    if talk.json:
        shown: dict[str, object] = {"channels": rows}
        talk.document(shown | ({"error": error_object(errors[0])} if errors else {}))
    else:
        talk.table("channels", _TEST_COLUMNS, rows)
    for error in errors:
        replace(talk, json=False).error(error)  # on stdout it is said already
    return exits.UNREACHABLE if errors else exits.OK


def _tried(one: Tried) -> dict[str, object]:
    return {
        "name": one.channel.name,
        "type": one.channel.type,
        "target": str(one.channel.target),
        "delivered": one.error is None,
        "error": one.error.message if one.error else one.left,
        "hint": _hint(one),
    }


def _hint(one: Tried) -> str | None:
    if one.error is None:
        return None
    return one.error.hint or f"mend [[channel]] {one.channel.name} in ca.toml, or what it reaches"
