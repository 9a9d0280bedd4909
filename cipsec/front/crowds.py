"""All open connections, by the address they come from; and who goes where there are too many.

Which of them are served, and when, is left to `admission`.
"""

from __future__ import annotations

from collections.abc import Iterator

from cipsec.front.admission import Guest


class Crowds:
    """At most `most` guests.

    Where one more comes, the last of the largest crowd of one address makes room for a guest of a
    smaller one: else who opens connections and says nothing keeps out everybody else.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._addresses: dict[Guest, str] = {}
        self._crowds: dict[str, dict[Guest, None]] = {}  # the last to come is last

    def __len__(self) -> int:
        return len(self._addresses)

    def __iter__(self) -> Iterator[Guest]:
        return iter(self._addresses)

    def enter(self, guest: Guest, address: str) -> bool:
        """Take a new guest, perhaps in another's place, who is cut off; tell whether it is in."""
        if len(self) >= self._most and not self._make_room(address):
            return False
        self._addresses[guest] = address
        self._crowds.setdefault(address, {})[guest] = None
        return True

    def leave(self, guest: Guest) -> bool:
        """Forget a guest; tell whether it was in."""
        address = self._addresses.pop(guest, None)
        if address is None:
            return False
        crowd = self._crowds[address]
        del crowd[guest]
        if not crowd:
            del self._crowds[address]
        return True

    def _make_room(self, address: str) -> bool:
        crowd = max(self._crowds.values(), key=len)
        if len(crowd) <= len(self._crowds.get(address, ())) + 1:
            return False  # else two crowds of a size would cut off each other
        last = next((guest for guest in reversed(crowd) if not guest.begun), None)
        if last is None:
            return False
        self.leave(last)
        last.abort()
        return True
