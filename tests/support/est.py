"""An EST server as a function, on a CA folder, with a clock of its own; and devices that ask it."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import dataclasses
import sqlite3
from collections.abc import Coroutine, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, TypeVar

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from cipsec.ca import profile
from cipsec.ca_folder import CaFolder
from cipsec.est import wire
from cipsec.est.server import EstServer
from cipsec.est.wire import Peer, Request, Response
from cipsec.pki import identity, keys
from cipsec.pki.csr import CertificateRequest
from cipsec.pki.names import show_serial
from cipsec.ra import config, provisioning, queue, revocation
from cipsec.ra.authority import RegistrationAuthority
from cipsec.ra.users import hash_password
from cipsec.store import certificates, events, requests, users
from cipsec.store.certificates import CertificateRow
from cipsec.store.database import Database, Work
from cipsec.store.events import Event
from cipsec.store.requests import RequestRow, State
from cipsec.store.writer import Writer
from tests.support import ca
from tests.support.waiting import LONG

T = TypeVar("T")

NOW = datetime(2026, 11, 23, 5, 0, tzinfo=UTC)
PASSWORD = "correct horse"
RENEWAL = '[[rule]]\nname = "renewal"\nwhen = { own = true }\nthen = "grant"\n'
USERS = '[[rule]]\nname = "users"\nwhen = { user = true }\nthen = "grant"\n'
ASK = '[[rule]]\nname = "everyone else"\nwhen = { anyone = true }\nthen = "ask"\n'
LAB = '[[rule]]\nname = "lab"\nwhen = { anyone = true }\nthen = "grant"\nlab = true\n'


def run(coroutine: Coroutine[Any, Any, T]) -> T:
    """Run to the end, in an event loop of its own."""
    return asyncio.run(coroutine)


class _Writer(Writer):
    """One that knows how often it was given something to do."""

    def __init__(self, database: Database) -> None:
        self.given = 0
        super().__init__(database)

    async def write(self, work: Work[T]) -> T:
        """Run `work`, as the store's own does."""
        self.given += 1
        return await super().write(work)


class Server:
    """One process's objects on a CA folder; a second one on the same folder is a restart.

    `text` is what ca.toml says; `now` what the clock does, which goes on by `tick` with each look:
    serial numbers are ordered in time, by milliseconds.
    """

    def __init__(self, folder: CaFolder, text: str, *, now: datetime = NOW) -> None:
        self.folder = folder
        self.text = text
        self.now = now
        self.tick = timedelta()
        self.authority = folder.authority(None)
        self.database = folder.store()
        self.writer = _Writer(self.database)
        self.sources = folder.sources(self.database)
        self.sources.programs._seconds = LONG  # this machine may be busy
        self.ra = RegistrationAuthority(
            self.authority,
            self.sources,
            self.writer,
            config=self.config,
            own_names=lambda: frozenset({"dns:plant.local", "ip:192.0.2.1"}),
            clock=self._clock,
        )
        self.est = EstServer(self.ra, [self.authority.certificate], self.config)

    def _clock(self) -> datetime:
        self.now += self.tick
        return self.now

    def config(self) -> config.Config:
        """Return what `text` says."""
        return config.parse(self.text.encode())

    def close(self) -> None:
        """End the threads and close the store."""
        run(self.ra.close())
        self.writer.close()
        self.database.close()

    # Devices ask.

    async def ask(self, request: Request) -> Response:
        """Answer one request, inside a running loop."""
        return await self.est.handle(request)

    async def judged(self, request: Request) -> asyncio.Task[Response]:
        """Return a request's answer to be, once it is judged and waits for the store.

        For callers who hold the store: what they do to it was not there to be judged by.
        """
        before = self.writer.given
        answer = asyncio.create_task(self.ask(request))
        async with asyncio.timeout(LONG):
            while self.writer.given == before:
                assert not answer.done()
                await asyncio.sleep(0.01)
        return answer

    def answer(self, request: Request) -> Response:
        """Answer one request."""
        return run(self.est.handle(request))

    def enroll(
        self,
        asked: CertificateRequest,
        *,
        login: tuple[str, str] | None = None,
        chain: Sequence[bytes] = (),
        label: str = "",
        renewal: bool = False,
        address: str = "192.0.2.7",
        bindings: tuple[bytes, ...] = (),
    ) -> Response:
        """Answer one enrollment."""
        operation = "simplereenroll" if renewal else "simpleenroll"
        peer = Peer(address, tuple(chain), bindings=lambda: bindings)
        return self.answer(post(asked.der, operation, login=login, label=label, peer=peer))

    # What an administrator does, as another process would.

    def decide(
        self,
        identifier: str,
        state: State,
        *,
        note: str | None = None,
        by: str = "anna",
        predecessor: bool | None = None,
        again: bool = False,
    ) -> queue.Decided:
        """Approve or reject a request."""
        verdict = queue.Verdict(state, by, note, predecessor, again)
        return self.database.write(
            lambda db: queue.decide(db, queue.find(db, identifier), verdict, self.now)
        )

    def add_user(self, name: str, password: str = PASSWORD, *, uses: int | None = None) -> None:
        """Add a user who may log in."""
        row = users.UserRow(name, hash_password(password), 0, 0, uses=uses)
        assert self.database.write(lambda db: users.insert(db, row))

    def card(self, name: str = "card-1", *, uses: int = 1, days: int = 7) -> tuple[bytes, ...]:
        """Make a provisioning certificate; return the chain that a TLS client presents."""
        day = timedelta(days=1)
        order = provisioning.Order(name, uses, days * day, day, "anna", None, self.now)
        asked = provisioning.request_for(name, keys.generate(keys.KeyType.EC_P256))
        issuer = self.folder.provisioning_authority(None, self.now)
        row = provisioning.sign(order, asked, issuer)
        self.database.write(lambda db: provisioning.keep(db, order, row))
        return (row.der,)

    def allow(self, name: str, *lines: str) -> Path:
        """Write an allowlist, whole."""
        path = self.folder.path / "allowlists" / f"{name}.csv"
        path.write_text("\n".join(["device,name,until,uses,note", *lines, ""]))
        return path

    def revoke(self, certificate: x509.Certificate | bytes) -> None:
        """Revoke a certificate, given itself or in DER."""
        if isinstance(certificate, bytes):
            certificate = x509.load_der_x509_certificate(certificate)
        serial = show_serial(certificate.serial_number)
        at = int(self.now.timestamp())

        def work(db: sqlite3.Connection) -> None:
            row = certificates.by_serial(db, serial)
            assert row
            assert revocation.revoke(db, row, by="anna", reason="keyCompromise", note=None, at=at)

        self.database.write(work)

    # What is in the record.

    def events(self, after: int = 0) -> list[Event]:
        """Return the events behind a number, oldest first."""
        return self.database.read(lambda db: [event for _, event in events.after(db, after)])

    def certificates(self) -> list[CertificateRow]:
        """Return the certificates on record, oldest first."""
        return self.database.read(lambda db: list(certificates.listed(db)))

    def requests(self) -> list[RequestRow]:
        """Return the requests on record, whatever their state."""
        return self.database.read(lambda db: list(requests.listed(db, list(State))))

    def record(
        self,
        asked: CertificateRequest,
        *,
        kind: str = profile.ENDPOINT,
        validity: timedelta = timedelta(days=730),
        issued: timedelta = timedelta(),
        known: bool = True,
        proved: bool = True,
    ) -> x509.Certificate:
        """Return a certificate of this CA, issued that long before now; on record if `known`.

        `proved` tells that the device it names was proved then; else its holder only said so.
        """
        form = dataclasses.replace(profile.endpoint(validity, timedelta(hours=24)), kind=kind)
        signed = self.authority.issue(asked, form, now=self.now - issued)
        made = x509.load_der_x509_certificate(signed.der)
        named = identity.of_certificate(made, self.config().identity).identity
        row = CertificateRow(
            serial=signed.serial,
            enrollment="by the test",
            kind=kind,
            subject="",
            device=str(named.device) if named.device else None,
            mac=str(named.mac) if named.mac else None,
            not_before=int(signed.not_before.timestamp()),
            not_after=int(signed.not_after.timestamp()),
            issued_at=int((self.now - issued).timestamp()),
            rule="",
            reason="",
            proved="",
            der=signed.der,
            device_proved=int(proved),
            mac_proved=int(proved),
        )
        if known:
            self.database.write(lambda db: certificates.insert(db, row))
        return made


@contextlib.contextmanager
def serving(path: Path, text: str = RENEWAL + USERS + ASK) -> Iterator[Server]:
    """Yield a server on a new CA folder, made an hour before NOW."""
    folder = ca.make(path / "ca", now=NOW - timedelta(hours=1))
    server = Server(folder, text)
    try:
        yield server
    finally:
        server.close()


def post(
    body: bytes,
    operation: str = "simpleenroll",
    *,
    login: tuple[str, str] | None = None,
    label: str = "",
    peer: Peer | None = None,
    content_type: str | None = wire.PKCS10,
) -> Request:
    """Return an enrollment's request; `body` is sent as it is."""
    headers = {"content-type": content_type} if content_type is not None else {}
    if login is not None:
        headers["authorization"] = basic(*login)
    path = "/".join(part for part in (wire.WELL_KNOWN, label, operation) if part)
    return Request("POST", path, headers, body, peer or Peer("192.0.2.7"))


def get(path: str, method: str = "GET") -> Request:
    """Return a request without a body."""
    return Request(method, path, {}, b"", Peer("192.0.2.7"))


def basic(user: str, password: str) -> str:
    """Return an Authorization header (RFC 7617)."""
    return "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()


def header(response: Response, name: str) -> str | None:
    """Return a header of a response, by its exact name."""
    return dict(response.headers).get(name)


def certificate(response: Response) -> x509.Certificate:
    """Return the one certificate of a 200."""
    assert response.status == 200, (response.status, response.body)
    found = wire.parse_certs_only(wire.decode_body(response.body))
    assert len(found) == 1
    return found[0]


def identifier(response: Response) -> str:
    """Return the request's id that a 202 tells."""
    assert response.status == 202, (response.status, response.body)
    return response.body.decode().split()[1]


def reason(response: Response) -> str:
    """Return the text of a refusal or wait, without its line feed."""
    assert header(response, "Content-Type") == "text/plain; charset=utf-8"
    assert response.body.endswith(b"\n")
    return response.body.decode().removesuffix("\n")


def der(certificate: x509.Certificate) -> bytes:
    """Return a certificate's DER."""
    return certificate.public_bytes(Encoding.DER)


def happened(events: list[Event]) -> list[str]:
    """Return what happened, in order."""
    return [event.event for event in events]


def at_once(server: Server, asked: CertificateRequest, count: int) -> list[Response]:
    """Ask many times at once, as devices do that lost patience."""

    async def all_of_them() -> list[Response]:
        return await asyncio.gather(*(server.ask(post(asked.der)) for _ in range(count)))

    return run(all_of_them())
