"""One address that asks without end: others are asked about, and what is broken is told."""

from __future__ import annotations

import asyncio
from collections import Counter
from pathlib import Path

from cipsec.est.wire import Peer, Response
from tests.support import asking, ca, est
from tests.support.est import Server
from tests.support.waiting import LONG

from .replacing import drive

FLOOD, GOOD = Peer("192.0.2.66"), Peer("192.0.2.7")


def test_one_address_keeps_nobody_from_the_program(server: Server, tmp_path: Path) -> None:
    """It fills its own places, the next rule answers the rest, and others are asked about."""
    folder = tmp_path / "scripts"
    folder.mkdir()
    go = folder / "go"
    [program] = asking.scripts(folder)(f"until test -e {go}; do sleep 0.05; done")
    rule = f'[[rule]]\nname = "cmdb"\nwhen = {{ exec = ["{program}"] }}\nthen = "grant"\n'
    server.text = rule + est.ASK
    crowd = [ca.request(f"CN=a{number}") for number in range(30)]

    async def scene() -> tuple[Response, list[Response]]:
        flood = [
            asyncio.create_task(server.ask(est.post(asked.der, peer=FLOOD))) for asked in crowd
        ]
        async with asyncio.timeout(LONG):
            while sum(answer.done() for answer in flood) < len(flood) - 8:
                await asyncio.sleep(0.01)
        good = asyncio.create_task(server.ask(est.post(ca.request("CN=good").der, peer=GOOD)))
        await asking.begun(server.sources.programs, GOOD.address, 1)
        go.touch()
        return await good, list(await asyncio.gather(*flood))

    good, flood = est.run(scene())
    assert good.status == 200
    assert Counter(response.status for response in flood) == {200: 8, 202: 22}
    # The program had no opinion of those; asked again, it has.
    assert server.enroll(crowd[-1], address=FLOOD.address).status == 200


def test_two_addresses_wait_for_no_more_than_twice_as_many(server: Server) -> None:
    """Who asks from the one and polls from the other makes no room for himself."""
    server.text = "[server]\nmax_pending_per_address = 3\n" + est.ASK
    for turn in range(4):
        for number in range(3):
            asked = ca.request(f"CN=a{turn}-{number}")
            if server.enroll(asked, address=FLOOD.address).status == 202:
                server.enroll(asked, address="192.0.2.67")
        est.run(server.ra.polls.flush())
    assert Counter(row.address for row in server.requests()) == {
        FLOOD.address: 3, "192.0.2.67": 3
    }  # fmt: skip
    assert server.enroll(ca.request("CN=good")).status == 202


def test_a_device_that_moves_takes_its_request_along(server: Server) -> None:
    """It has another address by DHCP, and people look for it there."""
    server.text = est.ASK
    asked = drive()
    for address in ("192.0.2.1", "192.0.2.2", "192.0.2.3"):
        server.enroll(asked, address=address)
    est.run(server.ra.polls.flush())
    assert [row.address for row in server.requests()] == ["192.0.2.3"]


def test_refusals_of_one_address_hide_no_other(server: Server) -> None:
    """Sixty a minute of one address are recorded, and those of the others besides."""
    server.text = est.USERS
    for number in range(100):
        server.enroll(ca.request(f"CN=a{number}"), address=FLOOD.address)
    assert Counter(event.address for event in server.events()) == {FLOOD.address: 60}
    server.enroll(ca.request("CN=good"))
    assert server.events()[-1].address == GOOD.address


def test_refusals_do_not_hide_what_is_broken(server: Server) -> None:
    """However many are refused, from wherever: a broken list is in the record."""
    server.text = (
        '[[rule]]\nname = "listed"\nwhen = { serial = "line" }\nunproved = true\nthen = "grant"\n'
    )
    server.allow("line")
    for number in range(310):
        server.enroll(ca.request(f"CN=a{number}"), address=f"198.51.100.{number % 200}")
    assert Counter(est.happened(server.events())) == {"refused": 300}
    server.allow("line", "garbage")
    assert server.enroll(drive()).status == 202
    happened = est.happened(server.events())[300:]
    assert happened == ["policy-error", "pending"]
    assert "line.csv:2" in (server.events()[300].reason or "")
