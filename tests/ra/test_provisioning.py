"""Provisioning certificates on record: names, when a name is free again, what was enrolled."""

from __future__ import annotations

import dataclasses
import sqlite3
from datetime import timedelta

import pytest

from cipsec import times
from cipsec.ca_folder import CaFolder
from cipsec.errors import AlreadyExists, NotFound, UsageError
from cipsec.pki import keys
from cipsec.ra import provisioning, revocation
from cipsec.ra.provisioning import Order
from cipsec.store import certificates, events, uses
from cipsec.store.certificates import CertificateRow
from cipsec.store.credentials import CredentialRow
from cipsec.store.database import Database

NOW = times.now().replace(microsecond=0)


def order(name: str = "card-1", *, uses: int = 1, days: int = 7, note: str | None = None) -> Order:
    """Return what an operator orders."""
    return Order(
        name=name,
        uses=uses,
        validity=timedelta(days=days),
        backdate=timedelta(hours=3),
        by="operator",
        note=note,
        now=NOW,
    )


def signed(folder: CaFolder, wanted: Order) -> CertificateRow:
    """Return a certificate as ordered, not yet recorded."""
    request = provisioning.request_for(wanted.name, keys.generate(keys.KeyType.EC_P256))
    issuer = folder.provisioning_authority(None, NOW)
    return provisioning.sign(wanted, request, issuer)


def provide(folder: CaFolder, store: Database, wanted: Order) -> CredentialRow:
    """Make and record a provisioning certificate."""
    row = signed(folder, wanted)
    return store.write(lambda db: provisioning.keep(db, wanted, row))


@pytest.mark.parametrize(
    "name",
    [
        *(
            "",
            ".",
            "..",
            "../x",
            "a/b",
            "a\\b",
            "-rf",
            "--json",
            ".hidden",
            "_x",
            " x",
            "x ",
            "x y",
        ),
        *(
            "x\0",
            "x\n",
            "\x1b[2K",
            "drive\u202e7",
            "é",
            "x" * 65,
            "card;rm",
            "$(id)",
            "a:b",
            "CON ",
        ),
    ],
)
def test_names_that_cannot_be(name: str) -> None:
    """No path, no option, no control, no other script."""
    with pytest.raises(UsageError, match="is not a name for a provisioning certificate"):
        order(name)


@pytest.mark.parametrize("name", ["x", "0", "card-1", "a..b", "Line_4.card-2", "x" * 64])
def test_names(name: str) -> None:
    """Letters, digits and three marks, up to 64."""
    assert order(name).name == name


@pytest.mark.parametrize("count", [0, -1, 1_000_001])
def test_uses_that_cannot_be(count: int) -> None:
    """At least one, and a number that somebody can have meant."""
    with pytest.raises(UsageError, match="1 to 1000000"):
        order(uses=count)


def test_recorded_with_certificate_and_event(ca_folder: CaFolder, store: Database) -> None:
    """One transaction: the credential, its certificate, who made it and why."""
    made = provide(ca_folder, store, order(uses=3, note="spare parts"))
    assert made == CredentialRow(
        serial=made.serial,
        name="card-1",
        uses=3,
        not_after=int((NOW + timedelta(days=7)).timestamp()),
        created_at=int(NOW.timestamp()),
        created_by="operator",
    )
    row = store.read(lambda db: certificates.by_serial(db, made.serial))
    assert row is not None
    assert (row.kind, row.rule, row.device, row.enrollment) == ("provisioning", "by hand", None, "")
    assert row.reason == "made by operator for 3 enrollments: spare parts"
    assert row.not_before == int((NOW - timedelta(hours=3)).timestamp())
    [(_, event)] = store.read(lambda db: list(events.after(db, 0)))
    assert (event.event, event.actor, event.serial) == ("provisioned", "operator", made.serial)
    assert event.reason == row.reason


def test_a_name_in_force_is_taken(ca_folder: CaFolder, store: Database) -> None:
    """A second one under the name is refused and leaves nothing behind."""
    first = provide(ca_folder, store, order(uses=2))
    store.write(lambda db: uses.spend(db, first.key, "e1", serial="s1", at=1))
    with pytest.raises(AlreadyExists, match="card-1 is in force") as refused:
        provide(ca_folder, store, order())
    assert "cipsec ca revoke --credential card-1" in str(refused.value.hint)
    provide(ca_folder, store, order("card-2"))
    assert store.read(certificates.count) == 2


def _spend(db: sqlite3.Connection, row: CredentialRow) -> None:
    uses.spend(db, row.key, "e1", serial="s1", at=1)


def _expire(db: sqlite3.Connection, row: CredentialRow) -> None:
    db.execute("UPDATE credentials SET not_after = 1 WHERE serial = ?", (row.serial,))


def _revoke(db: sqlite3.Connection, row: CredentialRow) -> None:
    certificate = certificates.by_serial(db, row.serial)
    assert certificate is not None
    revocation.revoke(db, certificate, by="operator", reason="unspecified", note=None, at=1)


@pytest.mark.parametrize(
    ("end", "status"), [(_spend, "spent"), (_expire, "expired"), (_revoke, "revoked")]
)
def test_a_name_is_free_again(
    ca_folder: CaFolder, store: Database, end: object, status: str
) -> None:
    """Once its certificate is good for nothing; the list keeps both apart, newest first."""
    first = provide(ca_folder, store, order())
    store.write(lambda db: end(db, first))  # type: ignore[operator]  # one of the three above
    later = dataclasses.replace(order(), now=NOW + timedelta(seconds=1))
    second = provide(ca_folder, store, later)
    shown = store.read(lambda db: provisioning.listed(db, NOW))
    assert [(one.row.serial, one.status) for one in shown] == [
        (second.serial, "valid"),
        (first.serial, status),
    ]
    assert [one.used for one in shown] == [0, 1 if status == "spent" else 0]
    found = store.read(lambda db: provisioning.find(db, "card-1"))
    assert [row.serial for row in found] == [second.serial, first.serial]


def test_unknown_name(store: Database) -> None:
    """Nothing of that name ever was."""
    with pytest.raises(NotFound, match="there is no provisioning certificate card-1"):
        store.read(lambda db: provisioning.find(db, "card-1"))


def test_what_was_enrolled(ca_folder: CaFolder, store: Database) -> None:
    """Everything granted to its holders, oldest first, and nothing else."""
    mine, other = (provide(ca_folder, store, order(name)) for name in ("card-1", "card-2"))
    base = signed(ca_folder, order("x"))
    for serial, credential in [("03", mine), ("01", mine), ("02", other), ("04", None)]:
        row = dataclasses.replace(
            base,
            serial=serial,
            kind="endpoint",
            credential=credential.serial if credential else None,
        )
        store.write(lambda db, row=row: certificates.insert(db, row))  # type: ignore[misc]  # inferred
    found = store.read(lambda db: provisioning.enrolled(db, [mine]))
    assert [row.serial for row in found] == ["01", "03"]
    assert store.read(lambda db: provisioning.enrolled(db, [])) == []
