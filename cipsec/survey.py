"""What EST servers are out there and whose they are: joins `discovery` with a question to each."""

from __future__ import annotations

import time
from collections.abc import Generator, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass

from cryptography import x509

from cipsec.discovery.browse import Change, Event
from cipsec.discovery.server import Server
from cipsec.errors import CipsecError, Untrusted
from cipsec.est import client, wire
from cipsec.pki import fingerprint as fingerprints
from cipsec.pki.issued import directly_issued
from cipsec.tls.client import client_context

_TIMEOUT = 3.0
_AT_ONCE = 16


@dataclass(frozen=True, slots=True)
class Answer:
    """What a server said when asked for its CA certificates; None stands for "not known".

    `ca_sha256` is the SHA-256 of the root among them, of the first where there is none, in
    lower-case hex. `trusted` tells whether the wanted CA is among them *and* vouches for this
    server; anyone can hand out a CA's certificate. `problem` is one sentence for people.
    """

    reachable: bool | None = None
    ca_sha256: str | None = None
    trusted: bool | None = None
    problem: str | None = None


@dataclass(frozen=True, slots=True)
class Sighting:
    """A server that appeared, changed or went, and what it answered."""

    change: Change
    server: Server
    answer: Answer


def ask(server: Server, *, fingerprint: str | None = None, timeout: float = _TIMEOUT) -> Answer:
    """Ask a server for its CA certificates, sending no credential; never raises for its answer.

    With `fingerprint`, the SHA-256 of a CA certificate in lower-case hex, the server is also held
    to it, by the rules that hold for enrolling with a discovered server. `timeout` in seconds is
    for each of the two exchanges.
    """
    if server.url is None:
        return Answer(reachable=False, problem="it announces no address")
    url = "/".join(filter(None, [f"{server.url}{wire.WELL_KNOWN}", server.label]))
    try:
        given = client.fetch_cacerts_unverified(url, timeout=timeout)
    except CipsecError as error:
        return Answer(reachable=False, problem=error.message)
    root = next((c for c in given if directly_issued(c, c)), given[0])
    if fingerprint is None:
        return Answer(reachable=True, ca_sha256=fingerprints.sha256(root))
    problem = _distrust(url, given, fingerprint, timeout)
    return Answer(True, fingerprints.sha256(root), not problem, problem)


def _distrust(
    url: str, given: Iterable[x509.Certificate], fingerprint: str, timeout: float
) -> str | None:
    """Return why the server is not one of the CA with this fingerprint; None when it is."""
    wanted = [
        certificate for certificate in given if fingerprints.sha256(certificate) == fingerprint
    ]
    if not wanted:
        return "it belongs to another CA"
    try:
        with client.Session(url, client_context(wanted, by_name=False), timeout=timeout) as session:
            session.cacerts()
    except Untrusted as error:
        return f"it hands out the CA's certificate, and is not of this CA: {error.message}"
    except CipsecError as error:
        return error.message
    return None


def survey(
    heard: Iterable[list[Event]], *, probe: bool = True, fingerprint: str | None = None
) -> Generator[list[Sighting], None, None]:
    """Yield, for each batch of `heard`, the servers that are known better now, possibly none.

    With `probe` each server is asked, many at once, before it is told of; an address that stays
    the same is not asked again. After the last batch, answers are waited for a few seconds more;
    a server not asked by then is told of as it is.
    """
    pool = ThreadPoolExecutor(_AT_ONCE, thread_name_prefix="survey")
    asking = _Asking(pool, fingerprint) if probe else None
    try:
        for events in heard:
            yield asking.after(events) if asking else [Sighting(*_plain(e)) for e in events]
        if asking:
            yield from asking.finish()
    finally:
        pool.shutdown(wait=False, cancel_futures=True)


def _plain(event: Event) -> tuple[Change, Server, Answer]:
    return event.change, event.server, Answer()


_Key = tuple[str, str]


class _Asking:
    """Who is being asked, what is to be told when the answer comes, and who was told of."""

    def __init__(self, pool: ThreadPoolExecutor, fingerprint: str | None) -> None:
        self._pool = pool
        self._fingerprint = fingerprint
        self._answers: dict[_Key, tuple[tuple[str | None, str | None], Future[Answer]]] = {}
        self._waiting: dict[_Key, Server] = {}
        self._told: set[_Key] = set()

    def after(self, events: list[Event]) -> list[Sighting]:
        """Take in what was heard; return what can be told now."""
        gone = [sighting for event in events for sighting in self._take(event)]
        return gone + [s for s in map(self._finished, list(self._waiting)) if s]

    def finish(self) -> Iterator[list[Sighting]]:
        """Yield what comes in while the last ones asked may still answer, then the rest as is."""
        end = time.monotonic() + 2 * _TIMEOUT
        while self._waiting and time.monotonic() < end:
            time.sleep(0.05)
            yield self.after([])
        yield [self._tell(key, Answer()) for key in list(self._waiting)]

    def _take(self, event: Event) -> list[Sighting]:
        server = event.server
        key = (server.interface, server.name)
        if event.change is Change.GONE:
            self._forget(key)
            self._waiting.pop(key, None)
            told = key in self._told
            self._told.discard(key)
            return [Sighting(Change.GONE, server, Answer())] if told else []
        target = (server.url, server.label)
        if key not in self._answers or self._answers[key][0] != target:
            self._forget(key)
            future = self._pool.submit(ask, server, fingerprint=self._fingerprint, timeout=_TIMEOUT)
            self._answers[key] = (target, future)
        self._waiting[key] = server
        return []

    def _forget(self, key: _Key) -> None:
        if known := self._answers.pop(key, None):
            known[1].cancel()

    def _finished(self, key: _Key) -> Sighting | None:
        future = self._answers[key][1]
        return self._tell(key, future.result()) if future.done() else None

    def _tell(self, key: _Key, answer: Answer) -> Sighting:
        change = Change.UPDATED if key in self._told else Change.FOUND
        self._told.add(key)
        return Sighting(change, self._waiting.pop(key), answer)
