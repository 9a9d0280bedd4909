"""Blocking work beside the loop."""

from __future__ import annotations

import asyncio
import threading

import pytest

from cipsec.errors import Unreachable
from cipsec.ra.notify.blocking import Aside
from tests.support.waiting import until


def test_result_and_error() -> None:
    """Both come back."""

    async def work() -> None:
        aside = Aside()
        assert await aside.run(lambda: 7) == 7
        with pytest.raises(ZeroDivisionError):
            await aside.run(lambda: 1 // 0)
        assert await aside.run(lambda: 8) == 8

    asyncio.run(work())


def test_what_hangs_is_left() -> None:
    """A server that ends does not wait for it, and it is not started a second time meanwhile."""
    gate, aside = threading.Event(), Aside()

    async def work() -> None:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.05):
                await aside.run(gate.wait)
        with pytest.raises(Unreachable, match="still hangs"):
            await aside.run(lambda: 7)

    asyncio.run(work())  # it comes back, though nobody opens the gate
    gate.set()
    until(lambda: not aside._busy)
    assert asyncio.run(aside.run(lambda: 7)) == 7


def test_what_can_be_stopped_is_stopped() -> None:
    """And waited for, so that it leaves nothing behind."""
    gate, ended = threading.Event(), threading.Event()

    def work() -> None:
        gate.wait()
        ended.set()

    async def begin() -> None:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.05):
                await Aside().run(work, stop=gate.set)
        assert ended.is_set()

    asyncio.run(begin())
