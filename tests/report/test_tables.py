"""The tables of a report: which rows, and who said yes."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from cipsec.ca_folder import CaFolder
from cipsec.ra import queue
from cipsec.ra.queue import Verdict
from cipsec.report import contents, tables
from cipsec.report.tables import Moment, Row
from cipsec.store.database import Database
from cipsec.store.events import when
from cipsec.store.requests import State
from tests.support import ca

from . import plant
from .plant import AT, DAY, NOW, SOON


@pytest.fixture
def database(ca_folder: CaFolder) -> Iterator[Database]:
    """The store of the CA."""
    database = ca_folder.store()
    yield database
    database.close()


def table(database: Database, name: str) -> list[Row]:
    """Return the rows of a table as of now; each has the columns it says it has."""
    made = tables.tables(Moment(database.connection(), NOW, SOON))
    [found] = [one for one in made if one.name == name]
    listed = list(found.rows())
    assert all(tuple(row) == found.columns for row in listed)
    return listed


def test_names(database: Database) -> None:
    """Those that --table takes are those there are."""
    made = tables.tables(Moment(database.connection(), NOW, SOON))
    assert tuple(one.name for one in made) == tables.NAMES


def test_what_stands_in_which_table(ca_folder: CaFolder, database: Database) -> None:
    """In force, ending and not renewed, open, revoked and not ended, still good for something."""
    plant.fill(ca_folder)
    key = {"requests": "id", "credentials": "name", "users": "name"}
    shown = {
        name: [row[key.get(name, "serial")] for row in table(database, name)]
        for name in tables.NAMES
    }
    assert shown == {
        "certificates": ["01a1", "01a2"],
        "expiring": ["01a2"],
        "requests": ["aa" * 32],
        "revoked": ["01a3"],
        "credentials": ["card-1"],
        "users": ["carl"],
    }
    head = contents.report(ca_folder, database.connection(), now=NOW, soon=SOON).head
    assert head["counts"] == {
        "issued": 5,
        "in_force": 2,
        "revoked": 2,
        "expired": 1,
        "waiting": 1,
        "expiring": 1,
    }


def test_what_was_renewed_does_not_end_soon(ca_folder: CaFolder, database: Database) -> None:
    """The device has a newer certificate."""
    device = "0001:00000007"
    plant.certificate(database, "01b1", device=device, not_after=AT + 5 * DAY)
    assert len(table(database, "expiring")) == 1
    plant.certificate(database, "01b2", device=device, not_after=AT + 500 * DAY)
    assert table(database, "expiring") == []


def test_who_granted(ca_folder: CaFolder, database: Database) -> None:
    """An administrator, a rule alone, whoever signed by hand."""
    asked = ca.request("CN=approved")
    identifier = ca.ask(ca_folder, asked)
    verdict = Verdict(State.APPROVED, by="anna")
    database.write(lambda db: queue.decide(db, queue.find(db, identifier), verdict, NOW))
    ca.receive(ca_folder, asked)
    plant.certificate(database, "01c1", rule="line 3", reason="listed")
    plant.certificate(database, "01c2", rule="by hand", reason="signed by boris: urgent: now")
    shown = {row["serial"]: row["granted_by"] for row in table(database, "certificates")}
    by_hand, by_rule = shown.pop("01c2"), shown.pop("01c1")
    assert (by_hand, by_rule, list(shown.values())) == ("boris", "rule line 3", ["anna"])


def test_a_policy_that_cannot_be_read(ca_folder: CaFolder, database: Database) -> None:
    """The report is made all the same, and says so."""
    ca_folder.config_file.write_text("[[rule]]\n")
    head = contents.report(ca_folder, database.connection(), now=NOW, soon=SOON).head
    policy = head["policy"]
    assert isinstance(policy, dict)
    assert policy["rules"] == []
    assert "rule 1" in str(policy["error"])
    ca_folder.config_file.unlink()
    assert contents.policy(ca_folder).sha256 is None


@pytest.mark.parametrize("seconds", [10**18, -(10**18), "x", b"x"])
def test_a_time_that_is_none(seconds: object) -> None:
    """What another program left in the store stops no report."""
    assert str(when(seconds)).startswith("not a time: ")  # type: ignore[arg-type]  # as SQLite may give
