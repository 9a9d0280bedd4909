"""The panes of the view: which rows each lists, their cells, and what is known of one of them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from cipsec._cli import ca_shown
from cipsec._cli.watch.listing import Row
from cipsec._cli.watch.model import Channel, Happened, Item, View
from cipsec._cli.watch.text import Column, Field, Show, utc
from cipsec.errors import CipsecError
from cipsec.store import events
from cipsec.store.certificates import CertificateRow
from cipsec.store.requests import Waiting
from cipsec.times import show_duration

_MAC = 17  # columns; a device takes 13


@dataclass(frozen=True, slots=True)
class Pane:
    """One pane: its title, its columns, and what it says when it is empty."""

    title: str
    columns: tuple[Column, ...]
    empty: str
    newest_first: bool = False


WAITING = Pane(
    "Waiting",
    (
        Column("WAITS", 7),
        Column("DEVICE", _MAC, 1),
        Column("SUBJECT", 12, grows=True),
        Column("PROVED", 16, 2, grows=True),
        Column("ADDRESS", 15, 4),
        Column("", 8, 3),
    ),
    "nothing waits for a decision",
)
DECISIONS = Pane(
    "Decisions",
    (
        Column("AGO", 7),
        Column("WHAT", 11),
        Column("SUBJECT", 16, grows=True),
        Column("WHY", 16, 1, grows=True),
        Column("WHO", 14, 2),
    ),
    "nothing was decided lately",
    newest_first=True,
)
EXPIRING = Pane(
    "Expiring",
    (
        Column("ENDS IN", 7),
        Column("DEVICE", _MAC, 1),
        Column("SUBJECT", 18, grows=True),
        Column("SERIAL", ca_shown.SHORT_SERIAL, 2),
        Column("RULE", 12, 3),
    ),
    "no certificate ends soon without a successor",
)
CHANNELS = Pane(
    "Channels",
    (
        Column("NAME", 14),
        Column("TYPE", 8, 2),
        Column("HOW IT FARES", 20, grows=True),
        Column("TARGET", 16, 1, grows=True),
    ),
    "ca.toml has no channel: nobody is told of what waits",
)
PANES = (WAITING, DECISIONS, EXPIRING, CHANNELS)


def rows(pane: Pane, view: View) -> list[Row]:
    """Return the rows of a pane that match; the store looked for those that wait."""
    wanted = view.match.casefold()
    if pane is WAITING:
        return [Row(item.id, item) for item in view.waiting]
    if pane is DECISIONS:
        listed: Iterable[tuple[str, Item]] = ((str(item.seq), item) for item in view.decisions)
    elif pane is EXPIRING:
        listed = ((item.serial, item) for item in view.expiring)
    else:
        listed = ((item.name, item) for item in view.channels)
    return [Row(key, item) for key, item in listed if not wanted or _has(item, wanted)]


def _has(item: Item, wanted: str) -> bool:
    match item:
        case Happened(event=event):
            found: tuple[object, ...] = (
                *(event.event, event.actor, event.address, event.request, event.serial),
                *(event.subject, event.device, event.rule, event.reason),
            )
        case CertificateRow():
            found = (item.subject, item.device, item.mac, item.serial, item.rule, item.reason)
        case Channel():
            found = (item.name, item.type, item.target)
        case _:
            found = ()
    return any(wanted in str(text or "").casefold() for text in found)


def cells(row: Row, now: datetime, show: Show) -> tuple[str, ...]:
    """Return the cells of a row, in the order of its pane's columns."""
    match row.item:
        case Waiting() as asked:
            found = _waiting(asked, now)
            shown = ("gone", *found[1:]) if row.gone else found
        case Happened(event=event):
            why = ": ".join(filter(None, [event.rule, event.reason]))
            who = event.actor
            shown = (_since(event.at, now), event.event, event.subject, why, who)
        case CertificateRow() as row_:
            left = show_duration(utc(row_.not_after) - now)
            serial = row_.serial[: ca_shown.SHORT_SERIAL]
            shown = (left, row_.device or row_.mac, row_.subject, serial, row_.rule)
        case Channel() as channel:
            shown = (channel.name, channel.type, fares(channel, now), channel.target)
    return tuple("-" if text is None else show(text) for text in shown)


def _waiting(asked: Waiting, now: datetime) -> tuple[str | None, ...]:
    mark = "replaces" if asked.replaces else f"needs {asked.approvals}"
    return (
        _since(asked.first_seen, now),
        asked.device or asked.mac,
        asked.subject,
        asked.proved,
        asked.address,
        mark if asked.replaces or asked.approvals > 1 else "",
    )


def _since(at: int, now: datetime) -> str:
    return show_duration(now - utc(at))


def fares(channel: Channel, now: datetime) -> str:
    """Return in words how a channel fares."""
    row = channel.row
    if row is None:
        return "not used yet: a server has to run"
    behind = f", {channel.behind} events behind" if channel.behind else ""
    if row.failed:
        return f"FAILS, {row.failed} times in a row: {row.error or 'it is tried again'}{behind}"
    if row.error:
        return f"works, but left out: {row.error}"
    sent = f"ok, told {_since(row.sent_at, now)} ago" if row.sent_at else "ok, nothing told yet"
    return sent + behind


def is_failing(channel: Channel) -> bool:
    """Tell whether somebody should look at a channel."""
    return channel.row is not None and channel.row.failed > 0


def fields(item: Item, now: datetime, show: Show) -> list[Field]:
    """Return what is known of a row that is no request."""
    try:
        record = _record(item, now)
    except (CipsecError, ValueError, OverflowError, OSError) as error:
        return [Field("DAMAGED", show(error))]
    known = {name: value for name, value in record.items() if value is not None}
    return [Field(name.replace("_", " "), show(value)) for name, value in known.items()]


def _record(item: Item, now: datetime) -> dict[str, object]:
    match item:
        case Happened(event=event):
            return events.shown(event)
        case CertificateRow():
            return ca_shown.certificate(item, now)
        case Channel(row=row):
            return {
                "name": item.name,
                "type": item.type,
                "target": item.target,
                "state": fares(item, now),
                "tried_at": ca_shown.moment(row.tried_at) if row else None,
                "sent_at": ca_shown.moment(row.sent_at) if row else None,
                "error": row.error if row else None,
            }
        case _:
            return {}
