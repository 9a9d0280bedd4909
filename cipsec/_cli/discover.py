"""`cipsec discover`: which EST servers the network announces, and whose they are."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from contextlib import closing, contextmanager
from typing import TYPE_CHECKING, Annotated

import typer

from cipsec import safe
from cipsec._cli import exits
from cipsec._cli.options import command, group
from cipsec._cli.talk import Talk, error_object
from cipsec.errors import CipsecError, NotFound, UsageError

if TYPE_CHECKING:
    from cipsec.discovery.interfaces import Interface
    from cipsec.survey import Sighting

app = group("discover", "Find EST servers on the local network.")

_SECONDS = 3.0
_LONGEST = 7 * 86400.0
# What fits a terminal's width without cutting a URL in two; `--json` has everything.
_COLUMNS = ["name", "url", "interface", "label", "reachable", "trusted"]

Sightings = Iterator[list["Sighting"]]


@command(app, "discover")
def discover(
    talk: Talk,
    *,
    timeout: Annotated[
        float | None,
        typer.Option(metavar="SECONDS", help="How long to listen; 3, or for ever with --watch."),
    ] = None,
    watch: Annotated[bool, typer.Option("--watch", help="Go on and tell what changes.")] = False,
    interface: Annotated[
        list[str] | None,
        typer.Option(metavar="IF", help="Listen here only, name or address; repeatable."),
    ] = None,
    service_type: Annotated[
        str, typer.Option(metavar="TYPE", help="The DNS-SD service type.")
    ] = "_est._tcp.local.",
    probe: Annotated[
        bool,
        typer.Option("--probe/--no-probe", help="Ask each for its CA; sends no credential."),
    ] = True,
    fingerprint: Annotated[
        str | None,
        typer.Option(metavar="SHA256", help="Mark the servers of this CA, warn of others."),
    ] = None,
) -> int | None:
    """Find EST servers on the local network by multicast DNS."""
    from cipsec.discovery.browse import service_type as parsed
    from cipsec.discovery.interfaces import choose
    from cipsec.pki.fingerprint import parse

    if fingerprint and not probe:
        raise UsageError("--fingerprint compares what a probe finds", hint="leave out --no-probe")
    seconds = _seconds(timeout, watching=watch)
    service = parsed(service_type)
    wanted = parse(fingerprint) if fingerprint else None
    there = choose(interface or [])
    with _sightings(there, service, seconds, probe=probe, wanted=wanted) as found:
        if watch:
            return _stream(talk, found, there)
        return _list(talk, found, there)


def _seconds(timeout: float | None, *, watching: bool) -> float | None:
    if timeout is None:
        return None if watching else _SECONDS
    if not 0 < timeout <= _LONGEST:
        raise UsageError(f"--timeout {timeout} makes no sense", hint="give it in seconds, e.g. 3")
    return timeout


@contextmanager
def _sightings(
    there: list[Interface],
    service: str,
    seconds: float | None,
    *,
    probe: bool,
    wanted: str | None,
) -> Iterator[Sightings]:
    from cipsec.discovery import browse
    from cipsec.survey import survey

    with (
        closing(browse.watch(timeout=seconds, interfaces=there, service=service)) as heard,
        closing(survey(heard, probe=probe, fingerprint=wanted)) as found,
    ):
        yield found


def _list(talk: Talk, found: Sightings, there: list[Interface]) -> int | None:
    """Print everything at the end, in the order in which a device should try."""
    known: dict[tuple[str, str], Sighting] = {}
    for sighting in _told(talk, found, there):
        key = (sighting.server.interface, sighting.server.name)
        if sighting.change == "gone":
            known.pop(key, None)
        else:
            known[key] = sighting
    if not known:
        return _nothing(talk, there, {"servers": []})
    listed = sorted(known.values(), key=lambda s: s.server.order)
    talk.table("servers", _COLUMNS, map(_record, listed))
    for sighting in listed:
        _remark(talk, sighting)
    return None


def _stream(talk: Talk, found: Sightings, there: list[Interface]) -> int | None:
    """Print what happens when it happens."""
    seen = False
    for sighting in _told(talk, found, there):
        seen = True
        record = {"event": str(sighting.change), **_record(sighting)}
        if talk.json:
            talk.event(record)
        else:
            talk.row(record[column] for column in ["event", *_COLUMNS])
        _remark(talk, sighting)
    return None if seen else _nothing(talk, there, {})


def _told(talk: Talk, found: Sightings, there: list[Interface]) -> Iterator[Sighting]:
    """Yield the sightings one by one, with a live line while there is nothing to tell."""
    count = 0
    names = ", ".join(interface.name for interface in there)
    try:
        for sightings in found:
            for sighting in sightings:
                talk.end_live()
                count += {"found": 1, "gone": -1}.get(sighting.change, 0)
                yield sighting
            talk.live(f"listening on {names}: {count} found")
    finally:
        talk.end_live()


def _record(sighting: Sighting) -> dict[str, object]:
    server, answer = sighting.server, sighting.answer
    return {
        "name": server.name,
        "host": server.host,
        "port": server.port,
        "addresses": list(server.addresses),
        "interface": server.interface,
        "url": server.url,
        "label": server.label,
        "txt": dict(server.txt),
        "reachable": answer.reachable,
        "ca_sha256": answer.ca_sha256,
        "trusted": answer.trusted,
    }


def _remark(talk: Talk, sighting: Sighting) -> None:
    """Say on stderr whose a server is or what is wrong; warn of one that is not the wanted CA's."""
    server, answer = sighting.server, sighting.answer
    who = f"{safe.text(server.name)} ({server.interface})"
    if answer.problem and answer.trusted is False:
        talk.warn(f"{who}: {safe.text(answer.problem)}")
    elif answer.problem:
        talk.say(f"cipsec: {who}: {safe.text(answer.problem)}")
    elif answer.ca_sha256 and answer.trusted is None and not talk.json:
        talk.say(f"cipsec: {who}: its CA has the SHA-256 {answer.ca_sha256}")


def _nothing(talk: Talk, there: list[Interface], result: dict[str, object]) -> int:
    """Tell that nobody answered; with `--json` the (empty) result is there too."""
    error: CipsecError = NotFound(
        f"no EST server answered on {', '.join(i.name for i in there) or 'any interface'}",
        hint="cipsec discover --timeout 10 --interface IF; where a firewall blocks UDP 5353, or"
        " the server is in another subnet: cipsec enroll --server HOST:PORT",
    )
    if talk.json:
        # A stream keeps to one line an object.
        (talk.document if result else talk.event)({**result, "error": error_object(error)})
    dataclasses.replace(talk, json=False).error(error)
    return exits.code_of(error)
