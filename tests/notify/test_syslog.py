"""Syslog to real collectors, over UDP, TCP and TLS."""

from __future__ import annotations

import re
import socket
import unicodedata
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cipsec.errors import Unreachable
from cipsec.ra.notify.syslog import entry
from tests.support.ports import HOST, free_port
from tests.support.waiting import until

from .happening import REQUEST, send, told
from .receivers import Identity, collector, identity

# RFC 5424 section 6, as far as cipsec uses it.
HEAD = re.compile(
    r"<(?P<pri>[1-9]\d{0,2})>1 (?P<at>\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ) (?P<host>[!-~]{1,255})"
    r" (?P<app>[!-~]{1,48}) (?P<proc>[!-~]{1,128}) (?P<msgid>[!-~]{1,32}) "
)
PARAM = re.compile(r' ([!#-<>-\\^-~]{1,32})="((?:[^"\\\]]|\\["\\\]])*)"')


def parsed(raw: bytes) -> tuple[dict[str, str], dict[str, str], str]:
    """Return header, structured data and text of a message; fail where it is none."""
    text = raw.decode("utf-8")
    head = HEAD.match(text)
    assert head, text
    rest = text[head.end() :]
    assert rest.startswith("[cipsec@32473")
    position, data = len("[cipsec@32473"), {}
    while found := PARAM.match(rest, position):
        data[found[1]] = re.sub(r'\\(["\\\]])', r"\1", found[2])
        position = found.end()
    assert rest[position : position + 3] == "] \ufeff", rest
    return head.groupdict(), data, rest[position + 3 :]


def text(port: int, transport: str, more: str = "") -> str:
    """Return a channel of type syslog."""
    return (
        f'type = "syslog"\nserver = "{HOST}"\nport = {port}\ntransport = "{transport}"\n'
        f'events = ["all"]\n{more}\n'
    )


def test_udp(folder: Path) -> None:
    """One datagram for each event."""
    with collector(datagrams=True) as collected:
        send(text(collected.port, "udp"), folder, told(), told("granted", number=2))
        until(lambda: len(collected.entries) == 2)
    (head, data, line), (other, _, _) = map(parsed, collected.entries)
    assert head["pri"] == str(10 * 8 + 5)
    assert other["pri"] == str(10 * 8 + 6)
    assert (head["app"], head["msgid"], other["msgid"]) == ("cipsec", "pending", "granted")
    assert head["at"] == "2027-01-15T08:00:00Z"
    assert data["request"] == REQUEST
    assert data["reason"] == "holds for everyone"
    assert "CN=Drive 7" in line


def test_tcp(folder: Path) -> None:
    """Octet counting; both messages whole."""
    with collector() as collected:
        send(text(collected.port, "tcp", 'facility = "local4"'), folder, told(), told(number=2))
        until(lambda: len(collected.entries) == 2)
    assert parsed(collected.entries[0])[0]["pri"] == str(20 * 8 + 5)
    assert parsed(collected.entries[1])[1]["number"] == "2"


def test_tls(folder: Path, tls: Identity) -> None:
    """By the collector's CA alone."""
    with collector(tls=tls) as collected:
        send(text(collected.port, "tls", 'ca_file = "receiver-ca.pem"'), folder)
        until(lambda: collected.entries)
    assert parsed(collected.entries[0])[0]["msgid"] == "pending"


def test_tls_of_another_ca(folder: Path, tls: Identity, tmp_path: Path) -> None:
    """Nothing is told to a stranger."""
    with (
        collector(tls=identity(tmp_path)) as collected,
        pytest.raises(Unreachable, match="certificate is not accepted"),
    ):
        send(text(collected.port, "tls", 'ca_file = "receiver-ca.pem"'), folder)
    assert collected.entries == []


@pytest.mark.parametrize("transport", ["tcp", "tls", "udp"])
def test_closed_port(folder: Path, transport: str) -> None:
    """Refused, by UDP too where the host says so."""
    kind = socket.SOCK_DGRAM if transport == "udp" else socket.SOCK_STREAM
    with pytest.raises(Unreachable, match="connection refused"):
        send(text(free_port(kind), transport), folder)


@given(subject=st.text(), reason=st.text(max_size=2000))
def test_whatever_a_device_is_called(subject: str, reason: str) -> None:
    """The message stays one, well-formed, within 2048 bytes, without control characters."""
    raw = entry(told(subject=subject, reason=reason), 10, "höst name")
    assert len(raw) <= 2048
    head, data, line = parsed(raw)
    assert head["host"] == "h_st_name"
    for shown in (line, *data.values()):
        assert not any(unicodedata.category(char).startswith("C") for char in shown)


def test_escaping() -> None:
    """Quotes, brackets and backslashes do not end a value (section 6.3.3)."""
    raw = entry(told(subject='CN="] x="\\'), 10, "h")
    assert rb'subject="CN=\"\] x=\"\\"' in raw
    assert parsed(raw)[1]["subject"] == 'CN="] x="\\'
