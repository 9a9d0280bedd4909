"""What waits to be told to one channel: kept small however long the channel is dead."""

from __future__ import annotations

import sqlite3
from collections import Counter
from dataclasses import dataclass, field

from cipsec.ra.notify import words
from cipsec.ra.notify.channels import Channel
from cipsec.ra.notify.directory import Directory
from cipsec.store import channels
from cipsec.store.events import Event

_CHUNK = 1_000  # events read at once: some milliseconds of the loop that serves requests
_BATCH = 200  # records handed over at once where each event is one


@dataclass(slots=True)
class Gathered:
    """The events behind `start` that concern a channel, up to event `upto`.

    All are counted; of each name only as many are kept as a message could show.
    """

    start: int
    upto: int = -1
    counts: Counter[str] = field(default_factory=Counter)
    kept: list[tuple[int, Event]] = field(default_factory=list)
    since: float | None = None  # of time.monotonic(), when the first was seen

    def __post_init__(self) -> None:
        self.upto = max(self.upto, self.start)

    def extend(
        self, db: sqlite3.Connection, channel: Channel, directory: Directory, *, now: float
    ) -> bool:
        """Read on, one chunk at most, and return whether there is more to read.

        `now` is a time of time.monotonic().
        """
        last = channels.last_event(db)
        room = _BATCH - len(self.kept) if channel.tells_each else _CHUNK
        if self.upto >= last or room <= 0:
            return False
        found = list(channels.events_between(db, self.upto, last, channel.events, limit=room))
        for number, event in found:
            if directory.concerns(channel, event):
                self._add(number, event, each=channel.tells_each)
        self.upto = found[-1][0] if len(found) == room else last
        if self.counts and self.since is None:
            self.since = now
        return self.upto < last

    def _add(self, number: int, event: Event, *, each: bool) -> None:
        if each or self.counts[event.event] < words.LINES:
            self.kept.append((number, event))
        self.counts[event.event] += 1

    def is_ripe(self, channel: Channel, *, now: float) -> bool:
        """Tell whether there is something to tell, and enough was gathered."""
        if self.since is None:
            return False
        return self.is_full(channel) or now - self.since >= channel.digest.total_seconds()

    def is_full(self, channel: Channel) -> bool:
        """Tell whether what is told one by one is enough for one delivery."""
        return channel.tells_each and len(self.kept) >= _BATCH
