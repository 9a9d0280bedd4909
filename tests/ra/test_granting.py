"""What is counted is spent exactly as often as it may be, whatever happens between and at once."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from datetime import timedelta
from pathlib import Path

import pytest

from cipsec.est.wire import Peer, Request, Response
from cipsec.pki import keys
from cipsec.pki.csr import CertificateRequest
from cipsec.ra import queue
from cipsec.store import certificates, requests, uses
from cipsec.store.database import Database
from cipsec.store.requests import State
from tests.support import asking, ca, est
from tests.support.est import NOW, PASSWORD, Server, post

DAY, SECOND = timedelta(days=1), timedelta(seconds=1)
DEVICE = "0001:6040C8F2"
CARD = '[[rule]]\nname = "card"\nwhen = { provisioning = true }\nthen = "grant"\n'
LISTED = '[[rule]]\nname = "listed"\nwhen = { serial = "line" }\nthen = "grant"\nunproved = true\n'
ONCE = 'replacement = "keep"\n'


@pytest.fixture
def cards(tmp_path: Path) -> Iterator[Server]:
    """A server that grants to provisioning certificates and renewals."""
    with est.serving(tmp_path, est.RENEWAL + CARD) as server:
        yield server


def drive(number: int, key: keys.PrivateKey | None = None) -> CertificateRequest:
    """Return the CSR of a device of its own."""
    return ca.request(f"CN=Drive {number},serialNumber=0001:{number + 1:08X}", key=key)


def with_card(asked: CertificateRequest, chain: Sequence[bytes]) -> Request:
    """Return an enrollment over a connection with a provisioning certificate."""
    return post(asked.der, peer=Peer("192.0.2.7", tuple(chain)))


def all_at_once(sent: Sequence[tuple[Server, Request]]) -> list[Response]:
    """Answer many requests at the same time."""

    async def answered() -> list[Response]:
        return await asyncio.gather(*(server.ask(request) for server, request in sent))

    return est.run(answered())


def statuses(responses: Sequence[Response]) -> Counter[int]:
    """Count the answers."""
    return Counter(response.status for response in responses)


def spent(server: Server, prefix: str) -> int:
    """Return how many uses are on record."""
    count = "SELECT count(*) FROM uses WHERE credential LIKE ?"
    row = server.database.read(lambda db: db.execute(count, (f"{prefix}%",)).fetchone())
    return int(row[0])


# Exactly N.


@pytest.mark.parametrize("limit", [1, 7])
def test_fifty_at_once_spend_a_card_exactly(limit: int, cards: Server) -> None:
    """As many certificates as it is good for; everybody else is told that it is used up."""
    chain = cards.card(uses=limit)
    responses = all_at_once([(cards, with_card(drive(n), chain)) for n in range(50)])
    assert statuses(responses) == {200: limit, 403: 50 - limit}
    assert len(cards.certificates()) == limit + 1  # and the card itself
    assert spent(cards, "provisioning:") == limit
    refused = {est.reason(response) for response in responses if response.status == 403}
    said = f"provisioning certificate card-1 is used up: {limit} of {limit}"
    assert all(said in reason for reason in refused)


def test_two_servers_spend_a_card_exactly(cards: Server) -> None:
    """Two processes on one store, each with a writer of its own."""
    other = Server(cards.folder, cards.text)
    chain = cards.card(uses=5)
    sent = [((cards, other)[n % 2], with_card(drive(n), chain)) for n in range(50)]
    assert statuses(all_at_once(sent)) == {200: 5, 403: 45}
    other.close()
    assert spent(cards, "provisioning:") == 5
    assert est.happened(cards.events()).count("granted") == 5


def test_a_password_is_spent_exactly(server: Server) -> None:
    """A one-time enrollment password buys one certificate, tried from twenty machines at once."""
    server.add_user("anna", uses=1)
    server.text = est.USERS
    login = ("anna", PASSWORD)
    server.enroll(ca.request("CN=warm up", sans=["dns:plant.local"]), login=login)  # hashed once
    sent = [
        (server, post(ca.request(f"CN=pc-{n}").der, login=login, peer=Peer("192.0.2.7")))
        for n in range(16)
    ]
    assert statuses(all_at_once(sent)) == {200: 1, 403: 15}
    assert spent(server, "user:anna:") == 1


def test_an_entry_is_spent_exactly(server: Server) -> None:
    """Two certificates for one device, whoever asks with whichever key."""
    server.text = LISTED + ONCE
    server.allow("line", f"{DEVICE},,,2,")
    sent = [(server, post(ca.request().der)) for _ in range(30)]
    assert statuses(all_at_once(sent)) == {200: 2, 403: 28}
    assert spent(server, "allowlist:line:") == 2


def test_a_card_that_is_spent_in_the_end(cards: Server) -> None:
    """One after the other it is the same."""
    chain = cards.card(uses=2)
    answers = [cards.enroll(drive(n), chain=chain).status for n in range(4)]
    assert answers == [200, 200, 403, 403]
    granted = [row for row in cards.certificates() if row.rule == "card"]
    assert len({row.credential for row in granted}) == 1
    assert granted[0].credential


# The same applicant again.


def test_a_retry_is_no_second_use(cards: Server) -> None:
    """After a lost answer: the same certificate, byte for byte, at once or a day later."""
    chain = cards.card(uses=2)
    asked = drive(7)
    first = cards.enroll(asked, chain=chain)
    cards.now += DAY
    again = Server(cards.folder, cards.text, now=cards.now)  # by another process
    assert est.certificate(again.enroll(asked, chain=chain)) == est.certificate(first)
    again.close()
    assert spent(cards, "provisioning:") == 1
    assert est.happened(cards.events()).count("granted") == 1


def test_many_retries_at_once_are_one_use(cards: Server) -> None:
    """A device that lost patience, on two servers: one certificate, one use."""
    other = Server(cards.folder, cards.text)
    chain = cards.card(uses=1)
    asked = drive(7)
    responses = all_at_once([((cards, other)[n % 2], with_card(asked, chain)) for n in range(20)])
    other.close()
    assert len({response.body for response in responses}) == 1
    assert statuses(responses) == {200: 20}
    assert spent(cards, "provisioning:") == 1


def test_a_csr_signed_anew_is_the_same_applicant(cards: Server) -> None:
    """ECDSA signs differently each time; another key is another applicant."""
    chain, key = cards.card(uses=1), keys.generate(keys.KeyType.EC_P256)
    certificates = {est.certificate(cards.enroll(drive(7, key), chain=chain)) for _ in range(3)}
    assert len(certificates) == 1
    assert cards.enroll(drive(7), chain=chain).status == 403


def test_what_was_spent_and_revoked_is_gone(cards: Server) -> None:
    """No second certificate for the same use; recorded once a minute, however often it asks."""
    chain = cards.card(uses=2)
    asked = drive(7)
    certificate = est.certificate(cards.enroll(asked, chain=chain))
    cards.revoke(certificate)
    before = len(cards.events())
    for _ in range(5):
        refused = cards.enroll(asked, chain=chain)
        assert refused.status == 403
    assert "was spent on certificate" in est.reason(refused)
    assert "not in force any more" in est.reason(refused)
    assert est.happened(cards.events()[before:]) == ["refused"]
    cards.now += timedelta(minutes=2)
    cards.enroll(asked, chain=chain)
    assert est.happened(cards.events()[before:]) == ["refused"] * 2
    assert spent(cards, "provisioning:") == 1
    assert cards.enroll(drive(8), chain=chain).status == 200  # the other use is good still


# What changes between judgement and transaction.


def overtaken(server: Server, asked: Request, between: Callable[[Database], object]) -> Response:
    """Answer a request that was judged before, and is granted after, something else happened."""
    other = Database.open(server.database.path)

    async def scene() -> Response:
        with other.transaction():
            answer = await server.judged(asked)
            between(other)
        return await answer

    try:
        return est.run(scene())
    finally:
        other.close()


def revoked(serial: str) -> Callable[[Database], object]:
    """Return what revokes a certificate, and a card of that number."""

    def work(database: Database) -> None:
        for table in ("credentials", "certificates"):
            database.connection().execute(
                f"UPDATE {table} SET revoked_at = 1 WHERE serial = ?", (serial,)
            )

    return work


def spent_by_another(serial: str) -> Callable[[Database], object]:
    """Return what uses a card of that number once."""

    def work(database: Database) -> None:
        uses.spend(database.connection(), f"provisioning:{serial}", "ab" * 32, serial="01", at=0)

    return work


def test_a_card_that_is_revoked_in_the_last_moment(cards: Server) -> None:
    """Revoked is revoked, though it was good when it was looked at."""
    chain = cards.card(uses=2)
    [row] = cards.certificates()
    response = overtaken(cards, with_card(drive(7), chain), revoked(row.serial))
    assert est.reason(response) == "the provisioning certificate card-1 is revoked"
    assert [c.rule for c in cards.certificates()] == ["by hand"]
    assert spent(cards, "provisioning:") == 0
    assert cards.events()[-1].event == "refused"


def test_a_certificate_that_is_revoked_in_the_last_moment_renews_nothing(cards: Server) -> None:
    """A thief's renewal does not slip through while it is being stopped."""
    old = cards.record(drive(7))
    [row] = cards.certificates()
    sent = post(drive(7).der, "simplereenroll", peer=Peer("192.0.2.7", (est.der(old),)))
    response = overtaken(cards, sent, revoked(row.serial))
    assert est.reason(response) == f"certificate {row.serial} is revoked"
    assert len(cards.certificates()) == 1


def test_a_card_that_is_spent_in_the_last_moment(cards: Server) -> None:
    """The last use went to somebody else: the answer is that of a moment later."""
    chain = cards.card(uses=1)
    [row] = cards.certificates()
    response = overtaken(cards, with_card(drive(7), chain), spent_by_another(row.serial))
    assert response.status == 403
    used_up = "provisioning certificate card-1 is used up: 1 of 1"
    assert est.reason(response).endswith(used_up)
    assert est.reason(cards.enroll(drive(8), chain=chain)) == est.reason(response)


@pytest.mark.parametrize("in_force", [True, False])
def test_a_request_that_another_server_grants_in_the_last_moment(
    server: Server, *, in_force: bool
) -> None:
    """The certificate made there is handed out here too; not if it is revoked by now."""
    asked = drive(7)
    identifier = est.identifier(server.enroll(asked))
    server.decide(identifier, State.APPROVED)
    made = server.record(drive(8))
    [row] = server.certificates()

    def work(database: Database) -> None:
        requests.grant(database.connection(), identifier, row.serial)
        if not in_force:
            revoked(row.serial)(database)

    response = overtaken(server, post(asked.der), work)
    assert response.status == (200 if in_force else 202)
    assert not in_force or est.certificate(response) == made
    assert len(server.certificates()) == 1


def test_the_rules_below_decide_on_who_came_too_late(cards: Server) -> None:
    """Who would wait for an administrator a moment later is not turned away in this one."""
    cards.text += est.ASK
    chain = cards.card(uses=1)
    [row] = cards.certificates()
    response = overtaken(cards, with_card(drive(7), chain), spent_by_another(row.serial))
    assert response.status == 202
    [event] = [event for event in cards.events() if event.event == "pending"]
    assert event.rule == "everyone else"


def test_an_approval_does_not_outlive_the_last_use(cards: Server) -> None:
    """Approved as a replacement, and by then somebody else has spent the card."""
    chain = cards.card(uses=2)
    cards.tick = SECOND
    assert cards.enroll(drive(7), chain=chain).status == 200
    successor = drive(7)
    identifier = est.identifier(cards.enroll(successor, chain=chain))
    cards.decide(identifier, State.APPROVED, predecessor=True)
    assert cards.enroll(drive(8), chain=chain).status == 200
    for _ in range(3):
        assert cards.enroll(successor, chain=chain).status == 403
    assert len([row for row in cards.certificates() if row.revoked_at is not None]) == 0


def test_a_use_is_spent_with_an_approved_grant_too(cards: Server) -> None:
    """Not with the question, not with the approval: with the certificate."""
    chain = cards.card(uses=2)
    cards.tick = SECOND
    cards.enroll(drive(7), chain=chain)
    successor = drive(7)
    identifier = est.identifier(cards.enroll(successor, chain=chain))
    cards.decide(identifier, State.APPROVED, predecessor=True)
    assert spent(cards, "provisioning:") == 1
    assert cards.enroll(successor, chain=chain).status == 200
    assert spent(cards, "provisioning:") == 2


@pytest.mark.parametrize("predecessor", [True, False])
def test_keys_that_race_for_one_device(predecessor: bool, server: Server) -> None:
    """Whoever comes second is a replacement, however close they come."""
    server.text = LISTED
    server.allow("line", f"{DEVICE},,,,")
    other = Server(server.folder, server.text)
    sent = [((server, other)[n % 2], post(ca.request().der)) for n in range(20)]
    assert statuses(all_at_once(sent)) == {200: 1, 202: 19}
    other.close()
    [granted] = server.certificates()
    assert {row.replaces for row in server.requests()} == {granted.serial}
    first = server.requests()[0].id
    assert server.decide(first, State.APPROVED, predecessor=predecessor).changed


def test_approve_against_reject(server: Server) -> None:
    """Two administrators and a polling device at once: one decision, and what follows from it."""
    for number in range(10):
        asked = drive(number)
        identifier = est.identifier(server.enroll(asked))

        def decide(state: State, name: str, request: str = identifier) -> queue.Decided:
            return server.decide(request, state, by=name)

        async def scene(
            asked: CertificateRequest = asked,
            decide: Callable[[State, str], queue.Decided] = decide,
        ) -> tuple[list[queue.Decided], Response]:
            verdicts = [(State.APPROVED, "anna"), (State.REJECTED, "berta")]
            both = asyncio.gather(*(asyncio.to_thread(decide, *verdict) for verdict in verdicts))
            polls = [await server.ask(post(asked.der)) for _ in range(5)]
            assert statuses(polls).keys() <= {200, 202, 403}
            return list(await both), await server.ask(post(asked.der))

        decided, last = est.run(scene())
        [first] = [one for one in decided if one.changed]
        assert last.status == (200 if first.outcome == State.APPROVED else 403)
    granted = sum(row.state == State.GRANTED for row in server.requests())
    assert len(server.certificates()) == granted


# Rules that cannot be judged.


def test_a_broken_list_lets_wait_and_tells_once(server: Server) -> None:
    """202 and one event that names file and line; mended, the next poll is granted."""
    server.text = LISTED + est.LAB
    path = server.allow("line", "nonsense")
    asked = ca.request()
    for _ in range(3):
        assert server.enroll(asked).status == 202
    assert server.enroll(ca.request()).status == 202
    troubles = [event for event in server.events() if event.event == "policy-error"]
    [trouble] = troubles
    assert trouble.reason
    assert trouble.reason.startswith("allowlists/line.csv:2: ")
    assert server.certificates() == []
    path.write_text(f"device\n{DEVICE}\n")
    assert server.enroll(asked).status == 200
    assert {row.state for row in server.requests()} == {State.GRANTED, State.PENDING}


def test_a_program_that_hangs_is_no_grant(server: Server, tmp_path: Path) -> None:
    """No opinion: the next rule decides, and the trouble is an event."""
    folder = tmp_path / "scripts"
    folder.mkdir()
    [program] = asking.scripts(folder)("exit 9")
    server.text = (
        f'[[rule]]\nname = "asked"\nwhen = {{ exec = ["{program}"] }}\nthen = "grant"\n' + est.ASK
    )
    assert server.enroll(ca.request()).status == 202
    assert est.happened(server.events()) == ["policy-error", "pending"]
    assert server.requests()[0].rule == "everyone else"


def test_a_program_says_yes(server: Server, tmp_path: Path) -> None:
    """Granted, with what it said as the reason; twenty devices at once are all asked about."""
    folder = tmp_path / "scripts"
    folder.mkdir()
    [program] = asking.scripts(folder)("echo in the plan")
    server.text = f'[[rule]]\nname = "asked"\nwhen = {{ exec = ["{program}"] }}\nthen = "grant"\n'
    peers = [Peer(f"192.0.2.{n}") for n in range(20)]
    responses = all_at_once(
        [(server, post(drive(n).der, peer=peer)) for n, peer in enumerate(peers)]
    )
    assert statuses(responses) == {200: 20}
    assert {row.reason for row in server.certificates()} == {f"{program} agrees: in the plan"}


# Clocks.


def test_a_card_and_a_clock_that_jumps(cards: Server) -> None:
    """What is spent stays spent, whatever the time is said to be; retries are retries."""
    chain = cards.card(uses=2, days=7)
    asked = drive(7)
    first = est.certificate(cards.enroll(asked, chain=chain))
    for now in (NOW - 20 * timedelta(hours=1), NOW, NOW + 6 * DAY):
        cards.now = now
        assert est.certificate(cards.enroll(asked, chain=chain)) == first
    assert cards.enroll(drive(8), chain=chain).status == 200
    for now in (NOW - timedelta(hours=20), NOW + 6 * DAY):
        cards.now = now
        assert cards.enroll(drive(9), chain=chain).status == 403
    cards.now = NOW + 8 * DAY
    assert cards.enroll(asked, chain=chain).status == 403  # it has ended, for retries too
    assert spent(cards, "provisioning:") == 2


def test_an_open_day_and_a_clock_that_jumps(server: Server) -> None:
    """A global grant with an end is over when the clock says so, and leaves no door open."""
    end = NOW + DAY
    server.text = (
        '[[rule]]\nname = "open"\nwhen = { anyone = true }\nthen = "grant"\n'
        f'until = "{end.isoformat()}"\n' + est.ASK
    )
    for now, status in ((end - SECOND, 200), (end, 202), (end + DAY, 202)):
        server.now = now
        assert server.enroll(drive(now.day * 100 + now.second)).status == status
    [granted] = [event for event in server.events() if event.event == "granted"]
    assert (granted.reason or "").startswith("global grant: ")


# The record.


def test_everything_is_in_one_transaction(cards: Server) -> None:
    """Where the certificate cannot be recorded nothing is spent, revoked or told."""
    chain = cards.card(uses=1)
    cards.database.write(
        lambda db: db.execute(
            "CREATE TRIGGER full BEFORE INSERT ON events WHEN NEW.event = 'granted'"
            " BEGIN SELECT RAISE(ABORT, 'no'); END"
        )
    )
    asked = drive(7)
    with pytest.raises(Exception, match="no"):
        cards.enroll(asked, chain=chain)
    assert spent(cards, "provisioning:") == 0
    assert cards.database.read(certificates.count) == 1
    cards.database.write(lambda db: db.execute("DROP TRIGGER full"))
    assert cards.enroll(asked, chain=chain).status == 200


def test_who_logged_in_and_with_what_is_recorded(server: Server) -> None:
    """With the certificate: user and credential, for whoever has to clear up later."""
    server.text = est.RENEWAL + CARD + est.USERS
    server.add_user("anna")
    chain = server.card()
    card = server.certificates()[0].serial
    first = est.certificate(server.enroll(drive(7), chain=chain))
    server.enroll(ca.request("CN=pc"), login=("anna", PASSWORD))
    by_card, by_user = [row for row in server.certificates() if row.kind == "endpoint"]
    if by_card.user:
        by_card, by_user = by_user, by_card
    assert (by_card.credential, by_card.user) == (card, None)
    assert (by_user.credential, by_user.user) == (None, "anna")
    server.tick = DAY
    server.enroll(drive(7), chain=[est.der(first)], renewal=True)
    renewed = server.certificates()[-1]
    assert renewed.credential == card  # where it came from, after renewals too


def test_a_request_is_settled_by_a_rule_that_grants(server: Server) -> None:
    """Whoever waited and is granted by a new rule waits no more."""
    asked = drive(7)
    identifier = est.identifier(server.enroll(asked))
    server.text = est.LAB
    server.enroll(asked)
    row = server.database.read(lambda db: requests.by_id(db, identifier))
    assert row
    assert (row.state, row.serial) == (State.GRANTED, server.certificates()[0].serial)
