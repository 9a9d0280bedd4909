"""The store, the disk, and what of the record wants looking after."""

from __future__ import annotations

import dataclasses
import sqlite3
from contextlib import closing
from datetime import timedelta
from pathlib import Path

import pytest

from cipsec import times
from cipsec.ca_folder import CaFolder
from cipsec.doctor import record, subject
from cipsec.doctor.examine import CA_CHECKS
from cipsec.doctor.finding import examine
from cipsec.store import certificates, events, held, requests
from cipsec.store.codes import Code
from cipsec.store.events import Event
from cipsec.store.readonly import ReadOnly
from tests.store import rows

from .looking import ASK, FAIL, OK, WARN, at_ca, brief, change, now, rules

_DAY = 86_400
_OF_THE_RECORD = ("ca clock", "requests", "expiring", "events")


def test_store(ca_folder: CaFolder) -> None:
    """A new one is whole."""
    [found] = at_ca(ca_folder, "store")
    assert (found.verdict, found.detail) == (OK, "0.1 MB, nothing is damaged")


@pytest.mark.parametrize(
    ("content", "detail"),
    [
        (None, "there is no store"),
        (b"", "has schema 0, this cipsec reads"),
        (b"not a database " * 1000, "file is not a database"),
    ],
)
def test_no_store(ca_folder: CaFolder, content: bytes | None, detail: str) -> None:
    """What cannot be used fails once; the checks that would read it say that they did not."""
    ca_folder.store_file.unlink()
    if content is not None:
        ca_folder.store_file.write_bytes(content)
    [found] = at_ca(ca_folder, "store")
    assert found.verdict is FAIL
    assert detail in found.detail
    for check in _OF_THE_RECORD:
        assert brief(at_ca(ca_folder, check)) == [(WARN, "not looked at: the store cannot be used")]


def test_damaged_store(ca_folder: CaFolder) -> None:
    """Pages of noise behind a whole header are found."""

    def work(db: sqlite3.Connection) -> None:
        for number in range(300):
            certificates.insert(db, rows.certificate(f"{number:032x}"))

    change(ca_folder, work)
    content = bytearray(ca_folder.store_file.read_bytes())
    content[-8192:] = b"\xa5" * 8192
    ca_folder.store_file.write_bytes(content)
    [found] = at_ca(ca_folder, "store")
    assert (found.verdict, found.hint) == (FAIL, "restore the CA folder from a backup")


def test_earlier_store(ca_folder: CaFolder) -> None:
    """A store of the first version is not brought to this one by looking at it."""
    with closing(sqlite3.connect(ca_folder.store_file)) as db:
        db.execute("PRAGMA user_version=1")
    before = ca_folder.store_file.read_bytes()
    [found] = at_ca(ca_folder, "store")
    assert (found.verdict, found.hint) == (WARN, "cipsec ca list")
    assert ca_folder.store_file.read_bytes() == before


def test_large_store(ca_folder: CaFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    """What cannot be looked through in time is said to be so, and is no fault."""
    many = [rows.certificate(f"{number:032x}") for number in range(30_000)]

    def work(db: sqlite3.Connection) -> None:
        for row in many:
            certificates.insert(db, row)

    change(ca_folder, work)
    monkeypatch.setattr(record, "ReadOnly", lambda path: ReadOnly(path, seconds=0.0))
    [found] = at_ca(ca_folder, "store")
    assert found.verdict is OK
    assert found.detail.endswith("too large to be looked through")


@pytest.mark.parametrize(
    ("free", "verdict"), [(1 << 40, OK), (1 << 29, WARN), (1 << 20, FAIL), (0, FAIL)]
)
def test_disk(
    ca_folder: CaFolder, monkeypatch: pytest.MonkeyPatch, free: int, verdict: object
) -> None:
    """A full disk grants nothing."""
    monkeypatch.setattr("shutil.disk_usage", lambda _: type("Usage", (), {"free": free}))
    [found] = at_ca(ca_folder, "disk")
    assert found.verdict is verdict
    assert found.hint == (None if verdict is OK else f"df -h {ca_folder.path}")


def test_this_disk(ca_folder: CaFolder) -> None:
    """The disk of these tests has a size."""
    [found] = at_ca(ca_folder, "disk")
    assert "are free" in found.detail


def _event(what: str, at: int, reason: str = "allowlists/line-3.csv:12: no device") -> Event:
    return Event(at=at, event=Code(what), actor="endpoint", reason=reason)


def test_clock(ca_folder: CaFolder) -> None:
    """A clock before the newest event is wrong; one before a certificate is, or was."""
    assert [one.verdict for one in at_ca(ca_folder, "ca clock")] == [OK]
    change(ca_folder, lambda db: events.append(db, _event("granted", now())))
    assert [one.verdict for one in at_ca(ca_folder, "ca clock")] == [OK]
    [found] = at_ca(ca_folder, "ca clock", later=-timedelta(minutes=10))
    assert (found.verdict, found.hint) == (FAIL, "date -u")
    assert found.detail.startswith("it is before the newest event, of 20")
    late = rows.certificate("02", issued_at=now() + 10 * _DAY)
    change(ca_folder, lambda db: certificates.insert(db, late))
    [found] = at_ca(ca_folder, "ca clock")
    assert (found.verdict, found.hint) == (WARN, "date -u")


def test_requests(ca_folder: CaFolder) -> None:
    """Those that wait longer than `remind` are counted."""
    assert brief(at_ca(ca_folder, "requests")) == [(OK, "0 requests waiting")]
    young, old = (
        rows.request("aa" * 32, first_seen=now() - 60),
        rows.request("bb" * 32, first_seen=now() - 3 * 3600),
    )
    change(ca_folder, lambda db: requests.insert(db, young))
    assert brief(at_ca(ca_folder, "requests")) == [(OK, "1 request waiting")]
    change(ca_folder, lambda db: requests.insert(db, old))
    [found] = at_ca(ca_folder, "requests")
    assert (found.verdict, found.hint) == (WARN, "cipsec ca pending --older 1h")
    assert found.detail.startswith("1 request waiting longer than 1h, up to 3h")
    rules(ca_folder, ASK, head='[server]\nremind = "1h30m"')
    [found] = at_ca(ca_folder, "requests")
    assert found.hint == "cipsec ca pending --older 1h30m"
    rules(ca_folder, ASK, head='[server]\nremind = "0s"')
    assert brief(at_ca(ca_folder, "requests")) == [(OK, "2 requests waiting")]


def test_full_queue(ca_folder: CaFolder) -> None:
    """A queue that takes no more turns devices away."""
    rules(ca_folder, ASK, head="[server]\nmax_pending = 1")
    change(ca_folder, lambda db: requests.insert(db, rows.request(first_seen=now())))
    [found] = at_ca(ca_folder, "requests")
    assert (found.verdict, found.hint) == (FAIL, "cipsec ca pending")


def test_expiring(ca_folder: CaFolder) -> None:
    """What ends soon and was not renewed is counted; what was, or is young, is not."""
    assert [one.verdict for one in at_ca(ca_folder, "expiring")] == [OK]

    def issue(serial: str, device: str, *, issued: int, end: int) -> None:
        row = rows.certificate(serial, device=device, issued_at=issued, not_after=end)

        def work(db: sqlite3.Connection) -> None:
            certificates.insert(db, row)
            held.insert(db, serial, held.texts(device=device, subject=row.subject))

        change(ca_folder, work)

    issue("01", "0001:00000001", issued=now() - 700 * _DAY, end=now() + 20 * _DAY)
    issue("02", "0001:00000002", issued=now() - 700 * _DAY, end=now() + 20 * _DAY)
    issue("03", "0001:00000003", issued=now() - _DAY, end=now() + 6 * _DAY)
    [found] = at_ca(ca_folder, "expiring")
    assert (found.verdict, found.detail) == (WARN, "2 certificates within 30d, not renewed")
    assert found.hint == "cipsec ca list --expiring 30d"
    issue("04", "0001:00000001", issued=now(), end=now() + 700 * _DAY)
    [found] = at_ca(ca_folder, "expiring")
    assert found.detail == "1 certificate within 30d, not renewed"
    rules(ca_folder, ASK, head='[server]\nexpiring = "5d"')
    assert [one.verdict for one in at_ca(ca_folder, "expiring")] == [OK]
    rules(ca_folder, ASK, head='[server]\nexpiring = "0s"')
    assert [one.verdict for one in at_ca(ca_folder, "expiring")] == [OK]


def test_events(ca_folder: CaFolder) -> None:
    """What could not be judged since yesterday is said, with the last reason; older is not."""
    assert brief(at_ca(ca_folder, "events")) == [(OK, "none within a day")]

    def work(db: sqlite3.Connection) -> None:
        events.append(db, _event("policy-error", now() - 2 * _DAY))
        events.append(db, _event("granted", now()))

    change(ca_folder, work)
    assert brief(at_ca(ca_folder, "events")) == [(OK, "none within a day")]
    change(ca_folder, lambda db: events.append(db, _event("policy-error", now() - 3600)))
    change(ca_folder, lambda db: events.append(db, _event("policy-error", now(), "it hangs")))
    change(ca_folder, lambda db: events.append(db, _event("credential-locked", now(), "alice")))
    found = at_ca(ca_folder, "events")
    assert brief(found) == [
        (WARN, "1 credential-locked within a day, the last: alice"),
        (WARN, "2 policy-errors within a day, the last: it hangs"),
    ]
    assert {one.hint for one in found} == {"cipsec ca log --since 1d"}


_HOSTILE = {
    "requests": "UPDATE requests SET first_seen = 'soon'",
    "ca clock": "UPDATE events SET at = 'now'",
    "expiring": "UPDATE certificates SET issued_at = x'00'",
    "events": "UPDATE events SET at = x'1b5b324b'",
}


@pytest.mark.parametrize("check", _HOSTILE)
def test_hostile_rows(ca_folder: CaFolder, check: str) -> None:
    """Values of the wrong type in one table end no other check."""

    def work(db: sqlite3.Connection) -> None:
        requests.insert(db, rows.request())
        certificates.insert(db, rows.certificate(not_after=now() + _DAY))
        events.append(db, _event("policy-error", now()))
        db.execute(_HOSTILE[check])

    change(ca_folder, work)
    found = list(examine(CA_CHECKS, subject.at(ca_folder, times.now())))
    assert CA_CHECKS.keys() - {one.check for one in found} == {"programs", "provisioning issuer"}
    failing = [one for one in found if one.verdict is FAIL]
    assert check in [one.check for one in failing]
    assert all(one.detail.startswith("it cannot be looked at: ") for one in failing)


def test_a_store_that_never_answers(ca_folder: CaFolder) -> None:
    """A table that is an endless query in disguise is given up."""
    with closing(sqlite3.connect(ca_folder.store_file)) as db:
        db.execute("DROP TABLE users")
        db.execute(
            "CREATE VIEW users AS WITH RECURSIVE n(x) AS (SELECT 1 UNION ALL SELECT x+1 FROM n)"
            " SELECT x AS name, '' AS password, 0 AS created_at, 0 AS changed_at, 0 AS until,"
            " 0 AS uses, '' AS labels FROM n WHERE x < 0"
        )
    looked_at = ReadOnly(ca_folder.store_file, seconds=0.2)
    ca = dataclasses.replace(subject.at(ca_folder, times.now()), record=looked_at)
    [found] = examine({"users": CA_CHECKS["users"]}, ca)
    assert (found.verdict, found.detail) == (FAIL, "the store cannot be used: interrupted")


def test_nothing_is_left_behind(ca_folder: CaFolder) -> None:
    """Looking leaves every name, every byte and every time as it was."""
    before = _snapshot(ca_folder.path)
    for check in CA_CHECKS:
        at_ca(ca_folder, check)
    assert _snapshot(ca_folder.path) == before


def _snapshot(folder: Path) -> dict[str, object]:
    paths = [folder, *folder.rglob("*")]
    return {
        str(path): (path.stat().st_mode, path.stat().st_mtime_ns, path.stat().st_size)
        for path in paths
    }
