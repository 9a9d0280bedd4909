"""A clock set back and forward: no second use, and what is over ends with its second."""

from __future__ import annotations

from datetime import timedelta

import pytest

from cipsec.times import show_time
from tests.support import est
from tests.support.est import NOW, Server

from .spending import KINDS, Scarce, cart, entry, granted, password, spent, warm

DAY, HOUR = timedelta(days=1), timedelta(hours=1)
JUMPS = [-20 * HOUR, -1 * HOUR, HOUR, DAY, 300 * DAY, timedelta()]


def only_use(server: Server, scarce: Scarce) -> bytes:
    """Use it up, and return the answer."""
    server.text = scarce.rules
    warm(server, scarce)
    response = server.answer(scarce.make(1).request())
    assert response.status == 200
    return response.body


@pytest.mark.parametrize("kind", KINDS)
def test_no_clock_gives_a_second_use(kind: str, server: Server) -> None:
    """What is spent stays spent, wherever the clock goes and however often."""
    scarce = KINDS[kind](server.folder)
    only_use(server, scarce)
    for jump in JUMPS * 2:
        server.now = NOW + jump
        response = server.answer(scarce.make(2).request())
        assert response.status == 403
        expired = kind == "provisioning" and jump > 7 * DAY
        assert est.reason(response).endswith("is expired" if expired else scarce.used_up)
    assert (len(granted(server)), spent(server, scarce)) == (1, 1)


@pytest.mark.parametrize("kind", KINDS)
def test_the_winner_keeps_his_certificate(kind: str, server: Server) -> None:
    """He asks again while the clock is anywhere, and gets the same one or none."""
    scarce = KINDS[kind](server.folder)
    server.text = scarce.rules
    warm(server, scarce)
    ask = scarce.make(1)
    body = server.answer(ask.request()).body
    for jump in (*JUMPS, -30 * DAY, 5000 * DAY, timedelta()):
        server.now = NOW + jump
        response = server.answer(ask.request())
        assert response.status in (200, 403)
        assert response.status == 403 or response.body == body
    assert (server.answer(ask.request()).body, len(granted(server))) == (body, 1)


@pytest.mark.parametrize("kind", KINDS)
def test_a_restart_with_another_clock(kind: str, server: Server) -> None:
    """A machine without battery starts in the past: a new process counts on from the record."""
    scarce = KINDS[kind](server.folder)
    only_use(server, scarce)
    again = Server(server.folder, scarce.rules, now=NOW - 20 * HOUR)
    warm(again, scarce)
    response = again.answer(scarce.make(2).request())
    again.close()
    assert response.status == 403
    assert est.reason(response).endswith(scarce.used_up)


def test_an_entry_ends_with_its_last_second(server: Server) -> None:
    """To the second; set back it counts again, as the list says, and what is used stays used."""
    end = NOW + DAY
    scarce = entry(server.folder, 2, until=show_time(end))
    server.text = scarce.rules
    first, second, third = (scarce.make(number) for number in range(3))
    for now, ask, status in (
        (end, first, 200),
        (end + timedelta(seconds=1), second, 403),
        (end - HOUR, second, 200),
        (end - 2 * HOUR, third, 403),
        (end + 2 * HOUR, third, 403),
    ):
        server.now = now
        assert server.answer(ask.request()).status == status
    assert spent(server, scarce) == 2


def test_a_password_ends_with_its_last_second(server: Server) -> None:
    """Remembered as right a moment ago, it is over all the same."""
    end = NOW + DAY
    scarce = password(server.folder, 2, until=int(end.timestamp()))
    server.text = scarce.rules
    for number, (now, status) in enumerate(
        [(end, 200), (end + timedelta(seconds=1), 401), (end - HOUR, 200), (end - DAY, 403)]
    ):
        server.now = now
        response = server.answer(scarce.make(number).request())
        assert response.status == status
    assert est.reason(response).endswith(scarce.used_up)


def test_a_provisioning_certificate_ends_with_its_last_second(server: Server) -> None:
    """As its notAfter says, and the record."""
    scarce = cart(server.folder, 2, validity=DAY)
    server.text = scarce.rules
    for number, (now, status) in enumerate(
        [(DAY, 200), (DAY + timedelta(seconds=1), 403), (HOUR, 200), (-HOUR, 403), (HOUR, 403)]
    ):
        server.now = NOW + now
        assert server.answer(scarce.make(number).request()).status == status
    assert spent(server, scarce) == 2


def test_a_rule_ends_before_its_second(server: Server) -> None:
    """A global grant with an end grants no more from that second on; who comes next is asked."""
    text = est.LAB.replace("lab = true", f'until = "{show_time(NOW + DAY)}"')
    server.text = text + est.ASK
    from_now = [(DAY - timedelta(seconds=1), 200), (DAY, 202), (30 * DAY, 202), (HOUR, 200)]
    for number, (jump, status) in enumerate(from_now):
        server.now = NOW + jump
        ask = entry(server.folder).make(number)
        assert server.answer(ask.request()).status == status
