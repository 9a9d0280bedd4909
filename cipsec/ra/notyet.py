"""What a decision has to wait for: said by whoever needs it, awaited by the RA, judged again."""

from __future__ import annotations

from collections.abc import Awaitable, Callable


class NotYet(Exception):
    """A condition cannot be judged until `ready` has been awaited; no error, and nobody's fault."""

    def __init__(self, ready: Callable[[], Awaitable[None]]) -> None:
        super().__init__("not yet")
        self.ready = ready
