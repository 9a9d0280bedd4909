"""`--until`: a duration from now, a date or a time; what ends then is left to the commands."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

import typer

from cipsec import times
from cipsec.errors import Malformed, UsageError

Until = Annotated[
    str | None,
    typer.Option("--until", metavar="TIME", help="8h, 2027-01-31 (to its end), or a time in UTC."),
]


def parse(text: str, now: datetime) -> datetime:
    """Read a duration from now, a bare date (to its end) or a time; raise UsageError."""
    try:
        end = (now + times.parse_duration(text)).replace(microsecond=0)
    except UsageError:
        end = _moment(text)
    if end <= now:
        raise UsageError(f"--until {text} is over", hint="write 8h, 30d or a date to come")
    return end


def _moment(text: str) -> datetime:
    from cipsec.ra.allowlist.entries import parse_until

    try:
        moment = parse_until(text)
    except Malformed as error:
        raise UsageError(f"--until: {error.message}", hint="or write 8h, 30d") from None
    if moment is None:
        raise UsageError("--until is empty", hint="write 8h, 30d or a date to come")
    return moment
