"""Walking the chain of events: what was changed, taken out or put in, as far as a chain can tell.

Whoever may write the file can make a whole new chain: heads that were written down elsewhere are
what binds it. Where they come from is left to the caller.
"""

from __future__ import annotations

import sqlite3
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field

from cipsec.store import chain
from cipsec.store.chain import Head
from cipsec.store.database import Database

_CHUNK = 5_000  # events read at once, so that no reading holds up whoever tidies the journal
_TOLD = 20  # findings that are kept; a thousand say no more
_ROWS = (
    f"SELECT seq, hash, {', '.join(chain.FIELDS)} FROM events"  # noqa: S608  # names of columns
    " WHERE seq > ? ORDER BY seq LIMIT ?"
)
_ENDS = (
    "SELECT coalesce((SELECT max(seq) FROM events), 0),"
    " coalesce((SELECT seq FROM sqlite_sequence WHERE name = 'events'), 0)"
)
_PLAIN = frozenset({str, int, type(None)})


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that is wrong: the event it is seen at, its kind, and what it means.

    `kind` is `changed`, `missing`, `truncated` or `head`.
    """

    event: int
    kind: str
    detail: str


@dataclass(frozen=True, slots=True)
class Verified:
    """What a walk found: the head it came to, how many events, how many heads were compared.

    Of more than twenty `findings` the first twenty, by the number of their event; `wrong` is how
    many there were.
    """

    head: Head
    events: int
    heads: int
    wrong: int
    findings: tuple[Finding, ...]

    @property
    def intact(self) -> bool:
        """Tell whether nothing is wrong, as far as a chain and the heads can tell."""
        return not self.wrong


def verify(database: Database, known: Iterable[Head] = ()) -> Verified:
    """Walk the whole chain and compare it with the heads that are `known`; raise StoreFailed.

    Memory is bounded, however long the log is. What is appended meanwhile is walked as well.
    """
    walk = _Walk(_by_number(known))
    walk.compare()  # a head of before the first event says how a log begins
    while rows := database.read(lambda db: _rows(db, walk.number)):
        for number, stored, *values in rows:
            walk.step(number, stored, values)
    walk.end(*database.read(lambda db: tuple(db.execute(_ENDS).fetchone())))
    return walk.verified()


def _by_number(known: Iterable[Head]) -> dict[int, set[bytes]]:
    found: dict[int, set[bytes]] = defaultdict(set)
    for head in known:
        found[head.number].add(head.hash)
    return dict(found)


def _rows(db: sqlite3.Connection, after: int) -> list[tuple[int, object, object]]:
    """Return the next events; what is no UTF-8 comes as something else, and is found changed."""
    try:
        return db.execute(_ROWS, (after, _CHUNK)).fetchall()
    except sqlite3.OperationalError:
        db.text_factory = lambda data: data.decode("utf-8", "replace")
        try:
            return db.execute(_ROWS, (after, _CHUNK)).fetchall()
        finally:
            db.text_factory = str


@dataclass(slots=True)
class _Walk:
    """Where the walk has come: number and hash of the last event, and what was found."""

    known: dict[int, set[bytes]]
    number: int = 0
    hash: bytes = chain.START
    events: int = 0
    wrong: int = 0
    findings: list[Finding] = field(default_factory=list)

    def step(self, number: int, stored: object, values: list[object]) -> None:
        """Judge one event by the one before it, and go on from the hash that it carries."""
        fits = stored == chain.digest(self.hash, number, values) and _PLAIN.issuperset(
            map(type, values)
        )
        if number != self.number + 1:
            missing = _numbers(self.number + 1, number - 1)
            # It was chained to the one before the gap, or to one in it.
            where = "at the end, before more was recorded" if fits else "from between others"
            self._find(number, "missing", f"{missing} taken out {where}")
        elif not fits:
            self._find(number, "changed", _changed(number, stored))
        self.number, self.hash = number, chain.as_hash(stored) or chain.START
        self.events += 1
        self.compare()

    def compare(self) -> None:
        """Hold the hash up to here against the heads that are known of this event."""
        for wanted in self.known.get(self.number, ()):
            if wanted != self.hash:
                detail = (
                    f"event {self.number} is not the one whose head was written down: it, or what"
                    " was recorded before it, was exchanged"
                )
                self._find(self.number, "head", detail)

    def end(self, last: int, given: int) -> None:
        """Judge the end: `last` is the number of the last event, `given` the last that was given.

        Both are from one moment, which may be after the walk.
        """
        if given > last:
            detail = f"{_numbers(last + 1, given)} taken out at the end"
            self._find(last + 1, "truncated", detail)
        for number in sorted(n for n in self.known if n > last):
            detail = (
                f"the log ends with event {last}, and the head of event {number} was written down:"
                " its end was taken out, or it is another log"
            )
            self._find(number, "head", detail)

    def _find(self, event: int, kind: str, detail: str) -> None:
        self.wrong += 1
        if len(self.findings) < _TOLD:
            self.findings.append(Finding(event, kind, detail))

    def verified(self) -> Verified:
        """Return what was found."""
        heads = sum(map(len, self.known.values()))
        head = Head(self.number, self.hash)
        return Verified(head, self.events, heads, self.wrong, tuple(self.findings))


def _numbers(first: int, last: int) -> str:
    return f"event {first} was" if first == last else f"events {first} to {last} were"


def _changed(number: int, stored: object) -> str:
    if chain.as_hash(stored) is None:
        return f"event {number} carries no hash: it was not recorded by cipsec"
    return f"event {number} is not as it was recorded: it, or the hash of the one before, changed"
