"""What the next shift has to know: what was done and by whom, what is left, what is broken."""

from __future__ import annotations

import sqlite3
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import islice

from cipsec.ca_folder import CaFolder, fingerprint
from cipsec.ra.policy import BY_HAND
from cipsec.report import contents, tables
from cipsec.report.tables import Moment, Row
from cipsec.store import chain, channels, events, requests
from cipsec.store.codes import Code
from cipsec.store.events import Event, Recorded, Wanted, when
from cipsec.store.requests import Waiting
from cipsec.times import show_duration, show_time

MOST = 1_000  # of each list; what is counted is complete
_NOTABLE = frozenset({Code.APPROVED, Code.AGREED, Code.REJECTED, Code.REVOKED, Code.REPLACEMENT})
# The CA itself became another: not to be lost among a thousand approvals.
_CHANGES = frozenset(
    {
        *(Code.CA_CERTIFICATE, Code.CA_PASSPHRASE, Code.RESTORED, Code.CA_RETIRED),
        *(Code.ROLLOVER_REQUESTED, Code.ROLLOVER_PREPARED),
        *(Code.ROLLOVER_ACTIVATED, Code.ROLLOVER_CANCELLED),
    }
)
_TROUBLES = frozenset({Code.POLICY_ERROR, Code.CREDENTIAL_LOCKED})


@dataclass(slots=True)
class Trouble:
    """Something to mend: the event, its reason, how often it happened and when last."""

    event: str
    reason: str
    count: int
    last: int


@dataclass(frozen=True, slots=True)
class Handover:
    """What happened since `since`, and how things stand at `now`; times of events since 1970.

    `counts` are of all events since, `granted` of certificates by who or what granted them;
    `changes` are events of the CA itself: another root, another passphrase, restored.
    """

    name: str
    sha256: str
    since: datetime
    now: datetime
    ahead: timedelta
    counts: Counter[str]
    granted: Counter[str]
    changes: tuple[Recorded, ...]
    notable: tuple[Recorded, ...]
    troubles: tuple[Trouble, ...]
    waiting: tuple[Waiting, ...]
    waiting_count: int
    channels: tuple[channels.ChannelRow, ...]
    expiring: tuple[Row, ...]
    policy_error: str | None
    head: chain.Head


def handover(
    folder: CaFolder, db: sqlite3.Connection, *, since: datetime, now: datetime, ahead: timedelta
) -> Handover:
    """Return the handover of a CA; what ends within `ahead` is told. Within one transaction."""
    policy, happened = contents.policy(folder), _Happened(db)
    for one in events.recorded(db, 0, Wanted(since=int(since.timestamp()))):
        happened.add(one)
    return Handover(
        name=policy.name,
        sha256=fingerprint(folder.certificate()),
        since=since,
        now=now,
        ahead=ahead,
        counts=happened.counts,
        granted=happened.granted,
        changes=tuple(happened.changes),
        notable=tuple(happened.notable),
        troubles=tuple(happened.troubles.values()),
        waiting=tuple(requests.waiting(db, limit=MOST)),
        waiting_count=requests.count_pending(db),
        channels=tuple(row for row in channels.listed(db) if row.failed or row.error),
        expiring=tuple(islice(tables.expiring(Moment(db, now, ahead)), MOST)),
        policy_error=policy.error,
        head=chain.head(db),
    )


class _Happened:
    """The events of a shift, gathered: a thousand of them are some lines."""

    def __init__(self, db: sqlite3.Connection) -> None:
        self._db = db
        self.counts: Counter[str] = Counter()
        self.granted: Counter[str] = Counter()
        self.changes: list[Recorded] = []
        self.notable: list[Recorded] = []
        self.troubles: dict[tuple[str, str], Trouble] = {}

    def add(self, one: Recorded) -> None:
        """Take in one event."""
        event = one.event
        self.counts[event.event] += 1
        if event.event == Code.GRANTED:
            self.granted[self._granted_by(event)] += 1
        elif event.event in _NOTABLE:
            self.notable.append(one)
            del self.notable[:-MOST]
        elif event.event in _CHANGES:
            self.changes.append(one)
            del self.changes[:-MOST]
        elif event.event in _TROUBLES:
            self._trouble(event)

    def _granted_by(self, event: Event) -> str:
        """Return who or what granted a certificate, in words."""
        if event.rule == BY_HAND:
            return f"{event.actor}, by hand"
        if event.rule is None:
            return event.actor
        by = requests.decided(self._db, event.request or "", event.serial or "")
        return f"{by}, who approved" if by else f"rule {event.rule}"

    def _trouble(self, event: Event) -> None:
        key = (event.event, event.reason or "")
        known = self.troubles.get(key)
        if known is not None:
            known.count, known.last = known.count + 1, event.at
        elif len(self.troubles) < MOST:
            self.troubles[key] = Trouble(event.event, event.reason or "", 1, event.at)


def document(told: Handover) -> dict[str, object]:
    """Return a handover as JSON has it."""
    return {
        "made_at": show_time(told.now),
        "since": show_time(told.since),
        "ca": {"name": told.name, "sha256": told.sha256},
        "counts": dict(told.counts),
        "granted": [{"by": by, "count": count} for by, count in told.granted.most_common()],
        "changes": [events.shown_recorded(one) for one in told.changes],
        "events": [events.shown_recorded(one) for one in told.notable],
        "waiting": [_waiting(row, told.now) for row in told.waiting],
        "waiting_count": told.waiting_count,
        "troubles": [
            {"event": t.event, "reason": t.reason, "count": t.count, "last": when(t.last)}
            for t in told.troubles
        ],
        "policy_error": told.policy_error,
        "channels": list(_channels(told)),
        "expiring_within": show_duration(told.ahead),
        "expiring": list(told.expiring),
        "chain_head": str(told.head),
    }


def _waiting(row: Waiting, now: datetime) -> dict[str, object]:
    return {
        "id": row.id,
        "waits": waits(row, now),
        "subject": row.subject,
        "device": row.device,
        "mac": row.mac,
        "proved": row.proved,
        "address": row.address,
        "replaces": (row.replaces or "").split(),
        "approvals": row.approvals,
    }


def waits(row: Waiting, now: datetime) -> str:
    """Return how long a request waits."""
    return show_duration(timedelta(seconds=now.timestamp() - row.first_seen))


def _channels(told: Handover) -> Iterator[dict[str, object]]:
    for row in told.channels:
        yield {
            "name": row.name,
            "failures": row.failed,
            "error": row.error,
            "tried_at": when(row.tried_at),
            "sent_at": when(row.sent_at),
        }
