"""What revocation lists are made of: order of revoking, numbers that never come twice."""

from __future__ import annotations

import dataclasses
from concurrent.futures import ThreadPoolExecutor

from cipsec.store import certificates, crls
from cipsec.store.crls import Published
from cipsec.store.database import Database

from . import rows


def _issue(store: Database, *serials: str, kind: str = "endpoint", not_after: int = 2_000) -> None:
    for serial in serials:
        row = dataclasses.replace(rows.certificate(serial, not_after=not_after), kind=kind)
        store.write(lambda db, row=row: certificates.insert(db, row))  # type: ignore[misc]  # inferred


def _revoke(store: Database, *serials: str, at: int = 100) -> None:
    for serial in serials:
        store.write(
            lambda db, s=serial: certificates.revoke(  # type: ignore[misc]  # inferred
                db, s, by="operator", reason="superseded", at=at
            )
        )


def _listed(store: Database, *, covers: int = 99, ends: int = 0) -> list[str]:
    found = store.read(lambda db: list(crls.revoked(db, covers=covers, ends=ends)))
    return [serial for serial, _, _ in found]


def test_in_the_order_of_revoking(store: Database) -> None:
    """Whatever the clock said; a second revoking of the same changes nothing."""
    _issue(store, "01", "02", "03", "04")
    assert store.read(crls.newest) == 0
    _revoke(store, "03", at=900)
    _revoke(store, "01", at=5)
    assert store.read(crls.newest) == 2
    _revoke(store, "03", at=7)
    _revoke(store, "04", at=7)
    assert store.read(crls.newest) == 3
    assert _listed(store) == ["03", "01", "04"]
    assert _listed(store, covers=2) == ["03", "01"]
    found = store.read(lambda db: list(crls.revoked(db, covers=1, ends=0)))
    assert found == [("03", 900, "superseded")]


def test_what_is_listed(store: Database) -> None:
    """Of endpoints and of the server, not of provisioning; not what ended before."""
    _issue(store, "01")
    _issue(store, "02", kind="server", not_after=1_000)
    _issue(store, "03", kind="provisioning")
    _revoke(store, "01", "02", "03")
    assert _listed(store) == ["01", "02"]
    assert store.read(crls.newest) == 2, "a provisioning certificate makes no other list due"
    assert _listed(store, ends=1_000) == ["01", "02"]
    assert _listed(store, ends=1_001) == ["01"]


def test_it_is_read_from_the_index_alone(store: Database) -> None:
    """Neither the certificates nor a sort: a list of 100,000 is read in the order it has."""
    _issue(store, "01")
    _revoke(store, "01")

    def plan(db: object) -> str:
        made: list[str] = []
        db.set_trace_callback(made.append)  # type: ignore[attr-defined]  # the connection
        list(crls.revoked(db, covers=9, ends=0))  # type: ignore[arg-type]  # likewise
        crls.newest(db)  # type: ignore[arg-type]  # likewise
        db.set_trace_callback(None)  # type: ignore[attr-defined]  # likewise
        shown = (
            row[3]
            for text in made
            for row in db.execute(f"EXPLAIN QUERY PLAN {text}")  # type: ignore[attr-defined]  # likewise
        )
        return "\n".join(shown)

    steps = store.read(plan).splitlines()
    assert len(steps) == 2
    assert all("COVERING INDEX certificates_revoked" in step for step in steps), steps


def test_numbers_never_go_back(store: Database) -> None:
    """At least the clock, and always higher than the last, whatever the clock says."""

    def following(at: int, issuer: str = "aa") -> int:
        return store.write(lambda db: crls.next_number(db, issuer, at=at))

    assert [following(at) for at in (1000, 1000, 5, 2000, 1999)] == [1000, 1001, 1002, 2000, 2001]
    assert following(5, "bb") == 5


def test_processes_get_different_numbers(store: Database) -> None:
    """Eight at once, fifty each: no number twice."""

    def take(_: int) -> list[int]:
        database = Database.open(store.path)
        made = [database.write(lambda db: crls.next_number(db, "aa", at=1)) for _ in range(50)]
        database.close()
        return made

    with ThreadPoolExecutor(8) as pool:
        numbers = [number for made in pool.map(take, range(8)) for number in made]
    assert sorted(numbers) == list(range(1, 401))


def test_what_was_published(store: Database) -> None:
    """Nothing before the first; a number that is given out and not used changes nothing."""
    assert store.read(lambda db: crls.published(db, "aa")) is None
    store.write(lambda db: crls.next_number(db, "aa", at=7))
    assert store.read(lambda db: crls.published(db, "aa")) is None
    made = Published(
        7, "00" * 32, covers=3, entries=2, this_update=10, next_update=20, signed_at=11
    )
    store.write(lambda db: crls.record(db, "aa", made))
    store.write(lambda db: crls.next_number(db, "aa", at=7))
    assert store.read(lambda db: crls.published(db, "aa")) == made
    assert store.read(lambda db: crls.published(db, "bb")) is None
