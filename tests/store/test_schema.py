"""A store of another version: brought to this one whole, by one process, or left as it was."""

from __future__ import annotations

import contextlib
import sqlite3
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from cipsec.errors import StoreFailed
from cipsec.store import certificates, events, held, requests, schema, users
from cipsec.store.codes import Code
from cipsec.store.database import Database
from cipsec.store.requests import State
from cipsec.store.verification import verify

# As the first release made it.
VERSION_1 = """
CREATE TABLE certificates (
    serial      TEXT PRIMARY KEY,        -- lower-case hex, ordered in time
    enrollment  TEXT NOT NULL,           -- hash of key, names and who was authenticated
    kind        TEXT NOT NULL,           -- endpoint, server
    subject     TEXT NOT NULL,
    device      TEXT,                    -- VENDOR:SERIAL
    mac         TEXT,
    not_before  INTEGER NOT NULL,        -- seconds since 1970, UTC, as are all times here
    not_after   INTEGER NOT NULL,
    issued_at   INTEGER NOT NULL,
    rule        TEXT NOT NULL,
    reason      TEXT NOT NULL,
    proved      TEXT NOT NULL,
    der         BLOB NOT NULL
);
CREATE INDEX certificates_enrollment ON certificates (enrollment);
CREATE INDEX certificates_device ON certificates (device) WHERE device IS NOT NULL;

CREATE TABLE requests (
    id          TEXT PRIMARY KEY,
    state       TEXT NOT NULL CHECK (state IN ('pending', 'approved', 'rejected', 'granted')),
    subject     TEXT NOT NULL,
    sans        TEXT NOT NULL,           -- JSON list
    device      TEXT,
    mac         TEXT,
    proved      TEXT NOT NULL,
    claimed     TEXT NOT NULL,
    address     TEXT NOT NULL,
    label       TEXT NOT NULL,
    spki_sha256 TEXT NOT NULL,
    rule        TEXT NOT NULL,
    reason      TEXT NOT NULL,
    first_seen  INTEGER NOT NULL,
    last_seen   INTEGER NOT NULL,
    polls       INTEGER NOT NULL,
    decided_at  INTEGER,
    decided_by  TEXT,
    note        TEXT,
    serial      TEXT,                    -- of the certificate granted
    csr         BLOB NOT NULL
);
CREATE INDEX requests_state ON requests (state, first_seen);

CREATE TABLE users (
    name        TEXT PRIMARY KEY,
    password    TEXT NOT NULL,           -- Argon2id in PHC format
    created_at  INTEGER NOT NULL,
    changed_at  INTEGER NOT NULL
);

CREATE TABLE events (
    seq         INTEGER PRIMARY KEY AUTOINCREMENT,
    at          INTEGER NOT NULL,
    event       TEXT NOT NULL,
    actor       TEXT NOT NULL,
    address     TEXT,
    request     TEXT,
    serial      TEXT,
    subject     TEXT,
    device      TEXT,
    rule        TEXT,
    reason      TEXT
);
"""

CERTIFICATES = [
    # serial, enrollment, kind, subject, device, mac, not_before, not_after, issued_at
    ("01a1", "e1", "endpoint", "CN=Drive 7", "0001:6040C8F2", None, 0, 2_000, 100),
    ("01a2", "e2", "endpoint", "CN=Drive 8", None, "00:00:bc:12:34:56", 0, 2_000, 200),
    ("01a3", "e3", "server", "CN=est", None, None, 0, 2_000, 300),
    ("01a4", "e4", "endpoint", "CN='; DROP TABLE held; --\u202e", None, None, 0, 2_000, 400),
]


@pytest.fixture
def old(tmp_path: Path) -> Path:
    """A store of version 1 with rows in each table, as its server left it."""
    path = tmp_path / "old.sqlite3"
    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as db:
        db.execute("PRAGMA journal_mode=WAL")
        db.executescript(f"BEGIN;{VERSION_1}PRAGMA user_version=1;COMMIT;")
        for row in CERTIFICATES:
            values = (*row, "renewal", "because", "nothing", b"0\0")
            db.execute(f"INSERT INTO certificates VALUES ({', '.join('?' * 13)})", values)
        for number, state in enumerate(State):
            asked = (f"{number:064}", state, "CN=Drive 7", "[]", "0001:6040C8F2", None, "nothing",
                      "device", "192.0.2.7", "", "00", "rest", "why", 10, 20, 3, 30, "anna",
                      "tag 7", "01a1", b"0\0")  # fmt: skip
            db.execute(f"INSERT INTO requests VALUES ({', '.join('?' * 21)})", asked)
        db.execute("INSERT INTO users VALUES ('anna', 'hash', 1, 2)")
        for number in range(3):
            db.execute(
                "INSERT INTO events (at, event, actor, serial) VALUES (?, 'granted', 'x', '01a1')",
                (number,),
            )
        db.execute("DELETE FROM events WHERE seq = 3")  # a number is not used again
    return path


def version(path: Path) -> int:
    """Return the version that a file says it has."""
    with contextlib.closing(sqlite3.connect(path)) as db:
        return int(db.execute("PRAGMA user_version").fetchone()[0])


def described(path: Path) -> dict[str, object]:
    """Return tables with their columns, and indices with what they are over."""
    with contextlib.closing(sqlite3.connect(path)) as db:
        found: dict[str, object] = {}
        names = db.execute("SELECT type, name, tbl_name FROM sqlite_master").fetchall()
        for kind, name, table in names:
            if kind == "table":
                found[name] = [tuple(row[1:]) for row in db.execute(f"PRAGMA table_info({name})")]
                found[f"{name}, whole"] = len(db.execute(f"PRAGMA index_list({name})").fetchall())
            elif kind == "index" and not name.startswith("sqlite_"):
                columns = [row[2] for row in db.execute(f"PRAGMA index_info({name})")]
                options = [
                    row[2:] for row in db.execute(f"PRAGMA index_list({table})") if row[1] == name
                ]
                found[name] = (table, columns, options)
        return found


# Brought to this version.


def test_an_old_store_becomes_like_a_new_one(old: Path, store: Database) -> None:
    """The same tables, columns, defaults and indices, whichever way they came."""
    Database.open(old).close()
    assert version(old) == schema.VERSION
    assert described(old) == described(store.path)


def test_nothing_is_lost(old: Path) -> None:
    """Each row is there as it was, with what is new left open."""
    database = Database.open(old)
    rows = database.read(lambda db: list(certificates.listed(db)))
    shown = [
        (r.serial, r.enrollment, r.kind, r.subject, r.device, r.mac, r.not_before, r.not_after,
         r.issued_at)
        for r in rows
    ]  # fmt: skip
    assert shown == CERTIFICATES
    for row in rows:
        assert (row.user, row.credential, row.revoked_at, row.revocation) == (None,) * 4
    asked = database.read(lambda db: list(requests.listed(db, list(State))))
    assert [row.state for row in asked] == list(State)
    for request in asked:
        new = (request.replaces, request.revokes, request.approvals, request.reminded_at)
        assert new == (None, 0, 1, None)
        assert (request.decided_by, request.note, request.polls) == ("anna", "tag 7", 3)
    user = database.read(lambda db: users.by_name(db, "anna"))
    assert user
    assert (user.password, user.until, user.uses, user.labels) == ("hash", None, None, None)
    told = database.read(lambda db: list(events.after(db, 0)))
    assert [(number, e.event) for number, e in told] == [
        (1, "granted"),
        (2, "granted"),
        (3, "log-chained"),
    ]
    database.write(lambda db: events.append(db, events.Event(9, Code.GRANTED, "x")))
    assert [n for n, _ in database.read(lambda db: list(events.after(db, 3)))] == [4]
    database.close()


def test_what_a_person_vouched_for_is_proved(old: Path) -> None:
    """Signed by hand or approved; what a rule granted was never more than claimed."""
    with contextlib.closing(sqlite3.connect(old, isolation_level=None)) as db:
        db.execute("UPDATE certificates SET rule = 'by hand' WHERE serial = '01a1'")
        reason = "UPDATE certificates SET reason = ? WHERE serial = ?"
        db.execute(reason, ("approved by anna: tag 7", "01a2"))
        db.execute(
            "INSERT INTO certificates VALUES ('01a5', 'e5', 'endpoint', 'CN=approved by anna',"
            " '0001:00000005', '00:00:bc:12:34:57', 0, 1, 2, 'lab', 'not approved by anna', '', '')"
        )
    database = Database.open(old)
    rows = database.read(lambda db: list(certificates.listed(db)))
    shown = {row.serial: (row.device_proved, row.mac_proved) for row in rows}
    assert shown == {"01a1": (1, 0), "01a2": (0, 1), "01a3": (0, 0), "01a4": (0, 0), "01a5": (0, 0)}
    database.close()


def test_holders_are_known_from_then_on(old: Path) -> None:
    """By device, MAC address and subject; the server's own certificate is nobody's."""
    database = Database.open(old)

    def known(**names: str) -> list[str]:
        texts = held.texts(**names)
        return database.read(lambda db: held.serials(db, texts, limit=9))

    assert known(device="0001:6040C8F2") == ["01a1"]
    assert known(mac="00:00:bc:12:34:56") == ["01a2"]
    assert known(subject="CN=drive 8") == ["01a2"]
    assert known(subject="CN='; DROP TABLE held; --\u202e") == ["01a4"]
    assert known(subject="CN=est") == []
    database.close()


def test_it_is_done_once(old: Path) -> None:
    """Opening again changes nothing, and what was written since is there."""
    first = Database.open(old)
    first.write(lambda db: certificates.revoke(db, "01a1", by="x", reason="superseded", at=1))
    first.close()
    before = described(old)
    again = Database.open(old)
    row = again.read(lambda db: certificates.by_serial(db, "01a1"))
    assert row
    assert row.revoked_by == "x"
    again.close()
    assert described(old) == before


def test_what_was_recorded_before_is_chained(old: Path) -> None:
    """However much it is, and where numbers are missing: the chain is whole, and goes on."""
    with contextlib.closing(sqlite3.connect(old, isolation_level=None)) as db:
        db.execute(
            "INSERT INTO events (seq, at, event, actor, reason) SELECT value * 7, value, 'refused',"
            " 'endpoint', 'é' || value FROM (WITH RECURSIVE n(value) AS (SELECT 10 UNION ALL"
            " SELECT value + 1 FROM n LIMIT 2500) SELECT value FROM n)"
        )
    database = Database.open(old)
    done = verify(database)
    assert (done.intact, done.events) == (True, 2 + 2500 + 1)
    [(number, said), *_] = database.read(lambda db: list(events.after(db, 2502)))
    assert (number, said.event) == (2503, "log-chained")
    assert said.reason == "events 1 to 2502 were recorded by an earlier version and are chained now"
    database.write(lambda db: events.append(db, events.Event(9, Code.GRANTED, "x")))
    assert verify(database).intact
    assert database.read(lambda db: [e.at for n, e in events.after(db, 1000) if n == 1001]) == [
        1008
    ]
    database.close()


def test_an_empty_old_store(tmp_path: Path, store: Database) -> None:
    """A CA that never issued anything."""
    path = tmp_path / "old.sqlite3"
    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as db:
        db.executescript(f"BEGIN;{VERSION_1}PRAGMA user_version=1;COMMIT;")
    Database.open(path).close()
    assert described(path) == described(store.path)


# Several at once, and in the middle.


def test_threads_at_once(old: Path) -> None:
    """Whoever comes second finds it done."""
    with ThreadPoolExecutor(8) as pool:
        for database in list(pool.map(lambda _: Database.open(old), range(8))):
            assert database.read(certificates.count) == len(CERTIFICATES)
            database.close()
    assert version(old) == schema.VERSION


OPEN = """
import sys
from pathlib import Path
from cipsec.store import certificates
from cipsec.store.database import Database
sys.stdin.readline()
database = Database.open(Path(sys.argv[1]))
print(database.read(certificates.count))
"""


def test_processes_at_once(old: Path) -> None:
    """As when a server and a command start together after the new version was installed."""
    started = [
        subprocess.Popen(
            [sys.executable, "-c", OPEN, str(old)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for _ in range(3)
    ]
    outputs = [process.communicate("\n", timeout=600)[0] for process in started]
    assert outputs == [f"{len(CERTIFICATES)}\n"] * 3
    assert [process.returncode for process in started] == [0, 0, 0]
    assert version(old) == schema.VERSION


CRASH = """
import os, sqlite3, sys
from pathlib import Path
from cipsec.store import held
from cipsec.store.database import Database

def crash(*_: object) -> None:
    os.kill(os.getpid(), 9)

held.insert = crash
Database.open(Path(sys.argv[1]))
"""


def test_a_crash_in_the_middle_leaves_the_old_version(old: Path, store: Database) -> None:
    """Killed after the tables were changed and before the end: all or nothing."""
    before = described(old)
    killed = subprocess.run([sys.executable, "-c", CRASH, str(old)], check=False, timeout=600)
    assert killed.returncode == -9
    assert version(old) == 1
    assert described(old) == before
    database = Database.open(old)
    assert database.read(certificates.count) == len(CERTIFICATES)
    database.close()
    assert described(old) == described(store.path)


def test_an_old_store_that_cannot_be_written_is_said(
    old: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It stays as it was, and nothing is left open."""
    before = described(old)
    other = sqlite3.connect(old, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    monkeypatch.setattr("cipsec.store.database._BUSY_TIMEOUT_MS", 50)
    with pytest.raises(StoreFailed, match="locked"):
        Database.open(old)
    other.execute("ROLLBACK")
    other.close()
    assert (version(old), described(old)) == (1, before)


def test_an_old_server_that_still_runs_fails_and_harms_nothing(old: Path) -> None:
    """Its statements name another number of columns: refused, not misplaced."""
    server = sqlite3.connect(old, isolation_level=None)
    assert server.execute("SELECT count(*) FROM certificates").fetchone()[0] == 4
    Database.open(old).close()
    with pytest.raises(sqlite3.OperationalError, match="13 values"):
        server.execute(f"INSERT INTO certificates VALUES ({', '.join('?' * 13)})", tuple(range(13)))
    server.close()


# Made new.


def test_a_new_store_is_of_this_version(store: Database) -> None:
    """With all tables, empty."""
    assert version(store.path) == schema.VERSION
    tables = store.read(
        lambda db: [r[0] for r in db.execute("SELECT name FROM sqlite_master WHERE type='table'")]
    )
    assert {"held", "uses", "credentials", "approvals", "channels"} <= set(tables)
    for table in set(tables) - {"sqlite_sequence"}:
        count = store.read(lambda db, t=table: db.execute(f"SELECT count(*) FROM {t}").fetchone())  # type: ignore[misc]  # bound now; mypy infers no lambda with a default
        assert count[0] == 0


def test_what_sqlite_itself_keeps_true(store: Database) -> None:
    """A use, an agreement and an event of expiry are there at most once, whoever writes them."""
    db = store.connection()
    for statement in (
        "INSERT INTO uses VALUES ('k', 'e', '01', 1)",
        "INSERT INTO approvals VALUES ('r', 'anna', 1, NULL, 0)",
        "INSERT INTO held VALUES (1, '01')",
        "INSERT INTO events (at, event, actor, serial) VALUES (1, 'expiring', 'server', '01')",
    ):
        db.execute(statement)
        with pytest.raises(sqlite3.IntegrityError):
            db.execute(statement)
    twice = "INSERT INTO events (at, event, actor, serial) VALUES (1, 'granted', 'x', '01')"
    for _ in range(2):
        db.execute(twice)
