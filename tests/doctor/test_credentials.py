"""Users and provisioning certificates: those in force, those forgotten, those that rules miss."""

from __future__ import annotations

import sqlite3
from datetime import timedelta

from cipsec import times
from cipsec.ca_folder import CaFolder
from cipsec.ra import users
from cipsec.store import credentials, uses
from cipsec.store import users as rows
from cipsec.store.credentials import CredentialRow
from cipsec.store.users import UserRow

from .looking import FAIL, OK, WARN, at_ca, brief, change, now, rules

_MONTH = 31 * 86_400


def _user(name: str, **limits: int) -> UserRow:
    return UserRow(name, "$argon2id$", created_at=0, changed_at=0, **limits)  # type: ignore[arg-type]  # numbers only


def test_users(ca_folder: CaFolder) -> None:
    """They are counted by how they stand; those who are over are no fault."""
    assert brief(at_ca(ca_folder, "users")) == [(OK, "0: 0 valid, 0 ended, 0 used up")]
    spent = _user("carol", uses=1)

    def work(db: sqlite3.Connection) -> None:
        for row in (_user("alice"), _user("bob", until=1_000), spent):
            rows.insert(db, row)
        uses.spend(db, users.proof(spent).key, "e1", serial="01", at=0)

    change(ca_folder, work)
    assert brief(at_ca(ca_folder, "users")) == [(OK, "3: 1 valid, 1 ended, 1 used up")]


def test_unknown_user(ca_folder: CaFolder) -> None:
    """A rule for a user who is not there."""
    rules(ca_folder, 'name = "r"\nwhen = { user = ["alice"] }\nthen = "grant"')
    [found] = at_ca(ca_folder, "users")
    assert found.verdict is WARN
    assert found.detail == "the rule r asks for the user alice, and there is none"
    assert found.hint == "cipsec user add alice"
    change(ca_folder, lambda db: rows.insert(db, _user("alice")))
    assert [one.verdict for one in at_ca(ca_folder, "users")] == [OK]


def _card(serial: str = "01", **values: int | None) -> CredentialRow:
    given: dict[str, int | None] = {
        "uses": 3,
        "not_after": now() + 10 * _MONTH,
        "created_at": now(),
    }
    return CredentialRow(serial, f"card-{serial}", created_by="root", **given | values)  # type: ignore[arg-type]  # numbers only


def test_credentials(ca_folder: CaFolder) -> None:
    """Good ones are counted; one that is a month old and unspent may be anywhere."""
    ca_folder.provisioning_authority(None, times.now())
    [found] = at_ca(ca_folder, "provisioning")
    assert (found.verdict, found.detail) == (OK, "0 provisioning certificates, 0 valid")
    change(ca_folder, lambda db: credentials.insert(db, _card()))
    [found] = at_ca(ca_folder, "provisioning")
    assert (found.verdict, found.detail) == (OK, "1 provisioning certificate, 1 valid")

    def spend(db: sqlite3.Connection) -> None:
        uses.spend(db, _card().key, "e1", serial="aa", at=0)

    change(ca_folder, spend)
    [found] = at_ca(ca_folder, "provisioning", later=timedelta(days=31))
    assert found.verdict is WARN
    assert found.detail.startswith("card-01, made by root 31d")
    assert found.detail.endswith("ago, has 2 of 3 uses left")
    assert found.hint == "cipsec ca revoke --credential card-01"


def test_credentials_that_are_over(ca_folder: CaFolder) -> None:
    """What is spent, expired or revoked need not be looked for."""
    ca_folder.provisioning_authority(None, times.now())

    def work(db: sqlite3.Connection) -> None:
        old = {"created_at": now() - _MONTH}
        credentials.insert(db, _card("01", uses=1, **old))
        uses.spend(db, _card("01").key, "e1", serial="aa", at=0)
        credentials.insert(db, _card("02", not_after=1_000, **old))
        credentials.insert(db, _card("03", revoked_at=1_000, **old))

    change(ca_folder, work)
    assert brief(at_ca(ca_folder, "provisioning")) == [(OK, "3 provisioning certificates, 0 valid")]


def test_credentials_without_their_issuer(ca_folder: CaFolder) -> None:
    """What was given out is not accepted any more when the issuer's certificate is gone."""
    change(ca_folder, lambda db: credentials.insert(db, _card()))
    file = ca_folder.provisioning_certificate_file
    assert brief(at_ca(ca_folder, "provisioning")) == [
        (FAIL, f"{file} is missing: none is accepted")
    ]


def test_unknown_credential(ca_folder: CaFolder) -> None:
    """A rule for a provisioning certificate that nobody made."""
    rules(ca_folder, 'name = "r"\nwhen = { provisioning = ["card-7"] }\nthen = "grant"')
    [found] = at_ca(ca_folder, "provisioning")
    assert (found.verdict, found.hint) == (WARN, "cipsec ca provision card-7 -o DIR")
