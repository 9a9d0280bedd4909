"""Syslog: RFC 5424 messages with structured data, one for each event, over UDP, TCP or TLS."""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import ssl
from collections.abc import Iterator
from pathlib import Path

from cipsec import safe
from cipsec.errors import Unreachable
from cipsec.ra.notify import network, words
from cipsec.ra.notify.blocking import Aside
from cipsec.ra.notify.channels import Syslog, Transport
from cipsec.ra.notify.message import Message, Told
from cipsec.store.codes import Code
from cipsec.times import from_seconds

_ERROR, _WARNING, _NOTICE, _INFO = 3, 4, 5, 6  # RFC 5424 section 6.2.1
_SEVERITY = {
    Code.POLICY_ERROR: _ERROR,
    Code.CREDENTIAL_LOCKED: _WARNING,
    Code.REPLACEMENT: _WARNING,
    Code.REVOKED: _WARNING,
    Code.RESTORED: _WARNING,
    Code.EXPIRING: _WARNING,
    Code.GRANTED: _INFO,
    Code.APPROVED: _INFO,
}
# Names without "@" are IANA's to give (section 6.3.2). 32473 is the enterprise number that
# RFC 5612 keeps for those who have none.
_SD_ID = "cipsec@32473"
_LONGEST = 2048  # bytes that a receiver should accept (section 6.1); UDP loses what is too long
_LIMITS = (256, 96, 32)  # characters of a value, fewer where the whole would be too long
_WHOLE = frozenset({"request", "serial", "head"})  # half of one finds nothing
_IN_ONE_PIECE = 96
_REFUSAL_SECONDS = 0.1
_GOODBYE_SECONDS = 1.0


async def deliver(syslog: Syslog, message: Message, folder: Path, aside: Aside) -> None:
    """Send a message for each event; raise Unreachable, LocalState for the CA's file.

    Syslog has no receipt: what a collector took in and lost is lost.
    """
    lines = [entry(told, syslog.facility, message.host) for told in message.told]
    match syslog.transport:
        case Transport.UDP:
            await _send_datagrams(syslog, lines, aside)
        case Transport.TCP:
            await _send_stream(syslog, lines, None, aside)
        case Transport.TLS:
            ca_file = network.within(folder, syslog.ca_file)
            context = await aside.run(lambda: network.tls_context(ca_file))
            await _send_stream(syslog, lines, context, aside)


def entry(told: Told, facility: int, host: str) -> bytes:
    """Return one event as RFC 5424 has it, in at most 2048 bytes."""
    whole = b""
    for limit in _LIMITS:
        whole = _entry(told, facility, host, limit)
        if len(whole) <= _LONGEST:
            break
    return whole


def _entry(told: Told, facility: int, host: str, limit: int) -> bytes:
    event = told.event
    priority = facility * 8 + _SEVERITY.get(event.event, _NOTICE)
    at = from_seconds(event.at).strftime("%Y-%m-%dT%H:%M:%SZ").rjust(20, "0")
    values = "".join(
        f' {name}="{_escaped(value, _IN_ONE_PIECE if name in _WHOLE else limit)}"'
        for name, value in _data(told)
    )
    head = f"<{priority}>1 {at} {_word(host, 255)} cipsec {os.getpid()} {_word(event.event, 32)}"
    # Section 6.4: text in UTF-8 begins with the byte order mark.
    text = words.line(told)[: 4 * limit]
    return f"{head} [{_SD_ID}{values}] \ufeff{text}".encode()


def _data(told: Told) -> Iterator[tuple[str, object]]:
    """Yield the structured data: what a collector's filters may want to look at."""
    event, request = told.event, told.request
    known: dict[str, object] = {
        "number": told.number,
        "actor": event.actor,
        "address": event.address,
        "request": event.request,
        "serial": event.serial,
        "subject": event.subject,
        "device": event.device,
        "rule": event.rule,
        "reason": event.reason,
    }
    known |= {"head": told.head} if told.head else {}
    if request is not None:
        known |= {
            "mac": request.mac,
            "proved": request.proved,
            "claimed": request.claimed,
            "label": request.label,
        }
    return ((name, value) for name, value in known.items() if value not in (None, ""))


def _escaped(value: object, limit: int) -> str:
    r"""Return a value with `"`, `\` and `]` escaped (section 6.3.3), control characters visible."""
    text = safe.text(value, limit=limit)
    return text.replace("\\", "\\\\").replace('"', '\\"').replace("]", "\\]")


def _word(text: str, longest: int) -> str:
    """Return a text as a field of the header can hold it: visible ASCII without spaces."""
    return "".join(c if "!" <= c <= "~" else "_" for c in text)[:longest] or "-"


async def _send_datagrams(syslog: Syslog, lines: list[bytes], aside: Aside) -> None:
    """Send each in a datagram (RFC 5426); a port that nobody listens on is told to us at once."""
    found = await network.addresses(syslog.server, syslog.port, aside, datagram=True)
    with socket.socket(found[0].family, socket.SOCK_DGRAM) as outgoing:
        try:
            outgoing.setblocking(False)
            outgoing.connect(found[0].sockaddr)
            for line in lines:
                await asyncio.get_running_loop().sock_sendall(outgoing, line)
            await asyncio.sleep(_REFUSAL_SECONDS)
            refused = outgoing.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        except OSError as error:
            raise _unreachable(syslog, network.said(error)) from None
    if refused:
        raise _unreachable(syslog, os.strerror(refused).lower())


async def _send_stream(
    syslog: Syslog, lines: list[bytes], context: ssl.SSLContext | None, aside: Aside
) -> None:
    """Send all in one connection, each preceded by its length (RFC 6587 section 3.4.1)."""
    async with network.connected(syslog.server, syslog.port, aside) as connection:
        name = syslog.server if context else None
        try:
            reader, writer = await asyncio.open_connection(
                sock=connection.dup(), ssl=context, server_hostname=name
            )
            try:
                for line in lines:
                    writer.write(b"%d %b" % (len(line), line))
                await writer.drain()
                await _say_goodbye(reader, writer)
            finally:
                writer.transport.abort()
        except OSError as error:
            raise _unreachable(syslog, network.said(error)) from None


async def _say_goodbye(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """End the connection in order and see whether the other end does, rather than reset it."""
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(_GOODBYE_SECONDS):
            if writer.can_write_eof():
                writer.write_eof()
                await reader.read(1)
            else:
                writer.close()
                await writer.wait_closed()


def _unreachable(syslog: Syslog, why: str) -> Unreachable:
    return Unreachable(f"{syslog.server} port {syslog.port} takes no messages: {why}")
