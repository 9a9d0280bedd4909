"""Which refusals are worth a row in the record: a stubborn applicant must not fill the disk."""

from __future__ import annotations

import logging
from collections import Counter, OrderedDict
from datetime import datetime, timedelta

_LOG = logging.getLogger(__name__)

_INTERVAL = timedelta(minutes=1)
# In one interval: a hundred megabytes a day of nothing but refusals; and of one address, lest it
# hides what others are refused.
_MOST, _MOST_OF_ONE = 300, 60
_REMEMBERED = 10_000


class Refusals:
    """Remembers what was refused of late, in bounded memory."""

    def __init__(self) -> None:
        self._last: OrderedDict[int, datetime] = OrderedDict()
        self._since: datetime | None = None
        self._count = 0
        self._by_address: Counter[str] = Counter()

    def is_news(self, who: str, reason: str, now: datetime, *, address: str = "") -> bool:
        """Tell whether to record it: not within a minute of the same, nor beyond 300 a minute.

        Of them 60 of one address, where one is given.
        """
        key = hash((who, reason))  # not the texts themselves: an applicant chooses their length
        if _within(self._last.get(key), now):
            return False
        if not _within(self._since, now):
            self._since, self._count = now, 0
            self._by_address.clear()
        if address and self._by_address[address] >= _MOST_OF_ONE:
            return False
        self._count += 1
        if self._count > _MOST:
            if self._count == _MOST + 1:
                _LOG.error("more than %d refusals in a minute: the rest is not recorded", _MOST)
            return False
        self._by_address[address] += 1
        self._last[key] = now
        self._last.move_to_end(key)
        if len(self._last) > _REMEMBERED:
            self._last.popitem(last=False)
        return True


def _within(earlier: datetime | None, now: datetime) -> bool:
    """Tell whether `earlier` is less than the interval ago; a clock set back starts anew."""
    return earlier is not None and timedelta() <= now - earlier < _INTERVAL
