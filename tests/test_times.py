"""Durations and times as people write them, and nothing else."""

from __future__ import annotations

import contextlib
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

import cipsec
from cipsec import times
from cipsec.errors import LocalState, UsageError


@pytest.mark.parametrize(
    ("text", "duration"),
    [
        ("90s", timedelta(seconds=90)),
        ("15m", timedelta(minutes=15)),
        ("8h", timedelta(hours=8)),
        ("30d", timedelta(days=30)),
        ("1h30m", timedelta(minutes=90)),
        ("0s", timedelta(0)),
    ],
)
def test_durations_are_read(text: str, duration: timedelta) -> None:
    """Units of the command line's contract."""
    assert times.parse_duration(text) == duration


@pytest.mark.parametrize("text", ["", "1", "h", "1w", "-1h", "1 h", "1.5h", "１h", "999999999d"])
def test_other_durations_are_refused(text: str) -> None:
    """With an example to type."""
    with pytest.raises(UsageError) as caught:
        times.parse_duration(text)
    assert caught.value.hint


@given(st.timedeltas(min_value=timedelta(0), max_value=timedelta(days=36500)))
def test_shown_durations_are_at_most_two_units_short(duration: timedelta) -> None:
    """What is left out is less than the smaller unit shown."""
    shown = times.show_duration(duration)
    back = times.parse_duration(shown.replace(" ", ""))
    assert len(shown.split()) <= 2
    assert timedelta(0) <= duration - back < max(timedelta(seconds=1), back)


def test_a_negative_duration_is_shown_as_none_left() -> None:
    """A deadline that has passed."""
    assert times.show_duration(timedelta(seconds=-5)) == "0s"


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("2027-01-31", "2027-01-31T00:00:00Z"),
        ("2027-01-31T06:00:00Z", "2027-01-31T06:00:00Z"),
        ("2027-01-31T06:00:00+02:00", "2027-01-31T04:00:00Z"),
        ("0099-01-01", "0099-01-01T00:00:00Z"),
    ],
)
def test_times_are_read_and_shown_in_utc(text: str, shown: str) -> None:
    """Without offset it is UTC already."""
    assert times.show_time(times.parse_time(text)) == shown


@pytest.mark.parametrize("text", ["", "x", "31.1.2027", "2027-13-01", "0001-01-01T00:00:00+14:00"])
def test_other_times_are_refused(text: str) -> None:
    """Also one that no year holds in UTC."""
    with pytest.raises(UsageError):
        times.parse_time(text)


@given(st.text(max_size=30))
def test_any_text_is_a_value_or_a_usage_error(text: str) -> None:
    """Both readers."""
    for read in (times.parse_duration, times.parse_time):
        with contextlib.suppress(UsageError):
            read(text)


@given(st.datetimes(timezones=st.just(UTC)))
def test_what_is_shown_is_read(moment: datetime) -> None:
    """To the second."""
    assert times.parse_time(times.show_time(moment)) == moment.replace(microsecond=0)


def test_now_is_aware() -> None:
    """Naive times cannot be compared with a certificate's."""
    assert times.now().tzinfo is UTC


def test_a_clock_that_is_not_set() -> None:
    """A time before this program was made is no time of day."""
    times.require_plausible(times.RELEASED)
    with pytest.raises(LocalState, match="is not set: it says 1970-01-01T00:00:00Z"):
        times.require_plausible(datetime(1970, 1, 1, tzinfo=UTC))


@pytest.mark.parametrize(
    ("text", "day", "words"),
    [
        ("0%", 0, "0% of its life"),
        ("66%", 66, "66% of its life"),
        ("100%", 100, "100% of its life"),
        ("30d", 70, "30d before its end"),
    ],
)
def test_points_of_a_life(text: str, day: int, words: str) -> None:
    """A share of it, or a time before its end."""
    start = datetime(2028, 1, 1, tzinfo=UTC)
    due = times.Due.parse(text)
    assert due.since(start, start + timedelta(days=100)) == start + timedelta(days=day)
    assert str(due) == words


@pytest.mark.parametrize("text", ["0001-01-01", "1969-12-31T23:59:59", "3001-01-01", "9999-12-31"])
def test_a_time_of_the_record_is_reckoned_without_the_system(text: str) -> None:
    """Some certificates end in 9999; the C library of Windows knows no time after 3000."""
    moment = times.parse_time(text)
    assert times.from_seconds(moment.timestamp()) == moment


def test_what_is_no_time_of_the_record() -> None:
    """Whoever shows the record says so."""
    with pytest.raises(OverflowError):
        times.from_seconds(2**62)


def test_nothing_asks_the_system_for_a_time_of_the_record() -> None:
    """It would work here, and end in a traceback on Windows."""
    modules = Path(cipsec.__file__).parent.rglob("*.py")
    asking = [path.name for path in modules if "fromtimestamp(" in path.read_text("utf-8")]
    assert asking == []
