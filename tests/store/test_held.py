"""Under which names the holder of a certificate is known."""

from __future__ import annotations

import sqlite3

import pytest

from cipsec.store import held
from cipsec.store.database import Database


@pytest.fixture
def db(store: Database) -> sqlite3.Connection:
    """The connection of an empty store."""
    return store.connection()


def test_each_name_has_its_kind() -> None:
    """A slot that is called like a host is not that host; what is empty is no name."""
    assert held.texts(
        device="0001:6040C8F2", mac=None, subject="CN=Drive 7", slot="", others=["dns:Drive-7"]
    ) == ("device:0001:6040c8f2", "subject:cn=drive 7", "dns:drive-7")
    assert held.texts(slot="dns:a") != held.texts(others=["dns:a"])
    assert held.texts() == ()


@pytest.mark.parametrize(
    "subject",
    [
        "CN=Drive 7,O=Plant",
        "cn=DRIVE 7,o=plant",
        "CN=Drive  7,O=Plant",
        "CN=Drive\t7 , O = Plant",
        " CN=Drive\u00a07,O=Plant\n",
        r"CN=\ Drive 7\ ,O=\ \ Plant\ ",  # as RFC 4514 writes white space at an end
    ],
)
def test_white_space_makes_no_other_subject(subject: str) -> None:
    """Nor does letter case (RFC 5280 section 7.1): both would hide whom an applicant replaces."""
    assert held.texts(subject=subject) == ("subject:cn=drive 7,o=plant",)


def test_what_differs_is_another_subject() -> None:
    """White space between two letters is not nothing, and no part is left out."""
    subjects = ["CN=Drive 7", "CN=Drive7", "CN=Drive 7,O=Plant", "O=Drive 7", "CN=Drive 7+O=Plant"]
    assert len({held.texts(subject=subject) for subject in subjects}) == len(subjects)


def test_a_name_that_is_given_twice_is_one() -> None:
    """In the order of the first time."""
    assert held.texts(others=["dns:b", "dns:A", "dns:B"]) == ("dns:b", "dns:a")


def test_who_has_one_of_the_names(db: sqlite3.Connection) -> None:
    """Each certificate once, the newest first; letter case does not matter."""
    held.insert(db, "01", held.texts(device="0001:00000001", others=["dns:a"]))
    held.insert(db, "03", held.texts(device="0001:00000001", others=["dns:a", "dns:b"]))
    held.insert(db, "02", held.texts(others=["dns:B"]))
    asked = held.texts(device="0001:00000001", others=["dns:A"])
    assert held.serials(db, asked, limit=9) == ["03", "01"]
    assert held.serials(db, held.texts(others=["dns:b"]), limit=9) == ["03", "02"]
    assert held.serials(db, held.texts(others=["dns:c"]), limit=9) == []
    assert held.serials(db, (), limit=9) == []


def test_a_name_is_held_once(db: sqlite3.Connection) -> None:
    """Twice the same name is one row."""
    held.insert(db, "01", ("dns:a", "dns:a"))
    held.insert(db, "01", ("dns:a",))
    assert db.execute("SELECT count(*) FROM held").fetchone()[0] == 1


def test_a_name_that_thousands_share_hides_nobody(db: sqlite3.Connection) -> None:
    """Of each name the newest few: who holds the rare one is among them."""
    held.insert(db, "0000", ("device:rare", "subject:all"))
    for number in range(1, 500):
        held.insert(db, f"{number:04}", ("subject:all",))
    found = held.serials(db, ("subject:all", "device:rare"), limit=3)
    assert found == ["0499", "0498", "0497", "0000"]


def test_what_came_later(db: sqlite3.Connection) -> None:
    """Behind a serial number, and no more than asked for."""
    for serial in ("01", "02", "03", "04"):
        held.insert(db, serial, ("dns:a",))
    assert held.newer(db, "dns:a", "02", limit=9) == ["04", "03"]
    assert held.newer(db, "dns:a", "01", limit=2) == ["04", "03"]
    assert held.newer(db, "dns:a", "04", limit=9) == []


@pytest.mark.parametrize("text", ["", "a\0b", "\udc80", "\u202e", "x" * 100_000, "'; --"])
def test_any_text_is_a_name(text: str, db: sqlite3.Connection) -> None:
    """Also what is no UTF-8."""
    held.insert(db, "01", (text,))
    assert held.serials(db, (text,), limit=9) == ["01"]
    assert held.serials(db, (text + "x",), limit=9) == []


def test_it_is_found_by_an_index(db: sqlite3.Connection) -> None:
    """A million certificates do not make it slower."""
    asked: list[str] = []
    db.set_trace_callback(asked.append)
    held.insert(db, "01", ("dns:a",))
    asked.clear()
    held.serials(db, ("dns:a", "dns:b"), limit=9)
    db.set_trace_callback(None)
    assert asked
    for sql in asked:
        plan = [row[3] for row in db.execute(f"EXPLAIN QUERY PLAN {sql}")]
        assert plan[0].startswith("SEARCH"), (sql, plan)
        assert not any("TEMP B-TREE" in step for step in plan), (sql, plan)
