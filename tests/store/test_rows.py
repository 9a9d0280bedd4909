"""The tables: certificates, requests, users, events; what is read is what was written."""

from __future__ import annotations

import dataclasses
import sqlite3
from datetime import UTC, datetime

import pytest

from cipsec.store import certificates, events, requests, users
from cipsec.store.database import Database
from cipsec.store.events import Event
from cipsec.store.requests import Poll, State
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
    latest = certificates.latest_for_enrollment(db, "e1", since=150)
    assert latest
    assert latest.serial == "02"
    assert certificates.latest_for_enrollment(db, "e1", since=201) is None
    assert certificates.latest_for_enrollment(db, "e3", since=0) is None


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
    """Pending, approved, granted; reopened only when granted, and then as if new."""
    requests.insert(db, rows.request("aa"))
    assert not requests.reopen(db, "aa", at=50)
    requests.decide(db, "aa", State.APPROVED, by="anna", at=60, note="tag 7")
    approved = requests.by_id(db, "aa")
    assert approved
    decision = (approved.state, approved.decided_by, approved.decided_at, approved.note)
    assert decision == ("approved", "anna", 60, "tag 7")
    assert not requests.reopen(db, "aa", at=70)
    requests.grant(db, "aa", "0123")
    granted = requests.by_id(db, "aa")
    assert granted
    assert (granted.state, granted.serial, granted.decided_by) == ("granted", "0123", "anna")
    assert requests.reopen(db, "aa", at=80)
    assert not requests.reopen(db, "aa", at=90)
    reopened = dataclasses.replace(rows.request("aa"), first_seen=80, last_seen=80, polls=0)
    assert requests.by_id(db, "aa") == reopened


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
        events.append(db, Event(at, name, "endpoint"))
    assert [(n, e.event) for n, e in events.after(db, 0)] == [
        (1, "pending"),
        (2, "approved"),
        (3, "granted"),
    ]
    assert [n for n, _ in events.after(db, 2)] == [3]
    assert [e.event for _, e in events.after(db, 0, since=20)] == ["approved", "granted"]


def test_an_event_comes_back_as_it_was(db: sqlite3.Connection) -> None:
    """Every column is where it belongs, and JSON has every key."""
    event = Event(0, "granted", "user a", "192.0.2.7", "r", "s", "CN=D", "d", "rule", "reason")
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
