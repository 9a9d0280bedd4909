"""Which refusals are recorded."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from cipsec.ra.refusals import Refusals

NOW = datetime(2026, 11, 23, 5, 0, tzinfo=UTC)


def test_the_same_refusal_is_recorded_once_a_minute() -> None:
    """A device that tries every second leaves a row each minute; another reason leaves its own."""
    refusals = Refusals()
    recorded = [
        second
        for second in range(181)
        if refusals.is_news("device 7", "no rule", NOW + timedelta(seconds=second))
    ]
    assert recorded == [0, 60, 120, 180]
    assert refusals.is_news("device 7", "another rule", NOW + timedelta(seconds=181))
    assert refusals.is_news("device 8", "no rule", NOW + timedelta(seconds=181))


def test_a_clock_set_back_silences_nothing() -> None:
    """What was recorded in the future does not hide what happens now."""
    refusals = Refusals()
    assert refusals.is_news("device 7", "no rule", NOW + timedelta(days=365))
    assert refusals.is_news("device 7", "no rule", NOW)
    assert not refusals.is_news("device 7", "no rule", NOW + timedelta(seconds=1))


def test_a_stranger_cannot_fill_the_disk(caplog: pytest.LogCaptureFixture) -> None:
    """However many identities one makes up, three hundred refusals a minute are recorded."""
    refusals = Refusals()
    for minute in range(3):
        now = NOW + timedelta(minutes=minute)
        news = sum(refusals.is_news(f"{minute} {n}", "no rule", now) for n in range(2_000))
        assert news == 300
    said = [record.message for record in caplog.records]
    assert said == ["more than 300 refusals in a minute: the rest is not recorded"] * 3


def test_one_address_does_not_hide_the_others() -> None:
    """Sixty of one a minute; and who is refused nothing new takes nobody's place."""
    refusals = Refusals()
    for minute in range(2):
        now = NOW + timedelta(minutes=minute)
        ask = [refusals.is_news(f"{minute} {n}", "x", now, address="192.0.2.66") for n in range(90)]
        assert ask == [True] * 60 + [False] * 30
        others = [
            refusals.is_news(f"{minute} o{n}", "x", now, address=f"198.51.100.{n}")
            for n in range(250)
        ]
        assert others == [True] * 240 + [False] * 10


def test_memory_is_bounded() -> None:
    """Neither the number nor the length of what strangers send is kept."""
    refusals = Refusals()
    for number in range(12_000):
        refusals.is_news(f"{number}" * 100, "x" * 1_000, NOW + timedelta(seconds=number))
    assert len(refusals._last) == 10_000
    assert all(isinstance(key, int) for key in refusals._last)
