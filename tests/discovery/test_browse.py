"""Browsing real multicast on loopback: strangers, hostile and many, found, changed and gone."""

from __future__ import annotations

import os
import re
import time
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cipsec.discovery import browse
from cipsec.discovery.browse import Change, Event
from cipsec.discovery.interfaces import choose
from cipsec.errors import UsageError
from tests.support.waiting import LONG

from .peers import Stranger

_LISTEN = 6.0  # where the end has to come: long enough for a machine that is busy


def events(service: str) -> Iterator[Event]:
    """Yield what is heard on loopback, one by one."""
    for batch in browse.watch(timeout=LONG, interfaces=choose(["127.0.0.1"]), service=service):
        yield from batch


def test_stranger_is_found(stranger: Stranger, service: str) -> None:
    """A server announced by raw records is found with all they say."""
    with stranger.repeating(
        lambda: stranger.say(b"Line 4", port=9443, txt=b"\x0blabel=line4", priority=3)
    ):
        found = next(events(service))
    assert found.change is Change.FOUND
    assert found.server.name == "Line 4"
    assert found.server.host == "stranger.local"
    assert found.server.addresses == ("127.0.0.1",)
    assert found.server.url == "https://127.0.0.1:9443"
    assert (found.server.label, found.server.priority) == ("line4", 3)


def test_change_and_goodbye(stranger: Stranger, service: str) -> None:
    """Another port is an update, a goodbye ends it; each is told once."""
    told = events(service)
    with stranger.repeating(lambda: stranger.say(b"Line 4", port=1)):
        assert next(told).change is Change.FOUND
    stranger.say(b"Line 4", port=2)
    updated = next(told)
    assert (updated.change, updated.server.port) == (Change.UPDATED, 2)
    stranger.say(b"Line 4", port=2, ttl=0)
    gone = next(told)
    assert (gone.change, gone.server.port) == (Change.GONE, 2)


def test_news_in_the_next_packet(stranger: Stranger, service: str) -> None:
    """What comes when a server has just been read is read too: IPv6 tells less than IPv4."""
    told = browse.watch(timeout=LONG, interfaces=choose(["127.0.0.1"]), service=service)
    assert next(told) == []  # it listens, and reads on when asked: both packets wait for it
    stranger.say(b"Line 4", addresses=["127.0.0.2"])
    stranger.say(b"Line 4", addresses=["127.0.0.2", "127.0.0.1"])
    heard = (event for batch in told for event in batch)
    changes = [next(heard), next(heard)]
    assert [(event.change, set(event.server.addresses)) for event in changes] == [
        (Change.FOUND, {"127.0.0.2"}),
        (Change.UPDATED, {"127.0.0.1", "127.0.0.2"}),
    ]


def test_several_in_the_order_to_try(stranger: Stranger, service: str) -> None:
    """Servers come sorted by SRV priority and name."""

    def speak() -> None:
        stranger.say(b"z", priority=0)
        stranger.say(b"b", priority=1)
        stranger.say(b"a", priority=1)

    with stranger.repeating(speak):
        found = browse.browse(timeout=_LISTEN, interfaces=choose(["127.0.0.1"]), service=service)
    assert [server.name for server in found] == ["z", "a", "b"]


def test_nonsense_is_left_out(stranger: Stranger, service: str) -> None:
    """No port, no target, control characters, foreign names, broken packets: only Good is left."""

    def speak() -> None:
        stranger.say(b"port zero", port=0)
        stranger.say(b"no SRV", port=None)
        stranger.say(b"not available", host=())
        stranger.say(b"\x1b[31mred\nred")
        stranger.point(b"x", b"_http", b"_tcp", b"local")
        stranger.point(b"local")
        stranger.send(os.urandom(300))
        stranger.send(b"\0" * 11)
        stranger.say(b"Good")

    with stranger.repeating(speak):
        found = browse.browse(timeout=_LISTEN, interfaces=choose(["127.0.0.1"]), service=service)
    assert [server.name for server in found] == ["Good"]


def test_odd_names_are_kept_as_they_are(stranger: Stranger, service: str) -> None:
    """Dots, brackets, direction marks and bytes that are no UTF-8 are a stranger's right."""
    odd = ["a.b\\c", "[/red]", "\u202eevil", "\ufffd"]

    def speak() -> None:
        for name in [*(n.encode() for n in odd[:3]), b"\xff"]:
            stranger.say(name, host=[b"h" + name, b"local"])

    with stranger.repeating(speak):
        found = browse.browse(timeout=_LISTEN, interfaces=choose(["127.0.0.1"]), service=service)
    assert {server.name for server in found} == set(odd)


def test_server_without_address(stranger: Stranger, service: str) -> None:
    """One that names a host and no address is shown; there is no URL to it."""
    with stranger.repeating(
        lambda: stranger.say(b"lost", host=[b"nowhere", b"local"], addresses=[])
    ):
        found = next(events(service))
    assert (found.server.addresses, found.server.url) == ((), None)


def test_flood_is_bounded(
    stranger: Stranger, service: str, caplog: pytest.LogCaptureFixture
) -> None:
    """Of thousands of servers a thousand are kept, and it is said that there are more."""
    told = browse.watch(timeout=LONG, interfaces=choose(["127.0.0.1"]), service=service)
    found, sent = 0, 0
    for batch in told:
        found += len(batch)
        if found >= 1000 and caplog.messages:
            break
        for number in range(sent, sent + 100):  # no faster than a socket's buffer takes it
            stranger.say(b"flood %d" % number, host=[b"f%d" % number, b"local"])
        sent += 100
    told.close()
    assert found == 1000
    assert caplog.messages == [
        f"there are more than 1000 servers on {choose(['127.0.0.1'])[0].name}"
    ]


def test_end_is_kept(service: str) -> None:
    """Listening ends after the given time although nobody answers."""
    begun = time.monotonic()
    assert browse.browse(timeout=0.3, interfaces=choose(["127.0.0.1"]), service=service) == []
    assert time.monotonic() - begun >= 0.3


def test_longer_while_nobody_answers(stranger: Stranger, service: str) -> None:
    """One that answers late is heard, and those that answer with it; then it is over."""
    told = browse.watch(timeout=0.1, longer=LONG, interfaces=choose(["127.0.0.1"]), service=service)
    assert next(told) == next(told) == []
    with stranger.repeating(lambda: stranger.say(b"late")):
        heard = [event.server.name for batch in told for event in batch]
    assert heard == ["late"]


@pytest.mark.parametrize("written", ["_est._tcp", "_est._tcp.local", "_est._tcp.local."])
def test_service_type(written: str) -> None:
    """A service type may be written short."""
    assert browse.service_type(written) == "_est._tcp.local."


@given(st.text())
def test_service_type_is_checked(written: str) -> None:
    """Anything is either refused or a type that DNS-SD can ask for."""
    try:
        accepted = browse.service_type(written)
    except UsageError:
        return
    assert re.fullmatch(r"_[A-Za-z0-9-]{1,15}\._(tcp|udp)\.local\.", accepted, re.IGNORECASE)


@pytest.mark.parametrize("written", ["", "est", "_._tcp", "_a--b._tcp", "_1._tcp", "_est._tls"])
def test_wrong_service_type(written: str) -> None:
    """What RFC 6335 does not allow is refused before anything is sent."""
    with pytest.raises(UsageError):
        browse.service_type(written)
