"""Announcing on loopback: found by our own browsing, renamed, withdrawn, in its own time."""

from __future__ import annotations

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cipsec.discovery import browse
from cipsec.discovery.announce import Announcement, _numbered, host_name
from cipsec.discovery.browse import Change
from cipsec.discovery.interfaces import choose
from cipsec.discovery.server import Server
from cipsec.errors import UsageError
from tests.support.waiting import LONG

from .peers import Stranger, announcing

HERE = ["127.0.0.1"]


def found(service: str, *, names: int = 1) -> dict[str, Server]:
    """Return the servers by name as soon as there are so many."""
    known: dict[str, Server] = {}
    for batch in browse.watch(timeout=LONG, interfaces=choose(HERE), service=service):
        known |= {e.server.name: e.server for e in batch if e.change is not Change.GONE}
        if len(known) >= names:
            break
    return known


def test_own_announcement_is_found(service: str) -> None:
    """Name, port, host, label and only the chosen address arrive at the other end."""
    with announcing(Announcement("Línea 4. (β)", 8443, wanted=HERE, service=service, label="l4")):
        server = found(service)["Línea 4. (β)"]
    assert server.host == host_name()
    assert (server.port, server.label, server.txt) == (8443, "l4", {"label": "l4"})
    assert server.addresses == ("127.0.0.1",)
    assert server.interface == choose(HERE)[0].name


def test_no_label_is_an_empty_txt(service: str) -> None:
    """Without a label there are no TXT pairs, and the record is there all the same."""
    with announcing(Announcement("Line 4", 8443, wanted=HERE, service=service)):
        assert found(service)["Line 4"].txt == {}


def test_all_chosen_interfaces(service: str) -> None:
    """On every interface it is announced under one name, with that interface's addresses."""
    everywhere = choose([])
    names = [interface.name for interface in everywhere]
    heard: dict[str, Server] = {}
    with announcing(Announcement("Line 4", 8443, wanted=names, service=service)):
        for batch in browse.watch(timeout=LONG, interfaces=everywhere, service=service):
            heard |= {event.server.interface: event.server for event in batch}
            if len(heard) == len(everywhere):
                break
    assert {server.name for server in heard.values()} == {"Line 4"}
    for interface in everywhere:
        own = {str(attached.ip) for attached in interface.addresses}
        assert set(heard[interface.name].addresses) <= own


def test_a_taken_name_is_numbered(service: str) -> None:
    """The second server of a name, on another port, takes the next number."""
    first = Announcement("Line 4", 1, wanted=HERE, service=service)
    second = Announcement("Line 4", 2, wanted=HERE, service=service)
    with announcing(first), announcing(second):
        ports = {name: server.port for name, server in found(service, names=2).items()}
    assert (first.name, second.name) == ("Line 4", "Line 4 (2)")
    assert ports == {"Line 4": 1, "Line 4 (2)": 2}


def test_two_at_once_end_with_two_names(service: str) -> None:
    """Of two that take a name in the same moment one gives way."""

    async def both() -> set[str]:
        first = Announcement("Line 4", 1, wanted=HERE, service=service)
        second = Announcement("Line 4", 2, wanted=HERE, service=service)
        first.start()
        second.start()
        async with asyncio.timeout(LONG):
            while first.name == second.name or not second.announced.is_set():
                await asyncio.sleep(0.05)
        await asyncio.gather(first.close(), second.close())
        return {first.name, second.name}

    assert asyncio.run(both()) == {"Line 4 (2)", "Line 4"}


def test_a_name_claimed_later_is_given_up(service: str, stranger: Stranger) -> None:
    """A stranger who takes our name, and is later in order, gets it (RFC 6762 section 9)."""
    ours = Announcement("Line 4", 1, wanted=HERE, service=service)
    with announcing(ours), stranger.repeating(lambda: stranger.say(b"Line 4", host=[b"~"])):
        ports = {name: server.port for name, server in found(service, names=2).items()}
    assert ports == {"Line 4": 8443, "Line 4 (2)": 1}


def test_a_name_is_defended(service: str, stranger: Stranger) -> None:
    """A stranger who is earlier in order, and goes away, does not take our entry along."""
    told = browse.watch(timeout=LONG, interfaces=choose(HERE), service=service)
    changes = (event for batch in told for event in batch)
    ours = Announcement("Line 4", 1, wanted=HERE, service=service)
    with announcing(ours):
        assert next(changes).server.port == 1
        stranger.say(b"Line 4", host=[b"!"], port=2)
        assert next(changes).server.port == 2
        stranger.say(b"Line 4", host=[b"!"], port=2, ttl=0)
        assert next(event for event in changes if event.server.port == 1).server.name == "Line 4"
        told.close()
    assert ours.name == "Line 4"


def test_withdrawn_at_the_end(service: str) -> None:
    """Closing says goodbye: who watches sees it go."""
    told = browse.watch(timeout=LONG, interfaces=choose(HERE), service=service)
    with announcing(Announcement("Line 4", 8443, wanted=HERE, service=service)):
        assert [e.change for e in next(batch for batch in told if batch)] == [Change.FOUND]
    assert [e.change for e in next(batch for batch in told if batch)] == [Change.GONE]
    told.close()


@pytest.mark.parametrize("moment", [0, 0.0002, 0.0005, 0.001, 0.01, 0.1])
def test_start_does_not_wait(service: str, moment: float) -> None:
    """Starting returns at once, and closing before anything was announced is all right."""

    async def start_and_close() -> bool:
        announcement = Announcement("Line 4", 8443, wanted=HERE, service=service)
        await announcement.close()
        announcement.start()
        done = announcement.announced.is_set()
        await asyncio.sleep(moment)
        await announcement.close()
        return done

    assert asyncio.run(start_and_close()) is False


def test_an_interface_that_is_not_there_is_waited_for(service: str) -> None:
    """A cable that is not plugged in yet does not end the announcing."""

    async def start_and_close() -> bool:
        announcement = Announcement("Line 4", 8443, wanted=["not-yet"], service=service)
        announcement.start()
        await asyncio.sleep(0.1)
        done = announcement.announced.is_set()
        await announcement.close()
        return done

    assert asyncio.run(start_and_close()) is False


@pytest.mark.parametrize("name", ["", "x" * 64, "é" * 32, "a\nb", "\x1b[31m", "\u202eabc"])
def test_names_that_are_not_announced(name: str) -> None:
    """RFC 6763 section 4.1.1: up to 63 bytes and no control characters."""
    with pytest.raises(UsageError):
        Announcement(name, 8443)


@given(st.text(min_size=1), st.integers(2, 10_000))
def test_numbered_names_fit(name: str, number: int) -> None:
    """A number never makes a name too long, and never cuts a character in two."""
    cut = name.encode()[:63].decode("utf-8", "ignore")
    numbered = _numbered(cut, number)
    assert len(numbered.encode()) <= 63
    assert numbered.endswith(f" ({number})")
