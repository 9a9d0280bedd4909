"""Who is served when more come than can be: one of each address in turn, a bounded number at once.

A loop that serves everybody at once lets all of them finish at the very end; impatient devices then
give up together, come back together, and nobody is served. So a new connection waits here, without
TLS and unread, until a place is free; those on their way finish first.
"""

from __future__ import annotations

import asyncio
import time
from typing import Protocol

from cipsec.front.limits import Limits
from cipsec.front.turns import Turns


class Guest(Protocol):
    """A connection, as those see it who look after all of them."""

    deadline: float

    @property
    def address(self) -> str:
        """The client's IP address."""

    @property
    def begun(self) -> bool:
        """Whether it has had a place."""

    @property
    def closed(self) -> bool:
        """Whether it is gone."""

    def begin(self) -> None:
        """Go on: a place is yours."""

    def evict(self) -> None:
        """Close: another needs the memory more."""

    def expire(self) -> None:
        """Close: the deadline is over."""

    def retire(self) -> None:
        """Close if nothing has been begun."""

    def abort(self) -> None:
        """Close now."""


class Admission:
    """Places for new connections, and the number of sessions (connections with TLS) alive.

    A guest with a place either works (nothing is due from its client) or waits for its client; one
    that waits for longer than `limits.stall` gives its place back and goes on without, for a slow
    device thinks for seconds and a malicious one forever.

    Where new ones would exceed `limits.sessions`, others make room: those idle between requests,
    then those that have kept the server waiting for `limits.patience`; the longest first.
    """

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._waiting: Turns[Guest] = Turns()
        self._placed: dict[Guest, float | None] = {}  # since when it waits for its client
        self._late: dict[Guest, float] = {}  # the same, of those without a place, longest first
        self._idle: dict[Guest, None] = {}  # longest first
        self._sessions = 0
        self._timer: asyncio.TimerHandle | None = None

    @property
    def waiting(self) -> int:
        """How many wait to be begun; those that gave up meanwhile included."""
        return len(self._waiting)

    @property
    def placed(self) -> int:
        """How many have a place."""
        return len(self._placed)

    @property
    def sessions(self) -> int:
        """How many sessions are alive."""
        return self._sessions

    def enter(self, guest: Guest) -> bool:
        """Give a new guest a place, or let it wait for its `begin`; tell whether it has one."""
        if not self._waiting and self._has_place() and self._has_memory():
            self._take(guest)
            return True
        self._waiting.append(guest, guest.address)
        self._fill()
        return False

    def works(self, guest: Guest) -> None:
        """Note that something is done for it."""
        self._idle.pop(guest, None)
        self._late.pop(guest, None)
        if guest in self._placed:
            self._placed[guest] = None

    def awaits_client(self, guest: Guest) -> None:
        """Note that its client is to send something now."""
        waits = self._placed if guest in self._placed else self._late
        waits[guest] = time.monotonic()

    def rests(self, guest: Guest) -> None:
        """Take the place back: its answer is out, and its client may be silent."""
        self._placed.pop(guest, None)
        self._idle[guest] = None
        self._fill()

    def leaves(self, guest: Guest, *, session: bool) -> None:
        """Forget it; `session` tells whether it was begun. One that still waits is passed over."""
        self.works(guest)
        self._placed.pop(guest, None)
        self._sessions -= session
        self._fill()

    def stop(self) -> None:
        """End the timer."""
        if self._timer:
            self._timer.cancel()
            self._timer = None

    def _has_place(self) -> bool:
        return len(self._placed) < self._limits.places

    def _has_memory(self) -> bool:
        return self._sessions < self._limits.sessions

    def _take(self, guest: Guest) -> None:
        self._placed[guest] = None
        self._sessions += 1

    def _fill(self) -> None:
        """Begin as many as there is room for; where only memory is short, make room for one."""
        while self._waiting and self._has_place() and self._has_memory():
            guest = self._waiting.popleft()
            if not guest.closed:
                self._take(guest)
                guest.begin()
        if self._waiting and self._has_place() and (least := self._least_needed()):
            self.works(least)
            least.evict()
        if self._waiting and not self._timer:
            loop = asyncio.get_running_loop()
            self._timer = loop.call_later(self._limits.stall, self._look)

    def _least_needed(self) -> Guest | None:
        for guest in self._idle:
            return guest
        for guest, since in self._late.items():
            return guest if since <= time.monotonic() - self._limits.patience else None
        return None

    def _look(self) -> None:
        """Find those that seem to stall.

        It may be the server that has been busy: only after the loop has read once more, which it
        does before two turns are over, is it certain that they have sent nothing.
        """
        self._timer = None
        latest = time.monotonic() - self._limits.stall
        suspects = [(g, since) for g, since in self._placed.items() if since and since <= latest]
        loop = asyncio.get_running_loop()
        loop.call_soon(loop.call_soon, self._displace, suspects)

    def _displace(self, suspects: list[tuple[Guest, float]]) -> None:
        """Take the places of those that still wait for their clients."""
        for guest, since in suspects:
            if self._placed.get(guest) == since:
                del self._placed[guest]
                self._late[guest] = since
        self._fill()
