"""The handover: what it gathers, and that it stays a page of 80 columns whatever happened."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cipsec.ca_folder import CaFolder
from cipsec.ra import queue
from cipsec.ra.queue import Verdict
from cipsec.report import handover_text
from cipsec.report.handover import Handover, document, handover
from cipsec.report.handover_text import fit
from cipsec.store import channels, events
from cipsec.store.codes import Code
from cipsec.store.database import Database
from cipsec.store.events import Event
from cipsec.store.requests import State
from tests.ra.harmless import HOSTILE, check_text, live
from tests.support import ca

from . import plant
from .plant import AT, DAY, NOW

SINCE = NOW - timedelta(hours=8)


@pytest.fixture
def database(ca_folder: CaFolder) -> Iterator[Database]:
    """The store of the CA."""
    database = ca_folder.store()
    yield database
    database.close()


def told(folder: CaFolder, database: Database) -> Handover:
    """Return the handover as of now."""
    ahead = timedelta(days=7)
    later = NOW + timedelta(seconds=30)  # what a test does takes a moment
    with database.snapshot() as db:
        return handover(folder, db, since=SINCE, now=later, ahead=ahead)


def happen(database: Database, *happened: Event) -> None:
    """Record events."""

    def work(db: sqlite3.Connection) -> None:
        for event in happened:
            events.append(db, event)

    database.write(work)


def page(folder: CaFolder, database: Database) -> list[str]:
    """Return the lines of the page, which is one."""
    text = handover_text.text(told(folder, database))
    check_text(text)
    lines = text.splitlines()
    assert len(lines) <= 66
    assert fit_all(lines)
    return lines


def fit_all(lines: list[str]) -> bool:
    """Tell whether every line has at most eighty columns."""
    return all(fit(line, 80) == line for line in lines)


def test_a_quiet_shift(ca_folder: CaFolder, database: Database) -> None:
    """That nothing was done and nothing is left is said, not left out."""
    happen(database, Event(AT - DAY, Code.APPROVED, "anna", subject="CN=yesterday"))
    lines = page(ca_folder, database)
    for line in (
        "Handover: Line 4",
        "Nobody waits for a decision.",
        "Nothing was done.",
        "Nothing is known to be broken.",
        "No certificate ends within 7d without a renewal.",
    ):
        assert line in lines
    assert lines[-1].startswith("1:")


def test_a_shift(ca_folder: CaFolder, database: Database) -> None:
    """What was done by whom, with the notes; what waits, is broken, ends."""
    asked = ca.request("CN=Drive 7")
    identifier = ca.ask(ca_folder, asked)
    verdict = Verdict(State.APPROVED, by="anna", note="cabinet 7")
    database.write(lambda db: queue.decide(db, queue.find(db, identifier), verdict, NOW))
    ca.receive(ca_folder, asked)
    plant.fill(ca_folder)
    locked = Event(AT - 60, Code.CREDENTIAL_LOCKED, "server", reason="logins of user bob")
    broken = Event(AT - 50, Code.POLICY_ERROR, "server", reason="line-3.csv:4: no device")
    by_hand = Event(AT - 40, Code.GRANTED, "carl", rule="by hand", reason="signed by carl")
    by_rule = Event(AT - 40, Code.GRANTED, "endpoint", rule="line 3", reason="listed")
    happen(database, locked, broken, broken, by_hand, by_rule, by_rule)
    row = channels.ChannelRow("mail", 0)
    for work in (
        lambda db: channels.open_at_end(db, "mail"),
        lambda db: channels.claim(db, channels.by_name(db, "mail") or row, at=AT),
        lambda db: channels.failed(db, "mail", "mail.example port 587: connection refused"),
    ):
        database.write(work)
    lines = page(ca_folder, database)
    for line in (
        "WAITING: 1 request, the longest for 2h 30s",
        "  granted 2 by rule line 3",
        "  granted 1 by anna, who approved",
        "  granted 1 by carl, by hand",
        "  channel mail: failed 1 time: mail.example port 587: connection refused",
        "  rules (2 times): line-3.csv:4: no device",
        "  locked: logins of user bob",
        "ENDS WITHIN 7d, not renewed: 1 certificate",
    ):
        assert line in lines, line
    [approved] = [line for line in lines if "approved  " in line]
    assert approved.endswith("approved  CN=Drive 7 by anna: cabinet 7")


def test_another_root_is_told(ca_folder: CaFolder, database: Database) -> None:
    """Whatever else was done since: who comes next compares another fingerprint."""
    root = Event(AT - 90, Code.ROLLOVER_ACTIVATED, "anna", subject="CN=Line 4", reason="it issues")
    happen(database, root, *(Event(AT, Code.APPROVED, "carl") for _ in range(1100)))
    [line] = [line for line in page(ca_folder, database) if "rollover-activated" in line]
    assert line.endswith("rollover-activated CN=Line 4 by anna: it issues")
    changes = document(told(ca_folder, database))["changes"]
    assert isinstance(changes, list)
    assert [one["event"] for one in changes] == ["rollover-activated"]


def test_json(ca_folder: CaFolder, database: Database) -> None:
    """All that the page says, and more of it."""
    plant.fill(ca_folder)
    happen(database, *(Event(AT, Code.REJECTED, "anna", reason=f"no {n}") for n in range(30)))
    shown = document(told(ca_folder, database))
    assert shown["counts"] == {"rejected": 30}
    assert isinstance(shown["events"], list)
    assert len(shown["events"]) == 30
    assert shown["waiting_count"] == 1
    assert shown["chain_head"] == str(told(ca_folder, database).head)


def test_a_very_busy_shift(ca_folder: CaFolder, database: Database) -> None:
    """Thousands of everything are a page, which says how to see the rest."""
    for number in range(40):
        plant.request(database, f"{number:064x}")
        plant.certificate(database, f"{number:032x}", subject=f"CN={number}", not_after=AT + DAY)
    for code in Code:
        if code is not Code.EXPIRING:
            happen(database, *(Event(AT, code, f"user {n}", reason=f"{n}") for n in range(150)))
    lines = page(ca_folder, database)
    assert "  and 32 more: cipsec ca pending" in lines
    assert "  and 34 more: cipsec ca list --expiring 7d" in lines
    assert any("more: cipsec ca log --since 2" in line for line in lines)
    assert any("other events" in line for line in lines)


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_names(ca_folder: CaFolder, database: Database, name: str) -> None:
    """Whoever chose them; and no mail program makes a link of one."""
    text = HOSTILE[name]
    plant.fill(ca_folder, text)
    ca_folder.config_file.write_text("[[rule]]\nname = 7\n")
    happen(database, *(Event(AT, code, text, text, text, text, text, text, text, text)
                       for code in Code))  # fmt: skip
    lines = page(ca_folder, database)
    assert "://" not in "\n".join(lines)
    assert any("ca.toml: " in line for line in lines)


@given(st.text(), st.integers(2, 90))
def test_fit(text: str, width: int) -> None:
    """Never wider; what fits stays."""
    cut = fit(text, width)
    assert sum(2 if handover_text._columns(char) == 2 else 1 for char in cut) <= width
    assert cut == text or cut.endswith("…")
    assert not live(fit("plain", width))
