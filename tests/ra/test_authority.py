"""The life of a request: asked about, decided for what was shown, recorded, told."""

from __future__ import annotations

import base64
import dataclasses
import logging
from datetime import timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from cipsec.est.wire import Peer, Response
from cipsec.pki import csr, keys
from cipsec.pki.csr import CertificateRequest
from cipsec.pki.device import Mac
from cipsec.pki.names import parse_subject
from cipsec.store import certificates
from cipsec.store.database import Database
from cipsec.store.events import Event
from cipsec.store.requests import State
from tests.support import ca, est
from tests.support.est import NOW, PASSWORD, Server, post

# cryptography warns of names that are longer than X.520 allows; the command line silences it.
pytestmark = pytest.mark.filterwarnings("ignore::UserWarning")


PC = "CN=engineering-pc"  # a password proves no device

# Asked and decided.


def test_a_request_waits(server: Server) -> None:
    """202 with Retry-After in seconds; what is shown to people is in the record, once."""
    asked = ca.request(sans=["dns:drive-7", "ip:192.0.2.7"])
    responses = [server.enroll(asked) for _ in range(5)]
    assert {response.status for response in responses} == {202}
    assert all(est.header(r, "Retry-After") in ("5", "6") for r in responses)
    [identifier] = {est.identifier(response) for response in responses}
    [row] = server.requests()
    assert (row.id, row.state) == (identifier, State.PENDING)
    assert row.subject == "CN=Drive 7,serialNumber=0001:6040C8F2"
    assert row.sans == '["dns:drive-7", "ip:192.0.2.7"]'
    assert (row.device, row.mac) == ("0001:6040C8F2", None)
    assert (row.proved, row.claimed) == ("nothing", "device 0001:6040C8F2")
    assert (row.address, row.label) == ("192.0.2.7", "")
    assert (row.rule, row.reason) == ("everyone else", "holds for everyone")
    assert row.spki_sha256 == keys.spki_sha256(asked.public_key)
    assert row.csr == asked.der
    assert est.happened(server.events()) == ["pending"]
    assert server.certificates() == []


def test_polls_are_counted(server: Server) -> None:
    """How often and from where a device asked is written now and then."""
    asked = ca.request()
    server.enroll(asked)
    server.now += timedelta(minutes=1)
    for _ in range(3):
        server.enroll(asked, address="192.0.2.8")
    est.run(server.ra.polls.flush())
    [row] = server.requests()
    assert (row.polls, row.address) == (4, "192.0.2.8")
    assert row.last_seen - row.first_seen == 60


def test_approved_is_granted_at_the_next_poll(server: Server) -> None:
    """The certificate comes with the next poll, and with each one after it, byte for byte."""
    asked = ca.request()
    identifier = est.identifier(server.enroll(asked))
    server.decide(identifier, State.APPROVED, note="tag 7")
    assert server.certificates() == []  # approving does not sign
    answers = [server.enroll(asked) for _ in range(3)]
    [certificate] = {est.certificate(answer) for answer in answers}
    assert len({answer.body for answer in answers}) == 1
    [row] = server.certificates()
    assert row.der == est.der(certificate)
    assert (row.enrollment, row.rule) == (identifier, "everyone else")
    assert row.reason == "approved by anna: tag 7"
    [request] = server.requests()
    assert (request.state, request.serial) == (State.GRANTED, row.serial)
    assert est.happened(server.events()) == ["pending", "approved", "granted"]
    assert server.events()[-1].reason == row.reason


def test_rejected_is_refused_with_the_note(server: Server) -> None:
    """403 with what the administrator wrote; no login would change it."""
    asked = ca.request()
    identifier = est.identifier(server.enroll(asked))
    server.decide(identifier, State.REJECTED, note="not ours: call\n\x1b[2Jextension 7")
    for _ in range(2):
        response = server.enroll(asked)
        assert response.status == 403
        said = r"rejected by an administrator: not ours: call\x0a\x1b[2Jextension 7"
        assert est.reason(response) == said
    other = ca.request()
    server.decide(est.identifier(server.enroll(other)), State.REJECTED)
    assert est.reason(server.enroll(other)) == "rejected by an administrator: no note"
    assert server.certificates() == []


def with_mac(key: keys.PrivateKey) -> CertificateRequest:
    """Return a CSR with the usual names and a MAC address beside them."""
    subject = parse_subject("CN=Drive 7,serialNumber=0001:6040C8F2")
    built = csr.build(key, subject, mac=Mac.parse("00:00:bc:12:34:56"))
    return csr.parse(built.public_bytes(Encoding.DER))


def test_an_approval_holds_for_what_was_shown(server: Server) -> None:
    """Another key, another name, another MAC address: other requests, which wait."""
    key = keys.generate(keys.KeyType.EC_P256)
    asked = ca.request(key=key)
    identifier = est.identifier(server.enroll(asked))
    server.decide(identifier, State.APPROVED)
    swapped = [
        ca.request(),
        ca.request("CN=Drive 8,serialNumber=0001:6040C8F2", key=key),
        ca.request(sans=["dns:other"], key=key),
        with_mac(key),
    ]
    ids = {est.identifier(server.enroll(other)) for other in swapped}
    assert len(ids | {identifier}) == 5
    assert server.certificates() == []
    assert server.enroll(asked).status == 200


def test_an_approval_holds_for_who_was_shown(server: Server) -> None:
    """The same CSR with a certificate, or with a login, is another applicant's."""
    asked = ca.request()
    server.text = est.ASK
    server.add_user("anna")
    anonymous = est.identifier(server.enroll(asked))
    own = est.der(server.record(ca.request()))
    with_certificate = est.identifier(server.enroll(asked, chain=[own]))
    with_login = est.identifier(server.enroll(asked, login=("anna", PASSWORD)))
    assert len({anonymous, with_certificate, with_login}) == 3
    server.decide(with_login, State.APPROVED)
    assert server.enroll(asked).status == 202
    assert server.enroll(asked, chain=[own]).status == 202
    assert server.enroll(asked, login=("anna", PASSWORD)).status == 200


def test_a_csr_signed_anew_is_the_same_request(server: Server) -> None:
    """A device that binds its CSR to each connection keeps its place and gets its approval."""
    key = keys.generate(keys.KeyType.EC_P256)

    def poll(binding: bytes) -> Response:
        asked = ca.request(key=key, challenge=base64.b64encode(binding))
        return server.enroll(asked, bindings=(binding,))

    [identifier] = {est.identifier(poll(bytes([n]) * 12)) for n in range(4)}
    server.decide(identifier, State.APPROVED)
    [certificate] = {est.certificate(poll(bytes([n]) * 32)) for n in range(4)}
    assert certificate.public_key() == key.public_key()
    assert len(server.certificates()) == 1


def test_a_wrong_binding_is_refused(server: Server) -> None:
    """From another connection, stale, or for the other version of TLS; ca.toml can ignore it."""
    mine, other = b"1" * 12, b"2" * 12
    asked = ca.request(challenge=base64.b64encode(other))
    for bindings in ((mine,), (), (b"3" * 32,)):
        response = server.enroll(asked, bindings=bindings)
        assert response.status == 403
        assert "is not this TLS connection's channel binding" in est.reason(response)
    assert server.enroll(asked, bindings=(mine, other)).status == 202
    server.text += '[server]\nchallenge_password = "ignore"\n'
    assert server.enroll(asked, bindings=(mine,)).status == 202


def test_the_servers_own_name_is_nobodys(server: Server) -> None:
    """Not even an administrator can grant it: it is never asked about."""
    response = server.enroll(ca.request(sans=["dns:Plant.Local"]))
    assert response.status == 403
    assert est.reason(response) == "the CSR asks for this server's own name, dns:Plant.Local"
    assert server.requests() == []
    [event] = server.events()
    assert (event.event, event.rule) == ("refused", "always")


# What is recorded, and told.


def test_events_are_told_once_they_are_durable(server: Server) -> None:
    """Whoever is told of a grant finds it in the record."""
    told: list[Event] = []
    other = Database.open(server.database.path)

    def tell(event: Event) -> None:
        if event.serial is not None:
            serial = event.serial
            assert other.read(lambda db: certificates.by_serial(db, serial))
        told.append(event)

    server.ra._tell = tell
    asked = ca.request()
    identifier = est.identifier(server.enroll(asked))
    server.decide(identifier, State.APPROVED)
    server.enroll(asked)
    server.enroll(asked)
    server.enroll(ca.request(sans=["dns:plant.local"]))
    other.close()
    assert est.happened(told) == ["pending", "granted", "refused"]
    recorded = [event for event in server.events() if event.event != "approved"]
    assert told == recorded


def test_a_stubborn_applicant_leaves_one_row_a_minute(server: Server) -> None:
    """Refusals are recorded, but not with each try."""
    refused = ca.request(sans=["dns:plant.local"])
    for second in range(0, 121, 10):
        server.now = NOW + timedelta(seconds=second)
        assert server.enroll(refused).status == 403
    assert est.happened(server.events()) == ["refused"] * 3


def test_a_user_whom_no_rule_knows(server: Server) -> None:
    """403 without challenge: the password was right, and another try of it would not help."""
    for name in ("anna", "berta"):
        server.add_user(name)
    server.text = est.USERS.replace("user = true", 'user = "berta"')
    response = server.enroll(ca.request(PC), login=("anna", PASSWORD))
    assert response.status == 403
    assert est.header(response, "WWW-Authenticate") is None
    assert "berta" not in est.reason(response)
    assert server.enroll(ca.request(PC)).status == 401
    assert server.enroll(ca.request(PC), login=("berta", PASSWORD)).status == 200


def test_without_rules_for_users_there_is_no_challenge(server: Server) -> None:
    """Where no login could help, the refusal is 403, and no password is asked for."""
    server.text = est.RENEWAL
    response = server.enroll(ca.request())
    assert response.status == 403
    assert est.reason(response) == "no rule applies: no client certificate was presented"


def test_strange_texts_are_recorded_as_they_are(lab: Server) -> None:
    """What a device sends is data: in the record unchanged, in answers harmless."""
    subject = ca.unchecked_name("'; DROP TABLE requests; --", "\x1b[31m\u202egnp.exe", "a\0b", "😀")
    assert lab.enroll(ca.request(subject)).status == 200
    [row] = lab.certificates()
    assert "DROP TABLE" in row.subject
    assert "\x1b" in row.subject
    lab.text = est.RENEWAL
    response = lab.enroll(
        ca.request(sans=["dns:plant.local"]), chain=[b"\xff"], login=("\x1b[2J", "x" * 8)
    )
    assert response.body.decode().rstrip("\n").isprintable()


def test_endless_texts_are_cut_in_events(lab: Server) -> None:
    """A refusal of tens of kilobytes leaves an event of two."""
    subject = ca.unchecked_name("x" * 6_000)
    response = lab.enroll(ca.request(subject, sans=["dns:plant.local"]), login=None)
    assert response.status == 403
    wildcard = csr.build(
        keys.generate(keys.KeyType.EC_P256), subject, sans=[x509.DNSName("*" * 6_000)]
    )
    asked = csr.parse(wildcard.public_bytes(Encoding.DER))
    assert len(lab.enroll(asked).body) < 500
    for event in lab.events():
        assert len(event.subject or "") == 1_000
        assert len(event.reason or "") <= 1_000


def test_the_logger_is_quiet_when_all_is_well(
    server: Server, caplog: pytest.LogCaptureFixture
) -> None:
    """Asking, waiting, granting and refusing are events, not log lines."""
    caplog.set_level(logging.WARNING)
    asked = ca.request()
    server.decide(est.identifier(server.enroll(asked)), State.APPROVED)
    server.enroll(asked)
    server.enroll(ca.request(sans=["dns:plant.local"]))
    server.answer(dataclasses.replace(post(b"garbage"), peer=Peer("192.0.2.7", (b"x",))))
    assert caplog.messages == []
