"""`cipsec ca serve`: options to values, and what the running server tells people."""

from __future__ import annotations

import contextlib
import json
import logging
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from cipsec._cli import streams
from cipsec._cli.ca_issue import passphrase
from cipsec._cli.options import CaDir, PassphraseFile
from cipsec._cli.talk import Talk
from cipsec.errors import CipsecError, LocalState

if TYPE_CHECKING:
    from cipsec.ca_folder import CaFolder
    from cipsec.serve.plan import Ready
    from cipsec.store.events import Event

_SHORT = 12

Listening = Annotated[
    str, typer.Option("--listen", metavar="ADDR:PORT", help="Where to listen; port 0 for any.")
]
Interfaces = Annotated[
    list[str] | None,
    typer.Option("--interface", metavar="IF", help="Serve and announce here only; repeatable."),
]
Announce = Annotated[bool, typer.Option("--announce/--no-announce", help="Announce by DNS-SD.")]
Instance = Annotated[
    str | None, typer.Option("--instance", metavar="NAME", help="The name announced.")
]
Workers = Annotated[int, typer.Option("--workers", min=1, max=64, help="Processes that serve.")]
For = Annotated[str | None, typer.Option("--for", metavar="DURATION", help="End after this long.")]
ReadyFile = Annotated[
    Path | None,
    typer.Option("--ready-file", metavar="FILE", help="Write JSON once requests are accepted."),
]


def serve(
    talk: Talk,
    *,
    listen: Listening = ":8443",
    interface: Interfaces = None,
    announce: Announce = True,
    instance: Instance = None,
    workers: Workers = 1,
    duration: For = None,
    ready_file: ReadyFile = None,
    passphrase_file: PassphraseFile = None,
    ca_dir: CaDir = None,
) -> None:
    """Serve enrollments by EST, and announce the server by DNS-SD."""
    from cipsec import shell, times
    from cipsec.ca_folder import open_folder
    from cipsec.serve.listen import Listen
    from cipsec.serve.plan import Options
    from cipsec.serve.run import run

    folder = open_folder(ca_dir)
    options = Options(
        listen=Listen.parse(listen),
        interfaces=tuple(interface or ()),
        announce=announce,
        instance=instance,
        workers=workers,
        duration=times.parse_duration(duration) if duration is not None else None,
    )
    secret = passphrase(talk, folder, passphrase_file)
    with contextlib.ExitStack() as at_the_end:

        def ready(told: Ready) -> None:
            at_the_end.callback(_ended, talk, folder)
            _ready(talk, told, ready_file)

        for handler in logging.getLogger().handlers:
            handler.addFilter(lambda _: streams.takes(sys.stderr))
        # Who reads a service's log types what it says at another terminal, as another user.
        place = f" --ca-dir {shell.quote(folder.path)}" if ca_dir else ""
        run(folder, secret, options, ready=ready, tell=_Telling(talk, place))


def _ready(talk: Talk, told: Ready, ready_file: Path | None) -> None:
    from cipsec import files

    document = {
        "event": "ready",
        "url": told.url,
        "port": told.port,
        "ca_sha256": told.ca_sha256,
        "names": list(told.names),
        "announced": list(told.announced),
        "chain_head": str(told.head),
    }
    for rule in told.global_grants:
        talk.warn(f"the rule {rule!r} grants a certificate to everybody: for a laboratory only")
    if talk.json:
        talk.event(document)
    talk.say(f"serving {told.url}")
    talk.say(f"CA fingerprint (SHA-256) {told.ca_sha256}")
    talk.say(f"log head {told.head}")
    if told.announced:
        talk.say(f"announced by DNS-SD on {', '.join(told.announced)}")
    if len(told.announced) > 1:
        talk.say("cipsec: devices on all of these can find it; choose with --interface")
    if ready_file:
        files.replace(ready_file, json.dumps(document).encode() + b"\n", mode=files.PUBLIC)


def _ended(talk: Talk, folder: CaFolder) -> None:
    """Say with which head the log ends: to be found again in whatever keeps what is said here."""
    from cipsec.serve.plan import log_head

    with contextlib.suppress(BrokenPipeError, CipsecError):
        head = log_head(folder)
        if talk.json and streams.takes(sys.stdout):
            talk.event({"event": "ended", "chain_head": str(head)})
        if streams.takes(sys.stderr):
            talk.say(f"log head {head}")


class _Telling:
    """Tells of events while somebody reads, and later how many were missed; waits for nobody."""

    def __init__(self, talk: Talk, place: str) -> None:
        self._talk = talk
        self._place = place  # of the CA, as it is typed behind a command
        self._missed = 0

    def __call__(self, event: Event) -> None:
        wanted = [sys.stdout] * self._talk.json + [sys.stderr] * (not self._talk.quiet)
        if not all(map(streams.takes, wanted)):
            self._missed += 1
        elif self._missed and streams.takes(sys.stderr):
            self._talk.warn(f"{self._missed} events were not told here: see cipsec ca log")
            self._missed = 0
        _tell_whoever_listens(self._talk, event, self._place)


def _tell_whoever_listens(talk: Talk, event: Event, place: str) -> None:
    # The reader of a pipe may have gone away, or the log's disk be full; what would have been read
    # is done all the same, and the device gets its answer. Nor does anybody wait for a reader that
    # has stopped: what it misses is in the log.
    with contextlib.suppress(BrokenPipeError, LocalState):
        _tell(talk, event, place)


def _next(event: Event, place: str) -> str:
    """Return what to type about a request that waits; of a replacement more has to be seen."""
    from cipsec.store.codes import Code

    match event.event, event.request:
        case Code.PENDING, str(request):
            return f"approve with: cipsec ca approve {request[:_SHORT]}{place}"
        case Code.REPLACEMENT, str(request):
            return f"see old beside new with: cipsec ca show {request[:_SHORT]}{place}"
        case _:
            return ""


def _tell(talk: Talk, event: Event, place: str) -> None:
    from cipsec import safe, times
    from cipsec.ra.policy import GLOBAL_GRANT
    from cipsec.store.codes import Code

    if talk.json and streams.takes(sys.stdout):
        from cipsec.store.events import shown

        talk.event(shown(event))
    if talk.quiet or not streams.takes(sys.stderr):
        return
    parts = [
        event.event,
        event.subject or "no subject",
        f"from {event.address}" if event.address else "",
        f"({event.rule}: {event.reason})" if event.rule else f"({event.reason})",
        _next(event, place),
    ]
    line = " ".join(safe.text(part) for part in parts if part)
    talk.say(f"{times.show_time(times.now())} {line}")
    if event.event == Code.GRANTED and event.reason and event.reason.startswith(GLOBAL_GRANT):
        talk.warn("that was the global grant: nothing was proved, and anybody gets a certificate")
