"""`cipsec ca list|log|pending` on the record of years: a page at a time, whatever is in it."""

from __future__ import annotations

import json
import sqlite3
import subprocess
import sys
from dataclasses import replace

import pytest

from cipsec._cli import streams
from cipsec.ca_folder import CaFolder
from cipsec.store import certificates, events, paged, requests
from cipsec.store.codes import Code
from cipsec.store.database import Database
from cipsec.store.events import Event
from cipsec.store.requests import State
from tests.store import rows
from tests.support.memory import peak

from .conftest import Cipsec

_KEYS = {"list": "certificates", "log": "events", "pending": "requests"}
_ALL = [["list"], ["log"], ["pending", "--state", "all"]]


def fill(folder: CaFolder, first: int, count: int) -> None:
    """Record certificates, events and requests, each with its number at the end of its subject."""
    database = folder.store()
    with database.transaction() as db:
        for number in range(first, first + count):
            _fill(db, number)
    database.close()


def _fill(db: sqlite3.Connection, number: int) -> None:
    subject, digits = f"CN=Drive {number}", f"{number:032x}"
    certificates.insert(db, replace(rows.certificate(digits), subject=subject, device=None))
    event = Event(1_000, Code.GRANTED, "endpoint", subject=subject, reason="why " * 50)
    events.append(db, event)
    asked = replace(rows.request(f"{number:064x}"), subject=subject, state=State.GRANTED)
    requests.insert(db, asked)


@pytest.fixture
def short_pages(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pages of four rows."""
    monkeypatch.setattr(paged, "ROWS", 4)


@pytest.mark.usefixtures("short_pages")
@pytest.mark.parametrize("argv", _ALL)
@pytest.mark.parametrize("count", [0, 1, 3, 4, 5, 12])
def test_pages_are_joined(on_ca: Cipsec, ca_folder: CaFolder, argv: list[str], count: int) -> None:
    """Every row once, in order, wherever a page ends; as JSON and as lines."""
    fill(ca_folder, 0, count)
    wanted = [f"CN=Drive {number}" for number in range(count)]
    shown = on_ca("ca", *argv, "--json").json
    assert list(shown) == [_KEYS[argv[0]]]
    assert [one["subject"] for one in shown[_KEYS[argv[0]]]] == wanted
    ran = on_ca("ca", *argv)
    assert [next(c for c in row if c.startswith("CN=Drive")) for row in ran.rows] == wanted
    assert bool(ran.err) is (count == 0), "that there is nothing is said"


@pytest.mark.parametrize("argv", _ALL)
@pytest.mark.parametrize("form", [[], ["--json"]])
def test_memory_is_bounded(
    on_ca: Cipsec,
    ca_folder: CaFolder,
    monkeypatch: pytest.MonkeyPatch,
    argv: list[str],
    form: list[str],
) -> None:
    """Many rows need hardly more than few."""
    monkeypatch.setattr(paged, "ROWS", 50)
    monkeypatch.setattr(streams, "put", lambda _: None)  # what is captured is kept
    fill(ca_folder, 0, 200)
    on_ca("ca", *argv, *form)  # at first, modules are loaded
    few = peak(lambda: on_ca("ca", *argv, *form))
    fill(ca_folder, 200, 2_000)
    assert peak(lambda: on_ca("ca", *argv, *form)) - few < 400_000


@pytest.mark.usefixtures("short_pages")
def test_nothing_is_held_between_pages(ca_folder: CaFolder) -> None:
    """Who looks at the record for an hour does not keep the journal from being tidied."""
    fill(ca_folder, 0, 9)
    database, other = ca_folder.store(), ca_folder.store()

    def page(
        db: sqlite3.Connection, last: certificates.CertificateRow | None
    ) -> list[certificates.CertificateRow]:
        after = last.serial if last else ""
        return list(certificates.listed(db, after=after, limit=paged.ROWS))

    reading = paged.rows(database, page)
    assert next(reading).subject == "CN=Drive 0"
    fill(ca_folder, 9, 1)
    assert _tidied(other)
    assert [row.subject for row in reading][-1] == "CN=Drive 9", "written meanwhile"
    database.close()
    other.close()


def _tidied(database: Database) -> bool:
    busy, left, _ = database.connection().execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
    return (busy, left) == (0, 0)


def test_a_request_decided_meanwhile_is_not_listed(ca_folder: CaFolder) -> None:
    """What is read by its place is looked at again: it may wait no more."""
    database = ca_folder.store()
    with database.transaction() as db:
        for number in range(3):
            requests.insert(db, rows.request(f"{number:064x}"))
    places = database.read(lambda db: requests.places(db, [State.PENDING]))
    database.write(
        lambda db: requests.decide(db, f"{1:064x}", State.REJECTED, by="x", at=1, note=None)
    )
    left = database.read(lambda db: list(requests.at(db, places, [State.PENDING])))
    assert [row.id for row in left] == [f"{n:064x}" for n in (0, 2)]
    database.close()


def test_following_a_filter_looks_at_nothing_twice(ca_folder: CaFolder) -> None:
    """What matched nothing is not read again with each look; what comes is told all the same."""
    fill(ca_folder, 0, 3)
    argv = [sys.executable, "-c", _FOLLOW, str(ca_folder.path)]
    done = subprocess.run(argv, check=True, capture_output=True, text=True)
    looks = json.loads(done.stdout.splitlines()[-1])
    assert looks == [0, 3, 4]
    assert "CN=seen" in done.stdout


# Two rests are looked past; in the first something happens.
_FOLLOW = """
import json, pathlib, sys
from cipsec._cli import ca_log
from cipsec._cli.talk import Talk
from cipsec.ca_folder import open_folder
from cipsec.store import events
from cipsec.store.codes import Code

looks, folder, recorded = [], pathlib.Path(sys.argv[1]), events.recorded

def look(db, seq, wanted, **others):
    looks.append(seq)
    return recorded(db, seq, wanted, **others)

def rest(seconds):
    if len(looks) > 1:
        raise KeyboardInterrupt
    store = open_folder(folder).store()
    happened = events.Event(1_000, Code.REVOKED, "endpoint", subject="CN=seen")
    store.write(lambda db: events.append(db, happened))

events.recorded, ca_log.time.sleep = look, rest
try:
    ca_log.log(Talk(json=True), follow=True, event=["revoked"], ca_dir=folder)
except KeyboardInterrupt:
    print(json.dumps(looks))
"""
