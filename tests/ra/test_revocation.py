"""Revoking: what is chosen, what is written, and that it takes effect at the next request."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing

import pytest
from cryptography import x509

from cipsec import times
from cipsec.ca_folder import CaFolder
from cipsec.errors import NotFound, StoreFailed, UsageError
from cipsec.pki.device import DeviceId
from cipsec.pki.names import show_serial
from cipsec.ra import revocation
from cipsec.ra.answers import Granted
from cipsec.store import certificates, credentials, events
from cipsec.store.certificates import CertificateRow
from cipsec.store.database import Database
from tests.support import ca

from .test_provisioning import order, provide

NOW = times.now()
WHY = {"by": "operator", "reason": "keyCompromise", "note": None}


def row(
    serial: str, *, device: str | None = None, days: int = 7, credential: str | None = None
) -> CertificateRow:
    """Return a certificate that ends in so many days."""
    at = int(NOW.timestamp())
    return CertificateRow(
        serial=serial,
        enrollment="",
        kind="endpoint",
        subject="CN=Drive 7",
        device=device,
        mac=None,
        not_before=at - 86400 * 30,
        not_after=at + 86400 * days,
        issued_at=at,
        rule="r",
        reason="",
        proved="",
        der=b"",
        credential=credential,
    )


@pytest.fixture
def plant(ca_folder: CaFolder) -> Iterator[Database]:
    """The store of the CA."""
    with closing(ca_folder.store()) as database:
        yield database


def _insert(database: Database, *rows: CertificateRow) -> None:
    def work(db: object) -> None:
        for one in rows:
            certificates.insert(db, one)  # type: ignore[arg-type]  # the connection

    database.write(work)


@pytest.mark.parametrize(
    "text", ["keyCompromise", "KEYCOMPROMISE", "unspecified", "cessationofoperation"]
)
def test_reasons(text: str) -> None:
    """By the names of RFC 5280, in any case."""
    assert revocation.reason_named(text).casefold() == text.casefold()


@pytest.mark.parametrize("text", ["", "lost", "cACompromise", "certificateHold", "removeFromCRL"])
def test_no_reasons(text: str) -> None:
    """What does not suit an endpoint, or can be taken back, is no reason."""
    with pytest.raises(UsageError, match="is not a reason"):
        revocation.reason_named(text)


def test_the_first_reason_stays(store: Database) -> None:
    """Revoked again is no change: time, reason and who are kept; one event."""
    _insert(store, row("a" * 32))

    def again(at: int, reason: str) -> list[revocation.Revoked]:
        def work(db: object) -> list[revocation.Revoked]:
            chosen = revocation.by_serials(db, ["a" * 8])  # type: ignore[arg-type]  # the connection
            return revocation.revoke_all(
                db,  # type: ignore[arg-type]  # the connection
                chosen.rows,
                by="operator",
                reason=reason,
                note="lost",
                at=at,
            )

        return store.write(work)

    [first], [second] = again(100, "keyCompromise"), again(200, "superseded")
    assert (first.changed, second.changed) == (True, False)
    assert first.row == second.row == store.read(lambda db: certificates.by_serial(db, "a" * 32))
    assert (first.row.revoked_at, first.row.revocation) == (100, "keyCompromise")
    [(_, event)] = store.read(lambda db: list(events.after(db, 0)))
    assert (event.event, event.reason) == ("revoked", "keyCompromise: lost")


def test_by_serial(store: Database) -> None:
    """As people write them; each once; one that is missing or ambiguous chooses nothing."""
    _insert(store, row("0a" * 16), row("0b" * 16), row("0b" * 15 + "0c"))
    given = ["0a" * 16, "0A:0a:0a:0a", " 0a0a0a0a0a "]
    chosen = store.read(lambda db: revocation.by_serials(db, given))
    assert chosen.serials == {"0a" * 16}
    assert len(chosen.rows) == 1
    for wrong in ("0a", "0a0a0a0", "nothing at all", "", "0b" * 8, "0b" * 15):
        with pytest.raises(UsageError):
            store.read(lambda db, text=wrong: revocation.by_serials(db, ["0a" * 16, text]))  # type: ignore[misc]  # inferred
    with pytest.raises(NotFound, match="there is no certificate cccccccc"):
        store.read(lambda db: revocation.by_serials(db, ["0a" * 16, "c" * 8]))


def test_by_device(store: Database) -> None:
    """All of the device that have not expired, and of no other."""
    mine, other = DeviceId.parse("0001:00000001"), DeviceId.parse("0001:00000002")
    _insert(
        store,
        row("01", device=str(mine)),
        row("02", device=str(mine)),
        row("03", device=str(mine), days=-1),
        row("04", device=str(other), days=-1),
    )
    assert store.read(lambda db: revocation.by_device(db, mine, NOW)).serials == {"01", "02"}
    with pytest.raises(NotFound, match="has no certificate in force"):
        store.read(lambda db: revocation.by_device(db, other, NOW))


def test_by_credential(plant: Database, ca_folder: CaFolder) -> None:
    """It ends as credential and as certificate; what it enrolled ends on demand."""
    made = provide(ca_folder, plant, order(uses=3))
    _insert(
        plant,
        row("01", credential=made.serial),
        row("02", credential=made.serial, days=-1),
        row("03"),
    )
    alone = plant.read(lambda db: revocation.by_credential(db, "card-1", NOW, with_enrolled=False))
    assert alone.serials == {made.serial}
    assert [one.serial for one in alone.enrolled] == ["01", "02"]
    both = plant.read(lambda db: revocation.by_credential(db, "card-1", NOW, with_enrolled=True))
    assert both.serials == {made.serial, "01"}
    plant.write(lambda db: revocation.revoke_all(db, both.rows, at=100, **WHY))  # type: ignore[arg-type]  # as WHY has them
    ended = plant.read(lambda db: credentials.by_serial(db, made.serial))
    assert ended is not None
    assert (ended.revoked_at, ended.revoked_by, ended.revocation) == (
        100,
        "operator",
        "keyCompromise",
    )
    again = plant.read(lambda db: revocation.by_credential(db, "card-1", NOW, with_enrolled=True))
    assert again.serials == both.serials
    assert all(one.revoked_at == 100 for one in again.rows)


def test_a_damaged_store(plant: Database, ca_folder: CaFolder) -> None:
    """A credential without its certificate is said, not passed over."""
    made = provide(ca_folder, plant, order())
    plant.write(lambda db: db.execute("DELETE FROM certificates WHERE serial = ?", (made.serial,)))
    with pytest.raises(StoreFailed, match="lacks the provisioning certificate"):
        plant.read(lambda db: revocation.by_credential(db, "card-1", NOW, with_enrolled=False))


def test_effective_at_the_next_request(plant: Database, ca_folder: CaFolder) -> None:
    """A device that renews with its certificate is no longer that device once it is revoked."""
    asked = ca.request()
    identifier = ca.ask(ca_folder, asked)
    plant.write(lambda db: db.execute("UPDATE requests SET state = 'approved', decided_by = 'x'"))
    der = ca.receive(ca_folder, asked)
    assert identifier
    renewal = ca.request()
    granted = ca.enroll(ca_folder, renewal, chain=[der], renewal=True)
    assert isinstance(granted, Granted)
    serial = show_serial(x509.load_der_x509_certificate(der).serial_number)
    chosen = plant.read(lambda db: revocation.by_serials(db, [serial]))
    plant.write(lambda db: revocation.revoke_all(db, chosen.rows, at=int(NOW.timestamp()), **WHY))  # type: ignore[arg-type]  # as WHY has them
    refused = ca.enroll(ca_folder, renewal, chain=[der], renewal=True)
    assert not isinstance(refused, Granted)
