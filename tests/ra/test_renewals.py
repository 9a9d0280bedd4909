"""What a renewal has to be, as `[renewal]` in ca.toml says (RFC 7030 section 4.2.2)."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from cryptography import x509

from cipsec.errors import Malformed
from cipsec.est.wire import Response
from cipsec.pki import csr, keys
from cipsec.pki.csr import CHANGE_SUBJECT_NAME, CertificateRequest
from cipsec.pki.names import show_serial
from cipsec.ra import config
from cipsec.ra.renewals import ALWAYS, Renewals
from cipsec.store.requests import State
from cipsec.times import Due
from tests.support import ca, der, est
from tests.support.est import NOW, Server, reason

DAY = timedelta(days=1)
NAME = "CN=Drive 7,serialNumber=0001:6040C8F2"

ONLY_LISTED = '[[rule]]\nname = "listed"\nwhen = { serial = "line" }\nthen = "grant"\n'
ALSO_LISTED = ONLY_LISTED.replace("{ ", "{ own = true, ")

Ruled = Callable[..., contextlib.AbstractContextManager[Server]]


@pytest.fixture
def ruled(tmp_path: Path) -> Ruled:
    """Start a server with these lines in `[renewal]`; the rules ask about all but renewals."""

    @contextlib.contextmanager
    def start(*lines: str) -> Iterator[Server]:
        text = "\n".join(("[renewal]", *lines, est.RENEWAL, est.ASK))
        folder = ca.make(tmp_path / f"ca{len(list(tmp_path.iterdir()))}", now=NOW - 1100 * DAY)
        with contextlib.closing(Server(folder, text)) as server:
            yield server

    return start


def renewed(
    server: Server, held: x509.Certificate, asked: CertificateRequest | None = None
) -> Response:
    """Return what the holder of a certificate is answered who renews it, with a new key."""
    return server.enroll(asked or ca.request(NAME), chain=[est.der(held)], renewal=True)


def ended(server: Server, days: float) -> x509.Certificate:
    """Return a certificate that ended so many days ago."""
    return server.record(ca.request(NAME), validity=30 * DAY, issued=(30 + days) * DAY)


def test_what_has_ended_does_not_renew_by_itself(ruled: Ruled) -> None:
    """Unless ca.toml says so; then a person is asked, and told what was shown."""
    with ruled() as server:
        held = ended(server, 1)
        answer = renewed(server, held)
        assert answer.status == 202
        serial = show_serial(held.serial_number)
        [asked] = server.requests()
        assert asked.reason.endswith(f"certificate {serial} is expired")
        assert asked.proved == "nothing"


@pytest.mark.parametrize(("days", "status"), [(0.01, 200), (29.9, 200), (30.1, 202)])
def test_grace(ruled: Ruled, days: float, status: int) -> None:
    """A line stood still: what ended meanwhile renews, for so long, and the record says so."""
    with ruled('grace = "30d"') as server:
        held = ended(server, days)
        assert renewed(server, held).status == status
        if status == 200:
            [_, row] = server.certificates()
            assert row.reason.startswith(f"renews certificate {show_serial(held.serial_number)} ")
            assert ", which ended at 2026-" in row.reason
            assert (row.device, row.device_proved) == ("0001:6040C8F2", 1)


def test_grace_is_not_for_what_is_revoked(ruled: Ruled) -> None:
    """Neither where it was revoked before its end nor after."""
    with ruled('grace = "30d"') as server:
        held = ended(server, 1)
        server.revoke(held)
        assert renewed(server, held).status == 202
        assert "is revoked" in server.requests()[0].reason


def test_grace_is_for_the_renewal_only(ruled: Ruled) -> None:
    """What has ended proves no device to another rule, and buys no other name."""
    with ruled('grace = "30d"') as server:
        held = ended(server, 1)
        answer = renewed(server, held, ca.request("CN=other"))
        assert answer.status == 202
        assert server.requests()[0].proved == "nothing"


def test_grace_does_not_bring_back_who_was_replaced(ruled: Ruled) -> None:
    """Its successor is in the cabinet, its certificate had ended and was not revoked: ask."""
    with ruled('grace = "30d"') as server:
        held = ended(server, 1)
        successor = ca.request(NAME)
        server.decide(est.identifier(server.enroll(successor)), State.APPROVED)
        assert server.enroll(successor).status == 200
        answer = renewed(server, held)
        assert answer.status == 202
        assert "with another key, is in force" in " ".join(row.reason for row in server.requests())


@pytest.mark.parametrize("renewal", [True, False])
@pytest.mark.parametrize("rules", [ALSO_LISTED, ONLY_LISTED], ids=["own", "other"])
def test_grace_is_no_successor_of_its_successor(ruled: Ruled, rules: str, renewal: bool) -> None:
    """An entry that awaits a replacement is for who comes next, not for a key that has ended."""
    with ruled() as server:
        server.text = f'[renewal]\ngrace = "30d"\n{rules}{est.ASK}'
        server.allow("line", "0001:6040C8F2,,2027-12-31,,")
        held = ended(server, 1)
        successor = ca.request(NAME)
        server.decide(est.identifier(server.enroll(successor)), State.APPROVED)
        assert server.enroll(successor).status == 200
        answer = server.enroll(ca.request(NAME), chain=[est.der(held)], renewal=renewal)
        assert answer.status == 202
        assert [row.revocation for row in server.certificates()] == [None, None]


def test_grace_proves_nothing_to_other_rules(ruled: Ruled) -> None:
    """A renewal that is over goes to a person, who is told that nothing is proved."""
    with ruled() as server:
        lines = '[renewal]\ngrace = "30d"\nlongest = "1d"\n'
        server.text = lines + est.RENEWAL + ONLY_LISTED + est.ASK
        server.allow("line", "0001:6040C8F2,,,,")
        held = ended(server, 1)
        answer = renewed(server, held)
        assert answer.status == 202
        [asked] = server.requests()
        assert (asked.rule, asked.proved) == ("everyone else", "nothing")
        assert "which is not renewed after 1d" in asked.reason
        server.decide(est.identifier(answer), State.APPROVED)


def test_too_early(ruled: Ruled) -> None:
    """Refused, and told from when on; measured from when it was issued, not back-dated."""
    with ruled('earliest = "50%"') as server:
        young = server.record(ca.request(NAME), validity=100 * DAY, issued=49 * DAY)
        answer = renewed(server, young)
        since = est.NOW + DAY
        serial = show_serial(young.serial_number)
        told = f"certificate {serial} is not renewed before {since:%Y-%m-%dT%H:%M:%SZ}"
        assert (answer.status, reason(answer)) == (403, told)
        old = server.record(ca.request(NAME), validity=100 * DAY, issued=50 * DAY)
        assert renewed(server, old).status == 200


def test_too_early_by_the_other_path(ruled: Ruled) -> None:
    """At /simpleenroll it is no renewal either; the next rule decides, and knows why."""
    with ruled('earliest = "30d"') as server:
        held = server.record(ca.request(NAME))
        answer = server.enroll(ca.request(NAME), chain=[est.der(held)])
        assert answer.status == 202
        assert "is not renewed before" in server.requests()[0].reason


def test_what_is_revoked_is_not_told_that_it_comes_too_early(ruled: Ruled) -> None:
    """It renews nothing at any time: the other rules decide, as on an enrollment."""
    with ruled('earliest = "50%"') as server:
        held = server.record(ca.request(NAME))
        server.revoke(held)
        assert renewed(server, held).status == 202
        assert "is revoked" in server.requests()[0].reason


def test_the_answer_that_was_lost(ruled: Ruled) -> None:
    """Whoever asks again with the old certificate gets the same one, however new that is."""
    with ruled('earliest = "50%"', 'same_key = "refuse"') as server:
        held = server.record(ca.request(NAME), issued=400 * DAY)
        asked = ca.request(NAME)
        first, second = (est.certificate(renewed(server, held, asked)) for _ in range(2))
        assert first == second
        assert renewed(server, first).status == 403


@pytest.mark.parametrize(("setting", "status"), [("allow", 200), ("refuse", 403)])
def test_the_same_key(ruled: Ruled, setting: str, status: int) -> None:
    """As the plant wants it; another key always renews."""
    with ruled(f'same_key = "{setting}"') as server:
        key = keys.generate(keys.KeyType.EC_P256)
        held = server.record(ca.request(NAME, key=key))
        answer = renewed(server, held, ca.request(NAME, key=key))
        assert answer.status == status
        if status == 403:
            assert reason(answer).endswith(" needs a new key")
        assert renewed(server, held).status == 200


def test_renewals_end(ruled: Ruled) -> None:
    """A grant is renewed for so long, through all its renewals; then a person decides anew."""
    with ruled('longest = "1000d"') as server:
        held = server.record(ca.request(NAME), issued=700 * DAY)
        first = est.certificate(renewed(server, held))
        server.now += 299 * DAY
        second = est.certificate(renewed(server, first))
        server.now += 2 * DAY
        asked = ca.request(NAME)
        answer = renewed(server, second, asked)
        assert answer.status == 202
        granted = (NOW - 700 * DAY).strftime("%Y-%m-%dT%H:%M:%SZ")
        assert (
            f"goes back to a grant of {granted}, which is not renewed after 1000d"
            in server.requests()[0].reason
        )
        server.decide(est.identifier(answer), State.APPROVED)
        third = est.certificate(renewed(server, second, asked))
        server.now += 499 * DAY
        assert renewed(server, third).status == 200


@pytest.mark.parametrize("renewal", [True, False])
def test_change_of_names(ruled: Ruled, renewal: bool) -> None:
    """ChangeSubjectName is refused, and said where new names are had; or ignored, if so ruled."""
    wanted = der.sequence(der.name((der.COMMON_NAME, der.UTF8, b"Drive 8")))
    asked = csr.parse(der.request(der.attribute(CHANGE_SUBJECT_NAME.dotted_string, wanted)))
    assert asked.changes_names
    with ruled() as server:
        held = server.record(csr.parse(der.request()))
        answer = server.enroll(asked, chain=[est.der(held)], renewal=renewal)
        assert answer.status == 403
        assert "ChangeSubjectName" in reason(answer)
        assert "/simpleenroll" in reason(answer)
        server.text = '[renewal]\nchange_names = "ignore"\n' + est.RENEWAL
        answer = server.enroll(asked, chain=[est.der(held)], renewal=renewal)
        assert est.certificate(answer).subject == held.subject


def test_a_stranger_to_this_ca_is_not_concerned(ruled: Ruled) -> None:
    """strongSwan sends simplereenroll with whatever certificate it has: that is an enrollment."""
    with ruled('earliest = "1d"', 'same_key = "refuse"', 'longest = "1d"') as server:
        asked = csr.parse(der.request())
        own = x509.load_der_x509_certificate(der.certificate())
        assert keys.spki(own.public_key()) == asked.spki
        assert renewed(server, own, asked).status == 202


def test_nothing_said() -> None:
    """Without the table everything is as it always was."""
    assert config.parse(est.RENEWAL.encode()).renewals == ALWAYS == Renewals()
    assert ALWAYS.words() == []


def test_all_said() -> None:
    """Every key, and what people read of it."""
    table = '[renewal]\ngrace="30d"\nearliest="66%"\nsame_key="refuse"\nlongest="3650d"\n'
    read = config.parse((table + 'change_names = "ignore"\n' + est.RENEWAL).encode()).renewals
    assert read == Renewals(30 * DAY, Due(66), False, 3650 * DAY, True)
    assert ", ".join(read.words()) == (
        "until 30d after its end, not before 66% of its life, with a new key only, for 3650d at"
        " most, ChangeSubjectName is ignored"
    )


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("grace = 30", "grace is not a text"),
        ('grace = "-1d"', "grace: '-1d' is not a duration"),
        ('earliest = "101%"', "earliest: '101%' is more than a whole life"),
        ('earliest = "soon"', "earliest: 'soon' is not a duration"),
        ("same_key = true", "same_key must be one of allow, refuse"),
        ('longest = "0s"', "longest must be longer than nothing"),
        ('change_names = "allow"', "change_names must be one of refuse, ignore"),
        ('graze = "1d"', "[renewal]: 'graze' is not known"),
    ],
)
def test_what_is_not_understood(line: str, message: str) -> None:
    """Is refused by name, like everything in ca.toml."""
    with pytest.raises(Malformed) as raised:
        config.parse(f"[renewal]\n{line}\n{est.RENEWAL}".encode())
    assert raised.value.message.startswith(message)
