"""How often waiting devices ask: counted in memory, written now and then, paced by Retry-After."""

from __future__ import annotations

import asyncio
import random

from cipsec.errors import StoreFailed
from cipsec.store import requests
from cipsec.store.database import Database
from cipsec.store.requests import Poll
from cipsec.store.writer import Writer

_POLLS_PER_SECOND = 50  # all waiting devices together, at most: a few percent of one core
_LONGEST_SECONDS = 600
_PATIENT_SECONDS = 60  # what a device that waited for long is told, while few wait
_JITTER = 0.2


class Polls:
    """Counts polls and says when to ask again."""

    def __init__(self, database: Database, writer: Writer) -> None:
        self._database = database
        self._writer = writer
        self._counted: dict[str, Poll] = {}
        self._by_address: dict[str, int] = {}
        self._pending = 0
        self._waiting(database.read(requests.pending_by_address))

    def _waiting(self, by_address: dict[str, int]) -> None:
        self._by_address = by_address
        self._pending = sum(by_address.values())

    def admit(self, address: str, *, most: int, most_of_one: int) -> None:
        """Make room for one more waiting request; raise StoreFailed when too many wait already.

        `most` bounds all of them, `most_of_one` those from one address: one malicious sender does
        not fill the queue for the rest of the plant.
        """
        of_one = self._by_address.get(address, 0)
        require_room(self._pending, most)
        if of_one >= most_of_one:
            raise StoreFailed(f"{of_one} requests from {address} wait already")
        self._by_address[address] = of_one + 1
        self._pending += 1

    def place(self, request: str, *, of: str, was: str, most_of_one: int) -> str:
        """Return the address that a waiting request counts for: `of`, which polls, or what it was.

        It moves with the device, but not to where `most_of_one` wait: whoever has two addresses
        would ask from the one, poll from the other, and ask again.
        """
        earlier = self._counted.get(request)
        was = earlier.address if earlier else was
        of_one = self._by_address.get(of, 0)
        if of == was or of_one >= most_of_one:
            return was
        self._by_address[of] = of_one + 1  # the other's place is free at the next flush
        return of

    def count(self, request: str, at: int, address: str) -> None:
        """Count one poll of a waiting request."""
        earlier = self._counted.get(request)
        self._counted[request] = Poll(request, (earlier.count if earlier else 0) + 1, at, address)

    def retry_after(self, least: int, *, waited: int) -> int:
        """Return the seconds until the next poll: few for who just came, more under load.

        Whole seconds and never a date: libest and strongSwan read nothing else.
        """
        patience = min(_PATIENT_SECONDS, max(0, waited) // 10)
        seconds = max(least, patience, self._pending // _POLLS_PER_SECOND)
        jitter = random.uniform(0, _JITTER * seconds)  # noqa: S311  # spreads load, no secret
        return min(_LONGEST_SECONDS, seconds + round(jitter))

    async def flush(self) -> None:
        """Write what was counted; raise StoreFailed."""
        counted, self._counted = list(self._counted.values()), {}
        if counted:
            await self._writer.write(lambda db: requests.record_polls(db, counted))
        # Apart: with 20,000 waiting the event loop would stand still for 30 ms.
        self._waiting(await asyncio.to_thread(self._database.read, requests.pending_by_address))


def require_room(pending: int, most: int) -> None:
    """Raise StoreFailed when so many requests wait already that no more is taken."""
    if pending >= most:
        raise StoreFailed(f"{pending} requests wait already")
