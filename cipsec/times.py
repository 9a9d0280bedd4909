"""Durations and times as people write them: `90s 15m 8h 30d`, ISO 8601 in UTC with a `Z`; and
shares of a life, `66%`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from cipsec.errors import LocalState, UsageError

# No clock that is right showed an earlier time to this program: RFC 9908, which it follows, is of
# this month.
RELEASED = datetime(2026, 1, 1, tzinfo=UTC)

_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400}
_DURATION = re.compile(r"(?:[0-9]{1,9}[smhd])+")
_PART = re.compile(r"([0-9]+)([smhd])")
_PERCENT = re.compile(r"([0-9]{1,3})%")
_HUNDRED_YEARS = 100 * 366 * 86400
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def now() -> datetime:
    """Return the current time, aware and in UTC."""
    return datetime.now(UTC)


def from_seconds(seconds: float) -> datetime:
    """Return what is so many seconds after 1970, as the record keeps times; raise OverflowError.

    Reckoned here: datetime.fromtimestamp asks the C library, and that of Windows knows nothing
    before 1970 nor after the year 3000, where some certificates end in 9999.
    """
    return _EPOCH + timedelta(seconds=seconds)


def require_plausible(moment: datetime) -> None:
    """Raise LocalState for a time of day that this machine cannot have: its clock is not set."""
    if moment < RELEASED:
        raise LocalState(
            f"this machine's clock is not set: it says {show_time(moment)}",
            hint=f'set it, e.g. with: date -u -s "{RELEASED.year}-MM-DD HH:MM"',
        )


def parse_duration(text: str) -> timedelta:
    """Read `90s`, `15m`, `8h`, `30d` or a sequence such as `1h30m`; raise UsageError."""
    if not _DURATION.fullmatch(text):
        raise UsageError(f"{text!r} is not a duration", hint="write 90s, 15m, 8h or 30d")
    seconds = sum(int(n) * _UNITS[unit] for n, unit in _PART.findall(text))
    if seconds > _HUNDRED_YEARS:
        raise UsageError(f"{text!r} is longer than a hundred years", hint="write e.g. 30d")
    return timedelta(seconds=seconds)


def show_duration(duration: timedelta) -> str:
    """Return the duration in its largest whole unit, at most two parts: `3d 4h`, `2m 5s`."""
    left = max(0, int(duration.total_seconds()))
    parts = []
    for unit in "dhms":
        count, left = divmod(left, _UNITS[unit])
        if count:
            parts.append(f"{count}{unit}")
    return " ".join(parts[:2]) or "0s"


def parse_time(text: str) -> datetime:
    """Read an ISO 8601 time; one without offset is taken as UTC; raise UsageError."""
    try:
        moment = datetime.fromisoformat(text)
        return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
    except (ValueError, OverflowError):  # the latter where the offset leads out of all years
        raise UsageError(
            f"{text!r} is not a time", hint="write 2027-01-31 or 2027-01-31T06:00:00Z"
        ) from None


def show_time(moment: datetime) -> str:
    """Return the time in ISO 8601, UTC, whole seconds, ending in `Z`."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ").rjust(20, "0")


@dataclass(frozen=True, slots=True)
class Due:
    """A point of a life: after a share of it, or a time before its end."""

    percent: int | None = 66
    before: timedelta = timedelta()

    @classmethod
    def parse(cls, text: str) -> Due:
        """Read `66%` or `30d`; raise UsageError."""
        match = _PERCENT.fullmatch(text)
        if not match:
            return cls(percent=None, before=parse_duration(text))
        if int(match[1]) > 100:
            raise UsageError(f"{text!r} is more than a whole life", hint="write e.g. 66% or 30d")
        return cls(percent=int(match[1]))

    def since(self, start: datetime, end: datetime) -> datetime:
        """Return when that point of the life from `start` to `end` is reached."""
        if self.percent is None:
            return end - self.before
        return start + (end - start) * self.percent / 100

    def __str__(self) -> str:
        """Return it in words."""
        if self.percent is None:
            return f"{show_duration(self.before)} before its end"
        return f"{self.percent}% of its life"
