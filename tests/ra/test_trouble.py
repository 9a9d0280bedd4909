"""Clocks that are off, a full queue, broken rules, a store that fails: nothing granted wrongly."""

from __future__ import annotations

import dataclasses
from datetime import timedelta

import pytest

from cipsec.est.wire import WELL_KNOWN, Response
from cipsec.ra.config import ConfigFile
from cipsec.store import requests
from cipsec.store.database import Database
from cipsec.store.requests import State
from tests.support import ca, est
from tests.support.est import NOW, PASSWORD, Server, post

DAY = timedelta(days=1)
PC = "CN=engineering-pc"  # a password proves no device


# Clocks.


def test_what_is_due_for_renewal_is_a_new_question(server: Server) -> None:
    """After two thirds of its life an approved certificate is not handed out again."""
    asked = ca.request()
    identifier = est.identifier(server.enroll(asked))
    server.decide(identifier, State.APPROVED)
    certificate = est.certificate(server.enroll(asked))
    server.now = NOW + 0.65 * 730 * DAY
    assert est.certificate(server.enroll(asked)) == certificate
    server.now = NOW + 0.67 * 730 * DAY
    assert {response.status for response in est.at_once(server, asked, 5)} == {202}
    assert est.identifier(server.enroll(asked)) == identifier
    server.decide(identifier, State.APPROVED)
    assert est.certificate(server.enroll(asked)) != certificate
    assert est.happened(server.events()) == [
        "pending", "approved", "granted", "pending", "approved", "granted",
    ]  # fmt: skip
    assert server.events()[3].reason == (
        "it has a certificate, which is due for renewal or not in force any more"
    )


def test_two_polls_do_not_take_back_a_new_approval(server: Server) -> None:
    """A poll that saw the old certificate does not reopen what was reopened and approved since."""
    asked = ca.request()
    identifier = est.identifier(server.enroll(asked))
    server.decide(identifier, State.APPROVED)
    server.enroll(asked)
    server.now = NOW + 700 * DAY
    other = Database.open(server.database.path)

    async def scene() -> Response:
        with other.transaction() as db:
            row = requests.by_id(db, identifier)
            assert row
            waiting = dataclasses.replace(row, state=State.PENDING, decided_by=None, serial=None)
            assert requests.reopen(db, waiting, State.GRANTED)
            requests.decide(db, identifier, State.APPROVED, by="berta", at=0, note=None)
            poll = await server.judged(post(asked.der))
        return await poll

    assert est.run(scene()).status == 202
    other.close()
    assert server.enroll(asked).status == 200


def test_a_clock_set_back_keeps_what_was_granted(server: Server) -> None:
    """By hours, less than certificates are back-dated: same request, same certificate."""
    asked, waiting = ca.request(), ca.request()
    identifier = est.identifier(server.enroll(waiting))
    server.decide(est.identifier(server.enroll(asked)), State.APPROVED)
    certificate = est.certificate(server.enroll(asked))
    server.now = NOW - timedelta(hours=20)
    assert est.certificate(server.enroll(asked)) == certificate
    assert est.identifier(server.enroll(waiting)) == identifier
    assert est.header(server.enroll(waiting), "Retry-After") in ("5", "6")


def test_a_certificate_of_the_future_is_not_handed_out(server: Server) -> None:
    """Granted while the clock ran ahead by years, it is asked about anew when that is mended."""
    asked, granted = ca.request(), ca.request(PC)
    server.add_user("anna")
    server.now = NOW + 1000 * DAY
    server.decide(est.identifier(server.enroll(asked)), State.APPROVED)
    future = est.certificate(server.enroll(asked))
    by_rule = est.certificate(server.enroll(granted, login=("anna", PASSWORD)))
    server.now = NOW
    assert server.enroll(asked).status == 202
    assert server.enroll(ca.request(), chain=[est.der(future)], renewal=True).status == 202
    assert est.certificate(server.enroll(granted, login=("anna", PASSWORD))) != by_rule


def test_a_clock_far_off_grants_nothing(lab: Server, caplog: pytest.LogCaptureFixture) -> None:
    """Before the CA's beginning, as a machine without battery starts, and after its end: 503."""
    for now, said in (
        (NOW - 20 * 365 * DAY, "the CA's own certificate is valid only from"),
        (NOW + 21 * 365 * DAY, "the CA's own certificate expired at"),
    ):
        caplog.clear()
        lab.now = now
        response = lab.enroll(ca.request())
        assert (response.status, est.header(response, "Retry-After")) == (503, "10")
        assert said in caplog.text
        assert said not in response.body.decode()
    assert lab.certificates() == []
    lab.now = NOW
    assert lab.enroll(ca.request()).status == 200


def test_a_granted_request_without_its_certificate(server: Server) -> None:
    """Where the record lost it, it is a new question, not an error."""
    asked = ca.request()
    identifier = est.identifier(server.enroll(asked))
    server.database.write(lambda db: requests.grant(db, identifier, "01a2"))
    assert est.identifier(server.enroll(asked)) == identifier
    assert server.requests()[0].state == State.PENDING


# When it cannot be decided.


def busy(response: Response) -> bool:
    """Tell whether it is the 503 that says nothing but when to come back."""
    assert response.status == 503
    assert est.header(response, "Retry-After") == "10"
    return est.reason(response) == "the server cannot decide now; ask again"


def test_a_full_queue(server: Server) -> None:
    """Newcomers are told to come later; who waits already goes on waiting, and is granted."""
    server.text += "[server]\nmax_pending = 2\n"
    first, second, third = (ca.request() for _ in range(3))
    identifier = est.identifier(server.enroll(first))
    server.enroll(second)
    assert busy(server.enroll(third))
    assert server.enroll(second).status == 202
    server.decide(identifier, State.APPROVED)
    assert server.enroll(first).status == 200
    est.run(server.ra.polls.flush())
    assert server.enroll(third).status == 202


def test_broken_rules_grant_nothing(server: Server, caplog: pytest.LogCaptureFixture) -> None:
    """While ca.toml is broken nobody is answered by the rules of yesterday; mended, at once."""
    path = server.folder.config_file
    server.ra._config = server.est._config = ConfigFile(path).current
    server.add_user("anna")
    path.write_text(server.text)
    asked = ca.request()
    identifier = est.identifier(server.enroll(asked))
    server.decide(identifier, State.APPROVED)
    path.write_text(server.text.replace('"grant"', '"garnt"', 1))
    assert busy(server.enroll(asked))
    assert busy(server.answer(est.get(f"{WELL_KNOWN}/cacerts")))
    assert busy(server.enroll(ca.request(PC), login=("anna", PASSWORD)))
    assert server.certificates() == []
    said = 'ca.toml: rule 1 (renewal): then must be "grant", "ask" or "reject"'
    assert caplog.messages == [f"requests cannot be answered: {said}"]
    path.write_text(server.text)
    assert server.enroll(asked).status == 200


def test_a_store_that_cannot_be_written(server: Server, caplog: pytest.LogCaptureFixture) -> None:
    """Nobody gets a certificate that is not on record; afterwards the same request gets one."""
    server.add_user("anna")
    asked, approved = ca.request(PC), ca.request()
    server.decide(est.identifier(server.enroll(approved)), State.APPROVED)
    est.run(server.writer.write(lambda db: db.execute("PRAGMA query_only=ON")))
    assert busy(server.enroll(asked))
    assert busy(server.enroll(approved))
    assert busy(server.enroll(asked, login=("anna", PASSWORD)))
    assert busy(server.enroll(asked, login=("anna", "wrong"), address="192.0.2.8"))
    assert busy(server.enroll(ca.request(sans=["dns:plant.local"])))
    assert "the store cannot be used: attempt to write a readonly database" in caplog.text
    for connection in server.database._opened:
        connection.execute("PRAGMA query_only=OFF")
    assert server.certificates() == []
    assert server.enroll(approved).status == 200
    assert server.enroll(asked).status == 202


def test_trouble_is_said_once_a_minute(
    server: Server, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also when different troubles come in turns; in the log, and the rules' in the record too."""
    good = server.text
    for text in (good.replace("when", "wen", 1), good.replace("then", "thn", 1)) * 3:
        server.text = text
        for _ in range(5):
            assert busy(server.enroll(ca.request()))
    said = ["rule 1 (renewal): 'wen' is not known", "rule 1 (renewal): 'thn' is not known"]
    assert caplog.messages == [f"requests cannot be answered: {reason}" for reason in said]
    assert [(event.event, event.reason) for event in server.events()] == [
        ("policy-error", reason) for reason in said
    ]
    monkeypatch.setattr("cipsec.est.server._SAY_SECONDS", 0.0)
    assert busy(server.enroll(ca.request()))
    assert len(server.events()) == 3


def test_a_store_that_is_closed(server: Server) -> None:
    """At the end of a server requests get an answer still."""
    server.writer.close()
    assert busy(server.enroll(ca.request()))
    server.database.close()
    assert busy(server.enroll(ca.request()))


def test_wrong_passwords(server: Server) -> None:
    """401 each time, then busy for this user at this address; recorded with the name tried."""
    server.add_user("anna")
    asked = ca.request(PC)
    for _ in range(2):
        response = server.enroll(asked, login=("anna", "wrong"))
        assert response.status == 401
        assert est.header(response, "WWW-Authenticate") == 'Basic realm="EST"'
        assert est.reason(response) == "the user name or the password is wrong"
    for number in range(3):  # then the wait is longer than a connection may be held
        assert server.enroll(asked, login=("anna", f"wrong {number}")).status == 401
    assert busy(server.enroll(asked, login=("anna", PASSWORD)))
    assert server.enroll(asked, login=("anna", PASSWORD), address="192.0.2.8").status == 200
    [refused, granted] = server.events()
    assert (refused.event, refused.actor, refused.address) == ("refused", "user anna", "192.0.2.7")
    assert (granted.event, granted.actor) == ("granted", "user anna")
