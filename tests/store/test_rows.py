"""The tables: certificates, requests, users, events; what is read is what was written."""

from __future__ import annotations

import dataclasses
import sqlite3
from datetime import UTC, datetime

import pytest

from cipsec.store import certificates, events, requests, users
from cipsec.store.codes import Code
from cipsec.store.database import Database
from cipsec.store.events import Event
from cipsec.store.requests import Approval, Poll, State
from cipsec.store.users import UserRow
from tests.store import rows


@pytest.fixture
def db(store: Database) -> sqlite3.Connection:
    """The connection of an empty store."""
    return store.connection()


def test_certificates_come_in_the_order_of_their_serials(db: sqlite3.Connection) -> None:
    """Serials are ordered in time, so that order is the oldest first."""
    for serial in ("03", "01", "02"):
        certificates.insert(db, rows.certificate(serial))
    assert [row.serial for row in certificates.listed(db)] == ["01", "02", "03"]
    assert certificates.count(db) == 3


def test_certificates_of_one_device(db: sqlite3.Connection) -> None:
    """A device's certificates are found by its Vendor ID and serial number."""
    for serial, device in (("01", "0001:00000001"), ("02", "0001:00000002"), ("03", None)):
        certificates.insert(db, rows.certificate(serial, device=device))
    found = certificates.listed(db, device="0001:00000002")
    assert [row.serial for row in found] == ["02"]


def test_a_serial_is_used_once(db: sqlite3.Connection) -> None:
    """The store refuses a second certificate with the same serial number."""
    certificates.insert(db, rows.certificate("01"))
    with pytest.raises(sqlite3.IntegrityError):
        certificates.insert(db, rows.certificate("01"))


def test_a_certificate_is_found_by_the_beginning_of_its_serial(db: sqlite3.Connection) -> None:
    """One is the certificate, two are too many, and a longer serial is not its own prefix."""
    for serial in ("01a1", "01a2", "01ff", "02"):
        certificates.insert(db, rows.certificate(serial))
    assert [r.serial for r in certificates.by_serial_prefix(db, "01f")] == ["01ff"]
    assert len(certificates.by_serial_prefix(db, "01")) == 2
    assert certificates.by_serial_prefix(db, "01fff") == []
    assert certificates.by_serial_prefix(db, "03") == []
    assert certificates.by_serial(db, "02") == rows.certificate("02")
    assert certificates.by_serial(db, "0") is None


def test_the_latest_certificate_of_an_enrollment(db: sqlite3.Connection) -> None:
    """The newest that is new enough, and only of the very same enrollment."""
    for serial, enrollment, at in (("01", "e1", 100), ("02", "e1", 200), ("03", "e2", 300)):
        certificates.insert(db, rows.certificate(serial, enrollment=enrollment, issued_at=at))
    latest = certificates.latest_for_enrollment(db, "e1", since=150, at=900)
    assert latest
    assert latest.serial == "02"
    assert certificates.latest_for_enrollment(db, "e1", since=201, at=900) is None
    assert certificates.latest_for_enrollment(db, "e3", since=0, at=900) is None


@pytest.mark.parametrize(
    ("at", "status"),
    [(999, "not yet valid"), (1000, "valid"), (2000, "valid"), (2001, "expired")],
)
def test_status(at: int, status: str) -> None:
    """A certificate is valid from notBefore through notAfter, both included."""
    row = rows.certificate(not_before=1000, not_after=2000)
    assert row.status(datetime.fromtimestamp(at, UTC)) == status


def test_a_request_comes_back_as_it_was(db: sqlite3.Connection) -> None:
    """Every column is where it belongs."""
    row = dataclasses.replace(rows.request(), note="a", serial="b", decided_by="c", decided_at=1)
    requests.insert(db, row)
    assert requests.by_id(db, row.id) == row
    assert requests.by_id(db, "bb" * 32) is None
    with pytest.raises(sqlite3.IntegrityError):
        requests.insert(db, row)
    with pytest.raises(sqlite3.IntegrityError):
        requests.insert(db, dataclasses.replace(row, id="bb", state="perhaps"))


def test_requests_are_listed_by_how_long_they_wait(db: sqlite3.Connection) -> None:
    """The longest waiting comes first; only the states asked for come at all."""
    for identifier, first_seen in (("aa", 30), ("bb", 10), ("cc", 20)):
        requests.insert(db, rows.request(identifier, first_seen=first_seen))
    requests.decide(db, "cc", State.REJECTED, by="anna", at=40, note=None)
    assert [row.id for row in requests.listed(db, [State.PENDING])] == ["bb", "aa"]
    assert [row.id for row in requests.listed(db, list(State))] == ["bb", "cc", "aa"]
    assert list(requests.listed(db, [])) == []
    assert requests.count_pending(db) == 2


def test_a_request_is_found_by_the_beginning_of_its_id(db: sqlite3.Connection) -> None:
    """Two are enough to know that the beginning is ambiguous."""
    for identifier in ("aa1", "aa2", "aa3", "ab"):
        requests.insert(db, rows.request(identifier))
    assert [row.id for row in requests.by_prefix(db, "aa2")] == ["aa2"]
    assert len(requests.by_prefix(db, "aa")) == 2
    assert requests.by_prefix(db, "b") == []


def test_the_life_of_a_request(db: sqlite3.Connection) -> None:
    """Pending, approved, granted; reopened only from the state it is in, and then as if new."""
    anew = dataclasses.replace(
        rows.request("aa", first_seen=80),
        subject="cn=drive 7",
        proved="user anna",
        address="192.0.2.9",
        csr=b"0\1\0",
        replaces="0124 0123",
        approvals=2,
    )
    requests.insert(db, rows.request("aa"))
    assert not requests.reopen(db, anew, State.GRANTED)
    requests.decide(db, "aa", State.APPROVED, by="anna", at=60, note="tag 7")
    approved = requests.by_id(db, "aa")
    assert approved
    decision = (approved.state, approved.decided_by, approved.decided_at, approved.note)
    assert decision == ("approved", "anna", 60, "tag 7")
    assert not requests.reopen(db, anew, State.PENDING)
    requests.grant(db, "aa", "0123")
    granted = requests.by_id(db, "aa")
    assert granted
    assert (granted.state, granted.serial, granted.decided_by) == ("granted", "0123", "anna")
    requests.record_polls(db, [Poll("aa", 4, 2_000, "192.0.2.8")])
    assert requests.reopen(db, anew, State.GRANTED)
    assert not requests.reopen(db, rows.request("aa"), State.GRANTED)
    assert requests.by_id(db, "aa") == anew


def test_one_request_is_reopened(db: sqlite3.Connection) -> None:
    """Another one in the same state stays as it was, and one that is not there is not made."""
    for identifier in ("aa", "bb"):
        requests.insert(db, rows.request(identifier))
        requests.decide(db, identifier, State.REJECTED, by="anna", at=60, note=None)
    before = requests.by_id(db, "bb")
    assert requests.reopen(db, rows.request("aa", first_seen=70), State.REJECTED)
    assert requests.by_id(db, "bb") == before
    assert not requests.reopen(db, rows.request("cc"), State.REJECTED)
    assert requests.by_id(db, "cc") is None


def test_who_agreed_is_forgotten_with_the_question(db: sqlite3.Connection) -> None:
    """Agreement is to one question: when that is asked anew, everybody is asked anew."""
    for identifier in ("aa", "bb"):
        requests.insert(db, rows.request(identifier))
    berta, anna = Approval("berta", 10, "tag 7", revokes=True), Approval("anna", 30, None, None)
    requests.approve(db, "aa", berta)
    requests.approve(db, "aa", Approval("berta", 20, "again", revokes=False))
    requests.approve(db, "aa", anna)
    requests.approve(db, "bb", anna)
    assert requests.approvals(db, "aa") == [berta, anna]
    assert not requests.reopen(db, rows.request("aa"), State.APPROVED)
    assert requests.approvals(db, "aa") == [berta, anna]
    assert requests.reopen(db, rows.request("aa"), State.PENDING)
    assert requests.approvals(db, "aa") == []
    assert requests.approvals(db, "bb") == [anna]


@pytest.mark.parametrize("revokes", [True, False, None])
def test_an_agreement_comes_back_as_it_was(db: sqlite3.Connection, revokes: bool | None) -> None:
    """To revoke, to keep, and nothing said of it are three things."""
    given = Approval("anna", 10, "a", revokes)
    requests.approve(db, "aa", given)
    (agreed,) = requests.approvals(db, "aa")
    assert agreed == given
    assert agreed.revokes is revokes


def test_a_decision_about_the_predecessors(db: sqlite3.Connection) -> None:
    """It is kept with the approval, and gone when the question is asked anew."""
    asked = dataclasses.replace(rows.request("aa"), replaces="02 01")
    requests.insert(db, asked)
    requests.decide(db, "aa", State.APPROVED, by="anna", at=60, note=None, revokes=True)
    standing = requests.standing(db, "aa")
    assert standing
    assert (standing.state, standing.replaces, standing.revokes) == ("approved", "02 01", 1)
    anew = dataclasses.replace(asked, replaces="03", approvals=2, proved="user anna")
    requests.reopen(db, anew, State.APPROVED)
    standing = requests.standing(db, "aa")
    assert standing
    assert (standing.state, standing.replaces, standing.revokes) == ("pending", "03", 0)
    assert (standing.approvals, standing.proved) == (2, "user anna")
    assert requests.standing(db, "bb") is None


def test_what_a_list_shows_is_cut(db: sqlite3.Connection) -> None:
    """A thousand requests with subjects of kilobytes are listed all the same."""
    long = dataclasses.replace(rows.request("aa"), subject="x" * 5_000, sans="y" * 5_000)
    requests.insert(db, long)
    requests.insert(db, rows.request("bb", first_seen=10))
    first, second = requests.waiting(db)
    assert (first.id, second.id) == ("bb", "aa")
    assert (len(second.subject), len(second.sans)) == (500, 500)
    assert [one.id for one in requests.waiting(db, limit=1)] == ["bb"]
    requests.decide(db, "bb", State.REJECTED, by="anna", at=0, note=None)
    assert [one.id for one in requests.waiting(db)] == ["aa"]


def test_waiting_requests_are_counted_by_address(db: sqlite3.Connection) -> None:
    """Only those that wait."""
    for identifier in ("aa", "bb", "cc"):
        requests.insert(db, rows.request(identifier))
    requests.record_polls(db, [Poll("bb", 1, 150, "192.0.2.8")])
    requests.decide(db, "cc", State.REJECTED, by="anna", at=0, note=None)
    assert requests.pending_by_address(db) == {"192.0.2.7": 1, "192.0.2.8": 1}


def test_a_certificate_is_revoked_once(db: sqlite3.Connection) -> None:
    """Time, person and reason are those of the first time."""
    certificates.insert(db, rows.certificate("01", not_after=9_000))
    assert certificates.revoke(db, "01", by="anna", reason="keyCompromise", at=100)
    assert not certificates.revoke(db, "01", by="berta", reason="superseded", at=200)
    assert not certificates.revoke(db, "02", by="anna", reason="superseded", at=200)
    row = certificates.by_serial(db, "01")
    assert row
    revoked = (row.revoked_at, row.revoked_by, row.revocation)
    assert revoked == (100, "anna", "keyCompromise")
    for at in (0, 5_000, 10_000):  # revoked is revoked, whatever the time
        assert row.status(datetime.fromtimestamp(at, UTC)) == "revoked"


def test_what_a_credential_enrolled(db: sqlite3.Connection) -> None:
    """In the order of their serial numbers; and every column is where it belongs."""
    for serial, credential in (("03", "c1"), ("01", "c1"), ("02", "c2"), ("04", None)):
        row = dataclasses.replace(rows.certificate(serial), credential=credential, user="anna")
        certificates.insert(db, row)
        assert certificates.by_serial(db, serial) == row
    assert [row.serial for row in certificates.by_credential(db, "c1")] == ["01", "03"]
    assert list(certificates.by_credential(db, "c3")) == []


def test_polls_are_added(db: sqlite3.Connection) -> None:
    """Counts add up, the time of the last poll never goes back, a request that is gone is none."""
    requests.insert(db, rows.request("aa", first_seen=100))
    requests.record_polls(db, [Poll("aa", 3, 150, "192.0.2.8"), Poll("bb", 1, 150, "192.0.2.9")])
    requests.record_polls(db, [Poll("aa", 2, 140, "192.0.2.7")])
    row = requests.by_id(db, "aa")
    assert row
    assert (row.polls, row.last_seen, row.address) == (6, 150, "192.0.2.7")


def test_events_are_numbered_in_order(db: sqlite3.Connection) -> None:
    """Events are read from a number on, and from a time on."""
    for at, name in ((10, "pending"), (30, "approved"), (20, "granted")):
        events.append(db, Event(at, Code(name), "endpoint"))
    assert [(n, e.event) for n, e in events.after(db, 0)] == [
        (1, "pending"),
        (2, "approved"),
        (3, "granted"),
    ]
    assert [n for n, _ in events.after(db, 2)] == [3]
    assert [e.event for _, e in events.after(db, 0, since=20)] == ["approved", "granted"]


def test_an_event_comes_back_as_it_was(db: sqlite3.Connection) -> None:
    """Every column is where it belongs, and JSON has every key."""
    event = Event(0, Code.GRANTED, "user a", "192.0.2.7", "r", "s", "CN=D", "d", "rule", "reason")
    events.append(db, event)
    assert list(events.after(db, 0)) == [(1, event)]
    assert events.shown(event) == {
        "at": "1970-01-01T00:00:00Z",
        "event": "granted",
        "actor": "user a",
        "address": "192.0.2.7",
        "request": "r",
        "serial": "s",
        "subject": "CN=D",
        "device": "d",
        "rule": "rule",
        "reason": "reason",
    }


def test_users(db: sqlite3.Connection) -> None:
    """A name is taken once; a password is replaced; what is removed is gone."""
    assert users.insert(db, UserRow("anna", "hash 1", 10, 10))
    assert not users.insert(db, UserRow("anna", "hash 2", 20, 20))
    assert users.insert(db, UserRow("Anna", "hash 3", 30, 30))
    assert users.by_name(db, "anna") == UserRow("anna", "hash 1", 10, 10)
    assert users.set_password(db, "anna", "hash 4", at=40)
    assert users.by_name(db, "anna") == UserRow("anna", "hash 4", 10, 40)
    assert not users.set_password(db, "berta", "hash 5", at=50)
    assert [user.name for user in users.listed(db)] == ["Anna", "anna"]
    assert users.remove(db, "anna")
    assert not users.remove(db, "anna")
    assert users.by_name(db, "anna") is None


def test_a_password_hash_is_not_shown() -> None:
    """What ends up in a log or a traceback does not hold the hash."""
    assert "hash 1" not in repr(UserRow("anna", "hash 1", 10, 10))


@pytest.mark.parametrize("text", ["'; DROP TABLE users; --", "a\0b", "Ü", "😀" * 50, ""])
def test_any_text_is_only_text(text: str, db: sqlite3.Connection) -> None:
    """Whatever strangers send comes back unchanged and does nothing."""
    certificates.insert(db, dataclasses.replace(rows.certificate(), subject=text, reason=text))
    row = certificates.by_serial(db, "01")
    assert row
    assert (row.subject, row.reason) == (text, text)
    assert users.by_name(db, text) is None
    assert requests.by_prefix(db, text) == []
