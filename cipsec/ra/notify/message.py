"""What is told: events with the requests they are about, as a document; the words are `words`'s."""

from __future__ import annotations

import hashlib
import socket
import sqlite3
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from cipsec import safe
from cipsec.store import chain, events, requests
from cipsec.store.chain import Head
from cipsec.store.codes import Code
from cipsec.store.events import Event
from cipsec.store.requests import RequestRow

_SCHEMA = "cipsec.notification.v1"
_LONGEST = 1_000  # characters, as the log keeps


@dataclass(frozen=True, slots=True)
class Told:
    """One event, its number in the log, and the request it is about as that stands now."""

    number: int
    event: Event
    request: RequestRow | None = None
    head: Head | None = None  # of the log up to it


@dataclass(frozen=True, slots=True)
class Message:
    """What one delivery tells; `counts` also of the events that `told` leaves out.

    `id` stays the same when the same events are told again, so that a receiver can tell.
    """

    id: str
    ca: str
    host: str
    told: tuple[Told, ...]
    counts: Mapping[str, int]
    head: Head | None = None  # of the log when it was made: on its way it leaves the machine

    @property
    def left_out(self) -> Counter[str]:
        """Return how many events of each name are counted and not told one by one."""
        return Counter(self.counts) - Counter(one.event.event for one in self.told)


def message(
    ca: str,
    origin: str,
    told: Sequence[Told],
    counts: Mapping[str, int],
    *,
    upto: int,
    head: Head | None = None,
) -> Message:
    """Return the message that tells of these events, up to number `upto`.

    `origin` is what no other channel has, on this host; `head` is the log's, as it is now.
    """
    host = socket.gethostname()
    first = min((one.number for one in told), default=upto)
    which = "\0".join((host, origin, str(first), str(upto)))
    identifier = f"msg_{hashlib.sha256(which.encode('utf-8', 'backslashreplace')).hexdigest()[:32]}"
    return Message(identifier, ca, host, tuple(told), dict(counts), head)


def with_requests(db: sqlite3.Connection, found: Sequence[tuple[int, Event]]) -> list[Told]:
    """Return the events with the requests that they name."""
    return [
        Told(
            number,
            event,
            requests.by_id(db, event.request) if event.request else None,
            Head(number, chain.hash_of(db, number) or chain.START),
        )
        for number, event in found
    ]


def document(message: Message) -> dict[str, object]:
    """Return the message as JSON has it; its texts are harmless wherever they end up."""
    return {
        "schema": _SCHEMA,
        "id": message.id,
        "ca": safe.text(message.ca),
        "host": safe.text(message.host),
        "counts": dict(message.counts),
        "left_out": sum(message.left_out.values()),
        "chain_head": str(message.head) if message.head else None,
        "events": [event_document(one) for one in message.told],
    }


def event_document(told: Told) -> dict[str, object]:
    """Return one event as `ca log --json` has it, with its number and its request."""
    head = str(told.head) if told.head else None
    shown = {"number": told.number} | events.shown(told.event) | {"head": head}
    details = _details(told.request) if told.request else None
    return _harmless(shown) | {"request_details": details}


def _details(row: RequestRow) -> dict[str, object]:
    """Return what is told of a request: never the CSR, never more than `ca pending` shows."""
    names = "id state subject device mac proved claimed address label rule reason replaces note"
    return _harmless({name: getattr(row, name) for name in (*names.split(), "spki_sha256")})


def _harmless(values: Mapping[str, object]) -> dict[str, object]:
    """Return the values with what could act on a terminal or a line made visible."""
    return {
        name: safe.text(value, limit=_LONGEST) if isinstance(value, str) else value
        for name, value in values.items()
    }


def trial_message(ca: str, origin: str, actor: str, at: int) -> Message:
    """Return a message that tells of nothing: somebody tries a channel."""
    event = Event(at, Code.TEST, actor, reason="a test of this channel: nothing happened")
    return message(ca, f"{origin}\0{at}", [Told(0, event)], {Code.TEST: 1}, upto=0)
