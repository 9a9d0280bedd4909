"""Fifty at once for what one may have; and those who decide, revoke and replace meanwhile."""

from __future__ import annotations

import asyncio
import sqlite3
from collections import Counter
from collections.abc import Callable, Iterator

import pytest

from cipsec.est.wire import Response
from cipsec.pki.csr import CertificateRequest
from cipsec.ra import revocation
from cipsec.ra.users import hash_password
from cipsec.store import certificates, users
from cipsec.store.database import Database
from cipsec.store.requests import State
from tests.support import ca, est, vendor
from tests.support.est import Server

from .spending import KINDS, Ask, Scarce, at_once, granted, spent, warm

CROWD = 50


@pytest.fixture(params=KINDS)
def scarce(request: pytest.FixtureRequest, server: Server) -> Scarce:
    """One use of each kind."""
    made = KINDS[request.param](server.folder)
    server.text = made.rules
    return made


@pytest.fixture
def other(server: Server, scarce: Scarce) -> Iterator[Server]:
    """A second server on the same store."""
    other = Server(server.folder, scarce.rules)
    yield other
    other.close()


def check_one_winner(server: Server, scarce: Scarce, responses: list[Response]) -> None:
    """One certificate, answered and recorded; everybody else reads why not."""
    assert Counter(response.status for response in responses) == {200: 1, 403: CROWD - 1}
    for response in responses:
        assert response.status == 200 or est.reason(response).endswith(scarce.used_up)
    [serial] = granted(server)
    assert spent(server, scarce) == 1
    happened = Counter(est.happened(server.events()))
    assert (happened["granted"], happened["pending"]) == (1, 0)
    assert [event.serial for event in server.events() if event.event == "granted"] == [serial]


def test_fifty_want_one_use(server: Server, scarce: Scarce) -> None:
    """Exactly one is granted, and only he gets it again however often they all ask."""
    warm(server, scarce)
    crowd = scarce.asks(CROWD)
    first = at_once([server], crowd)
    check_one_winner(server, scarce, first)
    second = at_once([server], crowd)
    check_one_winner(server, scarce, second)
    won = [[n for n, response in enumerate(r) if response.status == 200] for r in (first, second)]
    assert won[0] == won[1]
    assert first[won[0][0]].body == second[won[0][0]].body


def test_fifty_want_one_use_at_two_servers(server: Server, other: Server, scarce: Scarce) -> None:
    """Two servers that share the store count together."""
    for one in (server, other):
        warm(one, scarce)
    check_one_winner(server, scarce, at_once([server, other], scarce.asks(CROWD)))


def test_a_patient_applicant_is_one_use(server: Server, other: Server, scarce: Scarce) -> None:
    """Fifty requests of one applicant, at both servers, are one use and one certificate."""
    for one in (server, other):
        warm(one, scarce)
    responses = at_once([server, other], [scarce.make(1)] * CROWD)
    assert {response.status for response in responses} == {200}
    assert len({response.body for response in responses}) == 1
    assert (len(granted(server)), spent(server, scarce)) == (1, 1)


@pytest.mark.parametrize("kind", KINDS)
def test_as_many_as_it_is_good_for(kind: str, server: Server) -> None:
    """Of fifty, the seven that it is good for; the device's last certificate is in force."""
    scarce = KINDS[kind](server.folder, 7)
    server.text = scarce.rules
    warm(server, scarce)
    responses = at_once([server], scarce.asks(CROWD))
    assert Counter(r.status for r in responses) == {200: 7, 403: CROWD - 7}
    assert (len(granted(server)), spent(server, scarce)) == (7, 7)
    in_force = [row for row in server.certificates() if row.status(server.now) == "valid"]
    endpoints = [row for row in in_force if row.kind == "endpoint"]
    assert len(endpoints) == (1 if kind == "allowlist" else 7)


VENDOR = '[[rule]]\nname = "vendor"\nwhen = { vendor = true }\nthen = "grant"\n'


@pytest.mark.parametrize("mode", ["ask", "revoke"])
def test_one_device_with_many_keys_at_once(mode: str, server: Server) -> None:
    """It cannot get past the question, nor past the revocation, by asking with all at once."""
    pki = vendor.make()
    vendor.install(server.folder.path / "vendors", "acme", pki.root)
    server.text = VENDOR + f'replacement = "{mode}"\n'
    responses = at_once([server], [Ask(ca.request().der, pki.chain) for _ in range(10)])
    in_force = [row for row in server.certificates() if row.status(server.now) == "valid"]
    assert len(in_force) == 1
    statuses = Counter(response.status for response in responses)
    if mode == "ask":
        assert statuses == {200: 1, 202: 9}
    assert set(statuses) <= {200, 202, 503}  # busy: after eight tries somebody else was faster


# Administrators.


def decided_at_once(server: Server, identifier: str, states: list[State]) -> list[bool]:
    """Decide as several administrators do at the same moment; tell whose decision counted."""

    async def all_of_them() -> list[bool]:
        threads = [
            asyncio.to_thread(server.decide, identifier, state, by=f"admin {number}")
            for number, state in enumerate(states)
        ]
        return [decided.changed for decided in await asyncio.gather(*threads)]

    return est.run(all_of_them())


@pytest.mark.parametrize("states", [list(State)[1:3] * 5, [State.APPROVED] * 10])
def test_administrators_at_once(states: list[State], server: Server) -> None:
    """One decision counts, the others read whose; the device is told what counted."""
    for number in range(5):
        asked = ca.request(f"CN=PC {number}")
        identifier = est.identifier(server.enroll(asked))
        before = len(server.events())
        changed = decided_at_once(server, identifier, states)
        assert changed.count(True) == 1
        [event] = server.events(before)
        first = changed.index(True)
        assert (event.event, event.actor) == (str(states[first]), f"admin {first}")
        status = {State.APPROVED: 200, State.REJECTED: 403}[states[first]]
        assert server.enroll(asked).status == status


async def _polls_and_decisions(
    server: Server, asked: CertificateRequest, identifier: str
) -> tuple[list[Response], list[bool]]:
    """Return the answers to five polls, and whether approval and rejection counted."""
    states = (State.APPROVED, State.REJECTED)
    decisions = asyncio.gather(
        *(asyncio.to_thread(server.decide, identifier, state) for state in states)
    )
    polls = asyncio.gather(*(server.ask(est.post(asked.der)) for _ in range(5)))
    return await polls, [one.changed for one in await decisions]


def test_approve_and_poll_at_once(server: Server) -> None:
    """However polls and decisions fall: a certificate only after an approval, and one."""
    for number in range(5):
        asked = ca.request(f"CN=PC {number}")
        identifier = est.identifier(server.enroll(asked))

        responses, changed = est.run(_polls_and_decisions(server, asked, identifier))
        assert changed.count(True) == 1
        end = 200 if changed[0] else 403
        assert {response.status for response in responses} <= {202, end}
        assert server.enroll(asked).status == end
        rows = [row for row in server.certificates() if row.subject == f"CN=PC {number}"]
        assert len(rows) == (1 if changed[0] else 0)


# Revocation while an enrollment runs.


def meanwhile(server: Server, ask: Ask, work: Callable[[sqlite3.Connection], object]) -> Response:
    """Ask while another process changes the record, and has not committed before all is judged."""
    other = Database.open(server.database.path)

    async def scene() -> Response:
        with other.transaction() as db:
            work(db)
            request = await server.judged(ask.request())
        return await request

    response = est.run(scene())
    other.close()
    return response


@pytest.mark.parametrize("kind", ["own", "provisioning"])
def test_revoked_between_decision_and_grant(kind: str, server: Server) -> None:
    """What is revoked when the transaction begins grants nothing, whatever was judged before."""
    if kind == "own":
        asked = ca.request()
        ask = Ask(asked.der, (est.der(server.record(asked)),))
    else:
        scarce = KINDS[kind](server.folder)
        server.text, ask = scarce.rules, scarce.make(1)
    [row] = server.certificates()
    response = meanwhile(
        server,
        ask,
        lambda db: revocation.revoke(db, row, by="carla", reason="keyCompromise", note=None, at=0),
    )
    assert response.status == 403
    assert est.reason(response).endswith("is revoked")
    assert [one.serial for one in server.certificates()] == [row.serial]


@pytest.mark.parametrize("what", ["removed", "has another password"])
def test_a_user_who_goes_meanwhile(what: str, server: Server) -> None:
    """A password that is no more when the transaction begins grants nothing."""
    scarce = KINDS["password"](server.folder)
    server.text = scarce.rules
    warm(server, scarce)
    hashed = hash_password("battery staple")

    def work(db: sqlite3.Connection) -> None:
        if what == "removed":
            assert users.remove(db, "otto")
        else:
            assert users.set_password(db, "otto", hashed, at=0)

    response = meanwhile(server, scarce.make(1), work)
    assert response.status == 403
    assert est.reason(response) == "user otto has no longer the password that was given"
    assert server.certificates() == []


def test_revoked_after_the_grant(server: Server) -> None:
    """A certificate that is revoked is not handed out again, though the device asks at once."""
    asked = ca.request()
    server.text = est.LAB
    first = est.certificate(server.enroll(asked))
    [row] = server.certificates()
    server.database.write(
        lambda db: revocation.revoke(db, row, by="carla", reason="superseded", note=None, at=0)
    )
    second = est.certificate(server.enroll(asked))
    assert second != first
    again = server.database.read(lambda db: certificates.by_serial(db, row.serial))
    assert again
    assert again.revoked_at == 0
