"""Each enrollment gets one certificate, whatever polls, processes and administrators do at once."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import pytest

from cipsec.est.wire import Response
from cipsec.pki import keys
from cipsec.pki.csr import CertificateRequest
from cipsec.pki.names import show_serial
from cipsec.store import requests
from cipsec.store.database import Database
from cipsec.store.requests import State
from tests.support import ca, est
from tests.support.est import NOW, Server, post

MINUTE = timedelta(minutes=1)


def test_many_polls_at_once_make_one_request(server: Server) -> None:
    """One row, one event."""
    asked = ca.request()
    assert {response.status for response in est.at_once(server, asked, 20)} == {202}
    assert len(server.requests()) == 1
    assert est.happened(server.events()) == ["pending"]


@pytest.mark.parametrize("text", [est.LAB, est.ASK])
def test_many_polls_at_once_get_one_certificate(text: str, server: Server) -> None:
    """By rule or by approval: the same bytes, one row, one event."""
    server.text = text
    asked = ca.request()
    if text == est.ASK:
        server.decide(est.identifier(server.enroll(asked)), State.APPROVED)
    bodies = {response.body for response in est.at_once(server, asked, 20)}
    assert len(bodies) == 1
    assert len(server.certificates()) == 1
    assert est.happened(server.events()).count("granted") == 1


@pytest.mark.parametrize("text", [est.LAB, est.ASK])
def test_two_workers_issue_one_certificate(text: str, server: Server) -> None:
    """Processes that share the store do not grant twice what was asked for once."""
    server.text = text
    other = Server(server.folder, text)
    for number in range(1, 6):
        asked = ca.request(f"CN=Drive {number},serialNumber=0001:{number:08X}")
        if text == est.ASK:
            server.decide(est.identifier(server.enroll(asked)), State.APPROVED)

        async def both(asked: CertificateRequest = asked) -> list[Response]:
            polls = [s.ask(post(asked.der)) for s in (server, other) for _ in range(4)]
            return await asyncio.gather(*polls)

        assert len({response.body for response in est.run(both())}) == 1
    other.close()
    assert len(server.certificates()) == 5
    assert est.happened(server.events()).count("granted") == 5


def test_a_lost_answer_is_given_again(lab: Server) -> None:
    """Within ten minutes, also by a new process, it is the same certificate; later a new one."""
    asked = ca.request()
    lost = est.certificate(lab.enroll(asked))
    again = Server(lab.folder, est.LAB, now=NOW + 10 * MINUTE)
    assert est.certificate(again.enroll(asked)) == lost
    again.now = NOW + 10 * MINUTE + timedelta(seconds=1)
    later = est.certificate(again.enroll(asked))
    again.close()
    assert later != lost
    assert est.happened(lab.events()) == ["granted", "granted"]


def test_a_lost_answer_is_given_again_after_a_clock_was_ahead(lab: Server) -> None:
    """What was issued ten years from now is not in the way of what is issued since."""
    asked = ca.request()
    lab.now = NOW + timedelta(days=3_650)
    ahead = est.certificate(lab.enroll(asked))
    lab.now = NOW
    given = {est.certificate(lab.enroll(asked)) for _ in range(3)}
    assert len(given) == 1
    assert ahead not in given


def test_a_renewal_whose_answer_was_lost(server: Server) -> None:
    """The device still shows the old certificate, and gets the same new one."""
    key = keys.generate(keys.KeyType.EC_P256)
    old = est.der(server.record(ca.request(key=key)))
    asked = ca.request(key=key)
    renewed = {est.certificate(server.enroll(asked, chain=[old], renewal=True)) for _ in range(3)}
    assert len(renewed) == 1
    [event] = server.events()
    assert (event.event, event.rule) == ("granted", "renewal")


def test_the_queue_survives_a_restart(server: Server) -> None:
    """Requests, approvals given while no server runs, and certificates: all in the file."""
    first, second, third = (ca.request() for _ in range(3))
    ids = [est.identifier(server.enroll(asked)) for asked in (first, second, third)]
    est.run(server.ra.close())
    server.writer.close()
    server.decide(ids[0], State.APPROVED)
    server.decide(ids[1], State.REJECTED, note="no")
    again = Server(server.folder, server.text)
    certificate = est.certificate(again.enroll(first))
    assert again.enroll(second).status == 403
    assert est.identifier(again.enroll(third)) == ids[2]
    again.close()
    last = Server(server.folder, server.text)
    assert est.certificate(last.enroll(first)) == certificate
    last.close()


def test_a_rejection_that_comes_first_wins(server: Server) -> None:
    """An approval is read again where it is acted on: what was changed meanwhile counts."""
    asked = ca.request()
    identifier = est.identifier(server.enroll(asked))
    server.decide(identifier, State.APPROVED)
    other = Database.open(server.database.path)

    async def scene() -> Response:
        with other.transaction() as db:
            requests.decide(db, identifier, State.REJECTED, by="berta", at=0, note="stop")
            poll = await server.judged(post(asked.der))
        return await poll

    response = est.run(scene())
    other.close()
    assert est.reason(response) == "rejected by an administrator: stop"
    assert server.certificates() == []


def test_a_grant_that_comes_first_stays(server: Server) -> None:
    """Once it is issued, a rejection changes nothing, and says so."""
    asked = ca.request()
    identifier = est.identifier(server.enroll(asked))
    server.decide(identifier, State.APPROVED)
    certificate = est.certificate(server.enroll(asked))
    late = server.decide(identifier, State.REJECTED)
    assert not late.changed
    assert late.reason == f"already granted: certificate {show_serial(certificate.serial_number)}"
    assert est.certificate(server.enroll(asked)) == certificate


def test_rules_that_change_are_asked_again(server: Server) -> None:
    """An approval does not outlive the rule that asked for it; a new grant answers who waits."""
    asked, other = ca.request(), ca.request()
    server.decide(est.identifier(server.enroll(asked)), State.APPROVED)
    server.enroll(other)
    server.text = '[[rule]]\nname = "closed"\nwhen = { anyone = true }\nthen = "reject"\n'
    assert server.enroll(asked).status == 403
    server.text = est.LAB
    assert server.enroll(other).status == 200
    assert {row.state for row in server.requests()} == {State.APPROVED, State.GRANTED}
