"""Provisioning certificates on record."""

from __future__ import annotations

import dataclasses
import sqlite3
from datetime import UTC, datetime

import pytest

from cipsec.store import credentials
from cipsec.store.credentials import CredentialRow
from cipsec.store.database import Database

CARD = CredentialRow("01", "card-1", 3, not_after=2_000, created_at=1_000, created_by="anna")


@pytest.fixture
def db(store: Database) -> sqlite3.Connection:
    """The connection of an empty store."""
    return store.connection()


def test_a_card_comes_back_as_it_was(db: sqlite3.Connection) -> None:
    """Every column is where it belongs; a serial number is used once."""
    row = dataclasses.replace(CARD, revoked_at=5, revoked_by="berta", revocation="superseded")
    credentials.insert(db, row)
    assert credentials.by_serial(db, "01") == row
    assert credentials.by_serial(db, "02") is None
    with pytest.raises(sqlite3.IntegrityError):
        credentials.insert(db, CARD)


def test_cards_of_one_name(db: sqlite3.Connection) -> None:
    """A name may come again: the newest first."""
    for serial, name in (("01", "a"), ("03", "a"), ("02", "b"), ("04", "A")):
        credentials.insert(db, dataclasses.replace(CARD, serial=serial, name=name))
    assert [row.serial for row in credentials.by_name(db, "a")] == ["03", "01"]
    assert credentials.by_name(db, "%") == []
    assert [row.serial for row in credentials.listed(db)] == ["04", "03", "02", "01"]


def test_a_card_is_revoked_once(db: sqlite3.Connection) -> None:
    """Time, person and reason are those of the first time."""
    credentials.insert(db, CARD)
    assert credentials.revoke(db, "01", by="anna", reason="keyCompromise", at=5)
    assert not credentials.revoke(db, "01", by="berta", reason="superseded", at=6)
    assert not credentials.revoke(db, "02", by="anna", reason="superseded", at=6)
    row = credentials.by_serial(db, "01")
    assert row
    assert (row.revoked_at, row.revoked_by, row.revocation) == (5, "anna", "keyCompromise")


@pytest.mark.parametrize(
    ("at", "spent", "revoked", "status"),
    [
        (1_500, 0, None, "valid"),
        (2_000, 2, None, "valid"),
        (2_001, 0, None, "expired"),
        (1_500, 3, None, "spent"),
        (1_500, 4, None, "spent"),
        (2_001, 3, None, "expired"),
        (1_500, 0, 1_400, "revoked"),
        (2_001, 3, 1_400, "revoked"),
        (0, 0, None, "valid"),  # a clock that was set back ends nothing early
    ],
)
def test_status(at: int, spent: int, revoked: int | None, status: str) -> None:
    """Revoked before expired before spent."""
    row = dataclasses.replace(CARD, revoked_at=revoked)
    assert row.status(datetime.fromtimestamp(at, UTC), spent=spent) == status


def test_its_uses_are_counted_by_serial_number() -> None:
    """Not by its name, which may come again."""
    assert CARD.key == "provisioning:01"
