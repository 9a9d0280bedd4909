"""The tables of the store: made whole, or brought from an earlier version to this one.

SQLite only keeps and checks; what the rows mean is said by the module of each table.
"""

from __future__ import annotations

import sqlite3

from cipsec import times
from cipsec.store import chain, events, held
from cipsec.store.codes import Code

VERSION = 2
EARLIER = frozenset({1})  # what can be brought to it

_CERTIFICATES = """
CREATE TABLE certificates (
    serial      TEXT PRIMARY KEY,        -- lower-case hex, ordered in time
    enrollment  TEXT NOT NULL,           -- hash of key, names and who was authenticated
    kind        TEXT NOT NULL,           -- endpoint, server, provisioning
    subject     TEXT NOT NULL,
    device      TEXT,                    -- VENDOR:SERIAL
    mac         TEXT,
    not_before  INTEGER NOT NULL,        -- seconds since 1970, UTC, as are all times here
    not_after   INTEGER NOT NULL,
    issued_at   INTEGER NOT NULL,
    rule        TEXT NOT NULL,
    reason      TEXT NOT NULL,
    proved      TEXT NOT NULL,
    der         BLOB NOT NULL,
    user        TEXT,                    -- who logged in
    credential  TEXT,                    -- serial of the provisioning certificate used
    device_proved INTEGER NOT NULL DEFAULT 0,  -- by a vendor's certificate or an administrator
    mac_proved  INTEGER NOT NULL DEFAULT 0,
    granted_at  INTEGER,                 -- of a renewal: when what it goes back to was granted
    revoked_at  INTEGER,
    revoked_by  TEXT,
    revocation  TEXT,                    -- the reason, as RFC 5280 section 5.3.1 names it
    revoked_seq INTEGER                  -- as the how manieth, in the order of revoking
);
CREATE INDEX certificates_enrollment ON certificates (enrollment);
CREATE INDEX certificates_device ON certificates (device) WHERE device IS NOT NULL;
"""

# Added by version 2.
_NEWER = """
CREATE INDEX certificates_not_after ON certificates (not_after);
CREATE INDEX certificates_credential ON certificates (credential) WHERE credential IS NOT NULL;

CREATE TABLE held (                      -- under which names a certificate's holder is known
    name        INTEGER NOT NULL,        -- 64 bits of a hash of device, mac, dns, ip, subject, slot
    serial      TEXT NOT NULL,
    PRIMARY KEY (name, serial)
) WITHOUT ROWID;

CREATE TABLE approvals (                 -- where more than one administrator has to agree
    request     TEXT NOT NULL,
    by          TEXT NOT NULL,
    at          INTEGER NOT NULL,
    note        TEXT,
    revokes     INTEGER,                 -- the predecessor: 1 revoked, 0 kept
    PRIMARY KEY (request, by)
) WITHOUT ROWID;

CREATE TABLE credentials (               -- provisioning certificates
    serial      TEXT PRIMARY KEY,
    name        TEXT NOT NULL,
    uses        INTEGER NOT NULL,        -- how many enrollments it is good for
    not_after   INTEGER NOT NULL,
    created_at  INTEGER NOT NULL,
    created_by  TEXT NOT NULL,
    revoked_at  INTEGER,
    revoked_by  TEXT,
    revocation  TEXT
) WITHOUT ROWID;
CREATE INDEX credentials_name ON credentials (name);

CREATE TABLE uses (                      -- what was spent, each enrollment once
    credential  TEXT NOT NULL,           -- kind:name of what is counted
    enrollment  TEXT NOT NULL,
    serial      TEXT NOT NULL,           -- of the certificate granted for it
    at          INTEGER NOT NULL,
    PRIMARY KEY (credential, enrollment)
) WITHOUT ROWID;

CREATE TABLE channels (                  -- how far each channel of notification has come
    name        TEXT PRIMARY KEY,
    cursor      INTEGER NOT NULL,        -- number of the last event that it is done with
    failures    INTEGER NOT NULL,        -- in a row
    error       TEXT,
    tried_at    INTEGER,
    sent_at     INTEGER
);

CREATE UNIQUE INDEX events_expiring ON events (serial) WHERE event = 'expiring';
"""

# With all that a revocation list says, so that 100,000 are read without the certificates.
_CRLS = """
CREATE INDEX certificates_revoked
    ON certificates (revoked_seq, kind, not_after, serial, revoked_at, revocation)
    WHERE revoked_seq IS NOT NULL;

CREATE TABLE crls (                      -- the revocation list of each of the CA's keys
    issuer      TEXT PRIMARY KEY,        -- its key identifier, lower-case hex
    number      INTEGER NOT NULL,        -- the highest that any list has, or was to have
    listed      INTEGER,                 -- the number of the list in the folder, as are the rest
    sha256      TEXT,
    covers      INTEGER NOT NULL DEFAULT 0,   -- it names what was revoked up to this revoked_seq
    entries     INTEGER NOT NULL DEFAULT 0,
    this_update INTEGER,
    next_update INTEGER,
    signed_at   INTEGER                  -- later than this_update, which is back-dated
) WITHOUT ROWID;
"""

_REQUESTS = """
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
    csr         BLOB NOT NULL,
    replaces    TEXT,                    -- serials of what its device or names have, newest first
    revokes     INTEGER NOT NULL DEFAULT 0,   -- decided: the grant revokes these
    approvals   INTEGER NOT NULL DEFAULT 1,   -- how many administrators have to agree
    reminded_at INTEGER
);
CREATE INDEX requests_state ON requests (state, first_seen);
"""

_USERS = """
CREATE TABLE users (
    name        TEXT PRIMARY KEY,
    password    TEXT NOT NULL,           -- Argon2id in PHC format
    created_at  INTEGER NOT NULL,
    changed_at  INTEGER NOT NULL,
    until       INTEGER,
    uses        INTEGER,                 -- how many enrollments the password is good for
    labels      TEXT                     -- JSON list of the EST labels it is good for
);
"""

_EVENTS = """
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
    reason      TEXT,
    hash        BLOB NOT NULL DEFAULT x''   -- ties it to all events before: see chain.py
);
"""

_FROM_1 = """
ALTER TABLE certificates ADD COLUMN user TEXT;
ALTER TABLE certificates ADD COLUMN credential TEXT;
ALTER TABLE certificates ADD COLUMN device_proved INTEGER NOT NULL DEFAULT 0;
ALTER TABLE certificates ADD COLUMN mac_proved INTEGER NOT NULL DEFAULT 0;
ALTER TABLE certificates ADD COLUMN granted_at INTEGER;
UPDATE certificates SET device_proved = device IS NOT NULL, mac_proved = mac IS NOT NULL
    WHERE rule = 'by hand' OR reason LIKE 'approved by %';
ALTER TABLE certificates ADD COLUMN revoked_at INTEGER;
ALTER TABLE certificates ADD COLUMN revoked_by TEXT;
ALTER TABLE certificates ADD COLUMN revocation TEXT;
ALTER TABLE certificates ADD COLUMN revoked_seq INTEGER;
ALTER TABLE requests ADD COLUMN replaces TEXT;
ALTER TABLE requests ADD COLUMN revokes INTEGER NOT NULL DEFAULT 0;
ALTER TABLE requests ADD COLUMN approvals INTEGER NOT NULL DEFAULT 1;
ALTER TABLE requests ADD COLUMN reminded_at INTEGER;
ALTER TABLE users ADD COLUMN until INTEGER;
ALTER TABLE users ADD COLUMN uses INTEGER;
ALTER TABLE users ADD COLUMN labels TEXT;
"""
_EVENTS_FROM_1 = """
ALTER TABLE events ADD COLUMN hash BLOB NOT NULL DEFAULT x'';
"""


def create(db: sqlite3.Connection) -> None:
    """Make all tables of an empty store, or none."""
    tables = _CERTIFICATES + _REQUESTS + _USERS + _EVENTS + _NEWER + _CRLS
    db.executescript(f"BEGIN;{tables}PRAGMA user_version={VERSION};COMMIT;")


def upgrade(db: sqlite3.Connection) -> int:
    """Bring an earlier store to this version, inside the caller's transaction; return its version.

    Certificates of version 1 are known by device, MAC address and subject, not by their other
    names.
    """
    found = int(db.execute("PRAGMA user_version").fetchone()[0])
    if found in EARLIER:  # and no other process was faster
        for statement in (_FROM_1 + _EVENTS_FROM_1 + _NEWER + _CRLS).split(";"):
            db.execute(statement)
        _hold(db)
        _chain(db)
        db.execute(f"PRAGMA user_version={VERSION}")
        return VERSION
    return found


def _hold(db: sqlite3.Connection) -> None:
    rows = db.execute("SELECT serial, device, mac, subject FROM certificates WHERE kind='endpoint'")
    for serial, device, mac, subject in rows:  # not all at once: there may be a million
        held.insert(db, serial, held.texts(device=device, mac=mac, subject=subject))


def _chain(db: sqlite3.Connection) -> None:
    """Chain what was recorded before there was a chain, and say so: it proves nothing of then."""
    count = chain.build(db)
    if count:
        at = int(times.now().timestamp())
        reason = f"events 1 to {count} were recorded by an earlier version and are chained now"
        events.append(db, events.Event(at, Code.LOG_CHAINED, "cipsec", reason=reason))
